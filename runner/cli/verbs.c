/* The table of verbs. */
#include <stddef.h>

#include "verbs.h"

const struct verb verbs[] = {
    {"--version", "print the version", verb_version},
    {NULL, NULL, NULL},
};
