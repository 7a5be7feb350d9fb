/* --set: values that come from the command line. */
#include "tree.h"

#include <string.h>

/* What a file is laid over is read before --set comes. */
static const char *const set_too_late[] = {"extends", "retort", "$schema", NULL};
/* "pruned.ratio" -> "stages.pruned.ratio"; "seeds" stays. */
static const char *tree_path(struct spec *sp, const char *path)
{
    size_t n = strcspn(path, ".");

    return is_among(spec_keys, path, n) ? path
                                        : arena_printf(sp->arena, "stages.%s", path);
}

/* The value as JSON, or else as a string. */
static struct node *set_node(struct spec *sp, const char *value, const char *name)
{
    struct err err = ERR_INIT;
    struct diags *quiet = diags_new(&err);
    struct strbuf sb = STRBUF_INIT;
    struct json_doc *doc = NULL;
    struct node *node = NULL;

    if (!quiet)
        return NULL;
    doc = json_parse(value, (int64_t)strlen(value), name, quiet);
    if (!doc) {
        json_put_string(&sb, value);
        if (!strbuf_failed(&sb, &sp->err))
            doc = json_parse(strbuf_text(&sb), (int64_t)sb.len, name, sp->diags);
    }
    /* A path that a person types is relative to where they are. */
    if (doc && !spec_keep(sp, doc, name, ".", true))
        node = node_from_json(sp, json_root(doc), sp->source[sp->n_sources - 1]);
    strbuf_release(&sb);
    diags_free(quiet);
    return node;
}

/* Is the first part of the path a stage? If not, a stage or a key of the top level may be
 * meant. */
static bool set_known_stage(struct spec *sp, const char *path, const struct node *value)
{
    const struct node *stages = node_get(sp->root, "stages");
    const char *first = arena_printf(sp->arena, "%.*s", (int)strcspn(path, "."), path);
    const char **names = stage_names(sp, stages);
    const char *hint;

    if (!first || !names || node_get(stages, first))
        return first && names;
    hint = did_you_mean(sp, first, names);
    if (!*hint)
        hint = did_you_mean(sp, first, spec_keys);
    node_error(sp, value, "no stage is named \"%s\"%s", first, hint);
    return false;
}

/* Is there a key "stage.option" anywhere in the sweep? */
static bool is_swept(const struct node *sweep, const char *var)
{
    for (const struct node *m = sweep ? sweep->first : NULL; m; m = m->next)
        if ((m->key && !strcmp(m->key, var)) || is_swept(m, var))
            return true;
    return false;
}

/* "*.option": in every stage that gives it, or whose option is swept. */
static void set_everywhere(struct spec *sp, const char *path, struct node *value)
{
    const struct node *stages = node_get(sp->root, "stages");
    bool found = false;

    for (const struct node *m = stages ? stages->first : NULL; m; m = m->next) {
        const char *full = arena_printf(sp->arena, "stages.%s.%s", m->key, path + 2);
        struct node *root;
        if (!full || !(node_path(m, path + 2) ||
                       is_swept(node_get(sp->root, "sweep"), full + strlen("stages."))))
            continue;
        found = true;
        if ((root = node_set(sp, sp->root, full, value)))
            sp->root = root;
    }
    if (!found)
        node_error(sp, value, "no stage gives \"%s\"", path + 2);
}

void spec_set(struct spec *sp, const char *set)
{
    const char *eq = strchr(set, '=');
    const char *name = arena_printf(sp->arena, "--set %s", set);
    const char *path, *full;
    struct node *value;

    if (!name)
        return;
    if (!(path = arena_printf(sp->arena, "%.*s", eq ? (int)(eq - set) : 0, set)))
        return;
    if (!*path || *path == '.' || eq[-1] == '.' || strstr(path, "..")) {
        diags_add(sp->diags, name, NULL, 0, 0, "write it as stage.option=value");
        return;
    }
    if (!(full = tree_path(sp, path)) || !(value = set_node(sp, eq + 1, name)))
        return;
    if (full == path && is_among(set_too_late, path, strcspn(path, "."))) {
        node_error(sp, value, "\"%s\" is settled by the file itself; write it there",
                   path);
        return;
    }
    if (full != path && !strncmp(path, "*.", 2)) {
        set_everywhere(sp, path, value);
    } else {
        struct node *root;
        if (full != path && !set_known_stage(sp, path, value))
            return;
        if ((root = node_set(sp, sp->root, full, value)))
            sp->root = root;
    }
    sp->set_path[sp->n_sets] = path;
    sp->set_value[sp->n_sets++] = value;
}
