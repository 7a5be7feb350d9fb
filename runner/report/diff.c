/*
 * The difference of two runs: what was asked, what was pinned, what came out; down to the
 * first element of a tensor that differs.
 *
 * Numbers are compared by their bits (a NaN equals itself, 0 differs from -0): the
 * contract is about bits.
 */
#include <inttypes.h>
#include <string.h>

#include "retort/json.h"
#include "retort/report.h"

struct differ {
    struct strbuf *out;
    const char *indent;
    int64_t n;
};

static void put_line(struct differ *d, const char *path, const struct json *a,
                     const struct json *b)
{
    strbuf_printf(d->out, "%s%s: ", d->indent, *path ? path : "(all)");
    if (a)
        json_canonical(a, d->out);
    else
        strbuf_puts(d->out, "(absent)");
    strbuf_puts(d->out, " -> ");
    if (b)
        json_canonical(b, d->out);
    else
        strbuf_puts(d->out, "(absent)");
    strbuf_putc(d->out, '\n');
    d->n++;
}

static bool equal(const struct json *a, const struct json *b)
{
    struct strbuf x = STRBUF_INIT, y = STRBUF_INIT;
    bool yes;
    json_canonical(a, &x);
    json_canonical(b, &y);
    yes = !x.failed && !y.failed && strcmp(strbuf_text(&x), strbuf_text(&y)) == 0;
    strbuf_release(&y);
    strbuf_release(&x);
    return yes;
}

/* Depth is bounded by the parser's. Arrays are told whole: their elements
 * have no names. */
static void walk(struct differ *d, const char *path, const struct json *a,
                 const struct json *b)
{
    if (!a || !b || json_kind(a) != JSON_OBJECT || json_kind(b) != JSON_OBJECT) {
        if (!a || !b || !equal(a, b))
            put_line(d, path, a, b);
        return;
    }
    for (int side = 0; side < 2; side++) {
        for (const struct json *m = json_first(side ? b : a); m; m = json_next(m)) {
            const struct json *other = json_get(side ? a : b, json_key(m));
            struct strbuf sub = STRBUF_INIT;
            if (side && other)
                continue; /* seen from the other side */
            strbuf_printf(&sub, "%s%s%s", path, *path ? "." : "", json_key(m));
            walk(d, strbuf_text(&sub), side ? NULL : m, side ? m : other);
            strbuf_release(&sub);
        }
    }
}

int64_t diff_json(struct strbuf *out, const char *a, const char *b, const char *indent,
                  struct err *err)
{
    struct differ d = {out, indent, 0};
    struct diags *diags = diags_new(err);
    struct json_doc *x = NULL, *y = NULL;
    int64_t n = -1;

    if (!diags)
        return -1;
    x = json_parse(a, (int64_t)strlen(a), "the first run's text", diags);
    y = json_parse(b, (int64_t)strlen(b), "the second run's text", diags);
    if (diags_to_err(diags, err) || !x || !y)
        goto done;
    walk(&d, "", json_root(x), json_root(y));
    n = strbuf_failed(out, err) ? -1 : d.n;
done:
    json_doc_free(y);
    json_doc_free(x);
    diags_free(diags);
    return n;
}

static int diff_head(struct strbuf *out, const char *title, const char *name,
                     struct run *a, struct run *b, struct err *err)
{
    const char *x = run_head_text(a, name), *y = run_head_text(b, name);
    struct strbuf lines = STRBUF_INIT;
    int64_t n = 0;

    if (x && y)
        n = diff_json(&lines, x, y, "  ", err);
    else if (x || y)
        strbuf_printf(&lines, "  only the %s run has it\n", x ? "first" : "second");
    if (n >= 0)
        strbuf_printf(out, "%s%s\n%s", title, lines.len ? "" : ": equal",
                      strbuf_text(&lines));
    strbuf_release(&lines);
    return n < 0 ? -1 : 0;
}

static int diff_series(struct strbuf *out, const struct series *x, const struct series *y)
{
    int64_t n = x->n < y->n ? x->n : y->n;
    for (int64_t i = 0; i < n; i++) {
        if (x->step[i] == y->step[i] &&
            memcmp(&x->value[i], &y->value[i], sizeof(double)) == 0)
            continue;
        strbuf_printf(out, "  %s parts at step %" PRId64 ": ", x->name, x->step[i]);
        strbuf_double(out, x->value[i]);
        strbuf_puts(out, " against ");
        strbuf_double(out, y->value[i]);
        if (x->step[i] != y->step[i])
            strbuf_printf(out, " (of step %" PRId64 ")", y->step[i]);
        strbuf_putc(out, '\n');
        return 1;
    }
    if (x->n == y->n)
        return 0;
    strbuf_printf(out, "  %s: %" PRId64 " values against %" PRId64 "\n", x->name, x->n,
                  y->n);
    return 1;
}

/* Series of `b` that `a` lacks are told too. Times and hosts (RECORD_ENV)
 * do not count. */
static int diff_metrics(struct strbuf *out, bool *same, struct run *a, struct run *b,
                        struct err *err)
{
    struct strbuf lines = STRBUF_INIT;
    int rc = -1;

    for (int side = 0; side < 2; side++) {
        struct run *from = side ? b : a, *to = side ? a : b;
        for (int64_t i = 0; i < run_series_count(from); i++) {
            struct series x, y;
            struct err missing = ERR_INIT;
            if (run_series(from, i, &x, err))
                goto done;
            if (x.cls == RECORD_ENV)
                continue;
            if (run_series_find(to, x.name, &y, &missing)) {
                if (missing.code != ERR_MISSING) {
                    err_set(err, missing.code, "%s", missing.text);
                    goto done;
                }
                strbuf_printf(&lines, "  %s: only in the %s run\n", x.name,
                              side ? "second" : "first");
            } else if (side == 0) {
                diff_series(&lines, &x, &y);
            }
        }
    }
    if (lines.len)
        *same = false;
    strbuf_printf(out, "metrics%s\n%s", lines.len ? "" : ": equal", strbuf_text(&lines));
    rc = strbuf_failed(out, err);
done:
    strbuf_release(&lines);
    return rc;
}

static const struct run_item *item_find(const struct run *run, const char *path)
{
    for (int64_t i = 0; i < run_item_count(run); i++) {
        if (strcmp(run_item(run, i)->path, path) == 0)
            return run_item(run, i);
    }
    return NULL;
}

/* "[17, 203]" of a flat index. */
static void put_index(struct strbuf *out, struct shape s, int64_t at)
{
    int64_t index[RANK_MAX] = {0};
    for (int k = s.rank - 1; k >= 0; k--) {
        index[k] = at % s.dim[k];
        at /= s.dim[k];
    }
    strbuf_putc(out, '[');
    for (int k = 0; k < s.rank; k++)
        strbuf_printf(out, "%s%" PRId64, k ? ", " : "", index[k]);
    strbuf_putc(out, ']');
}

/* 1 if they differ (told), 0 if not, -1 with err. */
static int diff_array(struct strbuf *out, const char *path, struct run *a, struct run *b,
                      struct err *err)
{
    struct artifact *fa = run_artifact(a), *fb = run_artifact(b);
    struct array x, y;
    size_t size;
    int64_t n;

    if (fa->array(fa->ctx, path, &x, err) || fb->array(fb->ctx, path, &y, err))
        return -1;
    if (x.dtype != y.dtype || !shape_equal(x.shape, y.shape)) {
        char one[96], two[96];
        strbuf_printf(out, "  %s: %s %s against %s %s\n", path, dtype_name(x.dtype),
                      shape_text(one, x.shape), dtype_name(y.dtype),
                      shape_text(two, y.shape));
        return 1;
    }
    size = (size_t)dtype_bytes(x.dtype);
    n = shape_count(x.shape);
    for (int64_t i = 0; i < n; i++) {
        const char *p = (const char *)x.data + (size_t)i * size;
        const char *q = (const char *)y.data + (size_t)i * size;
        double u, v;
        if (memcmp(p, q, size) == 0)
            continue;
        dtype_convert(&u, DT_F64, p, x.dtype, 1);
        dtype_convert(&v, DT_F64, q, y.dtype, 1);
        strbuf_printf(out, "  %s", path);
        put_index(out, x.shape, i);
        strbuf_puts(out, ": ");
        strbuf_double(out, u);
        strbuf_puts(out, " against ");
        strbuf_double(out, v);
        strbuf_putc(out, '\n');
        return 1;
    }
    return 0;
}

static int diff_tensors(struct strbuf *out, bool *same, struct run *a, struct run *b,
                        struct err *err)
{
    struct strbuf lines = STRBUF_INIT;
    int64_t total = 0, differ = 0;
    int rc = -1;

    for (int side = 0; side < 2; side++) {
        struct run *from = side ? b : a, *to = side ? a : b;
        for (int64_t i = 0; i < run_item_count(from); i++) {
            const struct run_item *it = run_item(from, i),
                                  *other = item_find(to, it->path);
            int d = 0;
            if (it->is_text || it->cls == RECORD_ENV || (side && other))
                continue;
            total++;
            if (!other || other->is_text) {
                strbuf_printf(&lines, "  %s: only in the %s run\n", it->path,
                              side ? "second" : "first");
                d = 1;
            } else {
                d = diff_array(&lines, it->path, a, b, err);
            }
            if (d < 0)
                goto done;
            differ += d;
        }
    }
    if (differ)
        *same = false;
    strbuf_printf(out, "tensors%s\n%s", differ ? "" : ": equal", strbuf_text(&lines));
    if (differ)
        strbuf_printf(out, "  %" PRId64 " of %" PRId64 " differ\n", differ, total);
    rc = strbuf_failed(out, err);
done:
    strbuf_release(&lines);
    return rc;
}

int diff_runs(struct strbuf *out, bool *same, struct run *a, struct run *b,
              const struct diff_options *opt, struct err *err)
{
    *same = true;
    if (diff_head(out, "spec", "resolved", a, b, err) ||
        diff_head(out, "pins", "pins", a, b, err) || diff_metrics(out, same, a, b, err))
        return -1;
    return opt->tensors ? diff_tensors(out, same, a, b, err) : 0;
}
