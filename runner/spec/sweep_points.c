/* The points of a sweep: each combo's own tree of stages, which shares what it leaves
 * alone. */
#include "sweep.h"

#include <stdlib.h>
#include <string.h>

/* A base stage's decl is made before it is shared, so that all points read it once. */
static int prepare(struct spec *sp, struct node *stages)
{
    for (struct node *m = stages->first; m; m = m->next)
        if (!m->decl && !(m->decl = arena_zalloc(sp->arena, sizeof(*m->decl))))
            return -1;
    return 0;
}

/* "*.option" goes to every stage that gives the option. */
static const struct node *set_all(struct spec *sp, const struct node *tree,
                                  const char *var, const struct node *value)
{
    const struct node *out = tree;

    if (strncmp(var, "*.", 2))
        return node_set(sp, tree, var, value);
    for (const struct node *m = tree->first; m && out; m = m->next)
        if (node_path(m, var + 2)) {
            const char *path = arena_printf(sp->arena, "%s.%s", m->key, var + 2);
            out = path ? node_set(sp, out, path, value) : NULL;
        }
    return out;
}

static bool given_somewhere(const struct node *tree, const char *option)
{
    for (const struct node *m = tree->first; m; m = m->next)
        if (node_path(m, option))
            return true;
    return false;
}

static bool given_at_any(const struct spec *sp, const char *option)
{
    for (int64_t c = 0; c < sp->n_combos; c++)
        if (given_somewhere(sp->tree[c], option))
            return true;
    return false;
}

/* A "*.option" that meets no stage at any point would change nothing. */
static void check_everywhere(struct spec *sp)
{
    for (int64_t c = 0; c < sp->n_combos; c++)
        for (int64_t i = 0; i < sp->combo[c].n; i++) {
            const struct assign *a = &sp->combo[c].v[i];
            if (!strncmp(a->var, "*.", 2) && !given_somewhere(sp->tree[c], a->var + 2) &&
                !given_at_any(sp, a->var + 2))
                node_key_error(sp, a->value, "no stage gives \"%s\"", a->var + 2);
        }
}

/* What --set gives holds against whole stages that the sweep brings, too. */
static const struct node *make_tree(struct spec *sp, const struct node *stages,
                                    const struct combo *c)
{
    const struct node *tree = stages;

    for (int64_t i = 0; tree && i < c->n; i++)
        tree = set_all(sp, tree, c->v[i].var, c->v[i].value);
    for (int64_t i = 0; tree && c->n && i < sp->n_sets; i++) {
        const char *path = sp->set_path[i];
        if (!strncmp(path, "*.", 2) || (strchr(path, '.') && node_path(tree, path)))
            tree = set_all(sp, tree, path, sp->set_value[i]);
    }
    return tree;
}

static const char *combo_text(struct spec *sp, const struct combo *c)
{
    struct strbuf sb = STRBUF_INIT;
    const char *text = NULL;

    strbuf_puts(&sb, c->label ? c->label : "");
    for (int64_t i = 0; i < c->n; i++) {
        const char *value = node_canonical(sp, c->v[i].value);
        strbuf_printf(&sb, "\n%s=%s", c->v[i].var, value ? value : "");
    }
    if (!strbuf_failed(&sb, &sp->err))
        text = arena_strdup(sp->arena, strbuf_text(&sb));
    strbuf_release(&sb);
    return text;
}

/* Equal assignments, as when --set took the only variable of a list out of it, are one
 * point. */
static int unique(struct spec *sp, struct combos *list)
{
    struct map seen = {0};
    int64_t n = 0;
    int rc = -1;

    for (int64_t i = 0; i < list->n; i++) {
        const char *text = combo_text(sp, &list->v[i]);
        int64_t at = text ? map_at(&seen, text, -1) : -2;
        if (at == -2)
            goto done;
        if (at >= 0)
            continue;
        if (map_at(&seen, text, i) == -2)
            goto done;
        list->v[n++] = list->v[i];
    }
    list->n = n;
    rc = 0;
done:
    map_release(&seen);
    return rc;
}

static int collect_vars(struct spec *sp)
{
    struct map seen = {0};
    const char **list = NULL;
    int64_t n = 0, capacity = 0;
    int rc = -1;

    for (int64_t c = 0; c < sp->n_combos; c++)
        for (int64_t i = 0; i < sp->combo[c].n; i++) {
            const char *var = sp->combo[c].v[i].var;
            int64_t at = map_at(&seen, var, -1);
            if (at == -2 || (at == -1 && map_at(&seen, var, 1) == -2) ||
                (at == -1 &&
                 mem_grow((void **)&list, n, &capacity, sizeof(*list), &sp->err)))
                goto done;
            if (at == -1)
                list[n++] = var;
        }
    sp->var = arena_zalloc(sp->arena, (n + 1) * (int64_t)sizeof(*sp->var));
    if (!sp->var)
        goto done;
    for (int64_t i = 0; i < n; i++)
        sp->var[i] = list[i];
    rc = 0;
done:
    free(list);
    map_release(&seen);
    return rc;
}

int sweep_points(struct spec *sp, struct combos *list)
{
    const struct node *written = node_get(sp->root, "stages");
    struct node *stages = node_set(sp, written, "", written);

    if (!stages || prepare(sp, stages) || unique(sp, list))
        return -1;
    sp->n_combos = list->n;
    sp->combo = arena_zalloc(sp->arena, list->n * (int64_t)sizeof(*sp->combo));
    sp->tree = arena_zalloc(sp->arena, list->n * (int64_t)sizeof(*sp->tree));
    if (!sp->combo || !sp->tree)
        return -1;
    memcpy(sp->combo, list->v, (size_t)list->n * sizeof(*list->v));
    for (int64_t i = 0; i < list->n; i++) {
        struct node *tree = NULL;
        const struct node *made = make_tree(sp, stages, &list->v[i]);
        if (made)
            tree = node_set(sp, made, "", made);
        if (!tree || prepare(sp, tree))
            return -1;
        sp->tree[i] = tree;
    }
    check_everywhere(sp);
    return collect_vars(sp);
}
