/* Values of a swept variable: a list, or what a rule makes. */
#include "sweep.h"

#include <math.h>
#include <string.h>

#include "retort/rng.h"

static int numbers(const struct node *list, double *out, int64_t n)
{
    int64_t i = 0;

    if (list->kind != JSON_ARRAY || node_count(list) != n)
        return -1;
    for (const struct node *m = list->first; m; m = m->next, i++) {
        if (m->kind != JSON_NUMBER)
            return -1;
        out[i] = m->number;
    }
    return 0;
}

static int values_room(struct spec *sp, struct values *out, double n,
                       const struct node *place)
{
    if (!(n >= 1 && n <= COMBOS_MAX)) {
        node_error(sp, place, "more than %d values", COMBOS_MAX);
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

    if (numbers(v, a, 3)) {
        node_error(sp, v, "\"range\" wants three numbers, [from, to, step]");
        return -1;
    }
    n = floor((a[1] - a[0]) / a[2] + 1e-9) + 1;
    if (!(fabs(a[2]) > 0)) {
        node_error(sp, v, "a step of 0 leads nowhere");
        return -1;
    }
    if (!(n >= 1)) {
        node_error(sp, v, "no value: the step must lead from %s to %s",
                   node_show(sp, v->first), node_show(sp, v->first->next));
        return -1;
    }
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

    if (numbers(v, a, 3) || !(a[0] > 0 && a[1] > 0) || a[2] < 1 || a[2] > floor(a[2])) {
        node_error(sp, v,
                   "\"log\" wants [from, to, count]: both ends above 0, a whole count");
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
                 : !(low <= high) || (logs && logs->flag && low <= 0)) ||
        (whole && whole->flag && (low > floor(low) || high > floor(high)))) {
        node_error(sp, v,
                   "\"random\" wants a whole \"count\" of at least 1, and \"low\" <= "
                   "\"high\" (above "
                   "0 with \"log\", whole with \"int\") or \"choices\"");
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

int sweep_values(struct spec *sp, const struct node *key, struct values *out)
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
