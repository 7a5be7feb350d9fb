/* "tasks" and "record" of a spec. */
#include "tree.h"

#include <string.h>

const struct task *spec_find_task(const struct spec *sp, const char *name)
{
    for (int64_t i = 0; i < sp->n_tasks; i++)
        if (!strcmp(sp->task[i]->name, name))
            return sp->task[i];
    return task_find(name);
}

const struct task *spec_task(const struct spec *sp, const char *name)
{
    return spec_find_task(sp, name);
}

void tasks_read(struct spec *sp, const struct node *tasks)
{
    if (tasks && tasks->kind != JSON_OBJECT)
        node_error(sp, tasks, "\"tasks\" wants an object, this is %s",
                   json_kind_name(tasks->kind));
}

/* {"weights": k, ...}: every k steps; "all": everything at every step; "default". */
const char *record_read(struct spec *sp, const struct node *record)
{
    static const char *const names[] = {"activations", "attention", "gradients",
                                        "weights", NULL};

    if (!record || (record->kind == JSON_STRING && !strcmp(record->text, "default")))
        return "{}";
    if (record->kind == JSON_STRING && !strcmp(record->text, "all"))
        return "{\"activations\":1,\"attention\":1,\"gradients\":1,\"weights\":1}";
    if (record->kind != JSON_OBJECT) {
        node_error(
            sp, record,
            "\"record\" is \"default\", \"all\", or an object like {\"weights\": 100}");
        return "{}";
    }
    for (const struct node *m = record->first; m; m = m->next) {
        int i = 0;
        while (names[i] && strcmp(names[i], m->key))
            i++;
        if (!names[i])
            node_unknown_key(sp, m, "record", names);
        else if (m->kind != JSON_NUMBER || !m->is_int || m->number < 1)
            node_error(
                sp, m,
                "\"%s\" is recorded every so many steps: a whole number of at least 1",
                m->key);
    }
    return node_canonical(sp, record);
}
