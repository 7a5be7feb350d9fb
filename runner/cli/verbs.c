/* The table of verbs, in the order in which help shows them. */
#include <stddef.h>
#include <string.h>

#include "verbs.h"

/* clang-format off */
const struct verb *const verbs[] = {
    /* Experiments */
    &verb_run, &verb_plan, &verb_watch, &verb_data,
    /* Runs */
    &verb_ls, &verb_show, &verb_log, &verb_label, &verb_note, &verb_rm,
    /* Results */
    &verb_table, &verb_plot, &verb_report, &verb_power, &verb_diff, &verb_export, &verb_import, &verb_generate, &verb_score,
    /* The store */
    &verb_verify, &verb_fsck, &verb_gc,
    /* Retort itself */
    &verb_list, &verb_schema, &verb_manual, &verb_doctor, &verb_completion, &verb_help, &verb_version,
    /* not for people */
    &verb_worker,
    NULL,
};
/* clang-format on */

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
