/*
 * Loading: read, lay over what it extends, apply --set, check the top level, expand,
 * check stages. Everything is told in one go; only what would repeat an error (a tree
 * that is no object) stops.
 */
#include "tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "retort/file.h"

#define SPEC_BYTES_MAX (16 << 20)
#define EXTENDS_MAX 16

const char *const spec_keys[] = {"retort",  "name",    "note",  "extends", "seeds",
                                 "tasks",   "stages",  "sweep", "record",  "revision",
                                 "cluster", "$schema", NULL};
/* Words that mean something in `over`, tables and --set, so no stage may have them as its
 * name. */
static const char *const reserved[] = {
    "retort", "name",   "note",  "extends",  "seeds",   "seed",    "tasks", "stages",
    "sweep",  "record", "label", "revision", "cluster", "$schema", NULL};

/* What stands for a file, or NULL. */
static const char *given_text(const struct spec *sp, const char *path)
{
    for (int64_t i = 0; i < sp->n_given; i++)
        if (!strcmp(sp->given[i].path, path))
            return sp->given[i].text;
    return NULL;
}

static int read_text(char **text, int64_t *len, const struct spec *sp, const char *path,
                     struct err *err)
{
    const char *given = given_text(sp, path);

    if (!given)
        return file_read(text, len, path, SPEC_BYTES_MAX, err);
    *len = (int64_t)strlen(given);
    *text = mem_strdup(given, err);
    return *text ? 0 : -1;
}

int spec_keep(struct spec *sp, struct json_doc *doc, const char *name, const char *dir,
              bool is_set)
{
    struct source *src = arena_zalloc(sp->arena, sizeof(*src));

    if (!src || mem_grow((void **)&sp->source, sp->n_sources, &sp->cap_sources,
                         sizeof(*sp->source), &sp->err)) {
        json_doc_free(doc);
        return -1;
    }
    *src = (struct source){.doc = doc,
                           .name = arena_strdup(sp->arena, name),
                           .dir = arena_strdup(sp->arena, dir),
                           .is_set = is_set};
    sp->source[sp->n_sources++] = src;
    return src->name && src->dir ? 0 : -1;
}

/* One file as nodes. */
static struct node *read_file(struct spec *sp, const char *path, bool first)
{
    struct err err = ERR_INIT;
    struct json_doc *doc = NULL;
    struct node *node = NULL;
    char *text = NULL, *dir = NULL;
    int64_t len;

    if (read_text(&text, &len, sp, path, &err) || !(dir = path_dir(path, &err))) {
        size_t n = strlen(path); /* the message begins with it already */
        bool named = !strncmp(err.text, path, n) && !strncmp(err.text + n, ": ", 2);
        diags_add(sp->diags, *path ? path : "\"\"", NULL, 0, 0, "%s",
                  err.text + (named ? n + 2 : 0));
        diags_cause(sp->diags, err.code);
        goto done;
    }
    if (!(doc = json_parse(text, len, path, sp->diags)))
        goto done;
    if (spec_keep(sp, doc, path, dir, false) ||
        !(sp->source[sp->n_sources - 1]->text = arena_strdup(sp->arena, text)))
        goto done;
    node = node_from_json(sp, json_root(doc), sp->source[sp->n_sources - 1]);
    if (node && node->kind != JSON_OBJECT) {
        node_error(sp, node, "a spec is an object, this is %s",
                   json_kind_name(node->kind));
        node = NULL;
    }
    if (first)
        sp->text = sp->source[sp->n_sources - 1]->text;
done:
    free(text);
    free(dir);
    return node;
}

/* Reads `path` and all it extends; `chain` are the files that led here. */
static struct node *read_chain(struct spec *sp, const char *path, const char **chain,
                               int depth)
{
    struct node *node = read_file(sp, path, depth == 0);
    const struct node *extends = node_get(node, "extends");
    struct node *base;
    char *next;

    chain[depth] = path;
    if (!node || !extends)
        return node;
    if (extends->kind != JSON_STRING) {
        node_error(sp, extends, "\"extends\" wants a path, this is %s",
                   json_kind_name(extends->kind));
        return NULL;
    }
    next = path_join(extends->source->dir, extends->text, &sp->err);
    if (!next)
        return NULL;
    for (int i = 0; i <= depth; i++)
        if (!strcmp(chain[i], next)) {
            node_error(sp, extends, "\"%s\" extends itself", extends->text);
            free(next);
            return NULL;
        }
    if (depth + 1 == EXTENDS_MAX || (!given_text(sp, next) && !file_exists(next))) {
        struct err err = ERR_INIT;
        if (depth + 1 == EXTENDS_MAX)
            err_set(&err, ERR_INPUT, "more than %d files extend each other", EXTENDS_MAX);
        else
            err_set(&err, ERR_MISSING, "there is no file %s to extend", next);
        node_failure(sp, extends, &err);
        free(next);
        return NULL;
    }
    base = read_chain(sp, next, chain, depth + 1);
    free(next);
    return base ? node_merge(sp, base, node) : NULL;
}

const char **stage_names(struct spec *sp, const struct node *stages)
{
    int64_t i = 0;
    const char **names =
        arena_zalloc(sp->arena, (node_count(stages) + 1) * (int64_t)sizeof(*names));

    for (const struct node *m = stages && names ? stages->first : NULL; m; m = m->next)
        names[i++] = m->key;
    return names;
}

/* ---- the top level ---- */

static void check_string(struct spec *sp, const char *key, const char **out)
{
    const struct node *v = node_get(sp->root, key);

    if (v && v->kind != JSON_STRING)
        node_error(sp, v, "\"%s\" wants a string, this is %s", key,
                   json_kind_name(v->kind));
    else if (v && out)
        *out = v->text;
}

static void check_name(struct spec *sp)
{
    const struct node *v = node_get(sp->root, "name");
    const char *text = v && v->kind == JSON_STRING ? v->text : NULL;
    const char *base = path_base(sp->path);
    size_t n = strlen(base);

    if (text && (!*text || strlen(text) > 80))
        node_error(sp, v, "a name has 1 to 80 bytes, this has %zu", strlen(text));
    if (!text && n > 5 && !strcmp(base + n - 5, ".json"))
        n -= 5;
    sp->name = text ? mem_strdup(text, &sp->err) : mem_strndup(base, n, &sp->err);
}

static void read_seeds(struct spec *sp)
{
    const struct node *v = node_get(sp->root, "seeds");
    int64_t n = v ? node_count(v) : 1;

    if (v && (v->kind != JSON_ARRAY || !n)) {
        node_error(sp, v, "\"seeds\" wants a list of whole numbers, like [1, 2, 3]");
        n = 0;
    }
    sp->seeds = arena_zalloc(sp->arena, (n + 1) * (int64_t)sizeof(*sp->seeds));
    if (!sp->seeds)
        return;
    if (!v || !n) {
        sp->seeds[0] = 1;
        sp->n_seeds = 1;
        return;
    }
    for (const struct node *m = v->first; m; m = m->next) {
        if (m->kind != JSON_NUMBER || !m->is_int || m->number < 0) {
            node_error(sp, m, "a seed is a whole number from 0 to 2^53, this is %s",
                       node_show(sp, m));
            continue;
        }
        for (int64_t i = 0; i < sp->n_seeds; i++)
            if (sp->seeds[i] == (uint64_t)m->number)
                node_error(sp, m, "seed %s is given twice", node_show(sp, m));
        sp->seeds[sp->n_seeds++] = (uint64_t)m->number;
    }
}

static void check_stage_names(struct spec *sp, const struct node *stages)
{
    for (const struct node *m = stages->first; m; m = m->next) {
        size_t n = strlen(m->key);
        size_t good =
            strspn(m->key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                           "0123456789_-");
        if (!n || good != n || n > 64)
            node_key_error(
                sp, m, "a stage's name is made of letters, digits, _ and - (at most 64)");
        else if (is_among(reserved, m->key, n))
            node_key_error(
                sp, m,
                "\"%s\" means something else in a spec; give the stage another name",
                m->key);
    }
    if (!stages->first)
        node_error(sp, stages, "a spec needs at least one stage");
    if (node_count(stages) > SPEC_STAGES_MAX)
        node_error(sp, stages, "more than %d stages", SPEC_STAGES_MAX);
}

static void check_top(struct spec *sp)
{
    const struct node *v = node_get(sp->root, "retort");

    for (const struct node *m = sp->root->first; m; m = m->next)
        if (!is_among(spec_keys, m->key, strlen(m->key)))
            node_unknown_key(sp, m, "a spec", spec_keys);
    if (!v)
        node_error(sp, sp->root,
                   "a spec begins with \"retort\": 1 (the version of its language)");
    else if (v->kind != JSON_NUMBER || v->number < 1 || v->number > 1)
        node_error(sp, v,
                   "\"retort\" is the version of the language; this program knows 1");
    check_string(sp, "name", NULL);
    check_string(sp, "note", NULL);
    check_string(sp, "$schema", NULL);
    check_string(sp, "revision", &sp->revision);
    check_name(sp);
    read_seeds(sp);
    sp->record = record_read(sp, node_get(sp->root, "record"), NULL);
    tasks_read(sp, node_get(sp->root, "tasks"));
    v = node_get(sp->root, "stages");
    if (!v)
        node_error(sp, sp->root, "a spec needs \"stages\"");
    else if (v->kind != JSON_OBJECT)
        node_error(sp, v, "\"stages\" wants an object, this is %s",
                   json_kind_name(v->kind));
    else
        check_stage_names(sp, v);
}

/* combos x seeds, seeds fastest. */
static int make_points(struct spec *sp)
{
    if (sp->n_combos * sp->n_seeds > SPEC_POINTS_MAX) {
        diags_add(sp->diags, sp->path, NULL, 0, 0,
                  "the sweep has %lld points; %d is the most",
                  (long long)(sp->n_combos * sp->n_seeds), SPEC_POINTS_MAX);
        return -1;
    }
    sp->points = arena_zalloc(sp->arena, (sp->n_combos * sp->n_seeds + 1) *
                                             (int64_t)sizeof(*sp->points));
    if (!sp->points)
        return -1;
    for (int64_t c = 0; c < sp->n_combos; c++) {
        const struct combo *k = &sp->combo[c];
        const char **var = arena_zalloc(sp->arena, (k->n + 1) * (int64_t)sizeof(*var));
        const char **value =
            arena_zalloc(sp->arena, (k->n + 1) * (int64_t)sizeof(*value));
        if (!var || !value)
            return -1;
        for (int64_t i = 0; i < k->n; i++) {
            var[i] = k->v[i].var;
            if (!(value[i] = node_canonical(sp, k->v[i].value)))
                return -1;
        }
        for (int64_t s = 0; s < sp->n_seeds; s++)
            sp->points[sp->n_points++] =
                (struct point){k->n, var, value, k->label, sp->seeds[s]};
    }
    return 0;
}

/* All names that any point has, in the order of the spec. */
static int collect_stages(struct spec *sp)
{
    struct map seen = {0};
    int rc = -1;

    sp->stage =
        arena_zalloc(sp->arena, (SPEC_STAGES_MAX + 1) * (int64_t)sizeof(*sp->stage));
    if (!sp->stage)
        return -1;
    for (int64_t c = 0; c < sp->n_combos; c++)
        for (const struct node *m = sp->tree[c]->first; m; m = m->next) {
            int64_t at = map_at(&seen, m->key, -1);
            if (at == -2 || sp->n_stages == SPEC_STAGES_MAX)
                goto done;
            if (at >= 0)
                continue;
            if (map_at(&seen, m->key, sp->n_stages) < 0)
                goto done;
            sp->stage[sp->n_stages++] = m->key;
        }
    rc = 0;
done:
    map_release(&seen);
    return rc;
}

static int load(struct spec *sp, const char *const *sets, int64_t n_sets)
{
    const char *chain[EXTENDS_MAX];
    const struct node *stages;

    if (!(sp->root = read_chain(sp, sp->path, chain, 0)))
        return -1;
    sp->set_path = arena_zalloc(sp->arena, (n_sets + 1) * (int64_t)sizeof(*sp->set_path));
    sp->set_value =
        arena_zalloc(sp->arena, (n_sets + 1) * (int64_t)sizeof(*sp->set_value));
    if (!sp->set_path || !sp->set_value)
        return -1;
    for (int64_t i = 0; i < n_sets; i++)
        spec_set(sp, sets[i]);
    check_top(sp);
    stages = node_get(sp->root, "stages");
    if (!stages || stages->kind != JSON_OBJECT || !stages->first)
        return -1;
    if (sweep_expand(sp))
        return -1;
    stages_check(sp);
    if (make_points(sp) || collect_stages(sp))
        return -1;
    cluster_read(sp, node_get(sp->root, "cluster"));
    return 0;
}

struct spec *spec_load(const char *path, const char *const *sets, int64_t n_sets,
                       struct diags *diags)
{
    return spec_load_given(path, NULL, 0, sets, n_sets, diags);
}

bool spec_file(const struct spec *spec, int64_t i, struct spec_file *out)
{
    for (int64_t k = 0; k < spec->n_sources; k++)
        if (spec->source[k]->text && i-- == 0) {
            *out = (struct spec_file){spec->source[k]->name, spec->source[k]->text};
            return true;
        }
    return false;
}

struct spec *spec_load_given(const char *path, const struct spec_file *given,
                             int64_t n_given, const char *const *sets, int64_t n_sets,
                             struct diags *diags)
{
    struct spec *sp = mem_new(1, sizeof(*sp), NULL);
    int64_t before = diags_count(diags);
    int rc = -1;

    if (!sp) {
        diags_add(diags, path, NULL, 0, 0, "not enough memory");
        return NULL;
    }
    sp->diags = diags;
    sp->given = given;
    sp->n_given = n_given;
    sp->arena = arena_new(&sp->err);
    sp->path = mem_strdup(path, &sp->err);
    sp->dir = path_dir(path, &sp->err);
    if (sp->arena && sp->path && sp->dir)
        rc = load(sp, sets, n_sets);
    if (diags_count(diags) > before)
        rc = -1;
    else if (rc || !sp->name || err_is_set(&sp->err) ||
             arena_failed(sp->arena, &sp->err)) {
        diags_add(diags, path, NULL, 0, 0, "%s",
                  *sp->err.text ? sp->err.text : "not enough memory");
        rc = -1;
    }
    map_release(&sp->reported);
    sp->diags = NULL;
    sp->given = NULL;
    sp->n_given = 0;
    if (!rc)
        return sp;
    spec_free(sp);
    return NULL;
}

void spec_free(struct spec *sp)
{
    if (!sp)
        return;
    map_release(&sp->reported);
    for (int64_t i = 0; i < sp->n_sources; i++)
        json_doc_free(sp->source[i]->doc);
    free(sp->source);
    free(sp->name);
    free(sp->path);
    free(sp->dir);
    arena_free(sp->arena);
    free(sp);
}

const char *spec_name(const struct spec *sp)
{
    return sp->name;
}
const char *spec_path(const struct spec *sp)
{
    return sp->path;
}
const char *spec_text(const struct spec *sp)
{
    return sp->text;
}
const char *spec_revision(const struct spec *sp)
{
    return sp->revision;
}
int64_t spec_point_count(const struct spec *sp)
{
    return sp->n_points;
}
const struct point *spec_point(const struct spec *sp, int64_t i)
{
    return &sp->points[i];
}
int64_t spec_stage_count(const struct spec *sp)
{
    return sp->n_stages;
}
const char *spec_stage_name(const struct spec *sp, int64_t i)
{
    return sp->stage[i];
}
