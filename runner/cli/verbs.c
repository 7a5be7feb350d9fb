/* The table of verbs. */
#include <stddef.h>

#include "verbs.h"

const struct verb verbs[] = {
    {"run", "run what a spec asks for and is not there yet", verb_run},
    {"plan", "what a run would do, and why", verb_plan},
    {"ls", "the runs of the store", verb_ls},
    {"show", "everything one run knows", verb_show},
    {"table", "what the runs of a spec say together", verb_table},
    {"plot", "the same as a picture", verb_plot},
    {"diff", "what tells two runs apart", verb_diff},
    {"export", "a run's model as a Hugging Face folder", verb_export},
    {"list", "methods, tasks, metrics", verb_list},
    {"--version", "print the version", verb_version},
    {NULL, NULL, NULL},
};
