/* Values of a spec: copying, setting, merging, telling errors. */
#include "tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct map_slot {
    const char *key;
    int64_t value;
};

static uint64_t hash_text(const char *s)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a */
    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 1099511628211u;
    return h ^ (h >> 29);
}

static struct map_slot *map_find(const struct map *map, const char *key)
{
    uint64_t mask = (uint64_t)map->size - 1;
    uint64_t i = hash_text(key) & mask;

    while (map->slot[i].key && strcmp(map->slot[i].key, key))
        i = (i + 1) & mask;
    return &map->slot[i];
}

static int map_enlarge(struct map *map)
{
    struct map bigger = {.n = map->n, .size = map->size ? map->size * 2 : 64};

    bigger.slot = mem_new(bigger.size, sizeof(*bigger.slot), NULL);
    if (!bigger.slot)
        return -1;
    for (int64_t i = 0; i < map->size; i++)
        if (map->slot[i].key)
            *map_find(&bigger, map->slot[i].key) = map->slot[i];
    free(map->slot);
    *map = bigger;
    return 0;
}

int64_t map_at(struct map *map, const char *key, int64_t add)
{
    if ((map->n + 1) * 2 > map->size && map_enlarge(map))
        return -2;
    struct map_slot *slot = map_find(map, key);
    if (slot->key)
        return slot->value;
    if (add < 0)
        return -1;
    slot->key = key;
    slot->value = add;
    map->n++;
    return add;
}

void map_release(struct map *map)
{
    free(map->slot);
    *map = (struct map){0};
}

bool is_among(const char *const *names, const char *name, size_t n)
{
    for (; *names; names++)
        if (strlen(*names) == n && !strncmp(*names, name, n))
            return true;
    return false;
}

/* ---- values ---- */

static struct node *node_new(struct spec *sp)
{
    return arena_zalloc(sp->arena, sizeof(struct node));
}

struct node *node_from_json(struct spec *sp, const struct json *v,
                            const struct source *src)
{
    struct node *node = node_new(sp);
    struct node **end;

    if (!node)
        return NULL;
    node->kind = json_kind(v);
    node->src = v;
    node->source = src;
    node->number = json_number(v);
    node->is_int = json_is_int(v);
    node->flag = json_bool(v);
    node->text = json_string(v);
    node->key = json_key(v);
    if (node->kind != JSON_ARRAY && node->kind != JSON_OBJECT)
        return node;
    end = &node->first;
    for (const struct json *m = json_first(v); m; m = json_next(m)) {
        if (!(*end = node_from_json(sp, m, src)))
            return NULL;
        end = &(*end)->next;
    }
    return node;
}

struct node *node_number(struct spec *sp, double x, const struct node *place)
{
    struct node *node = node_new(sp);

    if (!node)
        return NULL;
    *node = *place;
    node->kind = JSON_NUMBER;
    node->number = x;
    node->is_int =
        x >= -9007199254740992.0 && x <= 9007199254740992.0 && x == (double)(int64_t)x;
    node->text = node->key = NULL;
    node->first = node->next = NULL;
    node->decl = NULL;
    return node;
}

const struct node *node_get(const struct node *object, const char *key)
{
    if (!object || object->kind != JSON_OBJECT)
        return NULL;
    for (const struct node *m = object->first; m; m = m->next)
        if (!strcmp(m->key, key))
            return m;
    return NULL;
}

/* Is `key` the first part of `path`? Gives the rest: "" at the end. */
static bool path_step(const char *path, const char *key, const char **rest)
{
    size_t n = strlen(key);

    if (strncmp(path, key, n) || (path[n] && path[n] != '.'))
        return false;
    *rest = path[n] ? path + n + 1 : path + n;
    return true;
}

const struct node *node_path(const struct node *object, const char *path)
{
    const char *rest;

    if (!object || !*path)
        return object;
    if (object->kind != JSON_OBJECT)
        return NULL;
    for (const struct node *m = object->first; m; m = m->next)
        if (path_step(path, m->key, &rest))
            return node_path(m, rest);
    return NULL;
}

/* A copy that can stand in another list. */
static struct node *node_share(struct spec *sp, const struct node *v, const char *key)
{
    struct node *copy = node_new(sp);

    if (!copy)
        return NULL;
    *copy = *v;
    copy->key = key;
    copy->next = NULL;
    return copy;
}

struct node *node_mark(struct spec *sp, const struct node *v, const struct node *var)
{
    struct node *copy = node_share(sp, v, NULL);

    if (copy)
        copy->var = var;
    return copy;
}

static struct node *node_make_path(struct spec *sp, const char *path,
                                   const struct node *value, const char *key)
{
    struct node *object;
    const char *dot;
    char *name;

    if (!*path)
        return node_share(sp, value, key);
    dot = strchr(path, '.');
    name = dot ? arena_printf(sp->arena, "%.*s", (int)(dot - path), path)
               : arena_strdup(sp->arena, path);
    if (!name || !(object = node_new(sp)))
        return NULL;
    object->kind = JSON_OBJECT;
    object->key = key;
    object->src = value->src;
    object->source = value->source;
    object->first = node_make_path(sp, dot ? dot + 1 : "", value, name);
    return object->first ? object : NULL;
}

struct node *node_set(struct spec *sp, const struct node *object, const char *path,
                      const struct node *value)
{
    struct node *copy, **end;
    bool found = false;
    bool gone = !value || value->kind == JSON_NULL;

    if (!*path)
        return node_share(sp, value, object->key);
    if (object->kind != JSON_OBJECT)
        return gone ? node_share(sp, object, object->key)
                    : node_make_path(sp, path, value, object->key);
    copy = node_share(sp, object, object->key);
    if (!copy)
        return NULL;
    copy->decl = NULL;
    copy->first = NULL;
    end = &copy->first;
    for (const struct node *m = object->first; m; m = m->next) {
        const char *rest;
        if (path_step(path, m->key, &rest)) {
            found = true;
            if (gone && !*rest)
                continue;
            *end = *rest ? node_set(sp, m, rest, value) : node_share(sp, value, m->key);
        } else {
            *end = node_share(sp, m, m->key);
        }
        if (!*end)
            return NULL;
        end = &(*end)->next;
    }
    if (!found && !gone) {
        struct node *chain = node_make_path(sp, path, value, NULL);
        if (!chain)
            return NULL;
        *end = chain->first;
    }
    return copy;
}

struct node *node_merge(struct spec *sp, const struct node *base, const struct node *over)
{
    struct node *out, **end;

    if (over->kind != JSON_OBJECT || !base || base->kind != JSON_OBJECT)
        return node_share(sp, over, over->key);
    if (!(out = node_share(sp, over, over->key)))
        return NULL;
    out->first = NULL;
    end = &out->first;
    for (const struct node *m = base->first; m; m = m->next) {
        const struct node *by = node_get(over, m->key);
        if (by && by->kind == JSON_NULL)
            continue;
        *end = by ? node_merge(sp, m, by) : node_share(sp, m, m->key);
        if (!*end)
            return NULL;
        end = &(*end)->next;
    }
    for (const struct node *m = over->first; m; m = m->next) {
        if (node_get(base, m->key) || m->kind == JSON_NULL)
            continue;
        if (!(*end = node_share(sp, m, m->key)))
            return NULL;
        end = &(*end)->next;
    }
    return out;
}

int64_t node_count(const struct node *v)
{
    int64_t n = 0;

    for (const struct node *m = v ? v->first : NULL; m; m = m->next)
        n++;
    return n;
}

bool node_equal(const struct node *a, const struct node *b)
{
    const struct node *x, *y;

    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case JSON_NULL:
        return true;
    case JSON_BOOL:
        return a->flag == b->flag;
    case JSON_NUMBER:
        return a->number <= b->number && a->number >= b->number;
    case JSON_STRING:
        return !strcmp(a->text, b->text);
    case JSON_ARRAY:
        for (x = a->first, y = b->first; x && y; x = x->next, y = y->next)
            if (!node_equal(x, y))
                return false;
        return !x && !y;
    case JSON_OBJECT:
        if (node_count(a) != node_count(b))
            return false;
        for (x = a->first; x; x = x->next)
            if (!(y = node_get(b, x->key)) || !node_equal(x, y))
                return false;
        return true;
    }
    BUG("kind %d", (int)a->kind);
}

void node_write(struct json_writer *w, const struct node *v)
{
    switch (v->kind) {
    case JSON_NULL:
        json_str(w, NULL);
        break;
    case JSON_BOOL:
        json_flag(w, v->flag);
        break;
    case JSON_NUMBER:
        json_num(w, v->number);
        break;
    case JSON_STRING:
        json_str(w, v->text);
        break;
    case JSON_ARRAY:
        json_array(w);
        for (const struct node *m = v->first; m; m = m->next)
            node_write(w, m);
        json_array_end(w);
        break;
    case JSON_OBJECT:
        json_object(w);
        for (const struct node *m = v->first; m; m = m->next) {
            json_member(w, m->key);
            node_write(w, m);
        }
        json_object_end(w);
        break;
    }
}

const char *text_canonical(struct arena *arena, const char *json, struct err *err)
{
    struct strbuf out = STRBUF_INIT;
    const char *text = NULL;
    struct diags *diags = diags_new(err);
    struct json_doc *doc = NULL;

    if (diags)
        doc = json_parse(json, (int64_t)strlen(json), "canonical", diags);
    if (!doc && diags && diags_code(diags) == ERR_INPUT)
        BUG("what we wrote is no JSON: %s", json);
    if (doc) {
        json_canonical(json_root(doc), &out);
        if (!strbuf_failed(&out, err))
            text = arena_strdup(arena, strbuf_text(&out));
    }
    if (!text)
        err_set(err, ERR_MEMORY, "not enough memory for the spec");
    json_doc_free(doc);
    diags_free(diags);
    strbuf_release(&out);
    return text;
}

const char *node_canonical(struct spec *sp, const struct node *v)
{
    struct strbuf out = STRBUF_INIT;
    struct json_writer w;
    const char *text = NULL;

    json_begin(&w, &out, false);
    node_write(&w, v);
    if (!strbuf_failed(&out, &sp->err)) {
        bool plain = v->kind != JSON_OBJECT && v->kind != JSON_ARRAY;
        text = plain ? arena_strdup(sp->arena, strbuf_text(&out))
                     : text_canonical(sp->arena, strbuf_text(&out), &sp->err);
    }
    strbuf_release(&out);
    return text;
}

const char *node_show(struct spec *sp, const struct node *v)
{
    const char *text = node_canonical(sp, v);

    if (!text)
        return "?";
    if (v->kind == JSON_OBJECT || v->kind == JSON_ARRAY || strlen(text) > 60)
        return json_kind_name(v->kind);
    return text;
}

/* ---- errors ---- */

static bool report(struct spec *sp, const struct node *v, bool key, const char *fmt,
                   va_list ap) __attribute__((format(printf, 4, 0)));

/* Was it told now, and not before? */
static bool report(struct spec *sp, const struct node *v, bool key, const char *fmt,
                   va_list ap)
{
    char text[1024];
    const char *once;

    vsnprintf(text, sizeof(text), fmt, ap);
    once = arena_printf(sp->arena, "%p %d %s",
                        (const void *)(!v              ? NULL
                                       : key && v->var ? v->var->src
                                                       : v->src),
                        key, text);
    if (!once || map_at(&sp->reported, once, -1) != -1 ||
        sp->reported.n >= SPEC_ERRORS_MAX)
        return false;
    (void)map_at(&sp->reported, once, 0);
    if (key && v && v->var)
        v = v->var;
    if (!v || !v->source || !v->src || v->source->is_set)
        diags_add(sp->diags, v && v->source ? v->source->name : sp->path, NULL, 0, 0,
                  "%s", text);
    else if (key && json_key(v->src))
        json_key_error(v->source->doc, v->src, sp->diags, "%s", text);
    else
        json_error(v->source->doc, v->src, sp->diags, "%s", text);
    return true;
}

void node_error(struct spec *sp, const struct node *v, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)report(sp, v, false, fmt, ap);
    va_end(ap);
}

static bool report_text(struct spec *sp, const struct node *v, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static bool report_text(struct spec *sp, const struct node *v, const char *fmt, ...)
{
    va_list ap;
    bool told;

    va_start(ap, fmt);
    told = report(sp, v, false, fmt, ap);
    va_end(ap);
    return told;
}

void node_failure(struct spec *sp, const struct node *v, const struct err *err)
{
    if (report_text(sp, v, "%s", err->text))
        diags_cause(sp->diags, err->code);
}

void node_key_error(struct spec *sp, const struct node *v, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)report(sp, v, true, fmt, ap);
    va_end(ap);
}

const char *did_you_mean(struct spec *sp, const char *wrong, const char *const *names)
{
    const char *near = nearest_name(wrong, names);
    const char *text =
        near ? arena_printf(sp->arena, "; did you mean \"%s\"?", near) : "";

    return text ? text : "";
}

void node_unknown_key(struct spec *sp, const struct node *v, const char *what,
                      const char *const *names)
{
    node_key_error(sp, v, "unknown key \"%s\" for %s%s", v->key, what,
                   did_you_mean(sp, v->key, names));
}
