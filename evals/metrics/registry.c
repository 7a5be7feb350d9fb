/* The metrics of list.def. A new one: its row in some file of this folder, and its line
 * there. */
#include "retort/task.h"

#include <string.h>

#define METRIC(name) extern const struct metric metric_##name;
#include "list.def"
#undef METRIC

static const struct metric *const metrics[] = {
#define METRIC(name) &metric_##name,
#include "list.def"
#undef METRIC
    NULL,
};

const struct metric *const *metric_list(void)
{
    return metrics;
}

const struct metric *metric_find(const char *name)
{
    for (int i = 0; name && metrics[i]; i++)
        if (!strcmp(metrics[i]->name, name))
            return metrics[i];
    return NULL;
}
