/*
 * Reading a table's declaration, and putting observations into its cells.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "retort/file.h"
#include "retort/json.h"
#include "table_impl.h"

struct reader {
    struct table *t;
    struct json_doc *doc;
    struct diags *diags;
    const char *dir;
};

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

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

/* Reports keys that are not in `known`, with the nearest one. */
static void check_keys(struct reader *r, const struct json *object,
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

static const struct json *member(struct reader *r, const struct json *object,
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

static const char *text_of(struct reader *r, const struct json *object, const char *key,
                           const char *otherwise)
{
    const struct json *v = member(r, object, key, JSON_STRING);
    return v ? arena_strdup(r->t->arena, json_string(v)) : otherwise;
}

static double number_of(struct reader *r, const struct json *object, const char *key,
                        double otherwise)
{
    const struct json *v = member(r, object, key, JSON_NUMBER);
    return v ? json_number(v) : otherwise;
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
    static const char *const known[] = {"name",  "stage", "metric", "label",
                                        "where", "paper", "scale",  NULL};
    const struct json *where, *paper;
    struct item *item;
    int64_t i = 0;

    if (json_kind(v) != JSON_OBJECT) {
        json_error(r->doc, v, r->diags,
                   "an item is %s; it must be an object like {\"name\": ...}",
                   json_kind_name(json_kind(v)));
        return;
    }
    check_keys(r, v, known);
    item = item_add(r->t, a);
    if (!item)
        return;
    item->stage = text_of(r, v, "stage", NULL);
    item->metric = text_of(r, v, "metric", NULL);
    item->label = text_of(r, v, "label", NULL);
    item->name = text_of(r, v, "name", NULL);
    item->scale = number_of(r, v, "scale", 1);
    if (!item->name)
        item->name = item->label ? item->label : item->stage ? item->stage : item->metric;
    if (!item->name) {
        json_error(r->doc, v, r->diags, "an item needs a \"name\"");
        item->name = "";
    }
    paper = json_get(v, "paper");
    if (paper)
        item->paper = canonical(r->t, paper);
    where = member(r, v, "where", JSON_OBJECT);
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

static void read_axis(struct reader *r, struct axis *a, const struct json *v,
                      const char *key)
{
    static const char *const known[] = {"variable", "values",      "name",   "scale",
                                        "unit",     "paper_scale", "stages", "labels",
                                        "metrics",  NULL};
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
    check_keys(r, v, known);
    a->name = text_of(r, v, "name", NULL);
    a->unit = text_of(r, v, "unit", NULL);
    a->scale = number_of(r, v, "scale", 1);
    a->paper_scale = number_of(r, v, "paper_scale", 1);
    a->variable = text_of(r, v, "variable", NULL);
    for (int i = 0; i < 3; i++) {
        list = member(r, v, lists[i].key, JSON_ARRAY);
        if (list)
            read_names(r, a, list, lists[i].what);
    }
    if (!a->variable) {
        if (a->n == 0)
            json_error(
                r->doc, v, r->diags,
                "\"%s\" names no \"variable\", \"stages\", \"labels\" or \"metrics\"",
                key);
        return;
    }
    list = member(r, v, "values", JSON_ARRAY);
    a->open = list == NULL;
    for (const struct json *i = list ? json_first(list) : NULL; i; i = json_next(i))
        table_item_of_value(r->t, a, canonical(r->t, i));
}

static void read_seeds(struct reader *r, const struct json *root)
{
    const struct json *list = member(r, root, "seeds", JSON_ARRAY);
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
    const struct json *v = member(r, root, "paper", JSON_OBJECT), *tables;
    const char *file, *keys;
    struct table *t = r->t;
    char *path;

    if (!v)
        return 0;
    check_keys(r, v, known);
    file = text_of(r, v, "file", NULL);
    t->paper_name = text_of(r, v, "table", NULL);
    keys = text_of(r, v, "keys", "columns");
    t->paper_keys_are_rows = strcmp(keys, "rows") == 0;
    t->paper_scale = number_of(r, v, "scale", 1);
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
    const struct json *v = member(r, root, "equivalence", JSON_OBJECT);

    if (!v)
        return;
    check_keys(r, v, known);
    r->t->margin = number_of(r, v, "margin", 0);
    if (!(r->t->margin > 0))
        json_error(r->doc, v, r->diags,
                   "\"equivalence\" needs a \"margin\" above 0, in the table's unit");
    else if (!json_get(root, "paper"))
        json_error(r->doc, v, r->diags,
                   "\"equivalence\" is with a \"paper\"'s figures, which is missing");
}

static void read_mark(struct reader *r, const struct json *root)
{
    static const char *const known[] = {"metric", "below", NULL};
    const struct json *v = member(r, root, "mark", JSON_OBJECT);

    if (!v)
        return;
    check_keys(r, v, known);
    r->t->mark = text_of(r, v, "metric", NULL);
    r->t->mark_below = number_of(r, v, "below", 0);
    if (!r->t->mark)
        json_error(r->doc, v, r->diags, "\"mark\" needs a \"metric\"");
}

static void read_kind(struct reader *r, const struct json *plot)
{
    const char *kind = text_of(r, plot, "kind", "lines");

    r->t->plot_map = strcmp(kind, "map") == 0;
    if (!r->t->plot_map && strcmp(kind, "lines") != 0)
        json_error(r->doc, json_get(plot, "kind"), r->diags,
                   "\"kind\" is \"%s\"; it must be \"lines\" or \"map\"", kind);
}

static int read_root(struct reader *r, struct err *err)
{
    static const char *const known[] = {
        "table", "title",  "spec", "stage", "metric", "rows", "columns",     "seeds",
        "scale", "digits", "unit", "paper", "plot",   "mark", "equivalence", NULL};
    static const char *const in_plot[] = {"title", "x", "y", "kind", NULL};
    const struct json *root = json_root(r->doc), *plot;
    struct table *t = r->t;
    const char *spec;
    double digits;

    if (json_kind(root) != JSON_OBJECT) {
        json_error(r->doc, root, r->diags, "a table's declaration must be an object");
        return 0;
    }
    check_keys(r, root, known);
    if (json_int(json_get(root, "table")) != 1)
        json_error(r->doc, root, r->diags,
                   "a table's declaration begins with \"table\": 1");
    t->title = text_of(r, root, "title", "");
    t->stage = text_of(r, root, "stage", NULL);
    t->metric = text_of(r, root, "metric", NULL);
    t->unit = text_of(r, root, "unit", NULL);
    t->scale = number_of(r, root, "scale", 1);
    digits = number_of(r, root, "digits", 1);
    if (!(digits >= 0 && digits <= 12))
        json_error(r->doc, json_get(root, "digits"), r->diags,
                   "\"digits\" must be in 0 ... 12");
    else
        t->digits = (int)digits;
    spec = text_of(r, root, "spec", NULL);
    if (spec) {
        char *path = path_join(r->dir, spec, err);
        if (!path)
            return -1;
        t->spec = arena_strdup(t->arena, path);
        free(path);
    }
    plot = member(r, root, "plot", JSON_OBJECT);
    if (plot)
        check_keys(r, plot, in_plot);
    t->plot_title = text_of(r, plot, "title", t->title);
    t->plot_x = text_of(r, plot, "x", NULL);
    t->plot_y = text_of(r, plot, "y", NULL);
    read_kind(r, plot);
    read_mark(r, root);
    read_equivalence(r, root);
    read_axis(r, &t->rows, json_get(root, "rows"), "rows");
    read_axis(r, &t->cols, json_get(root, "columns"), "columns");
    read_seeds(r, root);
    return read_paper(r, root, err);
}

static const char *first_of(const char *a, const char *b, const char *c)
{
    return a ? a : b ? b : c;
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
        const char *stage = first_of(c->stage, r->stage, t->stage);
        add_want(t, stage, first_of(c->metric, r->metric, t->metric));
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
