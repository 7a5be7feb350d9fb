/*
 * Options of methods and commands: one table each, from which specs and command lines are
 * checked and parsed, and --help, the JSON Schema, `retort list` and the manual page are
 * printed.
 *
 * A table ends with a row whose name is NULL. Values are stored in a plain struct at
 * `offset`:
 *
 *     OPT_INT      int64_t          within [min, max]
 *     OPT_REAL     double           within [min, max]
 *     OPT_BOOL     bool
 *     OPT_STRING   const char *     owned by the caller's arena
 *     OPT_ENUM     int              index into `choices` (NULL-terminated names)
 *     OPT_INTS     struct int_list  whole numbers, each within [min, max]
 *     OPT_STRINGS  struct string_list
 *
 * A default is JSON text ("0.1", "\"last\"", "[]"); NULL means that the option must be
 * given.
 */
#ifndef RETORT_OPTION_H
#define RETORT_OPTION_H

#include <stddef.h>
#include <stdint.h>

enum option_type {
    OPT_INT,
    OPT_REAL,
    OPT_BOOL,
    OPT_STRING,
    OPT_ENUM,
    OPT_INTS,
    OPT_STRINGS
};

struct int_list {
    int64_t n;
    int64_t *v;
};
struct string_list {
    int64_t n;
    const char **v;
};

struct option {
    const char *name;
    enum option_type type;
    const char *def;
    double min,
        max; /* both 0: no bounds (whole numbers: at least 0 is usual, so say so) */
    const char *const *choices;
    const char *unit; /* NULL: none */
    const char *help; /* one sentence, no full stop */
    size_t offset;
};

#define OPTION_END                                                                       \
    {                                                                                    \
        0                                                                                \
    }

/* Text of an enum option's value. */
static inline const char *option_choice(const struct option *o, int value)
{
    return o->choices[value];
}

#endif
