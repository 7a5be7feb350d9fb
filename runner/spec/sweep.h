/* Inside of a sweep's expansion: what its files share. */
#ifndef RETORT_SPEC_SWEEP_H
#define RETORT_SPEC_SWEEP_H

#include "tree.h"

#define COMBOS_MAX SPEC_POINTS_MAX

struct combos {
    struct combo *v;
    int64_t n, capacity;
};

struct values {
    const struct node **v;
    int64_t n;
};

/* sweep.c: does the key of a sweep name an option of a stage that is there? */
bool sweep_check_var(struct spec *sp, const struct node *key, const struct node *value);

/* sweep_values.c: the values of a variable, from a list or a rule (range, log, random).
 */
int sweep_values(struct spec *sp, const struct node *key, struct values *out);

/* sweep_conditions.c: are they conditions on something that any of the combos has; do
 * they hold for one? */
bool conditions_check(struct spec *sp, const struct node *conditions,
                      const struct combos *on);
bool conditions_hold(const struct spec *sp, const struct combo *c,
                     const struct node *conditions);

/* sweep_points.c: the combos without repetitions, the stages of each, all variables.
 * Takes them from `list`, which stays the caller's. */
int sweep_points(struct spec *sp, struct combos *list);

#endif
