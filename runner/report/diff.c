/*
 * The difference of two runs: what was asked, what was pinned, what came out; down to the
 * first element of a tensor that differs, how many do, and by how much.
 *
 * Numbers are compared by their bits (a NaN equals itself, 0 differs from -0): the
 * contract is about bits.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "retort/json.h"
#include "retort/report.h"

/* Where findings go: lines of text, or objects of an array. */
struct differ {
    struct strbuf *out;
    struct json_writer *w; /* NULL: text */
    const char *indent;
    int64_t n;
};

static const char *side_name(int side)
{
    return side ? "second" : "first";
}

/* ---- JSON texts ---- */

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/* For people: of ids and digests the first digits, of what is very long the beginning. */
static void put_short(struct strbuf *out, const char *text)
{
    enum { HASH = 64, SHOWN = 10, MOST = 120 };
    size_t begin = out->len;

    while (*text && out->len - begin < MOST) {
        size_t n = 0;
        while (n < HASH && is_hex(text[n]))
            n++;
        if (n == HASH && !is_hex(text[n])) {
            strbuf_add(out, text, SHOWN);
            text += n;
        } else {
            strbuf_putc(out, *text++);
        }
    }
    while (((unsigned char)*text & 0xc0) == 0x80)
        strbuf_putc(out, *text++); /* the rest of a character */
    if (*text)
        strbuf_puts(out, "...");
}

static void put_json(struct strbuf *out, const struct json *v)
{
    struct strbuf text = STRBUF_INIT;

    if (!v)
        strbuf_puts(&text, "(absent)");
    else
        json_canonical(v, &text);
    put_short(out, strbuf_text(&text));
    out->failed = out->failed || text.failed;
    strbuf_release(&text);
}

static void tell_value(struct differ *d, const char *path, const struct json *a,
                       const struct json *b)
{
    d->n++;
    if (d->w) {
        json_object(d->w);
        json_member(d->w, "path");
        json_str(d->w, path);
        for (int side = 0; side < 2; side++)
            if (side ? b : a) {
                json_member(d->w, side ? "b" : "a");
                json_value(d->w, side ? b : a);
            }
        json_object_end(d->w);
        return;
    }
    strbuf_printf(d->out, "%s%s: ", d->indent, *path ? path : "(all)");
    put_json(d->out, a);
    strbuf_puts(d->out, " -> ");
    put_json(d->out, b);
    strbuf_putc(d->out, '\n');
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

/* Depth is bounded by the parser's. Arrays are told whole: their elements have no names.
 */
static void walk(struct differ *d, const char *path, const struct json *a,
                 const struct json *b)
{
    if (!a || !b || json_kind(a) != JSON_OBJECT || json_kind(b) != JSON_OBJECT) {
        if (!a || !b || !equal(a, b))
            tell_value(d, path, a, b);
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

static int walk_texts(struct differ *d, const char *a, const char *b, struct err *err)
{
    struct diags *diags = diags_new(err);
    struct json_doc *x = NULL, *y = NULL;
    int rc = -1;

    if (!diags)
        return -1;
    x = json_parse(a, (int64_t)strlen(a), "the first run's text", diags);
    y = json_parse(b, (int64_t)strlen(b), "the second run's text", diags);
    if (diags_to_err(diags, err) || !x || !y)
        goto done;
    walk(d, "", json_root(x), json_root(y));
    rc = strbuf_failed(d->out, err);
done:
    json_doc_free(y);
    json_doc_free(x);
    diags_free(diags);
    return rc;
}

int64_t diff_json(struct strbuf *out, const char *a, const char *b, const char *indent,
                  struct err *err)
{
    struct differ d = {out, NULL, indent, 0};

    return walk_texts(&d, a, b, err) ? -1 : d.n;
}

/* ---- sections ---- */

/* Findings of a section come into a buffer of their own, so the title can say "equal". */
struct section {
    struct differ d;
    struct strbuf lines;
    struct strbuf *out;
    const char *title;
};

static void section_begin(struct section *s, struct strbuf *out, struct json_writer *w,
                          const char *title)
{
    *s = (struct section){.out = out, .title = title, .lines = STRBUF_INIT};
    s->d = (struct differ){w ? out : &s->lines, w, "  ", 0};
    if (w) {
        json_member(w, title);
        json_array(w);
    }
}

static int section_end(struct section *s, struct err *err)
{
    int rc = s->d.w ? 0 : strbuf_failed(&s->lines, err);

    if (s->d.w)
        json_array_end(s->d.w);
    else
        strbuf_printf(s->out, "%s%s\n%s", s->title, s->d.n ? "" : ": equal",
                      strbuf_text(&s->lines));
    strbuf_release(&s->lines);
    return rc ? rc : strbuf_failed(s->out, err);
}

/* A thing that one run alone has. */
static void tell_only(struct differ *d, const char *key, const char *name, int side)
{
    d->n++;
    if (!d->w) {
        strbuf_printf(d->out, "  %s: only in the %s run\n", name, side_name(side));
        return;
    }
    json_object(d->w);
    json_member(d->w, key);
    json_str(d->w, name);
    json_member(d->w, "only");
    json_str(d->w, side ? "b" : "a");
    json_object_end(d->w);
}

static int diff_head(struct strbuf *out, struct json_writer *w, const char *title,
                     const char *name, struct run *a, struct run *b, struct err *err)
{
    const char *x = run_head_text(a, name), *y = run_head_text(b, name);
    struct section s;
    int rc = 0;

    section_begin(&s, out, w, title);
    if (x && y)
        rc = walk_texts(&s.d, x, y, err);
    else if (x || y)
        tell_only(&s.d, "path", title, x ? 0 : 1);
    return section_end(&s, err) || rc ? -1 : 0;
}

/* ---- metrics ---- */

static void tell_series(struct differ *d, const char *name, int64_t step, double a,
                        double b, int64_t other_step)
{
    d->n++;
    if (d->w) {
        json_object(d->w);
        json_member(d->w, "name");
        json_str(d->w, name);
        json_member(d->w, "step");
        json_i64(d->w, step);
        json_member(d->w, "a");
        json_num(d->w, a);
        json_member(d->w, "b");
        json_num(d->w, b);
        json_object_end(d->w);
        return;
    }
    strbuf_printf(d->out, "  %s parts at step %" PRId64 ": ", name, step);
    strbuf_double(d->out, a);
    strbuf_puts(d->out, " against ");
    strbuf_double(d->out, b);
    if (step != other_step)
        strbuf_printf(d->out, " (of step %" PRId64 ")", other_step);
    strbuf_putc(d->out, '\n');
}

static void tell_length(struct differ *d, const struct series *x, const struct series *y)
{
    d->n++;
    if (d->w) {
        json_object(d->w);
        json_member(d->w, "name");
        json_str(d->w, x->name);
        json_member(d->w, "points_a");
        json_i64(d->w, x->n);
        json_member(d->w, "points_b");
        json_i64(d->w, y->n);
        json_object_end(d->w);
        return;
    }
    strbuf_printf(d->out, "  %s: %" PRId64 " values against %" PRId64 "\n", x->name, x->n,
                  y->n);
}

static void diff_series(struct differ *d, const struct series *x, const struct series *y)
{
    int64_t n = x->n < y->n ? x->n : y->n;

    for (int64_t i = 0; i < n; i++) {
        if (x->step[i] == y->step[i] &&
            memcmp(&x->value[i], &y->value[i], sizeof(double)) == 0)
            continue;
        tell_series(d, x->name, x->step[i], x->value[i], y->value[i], y->step[i]);
        return;
    }
    if (x->n != y->n)
        tell_length(d, x, y);
}

/* 0 found, 1 not there, -1. */
static int find_series(struct series *out, struct run *run, const char *name,
                       struct err *err)
{
    struct err missing = ERR_INIT;

    if (!run_series_find(run, name, out, &missing))
        return 0;
    return missing.code == ERR_MISSING ? 1
                                       : err_set(err, missing.code, "%s", missing.text);
}

/* Series of `b` that `a` lacks are told too. Times and hosts (RECORD_ENV) do not count.
 */
static int walk_series(struct differ *d, struct run *a, struct run *b, struct err *err)
{
    for (int side = 0; side < 2; side++) {
        struct run *from = side ? b : a, *to = side ? a : b;
        for (int64_t i = 0; i < run_series_count(from); i++) {
            struct series x, y;
            int found;
            if (run_series(from, i, &x, err))
                return -1;
            if (x.cls == RECORD_ENV)
                continue;
            if ((found = find_series(&y, to, x.name, err)) < 0)
                return -1;
            if (found == 1)
                tell_only(d, "name", x.name, side);
            else if (side == 0)
                diff_series(d, &x, &y);
        }
    }
    return 0;
}

static int diff_metrics(struct strbuf *out, struct json_writer *w, bool *same,
                        struct run *a, struct run *b, struct err *err)
{
    struct section s;
    int rc;

    section_begin(&s, out, w, "metrics");
    rc = walk_series(&s.d, a, b, err);
    if (s.d.n)
        *same = false;
    return section_end(&s, err) || rc ? -1 : 0;
}

/* ---- arrays and texts ---- */

/* What two arrays of one type and shape differ by. */
struct gap {
    int64_t total, differ, first; /* elements; the first that differs */
    int64_t nan;                  /* NaN on one side alone */
    double a, b;                  /* of the first */
    double absolute, relative;    /* largest |a - b|, and over max(|a|, |b|) */
};

static void gap_add(struct gap *g, double a, double b, int64_t at)
{
    double d = fabs(a - b), scale = fmax(fabs(a), fabs(b));

    if (g->differ++ == 0) {
        g->first = at;
        g->a = a;
        g->b = b;
    }
    if (isnan(a) != isnan(b)) {
        g->nan++;
        return;
    }
    if (d > g->absolute)
        g->absolute = d;
    if (scale > 0 && d / scale > g->relative)
        g->relative = d / scale;
}

static void measure(struct gap *g, const struct array *x, const struct array *y)
{
    size_t size = (size_t)dtype_bytes(x->dtype);
    const char *p = x->data, *q = y->data;

    *g = (struct gap){.total = shape_count(x->shape), .first = -1};
    if (g->total == 0 || memcmp(p, q, size * (size_t)g->total) == 0)
        return;
    for (int64_t i = 0; i < g->total; i++, p += size, q += size) {
        double u, v;
        if (memcmp(p, q, size) == 0)
            continue;
        dtype_convert(&u, DT_F64, p, x->dtype, 1);
        dtype_convert(&v, DT_F64, q, y->dtype, 1);
        gap_add(g, u, v, i);
    }
}

static void index_of(int64_t index[RANK_MAX], struct shape s, int64_t at)
{
    for (int k = s.rank - 1; k >= 0; k--) {
        index[k] = at % s.dim[k];
        at /= s.dim[k];
    }
}

static void tell_gap_json(struct json_writer *w, const char *path, struct shape shape,
                          const struct gap *g)
{
    int64_t index[RANK_MAX] = {0};

    index_of(index, shape, g->first);
    json_object(w);
    json_member(w, "path");
    json_str(w, path);
    json_member(w, "first");
    json_array(w);
    for (int k = 0; k < shape.rank; k++)
        json_i64(w, index[k]);
    json_array_end(w);
    json_member(w, "a");
    json_num(w, g->a);
    json_member(w, "b");
    json_num(w, g->b);
    json_member(w, "elements");
    json_i64(w, g->total);
    json_member(w, "differ");
    json_i64(w, g->differ);
    json_member(w, "nan");
    json_i64(w, g->nan);
    json_member(w, "max_absolute");
    json_num(w, g->absolute);
    json_member(w, "max_relative");
    json_num(w, g->relative);
    json_object_end(w);
}

/* As few digits as tell the element's value from all others of its type. */
static void put_element(struct strbuf *out, double x, enum dtype dtype)
{
    char text[32];
    double back;

    if (dtype == DT_F64 || !isfinite(x)) {
        strbuf_double(out, x);
        return;
    }
    for (int digits = 5; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (!text_double(&back, text) && !((float)back < (float)x) &&
            !((float)back > (float)x))
            break;
    }
    strbuf_puts(out, text);
}

/* "/tensors/w[17, 203]: 0.5 against 0.25; 12 of 64 differ, by at most 0.25 (relative
 * 0.5)" */
static void tell_gap(struct differ *d, const char *path, const struct array *x,
                     const struct gap *g)
{
    int64_t index[RANK_MAX] = {0};

    d->n++;
    if (d->w) {
        tell_gap_json(d->w, path, x->shape, g);
        return;
    }
    index_of(index, x->shape, g->first);
    strbuf_printf(d->out, "  %s[", path);
    for (int k = 0; k < x->shape.rank; k++)
        strbuf_printf(d->out, "%s%" PRId64, k ? ", " : "", index[k]);
    strbuf_puts(d->out, "]: ");
    put_element(d->out, g->a, x->dtype);
    strbuf_puts(d->out, " against ");
    put_element(d->out, g->b, x->dtype);
    strbuf_printf(d->out,
                  "; %" PRId64 " of %" PRId64 " differ, by at most %.3g (relative %.3g)",
                  g->differ, g->total, g->absolute, g->relative);
    if (g->nan)
        strbuf_printf(d->out, ", %" PRId64 " are NaN on one side", g->nan);
    strbuf_putc(d->out, '\n');
}

/* Two kinds of thing, or two shapes, or two texts. */
static void tell_kinds(struct differ *d, const char *path, const char *a, const char *b)
{
    d->n++;
    if (!d->w) {
        strbuf_printf(d->out, "  %s: ", path);
        put_short(d->out, a);
        strbuf_puts(d->out, " against ");
        put_short(d->out, b);
        strbuf_putc(d->out, '\n');
        return;
    }
    json_object(d->w);
    json_member(d->w, "path");
    json_str(d->w, path);
    json_member(d->w, "a");
    json_str(d->w, a);
    json_member(d->w, "b");
    json_str(d->w, b);
    json_object_end(d->w);
}

/* What is known of all arrays together. */
struct summary {
    int64_t total;
    double relative;
    char worst[512]; /* path of the array with it */
};

static int diff_array(struct differ *d, struct summary *sum, const char *path,
                      struct run *a, struct run *b, struct err *err)
{
    struct artifact *fa = run_artifact(a), *fb = run_artifact(b);
    struct array x, y;
    struct gap g;

    if (fa->array(fa->ctx, path, &x, err) || fb->array(fb->ctx, path, &y, err))
        return -1;
    if (x.dtype != y.dtype || !shape_equal(x.shape, y.shape)) {
        char shape[96], one[128], two[128];
        snprintf(one, sizeof one, "%s %s", dtype_name(x.dtype),
                 shape_text(shape, x.shape));
        snprintf(two, sizeof two, "%s %s", dtype_name(y.dtype),
                 shape_text(shape, y.shape));
        tell_kinds(d, path, one, two);
        return 0;
    }
    measure(&g, &x, &y);
    if (!g.differ)
        return 0;
    tell_gap(d, path, &x, &g);
    if (g.relative > sum->relative) {
        sum->relative = g.relative;
        snprintf(sum->worst, sizeof sum->worst, "%s", path);
    }
    return 0;
}

/* The first text of several that differs. */
static int diff_text(struct differ *d, const char *path, struct run *a, struct run *b,
                     struct err *err)
{
    struct artifact *fa = run_artifact(a), *fb = run_artifact(b);
    const char *const *x, *const *y;
    int64_t n, m, least;

    if (fa->text(fa->ctx, path, &x, &n, err) || fb->text(fb->ctx, path, &y, &m, err))
        return -1;
    n = n < 0 ? 1 : n; /* a scalar */
    m = m < 0 ? 1 : m;
    least = n < m ? n : m;
    for (int64_t i = 0; i < least; i++)
        if (strcmp(x[i], y[i]) != 0) {
            tell_kinds(d, path, x[i], y[i]);
            return 0;
        }
    if (n != m) {
        char one[32], two[32];
        snprintf(one, sizeof one, "%" PRId64 " texts", n);
        snprintf(two, sizeof two, "%" PRId64 " texts", m);
        tell_kinds(d, path, one, two);
    }
    return 0;
}

/* What one run recorded beyond the default and the other did not is no difference; nor
 * are the files of snapshots, whose tensors are compared themselves. */
static bool compares(const struct run_item *it, const struct run_item *other)
{
    if (it->cls == RECORD_ENV || !strncmp(it->path, "/parts/", 7))
        return false;
    return it->cls != RECORD_EXTRA || other;
}

static int walk_items(struct differ *d, struct summary *sum, struct run *a, struct run *b,
                      struct err *err)
{
    for (int side = 0; side < 2; side++) {
        struct run *from = side ? b : a, *to = side ? a : b;
        for (int64_t i = 0; i < run_item_count(from); i++) {
            const struct run_item *it = run_item(from, i),
                                  *other = run_item_find(to, it->path);
            int rc = 0;
            if (!compares(it, other) || (side && other))
                continue;
            sum->total++;
            if (!other)
                tell_only(d, "path", it->path, side);
            else if (other->is_text != it->is_text)
                tell_kinds(d, it->path, it->is_text ? "a text" : "an array",
                           other->is_text ? "a text" : "an array");
            else if (it->is_text)
                rc = diff_text(d, it->path, a, b, err);
            else
                rc = diff_array(d, sum, it->path, a, b, err);
            if (rc)
                return -1;
        }
    }
    return 0;
}

static int diff_tensors(struct strbuf *out, struct json_writer *w, bool *same,
                        struct run *a, struct run *b, struct err *err)
{
    struct summary sum = {0, 0, ""};
    struct section s;
    int rc;

    if (run_load_steps(a, err) || run_load_steps(b, err))
        return -1;
    section_begin(&s, out, w, "tensors");
    rc = walk_items(&s.d, &sum, a, b, err);
    if (s.d.n)
        *same = false;
    if (s.d.n && !w) {
        strbuf_printf(&s.lines, "  %" PRId64 " of %" PRId64 " differ", s.d.n, sum.total);
        if (sum.relative > 0)
            strbuf_printf(&s.lines, "; largest relative difference %.3g in %s",
                          sum.relative, sum.worst);
        strbuf_putc(&s.lines, '\n');
    }
    if (section_end(&s, err) || rc)
        return -1;
    if (w) {
        json_member(w, "tensors_total");
        json_i64(w, sum.total);
    }
    return 0;
}

/* ---- the whole ---- */

static int diff_all(struct strbuf *out, struct json_writer *w, bool *same, struct run *a,
                    struct run *b, const struct diff_options *opt, struct err *err)
{
    if (diff_head(out, w, "spec", "resolved", a, b, err) ||
        diff_head(out, w, "pins", "pins", a, b, err) ||
        diff_metrics(out, w, same, a, b, err))
        return -1;
    return opt->tensors ? diff_tensors(out, w, same, a, b, err) : 0;
}

int diff_runs(struct strbuf *out, bool *same, struct run *a, struct run *b,
              const struct diff_options *opt, struct err *err)
{
    struct json_writer w;

    *same = true;
    if (!opt->json)
        return diff_all(out, NULL, same, a, b, opt, err);
    json_begin(&w, out, true);
    json_object(&w);
    json_member(&w, "a");
    json_str(&w, run_info(a)->id);
    json_member(&w, "b");
    json_str(&w, run_info(b)->id);
    if (diff_all(out, &w, same, a, b, opt, err))
        return -1;
    json_member(&w, "equal");
    json_flag(&w, *same);
    json_object_end(&w);
    strbuf_putc(out, '\n');
    return strbuf_failed(out, err);
}
