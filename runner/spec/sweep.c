/*
 * Sweeps: from blocks to assignments ("combos") of the swept variables.
 *
 * A block is an object; its members grid, zip, list and concat each give a list of
 * combos, and their product in the order of the text is the block's (the last changes
 * fastest). Then `when` extends the combos on which a condition holds, and `exclude`
 * takes some out.
 */
#include "tree.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "retort/rng.h"

#define COMBOS_MAX SPEC_POINTS_MAX

struct combos {
    struct combo *v;
    int64_t n, capacity;
};

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
        size_t n = strlen(sp->set_path[i]);
        if (!strncmp(var, sp->set_path[i], n) && (!var[n] || var[n] == '.'))
            return true;
    }
    return false;
}

static bool check_var(struct spec *sp, const struct node *key, const struct node *value)
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

/* ---- values: a list, range, log, random ---- */

struct values {
    const struct node **v;
    int64_t n;
};

static int numbers(struct spec *sp, const struct node *list, double *out, int64_t n)
{
    int64_t i = 0;

    if (list->kind != JSON_ARRAY || node_count(list) != n)
        return -1;
    for (const struct node *m = list->first; m; m = m->next, i++) {
        if (m->kind != JSON_NUMBER) {
            node_error(sp, m, "this must be a number, not %s", json_kind_name(m->kind));
            return -1;
        }
        out[i] = m->number;
    }
    return 0;
}

static int values_room(struct spec *sp, struct values *out, double n,
                       const struct node *place)
{
    if (!(n >= 1 && n <= COMBOS_MAX)) {
        node_error(sp, place, "this gives no value, or more than %d", COMBOS_MAX);
        return -1;
    }
    out->n = (int64_t)n;
    out->v = arena_zalloc(sp->arena, (out->n + 1) * (int64_t)sizeof(*out->v));
    return out->v ? 0 : -1;
}

static int values_put(struct spec *sp, struct values *out, int64_t i, double x,
                      const struct node *place)
{
    return (out->v[i] = node_number(sp, x, place)) ? 0 : -1;
}

/* A power of ten that makes x whole, or 0. */
static double scale_of(double x)
{
    double scale = 1;

    for (int k = 0; k <= 12; k++, scale *= 10)
        if (fabs(x * scale) < 1e15 &&
            fabs(x * scale - round(x * scale)) <= 1e-9 * fabs(x * scale))
            return scale;
    return 0;
}

/* [from, to, step], `to` included. Whole multiples of a power of ten are divided once, so
 * that 3 steps of 0.1 give 0.3 and not 0.30000000000000004. */
static int range_values(struct spec *sp, const struct node *v, struct values *out)
{
    double a[3], s, n;

    if (numbers(sp, v, a, 3)) {
        node_error(sp, v, "\"range\" wants [from, to, step]");
        return -1;
    }
    n = floor((a[1] - a[0]) / a[2] + 1e-9) + 1;
    if (values_room(sp, out, n, v))
        return -1;
    s = fmax(scale_of(a[0]), scale_of(a[2]));
    if (scale_of(a[0]) <= 0 || scale_of(a[2]) <= 0)
        s = 0;
    for (int64_t i = 0; i < out->n; i++) {
        double x = a[0] + (double)i * a[2];
        if (s > 0)
            x = (round(a[0] * s) + (double)i * round(a[2] * s)) / s;
        if (values_put(sp, out, i, x, v))
            return -1;
    }
    return 0;
}

/* Twelve significant digits: 1e-4 in the middle of 1e-5 .. 1e-3 comes out as 1e-4. */
static double twelve_digits(double x)
{
    double e = 11 - floor(log10(fabs(x)));

    if (!isfinite(e) || fabs(e) > 300)
        return x;
    return e >= 0 ? round(x * pow(10, e)) / pow(10, e)
                  : round(x / pow(10, -e)) * pow(10, -e);
}

static int log_values(struct spec *sp, const struct node *v, struct values *out)
{
    double a[3];

    if (numbers(sp, v, a, 3) || !(a[0] > 0 && a[1] > 0) || a[2] < 1 ||
        a[2] > floor(a[2])) {
        node_error(sp, v, "\"log\" wants [from, to, count], both ends above 0");
        return -1;
    }
    if (values_room(sp, out, a[2], v))
        return -1;
    for (int64_t i = 0; i < out->n; i++) {
        double t = out->n > 1 ? (double)i / (double)(out->n - 1) : 0;
        double x = i == 0            ? a[0]
                   : i == out->n - 1 ? a[1]
                                     : twelve_digits(a[0] * pow(a[1] / a[0], t));
        if (values_put(sp, out, i, x, v))
            return -1;
    }
    return 0;
}

static double real_of(const struct node *object, const char *key, double def)
{
    const struct node *v = node_get(object, key);

    return v ? v->number : def;
}

static int check_random(struct spec *sp, const struct node *v)
{
    static const char *const keys[] = {"count", "low",     "high", "log",
                                       "int",   "choices", "seed", NULL};
    int rc = 0;

    if (v->kind != JSON_OBJECT) {
        node_error(sp, v,
                   "\"random\" wants an object with count, low and high, or choices");
        return -1;
    }
    for (const struct node *m = v->first; m; m = m->next) {
        bool flag = !strcmp(m->key, "log") || !strcmp(m->key, "int");
        enum json_kind want = flag                         ? JSON_BOOL
                              : !strcmp(m->key, "choices") ? JSON_ARRAY
                                                           : JSON_NUMBER;
        int i = 0;
        while (keys[i] && strcmp(keys[i], m->key))
            i++;
        if (!keys[i]) {
            node_unknown_key(sp, m, "random", keys);
            rc = -1;
        } else if (m->kind != want) {
            node_error(sp, m, "\"%s\" wants %s, this is %s", m->key, json_kind_name(want),
                       json_kind_name(m->kind));
            rc = -1;
        }
    }
    return rc;
}

/* count draws of the stream "sweep/<variable>" (seed 0 unless given): adding a variable
 * moves no other. */
static int random_values(struct spec *sp, const char *var, const struct node *v,
                         struct values *out)
{
    const struct node *choices, *whole, *logs;
    double low, high, count, seed;
    struct rng rng;

    if (check_random(sp, v))
        return -1;
    choices = node_get(v, "choices");
    whole = node_get(v, "int");
    logs = node_get(v, "log");
    low = real_of(v, "low", (double)NAN);
    high = real_of(v, "high", (double)NAN);
    count = real_of(v, "count", (double)NAN);
    seed = real_of(v, "seed", 0);
    if (!(count >= 1) || count > floor(count) || !(seed >= 0) || seed > floor(seed) ||
        (choices ? !choices->first
                 : !(low <= high) || (logs && logs->flag && low <= 0))) {
        node_error(
            sp, v,
            "\"random\" wants a whole \"count\", and \"low\" <= \"high\" (above 0 with "
            "\"log\") or \"choices\"");
        return -1;
    }
    if (values_room(sp, out, count, v))
        return -1;
    rng = rng_streamf((uint64_t)seed, "sweep/%s", var);
    for (int64_t i = 0; i < out->n; i++) {
        if (choices) {
            uint64_t k = rng_below(&rng, (uint64_t)node_count(choices));
            const struct node *m = choices->first;
            while (k--)
                m = m->next;
            out->v[i] = m;
            continue;
        }
        double u = rng_uniform(&rng);
        double lo = logs && logs->flag ? log(low) : low,
               hi = logs && logs->flag ? log(high) : high;
        if (whole && whole->flag && !(logs && logs->flag))
            hi += 1;
        double x = lo + u * (hi - lo);
        x = logs && logs->flag ? exp(x) : x;
        x = whole && whole->flag ? (logs && logs->flag ? round(x) : floor(x)) : x;
        if (values_put(sp, out, i, fmin(fmax(x, low), high), v))
            return -1;
    }
    return 0;
}

static int read_values(struct spec *sp, const struct node *key, struct values *out)
{
    static const char *const rules[] = {"range", "log", "random", NULL};
    const struct node *rule = key->first;
    int64_t i = 0;

    if (key->kind == JSON_ARRAY && key->first) {
        if (values_room(sp, out, (double)node_count(key), key))
            return -1;
        for (const struct node *m = key->first; m; m = m->next)
            out->v[i++] = m;
        return 0;
    }
    if (key->kind == JSON_OBJECT && rule && !rule->next) {
        if (!strcmp(rule->key, "range"))
            return range_values(sp, rule, out);
        if (!strcmp(rule->key, "log"))
            return log_values(sp, rule, out);
        if (!strcmp(rule->key, "random"))
            return random_values(sp, key->key, rule, out);
        node_unknown_key(sp, rule, "values", rules);
        return -1;
    }
    node_error(sp, key,
               "a variable wants a list of values, or {\"range\": ..}, {\"log\": ..}, "
               "{\"random\": ..}");
    return -1;
}

/* ---- blocks ---- */

static bool want_object(struct spec *sp, const struct node *v)
{
    if (v->kind == JSON_OBJECT)
        return true;
    node_error(sp, v, "\"%s\" wants an object of variables, this is %s", v->key,
               json_kind_name(v->kind));
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
        if (read_values(sp, key, &values)) {
            rc = -1;
            continue;
        }
        for (int64_t i = 0; i < values.n; i++)
            if (!check_var(sp, key, values.v[i]) ||
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
        if (read_values(sp, key, &values))
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
            if (!check_var(sp, key, values.v[i]))
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
        if (!check_var(sp, m, m))
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

/* ---- conditions ---- */

static const struct node *value_of(const struct spec *sp, const struct combo *c,
                                   const char *var)
{
    for (int64_t i = c->n - 1; i >= 0; i--)
        if (!strcmp(c->v[i].var, var))
            return c->v[i].value;
    for (int64_t i = c->n - 1; i >= 0; i--) { /* inside of a whole stage */
        size_t n = strlen(c->v[i].var);
        if (!strncmp(var, c->v[i].var, n) && var[n] == '.')
            return node_path(c->v[i].value, var + n + 1);
    }
    return node_path(node_get(sp->root, "stages"), var);
}

static bool compare(const char *op, double a, double b)
{
    if (!strcmp(op, "lt"))
        return a < b;
    if (!strcmp(op, "le"))
        return a <= b;
    if (!strcmp(op, "gt"))
        return a > b;
    return a >= b;
}

static bool one_holds(const struct node *test, const struct node *v)
{
    if (test->kind == JSON_ARRAY) {
        for (const struct node *m = test->first; m; m = m->next)
            if (v && node_equal(m, v))
                return true;
        return false;
    }
    if (test->kind != JSON_OBJECT)
        return v && node_equal(test, v);
    for (const struct node *m = test->first; m; m = m->next) {
        if (!strcmp(m->key, "ne")
                ? v && node_equal(m, v)
                : !v || v->kind != JSON_NUMBER || !compare(m->key, v->number, m->number))
            return false;
    }
    return true;
}

static bool holds(const struct spec *sp, const struct combo *c,
                  const struct node *conditions)
{
    for (const struct node *test = conditions->first; test; test = test->next) {
        const struct node *label = NULL;
        struct node text = {.kind = JSON_STRING, .text = c->label};
        if (!strcmp(test->key, "label"))
            label = c->label ? &text : NULL;
        else
            label = value_of(sp, c, test->key);
        if (!one_holds(test, label))
            return false;
    }
    return true;
}

static bool check_conditions(struct spec *sp, const struct node *v)
{
    static const char *const ops[] = {"lt", "le", "gt", "ge", "ne", NULL};
    bool ok = true;

    if (!v || v->kind != JSON_OBJECT || !v->first) {
        node_error(sp, v, "a condition is an object like {\"stage.option\": value}");
        return false;
    }
    for (const struct node *m = v->first; m; m = m->next) {
        if (strcmp(m->key, "label"))
            ok = check_var(sp, m, m) && ok;
        for (const struct node *t = m->kind == JSON_OBJECT ? m->first : NULL; t;
             t = t->next) {
            int i = 0;
            while (ops[i] && strcmp(ops[i], t->key))
                i++;
            if (!ops[i])
                node_unknown_key(sp, t, "a condition", ops);
            else if (i < 4 && t->kind != JSON_NUMBER)
                node_error(sp, t, "\"%s\" wants a number", t->key);
            else
                continue;
            ok = false;
        }
    }
    return ok;
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
    if (!check_conditions(sp, cond) || expand(sp, item, &block, depth + 1))
        goto done;
    for (int64_t i = 0; i < io->n; i++) {
        bool yes = holds(sp, &io->v[i], cond);
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
        rc = check_conditions(sp, m) ? rc : -1;
    for (int64_t i = 0; !rc && i < io->n; i++) {
        bool out = false;
        for (const struct node *m = block->first; m; m = m->next)
            out = out || holds(sp, &io->v[i], m);
        if (!out)
            io->v[kept++] = io->v[i];
    }
    if (!rc)
        io->n = kept;
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
    if (!rc && out->n == 0) {
        node_error(sp, block, "no point is left");
        rc = -1;
    }
    return rc;
}

/* ---- the trees of the points ---- */

/* A base stage's decl is made before it is shared, so that all points read it once. */
static int prepare(struct spec *sp, struct node *stages)
{
    for (struct node *m = stages->first; m; m = m->next)
        if (!m->decl && !(m->decl = arena_zalloc(sp->arena, sizeof(*m->decl))))
            return -1;
    return 0;
}

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

static const struct node *make_tree(struct spec *sp, const struct node *stages,
                                    const struct combo *c)
{
    const struct node *tree = stages;

    for (int64_t i = 0; tree && i < c->n; i++)
        tree = set_all(sp, tree, c->v[i].var, c->v[i].value);
    for (int64_t i = 0; tree && c->n && i < sp->n_sets; i++)
        if (strchr(sp->set_path[i], '.') && node_path(tree, sp->set_path[i]))
            tree = node_set(sp, tree, sp->set_path[i], sp->set_value[i]);
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

int sweep_expand(struct spec *sp)
{
    struct node *stages =
        node_set(sp, node_get(sp->root, "stages"), "", node_get(sp->root, "stages"));
    const struct node *sweep = node_get(sp->root, "sweep");
    struct combos list = {0};
    bool told = false;
    int rc = -1;

    if (!stages || prepare(sp, stages))
        return -1;
    if (sweep)
        told = expand(sp, sweep, &list, 0) != 0;
    if (told || !sweep)
        list.n = 0; /* the base alone, so that its stages are checked all the same */
    if (!list.n && !combos_add(sp, &list, sp->root))
        goto done;
    if (unique(sp, &list))
        goto done;
    sp->n_combos = list.n;
    sp->combo = arena_zalloc(sp->arena, list.n * (int64_t)sizeof(*sp->combo));
    sp->tree = arena_zalloc(sp->arena, list.n * (int64_t)sizeof(*sp->tree));
    if (!sp->combo || !sp->tree)
        goto done;
    memcpy(sp->combo, list.v, (size_t)list.n * sizeof(*list.v));
    for (int64_t i = 0; i < list.n; i++) {
        struct node *tree = NULL;
        const struct node *made = make_tree(sp, stages, &list.v[i]);
        if (made)
            tree = node_set(sp, made, "", made);
        if (!tree || prepare(sp, tree))
            goto done;
        sp->tree[i] = tree;
    }
    rc = collect_vars(sp);
done:
    free(list.v);
    return rc;
}
