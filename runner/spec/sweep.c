/*
 * Sweeps: from blocks to assignments ("combos") of the swept variables.
 *
 * A block is an object; its members grid, zip, list and concat each give a list of
 * combos, and their product in the order of the text is the block's (the last changes
 * fastest). Then `when` extends the combos on which a condition holds, and `exclude`
 * takes some out.
 */
#include "sweep.h"

#include <stdlib.h>
#include <string.h>

static int expand(struct spec *sp, const struct node *block, struct combos *out,
                  int depth);

static struct combo *combos_add(struct spec *sp, struct combos *list,
                                const struct node *place)
{
    if (list->n >= COMBOS_MAX) {
        node_error(sp, place, "the sweep has more than %d points", COMBOS_MAX);
        return NULL;
    }
    if (mem_grow((void **)&list->v, list->n, &list->capacity, sizeof(*list->v), &sp->err))
        return NULL;
    list->v[list->n] = (struct combo){0};
    return &list->v[list->n++];
}

static bool conflict(struct spec *sp, const struct combo *a, const struct combo *b)
{
    for (int64_t i = 0; i < a->n; i++)
        for (int64_t j = 0; j < b->n; j++)
            if (!strcmp(a->v[i].var, b->v[j].var)) {
                const struct node *v = b->v[j].value;
                node_key_error(sp, v, "\"%s\" is swept twice", b->v[j].var);
                return true;
            }
    return false;
}

static int join(struct spec *sp, struct combo *out, const struct combo *a,
                const struct combo *b)
{
    out->n = a->n + b->n;
    out->v = arena_zalloc(sp->arena, (out->n + 1) * (int64_t)sizeof(*out->v));
    if (!out->v)
        return -1;
    for (int64_t i = 0; i < out->n; i++)
        out->v[i] = i < a->n ? a->v[i] : b->v[i - a->n];
    out->label = a->label ? a->label : b->label;
    if (a->label && b->label)
        out->label = arena_printf(sp->arena, "%s / %s", a->label, b->label);
    return 0;
}

/* list <- list x by. Takes `by` over. */
static int product(struct spec *sp, struct combos *list, struct combos *by,
                   const struct node *place)
{
    struct combos out = {0};
    int rc = -1;

    for (int64_t i = 0; i < list->n; i++)
        for (int64_t j = 0; j < by->n; j++) {
            struct combo *c;
            if (conflict(sp, &list->v[i], &by->v[j]) ||
                !(c = combos_add(sp, &out, place)) || join(sp, c, &list->v[i], &by->v[j]))
                goto done;
        }
    struct combos old = *list;
    *list = out;
    out = old;
    rc = 0;
done:
    free(out.v);
    free(by->v);
    *by = (struct combos){0};
    return rc;
}

/* ---- variables ---- */

/* Does --set give a value to this variable? Then the sweep leaves it alone. */
static bool fixed_by_set(const struct spec *sp, const char *var)
{
    for (int64_t i = 0; i < sp->n_sets; i++) {
        const char *set = sp->set_path[i], *at = var;
        if (!strncmp(set, "*.", 2)) { /* of whatever stage */
            set++;
            at = strchr(var, '.');
        }
        size_t n = strlen(set);
        if (at && !strncmp(at, set, n) && (!at[n] || at[n] == '.'))
            return true;
    }
    return false;
}

bool sweep_check_var(struct spec *sp, const struct node *key, const struct node *value)
{
    const struct node *stages = node_get(sp->root, "stages");
    size_t n = strcspn(key->key, ".");
    const char *first = arena_printf(sp->arena, "%.*s", (int)n, key->key);
    const char **names;

    if (!first)
        return false;
    if (!key->key[n]) {
        if (value->kind == JSON_OBJECT || value->kind == JSON_NULL)
            return true;
        node_key_error(sp, key,
                       "a variable is \"stage.option\"; \"%s\" alone takes whole stages",
                       key->key);
        return false;
    }
    if (!key->key[n + 1] || strstr(key->key, "..") ||
        key->key[strlen(key->key) - 1] == '.') {
        node_key_error(sp, key, "a variable is \"stage.option\", this is \"%s\"",
                       key->key);
        return false;
    }
    if (!strcmp(first, "*") || node_get(stages, first))
        return true;
    if ((names = stage_names(sp, stages)))
        node_key_error(sp, key, "no stage is named \"%s\"%s", first,
                       did_you_mean(sp, first, names));
    return false;
}

static int assign_one(struct spec *sp, struct combos *list, const struct node *key,
                      const struct node *value)
{
    struct combo *c = combos_add(sp, list, key);

    if (!c)
        return -1;
    c->v = arena_zalloc(sp->arena, sizeof(*c->v));
    if (!c->v)
        return -1;
    c->n = 1;
    c->v[0] = (struct assign){key->key, node_mark(sp, value, key), false};
    return c->v[0].value ? 0 : -1;
}

/* ---- blocks ---- */

static bool want_object(struct spec *sp, const struct node *v)
{
    if (v->kind == JSON_OBJECT && v->first)
        return true;
    node_error(sp, v, "\"%s\" wants an object of variables, this is %s", v->key,
               v->kind == JSON_OBJECT ? "empty" : json_kind_name(v->kind));
    return false;
}

static int grid(struct spec *sp, const struct node *block, struct combos *out)
{
    int rc = 0;

    if (!want_object(sp, block))
        return -1;
    for (const struct node *key = block->first; key; key = key->next) {
        struct values values = {0};
        struct combos axis = {0};
        if (sweep_values(sp, key, &values)) {
            rc = -1;
            continue;
        }
        for (int64_t i = 0; i < values.n; i++)
            if (!sweep_check_var(sp, key, values.v[i]) ||
                assign_one(sp, &axis, key, values.v[i])) {
                rc = -1;
                break;
            }
        if (rc || fixed_by_set(sp, key->key))
            free(axis.v);
        else if (product(sp, out, &axis, key))
            return -1;
    }
    return rc;
}

static int zip(struct spec *sp, const struct node *block, struct combos *out)
{
    struct combos rows = {0};
    int64_t n = -1;
    const char *first = NULL;

    if (!want_object(sp, block))
        return -1;
    for (const struct node *key = block->first; key; key = key->next) {
        struct values values = {0};
        if (sweep_values(sp, key, &values))
            goto fail;
        if (n >= 0 && values.n != n) {
            node_key_error(
                sp, key,
                "\"zip\" wants lists of one length: \"%s\" has %lld values, \"%s\" "
                "has %lld",
                key->key, (long long)values.n, first, (long long)n);
            goto fail;
        }
        first = first ? first : key->key;
        bool begin = n < 0, fixed = fixed_by_set(sp, key->key);
        n = values.n;
        for (int64_t i = 0; i < n; i++) {
            struct combos one = {0};
            struct combo joined;
            if (begin && !combos_add(sp, &rows, key))
                goto fail;
            if (!sweep_check_var(sp, key, values.v[i]))
                goto fail;
            if (fixed)
                continue;
            if (assign_one(sp, &one, key, values.v[i]) ||
                conflict(sp, &rows.v[i], &one.v[0]) ||
                join(sp, &joined, &rows.v[i], &one.v[0])) {
                free(one.v);
                goto fail;
            }
            free(one.v);
            rows.v[i] = joined;
        }
    }
    if (n > 0 && rows.v[0].n)
        return product(sp, out, &rows, block);
    free(rows.v);
    return 0;
fail:
    free(rows.v);
    return -1;
}

static int list_item(struct spec *sp, const struct node *item, struct combo *c)
{
    const struct node *label = node_get(item, "label");

    if (item->kind != JSON_OBJECT) {
        node_error(sp, item, "an item of \"list\" is an object of variables, this is %s",
                   json_kind_name(item->kind));
        return -1;
    }
    if (label && (label->kind != JSON_STRING || !*label->text)) {
        node_error(sp, label, "\"label\" wants a string that is not empty");
        return -1;
    }
    c->label = label ? label->text : NULL;
    c->v = arena_zalloc(sp->arena, (node_count(item) + 1) * (int64_t)sizeof(*c->v));
    if (!c->v)
        return -1;
    for (const struct node *m = item->first; m; m = m->next) {
        if (m == label)
            continue;
        if (!sweep_check_var(sp, m, m))
            return -1;
        if (fixed_by_set(sp, m->key))
            continue;
        c->v[c->n++] = (struct assign){m->key, node_mark(sp, m, m), label != NULL};
        if (!c->v[c->n - 1].value)
            return -1;
    }
    return 0;
}

static int list(struct spec *sp, const struct node *block, struct combos *out)
{
    struct combos items = {0};
    int rc = 0;

    if (block->kind != JSON_ARRAY || !block->first) {
        node_error(sp, block, "\"list\" wants a list of objects");
        return -1;
    }
    for (const struct node *item = block->first; item; item = item->next) {
        struct combo *c = combos_add(sp, &items, item);
        if (!c || list_item(sp, item, c))
            rc = -1;
        for (int64_t i = 0; !rc && c->label && i < items.n - 1; i++)
            if (items.v[i].label && !strcmp(items.v[i].label, c->label)) {
                node_error(sp, node_get(item, "label"), "label \"%s\" is given twice",
                           c->label);
                rc = -1;
            }
    }
    if (!rc)
        return product(sp, out, &items, block);
    free(items.v);
    return rc;
}

static int concat(struct spec *sp, const struct node *block, struct combos *out,
                  int depth)
{
    struct combos all = {0};
    int rc = 0;

    if (block->kind != JSON_ARRAY || !block->first) {
        node_error(sp, block, "\"concat\" wants a list of blocks");
        return -1;
    }
    for (const struct node *b = block->first; b; b = b->next) {
        struct combos part = {0};
        if (expand(sp, b, &part, depth + 1))
            rc = -1;
        for (int64_t i = 0; !rc && i < part.n; i++) {
            struct combo *c = combos_add(sp, &all, b);
            if (c)
                *c = part.v[i];
            else
                rc = -1;
        }
        free(part.v);
    }
    if (!rc)
        return product(sp, out, &all, block);
    free(all.v);
    return rc;
}

static int when_one(struct spec *sp, const struct node *item, struct combos *io,
                    int depth)
{
    struct combos block = {0}, out = {0};
    const struct node *cond = node_get(item, "if");
    struct combos one = {0};
    int rc = -1;

    if (item->kind != JSON_OBJECT || !cond) {
        node_error(sp, item, "an item of \"when\" is a block with \"if\": {conditions}");
        return -1;
    }
    if (!conditions_check(sp, cond, io) || expand(sp, item, &block, depth + 1))
        goto done;
    if (block.n == 1 && !block.v[0].n) {
        node_error(sp, item, "this item of \"when\" has conditions, but no block");
        goto done;
    }
    for (int64_t i = 0; i < io->n; i++) {
        bool yes = conditions_hold(sp, &io->v[i], cond);
        for (int64_t j = 0; j < (yes ? block.n : 1); j++) {
            struct combo *c = combos_add(sp, &out, item);
            if (!c || (yes && (conflict(sp, &io->v[i], &block.v[j]) ||
                               join(sp, c, &io->v[i], &block.v[j]))))
                goto done;
            if (!yes)
                *c = io->v[i];
        }
    }
    one = *io;
    *io = out;
    out = one;
    rc = 0;
done:
    free(block.v);
    free(out.v);
    return rc;
}

static int exclude(struct spec *sp, const struct node *block, struct combos *io)
{
    int64_t kept = 0;
    int rc = 0;

    if (block->kind != JSON_ARRAY) {
        node_error(sp, block, "\"exclude\" wants a list of conditions");
        return -1;
    }
    for (const struct node *m = block->first; m; m = m->next)
        rc = conditions_check(sp, m, io) ? rc : -1;
    for (int64_t i = 0; !rc && i < io->n; i++) {
        bool out = false;
        for (const struct node *m = block->first; m; m = m->next)
            out = out || conditions_hold(sp, &io->v[i], m);
        if (!out)
            io->v[kept++] = io->v[i];
    }
    if (!rc)
        io->n = kept;
    if (!rc && !kept) {
        node_error(sp, block, "\"exclude\" leaves no point");
        rc = -1;
    }
    return rc;
}

static int expand(struct spec *sp, const struct node *block, struct combos *out,
                  int depth)
{
    static const char *const keys[] = {"grid", "zip",     "list", "concat",
                                       "when", "exclude", NULL};
    const struct node *when, *except;
    int rc = 0;

    if (block->kind != JSON_OBJECT) {
        node_error(
            sp, block,
            "a sweep is an object of grid, zip, list, concat, when, exclude; this is %s",
            json_kind_name(block->kind));
        return -1;
    }
    if (!combos_add(sp, out, block))
        return -1;
    for (const struct node *m = block->first; m; m = m->next) {
        if (!strcmp(m->key, "grid"))
            rc = grid(sp, m, out) ? -1 : rc;
        else if (!strcmp(m->key, "zip"))
            rc = zip(sp, m, out) ? -1 : rc;
        else if (!strcmp(m->key, "list"))
            rc = list(sp, m, out) ? -1 : rc;
        else if (!strcmp(m->key, "concat"))
            rc = concat(sp, m, out, depth) ? -1 : rc;
        else if (strcmp(m->key, "when") && strcmp(m->key, "exclude") &&
                 (strcmp(m->key, "if") || depth == 0)) {
            node_unknown_key(sp, m, "a sweep", keys);
            rc = -1;
        }
    }
    when = node_get(block, "when");
    if (when && when->kind != JSON_ARRAY) {
        node_error(sp, when, "\"when\" wants a list of blocks with \"if\"");
        rc = -1;
    }
    for (const struct node *m = when && !rc ? when->first : NULL; m && !rc; m = m->next)
        rc = when_one(sp, m, out, depth);
    except = node_get(block, "exclude");
    if (except && !rc)
        rc = exclude(sp, except, out);
    return rc;
}

int sweep_expand(struct spec *sp)
{
    const struct node *sweep = node_get(sp->root, "sweep");
    struct combos list = {0};
    int rc = -1;

    if (!sweep || expand(sp, sweep, &list, 0))
        list.n = 0; /* the base alone, so that its stages are checked all the same */
    if (list.n || combos_add(sp, &list, sp->root))
        rc = sweep_points(sp, &list);
    free(list.v);
    return rc;
}
