/* The table of verbs, in the order in which help shows them. */
#include <stddef.h>
#include <string.h>

#include "verbs.h"

const struct verb *const verbs[] = {
    &verb_run,    &verb_plan,                              /* Experiments */
    &verb_ls,     &verb_show,                              /* Runs */
    &verb_table,  &verb_plot, &verb_diff,    &verb_export, /* Results */
    &verb_list,   &verb_help, &verb_version,               /* Retort itself */
    &verb_worker,                                          /* not for people */
    NULL,
};

const struct verb *verb_find(const char *name)
{
    for (const struct verb *const *v = verbs; *v; v++)
        if (!strcmp((*v)->name, name))
            return *v;
    return NULL;
}

const char *const *verb_names(void)
{
    static const char *names[sizeof verbs / sizeof *verbs];
    size_t n = 0;

    for (size_t i = 0; verbs[i]; i++)
        if (verbs[i]->group)
            names[n++] = verbs[i]->name;
    return names;
}
