/* The tasks of list.def. A new one: its row in some file of this folder, and its line
 * there. */
#include "retort/task.h"

#include <string.h>

#define TASK(name) extern const struct task task_##name;
#include "list.def"
#undef TASK

static const struct task *const tasks[] = {
#define TASK(name) &task_##name,
#include "list.def"
#undef TASK
    NULL,
};

const struct task *const *task_list(void)
{
    return tasks;
}

const struct task *task_find(const char *name)
{
    for (int i = 0; name && tasks[i]; i++)
        if (!strcmp(tasks[i]->name, name))
            return tasks[i];
    return NULL;
}
