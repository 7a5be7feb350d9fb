/*
 * Reading the axes of a table's declaration: items, lists of names, variables.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "table_impl.h"

/* Canonical JSON of a value, in the arena. */
static const char *canonical(struct table *t, const struct json *v)
{
    struct strbuf sb = STRBUF_INIT;
    const char *out;
    json_canonical(v, &sb);
    out = arena_strdup(t->arena, strbuf_text(&sb));
    strbuf_release(&sb);
    return out;
}

/* Room for one more item at the end of an axis, in the arena. */
static struct item *item_add(struct table *t, struct axis *a)
{
    if (a->n == a->capacity) {
        int64_t capacity = a->capacity ? 2 * a->capacity : 16;
        struct item *v = arena_zalloc(t->arena, capacity * (int64_t)sizeof(*v));
        if (!v)
            return NULL;
        if (a->n)
            memcpy(v, a->v, (size_t)a->n * sizeof(*v));
        a->v = v;
        a->capacity = capacity;
    }
    a->v[a->n].x = (double)NAN;
    a->v[a->n].scale = 1;
    a->v[a->n].digits = -1;
    return &a->v[a->n++];
}

static bool where_alloc(struct table *t, struct item *item, int64_t n)
{
    item->var = arena_zalloc(t->arena, n * (int64_t)sizeof(*item->var));
    item->value = arena_zalloc(t->arena, n * (int64_t)sizeof(*item->value));
    item->n_where = item->var && item->value ? n : 0;
    return item->n_where == n;
}

/* An item of a variable: named by its value, a number scaled and with its unit. */
void table_item_of_value(struct table *t, struct axis *a, const char *value)
{
    struct item *item = item_add(t, a);
    struct strbuf sb = STRBUF_INIT;
    double x;

    if (!item || !where_alloc(t, item, 1))
        return;
    item->var[0] = a->variable;
    item->value[0] = arena_strdup(t->arena, value);
    if (!text_double(&x, value)) {
        /* 0.3 * 100 is 30.000000000000004 elsewhere: what people read has at most 12
         * digits. */
        char digits[40];
        snprintf(digits, sizeof(digits), "%.12g", x * a->scale);
        item->x = strtod(digits, NULL);
        strbuf_double(&sb, item->x);
        if (a->unit)
            strbuf_printf(&sb, " %s", a->unit);
    } else if (value[0] == '"' && strlen(value) >= 2) {
        strbuf_add(&sb, value + 1, strlen(value) - 2);
    } else {
        strbuf_puts(&sb, value);
    }
    item->name = arena_strdup(t->arena, strbuf_text(&sb));
    strbuf_release(&sb);
}

static void read_item(struct reader *r, struct axis *a, const struct json *v)
{
    static const char *const known[] = {"name",  "stage", "metric", "label", "where",
                                        "paper", "scale", "digits", NULL};
    const struct json *where, *paper;
    struct item *item;
    int64_t i = 0;

    if (json_kind(v) != JSON_OBJECT) {
        json_error(r->doc, v, r->diags,
                   "an item is %s; it must be an object like {\"name\": ...}",
                   json_kind_name(json_kind(v)));
        return;
    }
    read_check_keys(r, v, known);
    item = item_add(r->t, a);
    if (!item)
        return;
    item->stage = read_text(r, v, "stage", NULL);
    item->metric = read_text(r, v, "metric", NULL);
    item->label = read_text(r, v, "label", NULL);
    item->name = read_text(r, v, "name", NULL);
    item->scale = read_number(r, v, "scale", 1);
    if (!item->name)
        item->name = item->label ? item->label : item->stage ? item->stage : item->metric;
    if (!item->name) {
        json_error(r->doc, v, r->diags, "an item needs a \"name\"");
        item->name = "";
    }
    item->digits = (int)read_number(r, v, "digits", -1);
    if (json_get(v, "digits") && !(item->digits >= 0 && item->digits <= 12))
        json_error(r->doc, json_get(v, "digits"), r->diags,
                   "\"digits\" must be in 0 ... 12");
    paper = json_get(v, "paper");
    if (paper)
        item->paper = canonical(r->t, paper);
    where = read_member(r, v, "where", JSON_OBJECT);
    if (!where || !where_alloc(r->t, item, json_count(where)))
        return;
    for (const struct json *m = json_first(where); m; m = json_next(m), i++) {
        item->var[i] = arena_strdup(r->t->arena, json_key(m));
        item->value[i] = canonical(r->t, m);
    }
}

/* {"stages": [...]}, {"labels": [...]}, {"metrics": [...]} */
static void read_names(struct reader *r, struct axis *a, const struct json *list,
                       char what)
{
    for (const struct json *v = json_first(list); v; v = json_next(v)) {
        struct item *item;
        if (!json_string(v)) {
            json_error(r->doc, v, r->diags, "a name is %s; it must be a string",
                       json_kind_name(json_kind(v)));
            continue;
        }
        item = item_add(r->t, a);
        if (!item)
            return;
        item->name = arena_strdup(r->t->arena, json_string(v));
        if (what == 's')
            item->stage = item->name;
        else if (what == 'l')
            item->label = item->name;
        else
            item->metric = item->name;
    }
}

/* One item for each row of the paper's table, or for each of its columns. */
static void read_quoted(struct reader *r, struct axis *a, const struct json *at,
                        bool keys)
{
    const struct json *columns = json_get(r->t->paper_table, "columns");
    const struct json *rows = json_get(r->t->paper_table, "rows");
    const struct json *v = json_first(keys ? rows : columns);

    if (!r->t->paper_table) {
        json_error(r->doc, at, r->diags,
                   "an axis from a paper needs \"paper\", its file and table");
        return;
    }
    if (keys && !a->name && json_string(json_first(columns)))
        a->name = arena_strdup(r->t->arena, json_string(json_first(columns)));
    for (v = keys ? v : json_next(v); v; v = json_next(v)) {
        const struct json *key = keys ? json_first(v) : v;
        struct item *item = item_add(r->t, a);
        if (!item)
            return;
        item->paper = canonical(r->t, key);
        item->name =
            json_string(key) ? arena_strdup(r->t->arena, json_string(key)) : item->paper;
        item->quoted = true;
    }
}

void read_axis(struct reader *r, struct axis *a, const struct json *v, const char *key)
{
    static const char *const known[] = {"variable", "values",      "name",   "scale",
                                        "unit",     "paper_scale", "stages", "labels",
                                        "metrics",  "paper",       NULL};
    static const struct {
        const char *key;
        char what;
    } lists[] = {{"stages", 's'}, {"labels", 'l'}, {"metrics", 'm'}};
    const struct json *list;

    a->scale = a->paper_scale = 1;
    if (v && json_kind(v) == JSON_ARRAY) {
        for (const struct json *i = json_first(v); i; i = json_next(i))
            read_item(r, a, i);
        return;
    }
    if (!v || json_kind(v) != JSON_OBJECT) {
        json_error(r->doc, v ? v : json_root(r->doc), r->diags,
                   "\"%s\" must be a list of items or {\"variable\": ...}", key);
        return;
    }
    read_check_keys(r, v, known);
    a->name = read_text(r, v, "name", NULL);
    a->unit = read_text(r, v, "unit", NULL);
    a->scale = read_number(r, v, "scale", 1);
    a->paper_scale = read_number(r, v, "paper_scale", 1);
    a->variable = read_text(r, v, "variable", NULL);
    for (int i = 0; i < 3; i++) {
        list = read_member(r, v, lists[i].key, JSON_ARRAY);
        if (list)
            read_names(r, a, list, lists[i].what);
    }
    if (json_bool(json_get(v, "paper")))
        read_quoted(r, a, v, (a == &r->t->rows) == r->t->paper_keys_are_rows);
    else if (!a->variable && a->n == 0)
        json_error(r->doc, v, r->diags,
                   "\"%s\" names no \"variable\", \"stages\", \"labels\", \"metrics\" or "
                   "\"paper\"",
                   key);
    if (!a->variable)
        return;
    list = read_member(r, v, "values", JSON_ARRAY);
    a->open = list == NULL;
    for (const struct json *i = list ? json_first(list) : NULL; i; i = json_next(i))
        table_item_of_value(r->t, a, canonical(r->t, i));
}
