/* Conditions of `when` and `exclude`. */
#include "sweep.h"

#include <string.h>

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

bool conditions_hold(const struct spec *sp, const struct combo *c,
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

/* A condition on what no point has would never hold, and nobody would notice. */
static bool check_known(struct spec *sp, const struct node *test, const struct combos *on)
{
    for (int64_t i = 0; i < on->n; i++)
        if (!strcmp(test->key, "label") ? on->v[i].label != NULL
                                        : value_of(sp, &on->v[i], test->key) != NULL)
            return true;
    node_key_error(sp, test,
                   "no point has a \"%s\" here: it is neither swept nor written in its "
                   "stage",
                   test->key);
    return false;
}

static bool check_test(struct spec *sp, const struct node *test)
{
    static const char *const ops[] = {"lt", "le", "gt", "ge", "ne", NULL};
    bool ok = true;

    for (const struct node *t = test->kind == JSON_OBJECT ? test->first : NULL; t;
         t = t->next) {
        int i = 0;
        while (ops[i] && strcmp(ops[i], t->key))
            i++;
        if (!ops[i])
            node_unknown_key(sp, t, "a condition", ops);
        else if (i < 4 && t->kind != JSON_NUMBER)
            node_error(sp, t, "\"%s\" wants a number, this is %s", t->key,
                       json_kind_name(t->kind));
        else
            continue;
        ok = false;
    }
    return ok;
}

bool conditions_check(struct spec *sp, const struct node *v, const struct combos *on)
{
    bool ok = true;

    if (!v || v->kind != JSON_OBJECT || !v->first) {
        node_error(sp, v, "a condition is an object like {\"stage.option\": value}");
        return false;
    }
    for (const struct node *m = v->first; m; m = m->next) {
        bool known = !strcmp(m->key, "label") || sweep_check_var(sp, m, m);
        ok = known && check_known(sp, m, on) && check_test(sp, m) && ok;
    }
    return ok;
}
