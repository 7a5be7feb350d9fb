/* A stage's options: from JSON values to the struct of its method, by the
 * method's table. */
#include "tree.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct reader {
    struct spec *sp;
    const struct method *m;
    const struct option *o;
    const struct node *v;
};

static bool bounded(const struct option *o)
{
    return o->min < o->max || o->min > o->max || o->min > 0 || o->min < 0;
}

static const char *unit_text(struct spec *sp, const struct option *o)
{
    const char *text = o->unit ? arena_printf(sp->arena, " %s", o->unit) : "";

    return text ? text : "";
}

static bool wrong_type(const struct reader *r, const char *wanted)
{
    node_error(r->sp, r->v, "\"%s\" of %s wants %s, this is %s", r->o->name, r->m->name,
               wanted, json_kind_name(r->v->kind));
    return false;
}

/* Tells the range in words: infinite ends are left out. */
static bool out_of_range(const struct reader *r, const struct node *v)
{
    struct strbuf sb = STRBUF_INIT;

    if (isinf(r->o->max)) {
        strbuf_puts(&sb, "use at least ");
        strbuf_double(&sb, r->o->min);
    } else if (isinf(r->o->min)) {
        strbuf_puts(&sb, "use at most ");
        strbuf_double(&sb, r->o->max);
    } else {
        strbuf_puts(&sb, "use ");
        strbuf_double(&sb, r->o->min);
        strbuf_puts(&sb, " to ");
        strbuf_double(&sb, r->o->max);
    }
    node_error(r->sp, v, "\"%s\" of %s is %s; %s%s", r->o->name, r->m->name,
               node_show(r->sp, v), strbuf_text(&sb), unit_text(r->sp, r->o));
    strbuf_release(&sb);
    return false;
}

static bool in_range(const struct reader *r, const struct node *v)
{
    if (bounded(r->o) && !(v->number >= r->o->min && v->number <= r->o->max))
        return out_of_range(r, v);
    return true;
}

static bool read_enum(const struct reader *r, int *out)
{
    struct strbuf all = STRBUF_INIT;

    if (r->v->kind != JSON_STRING)
        return wrong_type(r, "a string");
    for (int i = 0; r->o->choices[i]; i++) {
        if (!strcmp(r->o->choices[i], r->v->text)) {
            *out = i;
            strbuf_release(&all);
            return true;
        }
        strbuf_printf(&all, "%s\"%s\"", i ? ", " : "", r->o->choices[i]);
    }
    const char *near = did_you_mean(r->sp, r->v->text, r->o->choices);
    if (*near)
        node_error(r->sp, r->v, "\"%s\" of %s has no choice \"%s\"%s", r->o->name,
                   r->m->name, r->v->text, near);
    else
        node_error(r->sp, r->v, "\"%s\" of %s has no choice \"%s\"; use one of %s",
                   r->o->name, r->m->name, r->v->text, strbuf_text(&all));
    strbuf_release(&all);
    return false;
}

static bool read_ints(const struct reader *r, struct int_list *out)
{
    int64_t i = 0;

    if (r->v->kind != JSON_ARRAY)
        return wrong_type(r, "a list of whole numbers");
    out->n = node_count(r->v);
    out->v = arena_zalloc(r->sp->arena, (out->n + 1) * (int64_t)sizeof(*out->v));
    if (!out->v)
        return false;
    for (const struct node *m = r->v->first; m; m = m->next, i++) {
        if (m->kind != JSON_NUMBER || !m->is_int) {
            node_error(r->sp, m, "\"%s\" of %s wants whole numbers, this is %s",
                       r->o->name, r->m->name, node_show(r->sp, m));
            return false;
        }
        if (!in_range(r, m))
            return false;
        out->v[i] = (int64_t)m->number;
    }
    return true;
}

static bool read_strings(const struct reader *r, struct string_list *out)
{
    int64_t i = 0;

    if (r->v->kind != JSON_ARRAY)
        return wrong_type(r, "a list of strings");
    out->n = node_count(r->v);
    out->v = arena_zalloc(r->sp->arena, (out->n + 1) * (int64_t)sizeof(*out->v));
    if (!out->v)
        return false;
    for (const struct node *m = r->v->first; m; m = m->next, i++) {
        if (m->kind != JSON_STRING) {
            node_error(r->sp, m, "\"%s\" of %s wants strings, this is %s", r->o->name,
                       r->m->name, json_kind_name(m->kind));
            return false;
        }
        out->v[i] = m->text;
    }
    return true;
}

static bool read_value(const struct reader *r, void *at)
{
    const struct node *v = r->v;

    switch (r->o->type) {
    case OPT_INT:
        if (v->kind != JSON_NUMBER)
            return wrong_type(r, "a whole number");
        if (!v->is_int) {
            node_error(r->sp, v, "\"%s\" of %s wants a whole number, this is %s",
                       r->o->name, r->m->name, node_show(r->sp, v));
            return false;
        }
        *(int64_t *)at = (int64_t)v->number;
        return in_range(r, v);
    case OPT_REAL:
        if (v->kind != JSON_NUMBER)
            return wrong_type(r, "a number");
        *(double *)at = v->number;
        return in_range(r, v);
    case OPT_BOOL:
        if (v->kind != JSON_BOOL)
            return wrong_type(r, "true or false");
        *(bool *)at = v->flag;
        return true;
    case OPT_STRING:
        if (v->kind != JSON_STRING)
            return wrong_type(r, "a string");
        *(const char **)at = v->text;
        return true;
    case OPT_ENUM:
        return read_enum(r, at);
    case OPT_INTS:
        return read_ints(r, at);
    case OPT_STRINGS:
        return read_strings(r, at);
    }
    BUG("option type %d", (int)r->o->type);
}

/* The default's JSON text as a node. A text that is no JSON is our own mistake. */
static const struct node *default_node(struct spec *sp, const struct method *m,
                                       const struct option *o, const char *text)
{
    struct diags *diags = diags_new(&sp->err);
    struct json_doc *doc =
        diags ? json_parse(text, (int64_t)strlen(text), "default", diags) : NULL;
    struct node *node = NULL;

    if (diags && !doc && diags_code(diags) == ERR_MEMORY)
        err_set(&sp->err, ERR_MEMORY, "not enough memory for the options of %s", m->name);
    else if (diags && !doc)
        BUG("default of %s.%s is no JSON: %s", m->name, o->name, text);
    if (doc && spec_keep(sp, doc, "default", ".", true) == 0)
        node = node_from_json(sp, json_root(doc), sp->source[sp->n_sources - 1]);
    diags_free(diags);
    return node;
}

static const char *default_text(const struct method *m, const struct option *o,
                                const char *reading)
{
    for (const struct option_default *d = m->code; d && d->option; d++)
        if (!strcmp(reading, "code") && !strcmp(d->option, o->name))
            return d->def;
    return o->def;
}

/* What was added to a method later must not make its runs unknown. */
static bool left_out(struct spec *sp, const struct method *m, const struct option *o,
                     const struct node *v)
{
    const struct node *def;

    for (const char *const *name = m->later; name && *name; name++)
        if (!strcmp(*name, o->name)) {
            def = default_node(sp, m, o, o->def);
            const char *a = def ? node_canonical(sp, def) : NULL;
            const char *b = node_canonical(sp, v);
            return a && b && !strcmp(a, b);
        }
    return false;
}

bool option_read(struct spec *sp, const struct method *m, const struct option *o,
                 const struct node *v, void *options)
{
    struct reader r = {sp, m, o, v};

    return read_value(&r, (char *)options + o->offset);
}

bool options_check(struct spec *sp, const struct stage_decl *st, const void *options)
{
    struct err err = ERR_INIT;

    if (!st->method->check || !st->method->check(options, &err))
        return true;
    node_error(sp, node_get(st->node, "do"), "%s: %s", st->method->name, err.text);
    return false;
}

static int64_t count_options(const struct method *m)
{
    int64_t n = 0;

    while (m->options && m->options[n].name)
        n++;
    return n;
}

bool options_read(struct spec *sp, struct stage_decl *st, const char *reading)
{
    const struct method *m = st->method;
    struct strbuf sb = STRBUF_INIT;
    struct json_writer w;
    int64_t n = count_options(m);
    bool ok = true;

    st->options = arena_zalloc(sp->arena, (int64_t)m->options_size + 8);
    st->value = arena_zalloc(sp->arena, (n + 1) * (int64_t)sizeof(*st->value));
    st->choice = arena_zalloc(sp->arena, (n + 1) * (int64_t)sizeof(*st->choice));
    st->left_out = arena_zalloc(sp->arena, (n + 1) * (int64_t)sizeof(*st->left_out));
    if (!st->options || !st->value || !st->choice || !st->left_out)
        return false;
    json_begin(&w, &sb, false);
    json_object(&w);
    for (const struct option *o = m->options; o && o->name; o++) {
        const char *def = default_text(m, o, reading);
        struct reader r = {sp, m, o, node_get(st->node, o->name)};
        if (!r.v && !def) {
            node_error(sp, node_get(st->node, "do"), "%s needs \"%s\": %s", m->name,
                       o->name, o->help ? o->help : "it has no default");
            ok = false;
            continue;
        }
        if (!r.v && !(r.v = default_node(sp, m, o, def))) {
            ok = false;
            break;
        }
        st->value[o - m->options] = r.v;
        if (node_get(r.v, "from") || node_get(r.v, "value"))
            ok = choice_read(sp, st, o, r.v) && ok;
        else
            ok = read_value(&r, (char *)st->options + o->offset) && ok;
        if ((st->left_out[o - m->options] = left_out(sp, m, o, r.v)))
            continue;
        json_member(&w, o->name);
        node_write(&w, r.v);
    }
    json_object_end(&w);
    if (strbuf_failed(&sb, &sp->err))
        ok = false;
    else
        st->options_json = arena_strdup(sp->arena, strbuf_text(&sb));
    strbuf_release(&sb);
    if (ok && !st->n_choices)
        ok = options_check(sp, st, st->options);
    return ok && st->options_json;
}
