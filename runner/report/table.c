/*
 * Reading a table's declaration; its axes are read in table_axes.c.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "retort/file.h"
#include "retort/json.h"
#include "table_impl.h"

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

void read_check_keys(struct reader *r, const struct json *object,
                     const char *const *known)
{
    for (const struct json *m = json_first(object); m; m = json_next(m)) {
        const char *key = json_key(m), *near;
        bool found = false;
        for (const char *const *k = known; *k && !found; k++)
            found = strcmp(*k, key) == 0;
        near = found ? NULL : nearest_name(key, known);
        if (near)
            json_key_error(r->doc, m, r->diags,
                           "unknown key \"%s\"; did you mean \"%s\"?", key, near);
        else if (!found)
            json_key_error(r->doc, m, r->diags, "unknown key \"%s\"", key);
    }
}

const struct json *read_member(struct reader *r, const struct json *object,
                               const char *key, enum json_kind kind)
{
    const struct json *v = json_get(object, key);
    if (v && json_kind(v) != kind) {
        json_error(r->doc, v, r->diags, "\"%s\" is %s; it must be %s", key,
                   json_kind_name(json_kind(v)), json_kind_name(kind));
        return NULL;
    }
    return v;
}

const char *read_text(struct reader *r, const struct json *object, const char *key,
                      const char *otherwise)
{
    const struct json *v = read_member(r, object, key, JSON_STRING);
    return v ? arena_strdup(r->t->arena, json_string(v)) : otherwise;
}

double read_number(struct reader *r, const struct json *object, const char *key,
                   double otherwise)
{
    const struct json *v = read_member(r, object, key, JSON_NUMBER);
    return v ? json_number(v) : otherwise;
}

static void read_seeds(struct reader *r, const struct json *root)
{
    const struct json *list = read_member(r, root, "seeds", JSON_ARRAY);
    struct table *t = r->t;

    if (!list)
        return;
    t->has_seeds = true;
    t->seed = arena_zalloc(t->arena, json_count(list) * (int64_t)sizeof(*t->seed));
    for (const struct json *v = json_first(list); v && t->seed; v = json_next(v)) {
        if (!json_is_int(v) || json_int(v) < 0)
            json_error(r->doc, v, r->diags,
                       "a seed must be a whole number of at least 0");
        else
            t->seed[t->n_seeds++] = (uint64_t)json_int(v);
    }
}

/* The paper's file is read now, so that a wrong name of a table is told
 * with its place. */
static int read_paper(struct reader *r, const struct json *root, struct err *err)
{
    static const char *const known[] = {"file", "table", "keys", "scale", NULL};
    const struct json *v = read_member(r, root, "paper", JSON_OBJECT), *tables;
    const char *file, *keys;
    struct table *t = r->t;
    char *path;

    if (!v)
        return 0;
    read_check_keys(r, v, known);
    file = read_text(r, v, "file", NULL);
    t->paper_name = read_text(r, v, "table", NULL);
    keys = read_text(r, v, "keys", "columns");
    t->paper_keys_are_rows = strcmp(keys, "rows") == 0;
    t->paper_scale = read_number(r, v, "scale", 1);
    if (!file || !t->paper_name) {
        json_error(r->doc, v, r->diags, "\"paper\" needs a \"file\" and a \"table\"");
        return 0;
    }
    if (!t->paper_keys_are_rows && strcmp(keys, "columns") != 0)
        json_error(r->doc, json_get(v, "keys"), r->diags,
                   "\"keys\" is \"%s\"; it must be \"rows\" or \"columns\"", keys);
    path = path_join(r->dir, file, err);
    if (!path)
        return -1;
    t->paper = json_parse_file(path, err);
    free(path);
    if (!t->paper)
        return -1;
    tables = json_get(json_root(t->paper), "tables");
    for (const struct json *p = json_first(tables); p && !t->paper_table;
         p = json_next(p)) {
        if (same(json_string(json_get(p, "id")), t->paper_name))
            t->paper_table = p;
    }
    if (!t->paper_table)
        json_error(r->doc, json_get(v, "table"), r->diags, "%s holds no table \"%s\"",
                   file, t->paper_name);
    return 0;
}

static void read_equivalence(struct reader *r, const struct json *root)
{
    static const char *const known[] = {"margin", NULL};
    const struct json *v = read_member(r, root, "equivalence", JSON_OBJECT);

    if (!v)
        return;
    read_check_keys(r, v, known);
    r->t->margin = read_number(r, v, "margin", 0);
    if (!(r->t->margin > 0))
        json_error(r->doc, v, r->diags,
                   "\"equivalence\" needs a \"margin\" above 0, in the table's unit");
    else if (!json_get(root, "paper"))
        json_error(r->doc, v, r->diags,
                   "\"equivalence\" is with a \"paper\"'s figures, which is missing");
}

/* {"row": "dense"} or {"column": "0 %"} */
static void read_compare(struct reader *r, const struct json *root)
{
    static const char *const known[] = {"row", "column", NULL};
    const struct json *v = read_member(r, root, "compare", JSON_OBJECT);

    if (!v)
        return;
    read_check_keys(r, v, known);
    r->t->tests.row = read_text(r, v, "row", NULL);
    r->t->tests.column = read_text(r, v, "column", NULL);
    if (!r->t->tests.row == !r->t->tests.column)
        json_error(r->doc, v, r->diags,
                   "\"compare\" names the baseline as a \"row\" or as a \"column\"");
}

/* The place of a text in `names`, or -1 with an error that tells them. */
static int choice(struct reader *r, const struct json *object, const char *key,
                  const char *otherwise, const char *const *names)
{
    const char *text = read_text(r, object, key, otherwise);
    struct strbuf sb = STRBUF_INIT;

    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], text) == 0)
            return i;
    for (int i = 0; names[i]; i++)
        strbuf_printf(&sb, "%s\"%s\"", i ? names[i + 1] ? ", " : " or " : "", names[i]);
    json_error(r->doc, json_get(object, key), r->diags, "\"%s\" is \"%s\"; it must be %s",
               key, text, strbuf_text(&sb));
    strbuf_release(&sb);
    return -1;
}

static void read_best(struct reader *r, const struct json *root)
{
    static const char *const known[] = {"in", "want", NULL};
    static const char *const axes[] = {"columns", "rows", NULL};
    static const char *const wants[] = {"low", "as the metric says", "high", NULL};
    const struct json *v = read_member(r, root, "best", JSON_OBJECT);

    if (!v)
        return;
    read_check_keys(r, v, known);
    r->t->tests.best = choice(r, v, "in", "columns", axes) == 0 ? 'c' : 'r';
    r->t->tests.want = choice(r, v, "want", wants[1], wants) - 1;
}

static void read_test(struct reader *r, const struct json *root)
{
    static const char *const known[] = {"over", "alpha", "resamples", NULL};
    static const char *const overs[] = {"seeds", "examples", "both", NULL};
    const struct json *v = read_member(r, root, "test", JSON_OBJECT);
    struct tests *tests = &r->t->tests;
    double resamples = read_number(r, v, "resamples", 10000);
    int over = choice(r, v, "over", overs[0], overs);

    tests->over = over < 0 ? OVER_SEEDS : (enum over)over;
    tests->alpha = read_number(r, v, "alpha", 0.05);
    tests->resamples = 10000;
    if (v)
        read_check_keys(r, v, known);
    if (!(tests->alpha > 0 && tests->alpha < 1))
        json_error(r->doc, json_get(v, "alpha"), r->diags,
                   "\"alpha\" must lie between 0 and 1");
    if (resamples >= 100 && resamples <= 1e6 && resamples <= floor(resamples))
        tests->resamples = (int64_t)resamples;
    else
        json_error(r->doc, json_get(v, "resamples"), r->diags,
                   "\"resamples\" must be a whole number in 100 ... 1000000");
}

static void read_show(struct reader *r, const struct json *root)
{
    static const char *const names[] = {"std", "interval", "median", "n", NULL};
    const struct json *list = read_member(r, root, "show", JSON_ARRAY);

    r->t->show = list ? 0 : SHOW_STD;
    for (const struct json *v = json_first(list); v; v = json_next(v)) {
        int k = 0;
        while (names[k] && !same(names[k], json_string(v)))
            k++;
        if (names[k])
            r->t->show |= 1u << k;
        else
            json_error(
                r->doc, v, r->diags,
                "\"show\" is a list of \"std\", \"interval\", \"median\" and \"n\"");
    }
}

static void read_mark(struct reader *r, const struct json *root)
{
    static const char *const known[] = {"metric", "below", NULL};
    const struct json *v = read_member(r, root, "mark", JSON_OBJECT);

    if (!v)
        return;
    read_check_keys(r, v, known);
    r->t->mark = read_text(r, v, "metric", NULL);
    r->t->mark_below = read_number(r, v, "below", 0);
    if (!r->t->mark)
        json_error(r->doc, v, r->diags, "\"mark\" needs a \"metric\"");
}

static void read_kind(struct reader *r, const struct json *plot)
{
    static const char *const kinds[] = {"lines", "bars", "map", "steps", NULL};
    int kind = choice(r, plot, "kind", kinds[PLOT_LINES], kinds);

    r->t->plot_kind = kind < 0 ? PLOT_LINES : (enum plot_kind)kind;
}

static int read_root(struct reader *r, struct err *err)
{
    static const char *const known[] = {
        "table",       "title",   "spec",   "stage", "metric", "rows", "columns",
        "seeds",       "scale",   "digits", "unit",  "paper",  "plot", "mark",
        "equivalence", "compare", "best",   "test",  "show",   NULL};
    static const char *const in_plot[] = {"title", "x", "y", "kind", NULL};
    const struct json *root = json_root(r->doc), *plot;
    struct table *t = r->t;
    const char *spec;
    double digits;

    if (json_kind(root) != JSON_OBJECT) {
        json_error(r->doc, root, r->diags, "a table's declaration must be an object");
        return 0;
    }
    read_check_keys(r, root, known);
    if (json_int(json_get(root, "table")) != 1)
        json_error(r->doc, root, r->diags,
                   "a table's declaration begins with \"table\": 1");
    t->title = read_text(r, root, "title", "");
    t->stage = read_text(r, root, "stage", NULL);
    t->metric = read_text(r, root, "metric", NULL);
    t->unit = read_text(r, root, "unit", NULL);
    t->scale = read_number(r, root, "scale", 1);
    digits = read_number(r, root, "digits", 1);
    if (!(digits >= 0 && digits <= 12))
        json_error(r->doc, json_get(root, "digits"), r->diags,
                   "\"digits\" must be in 0 ... 12");
    else
        t->digits = (int)digits;
    spec = read_text(r, root, "spec", NULL);
    if (spec) {
        char *path = path_join(r->dir, spec, err);
        if (!path)
            return -1;
        t->spec = arena_strdup(t->arena, path);
        free(path);
    }
    plot = read_member(r, root, "plot", JSON_OBJECT);
    if (plot)
        read_check_keys(r, plot, in_plot);
    t->plot_title = read_text(r, plot, "title", t->title);
    t->plot_x = read_text(r, plot, "x", NULL);
    t->plot_y = read_text(r, plot, "y", NULL);
    read_kind(r, plot);
    read_mark(r, root);
    read_equivalence(r, root);
    read_compare(r, root);
    read_best(r, root);
    read_test(r, root);
    read_show(r, root);
    if (read_paper(r, root, err)) /* axes may be made from it */
        return -1;
    read_axis(r, &t->rows, json_get(root, "rows"), "rows");
    read_axis(r, &t->cols, json_get(root, "columns"), "columns");
    read_seeds(r, root);
    return 0;
}

static const struct item any_item;

static void add_want(struct table *t, const char *stage, const char *metric)
{
    for (int64_t k = 0; k < t->n_wants; k++) {
        const struct want *o = &t->want[k];
        if ((o->stage == stage || same(o->stage, stage)) &&
            (o->metric == metric || same(o->metric, metric)))
            return;
    }
    t->want[t->n_wants++] = (struct want){stage, metric};
}

/* Distinct (stage, metric) over all cells; an axis whose values come later counts as one
 * item of any. */
static void collect_wants(struct table *t)
{
    int64_t rows = t->rows.n ? t->rows.n : 1, cols = t->cols.n ? t->cols.n : 1;
    t->want = arena_zalloc(t->arena, 2 * rows * cols * (int64_t)sizeof(*t->want));
    for (int64_t i = 0; i < rows * cols && t->want; i++) {
        const struct item *r = t->rows.n ? &t->rows.v[i / cols] : &any_item;
        const struct item *c = t->cols.n ? &t->cols.v[i % cols] : &any_item;
        const char *stage = table_cell_stage(t, r, c);
        if (table_cell_unasked(t, r, c))
            continue;
        add_want(t, stage, table_cell_metric(t, r, c));
        if (t->mark)
            add_want(t, stage, t->mark);
    }
}

int table_parse(struct table **out, const char *text, const char *name, const char *dir,
                struct err *err)
{
    int rc = -1;
    struct reader r = {NULL, NULL, diags_new(err), dir};

    r.t = mem_new(1, sizeof(*r.t), err);
    if (!r.diags || !r.t)
        goto done;
    r.t->arena = arena_new(err);
    if (!r.t->arena)
        goto done;
    r.t->digits = 1;
    r.doc = json_parse(text, (int64_t)strlen(text), name, r.diags);
    if ((r.doc && read_root(&r, err)) || diags_to_err(r.diags, err))
        goto done;
    collect_wants(r.t);
    if (arena_failed(r.t->arena, err))
        goto done;
    *out = r.t;
    r.t = NULL;
    rc = 0;
done:
    json_doc_free(r.doc);
    table_free(r.t);
    diags_free(r.diags);
    return rc;
}

int table_load(struct table **out, const char *path, struct err *err)
{
    char *text = NULL, *dir = path_dir(path, err);
    int64_t len;
    int rc = -1;

    if (dir && file_read(&text, &len, path, 1 << 22, err) == 0) {
        if ((int64_t)strlen(text) != len)
            err_set(err, ERR_INPUT, "%s: holds a NUL byte", path);
        else
            rc = table_parse(out, text, path, dir, err);
    }
    free(text);
    free(dir);
    return rc;
}

void table_free(struct table *t)
{
    if (!t)
        return;
    json_doc_free(t->paper);
    arena_free(t->arena);
    free(t);
}
