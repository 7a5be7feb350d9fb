/*
 * What a paper says of a cell: a number, a mean with its spread, or the single runs.
 */
#include <math.h>
#include <string.h>

#include "retort/json.h"
#include "table_impl.h"

static const struct sample none = {(double)NAN, (double)NAN, 0};

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

/* The value of an item for another eye: what the paper's key is compared with. */
static bool key_matches(const struct axis *a, const struct item *it,
                        const struct json *key)
{
    struct strbuf sb = STRBUF_INIT;
    bool yes;

    if (it->paper) {
        json_canonical(key, &sb);
        yes = strcmp(strbuf_text(&sb), it->paper) == 0;
        strbuf_release(&sb);
        return yes;
    }
    if (a->variable && json_kind(key) == JSON_NUMBER && !isnan(it->x)) {
        double x = it->x / a->scale * a->paper_scale;
        return fabs(x - json_number(key)) <= 1e-9 * fmax(1, fabs(x));
    }
    return same(it->name, json_string(key));
}

/* Mean and deviation of a list of numbers, in its order. */
static struct sample of_list(const struct json *list, double scale)
{
    struct sample s = none;
    double sum = 0, squares = 0;

    for (const struct json *v = json_first(list); v; v = json_next(v)) {
        if (json_kind(v) != JSON_NUMBER)
            return none;
        sum += json_number(v) * scale;
    }
    s.n = json_count(list);
    s.mean = s.n ? sum / (double)s.n : (double)NAN;
    for (const struct json *v = json_first(list); v; v = json_next(v)) {
        double d = json_number(v) * scale - s.mean;
        squares += d * d;
    }
    if (s.n > 1)
        s.std = sqrt(squares / (double)(s.n - 1));
    return s;
}

static double number_or_nan(const struct json *v)
{
    return json_kind(v) == JSON_NUMBER ? json_number(v) : (double)NAN;
}

static struct sample figure(const struct json *v, double scale)
{
    struct sample s = none;

    if (json_kind(v) == JSON_ARRAY)
        return of_list(v, scale);
    if (json_kind(v) == JSON_NUMBER)
        s.mean = json_number(v) * scale;
    if (json_kind(v) == JSON_OBJECT) {
        s.mean = number_or_nan(json_get(v, "mean")) * scale;
        s.std = number_or_nan(json_get(v, "std")) * fabs(scale);
        s.n = json_int(json_get(v, "n"));
        if (s.n < 2 || s.std < 0)
            s.std = (double)NAN;
    }
    return s;
}

struct sample table_paper(const struct table *t, const struct item *r,
                          const struct item *c)
{
    const struct axis *ka = t->paper_keys_are_rows ? &t->rows : &t->cols;
    const struct axis *na = t->paper_keys_are_rows ? &t->cols : &t->rows;
    const struct item *key = t->paper_keys_are_rows ? r : c;
    const struct item *name = t->paper_keys_are_rows ? c : r;
    const struct json *cols, *rows, *v;
    int64_t at = -1;

    if (!t->paper_table)
        return none;
    cols = json_get(t->paper_table, "columns");
    rows = json_get(t->paper_table, "rows");
    for (int64_t i = 1; i < json_count(cols) && at < 0; i++) {
        if (key_matches(na, name, json_at(cols, i)))
            at = i;
    }
    for (const struct json *row = json_first(rows); row && at > 0; row = json_next(row)) {
        v = json_at(row, at);
        if (json_at(row, 0) && key_matches(ka, key, json_at(row, 0)))
            return figure(v, t->paper_scale);
    }
    return none;
}
