/* Lists of raw examples, and the life of predictions. */
#include "retort/task.h"

#include <math.h>
#include <stdlib.h>

struct examples *examples_new(struct err *err)
{
    struct examples *ex = mem_new(1, sizeof *ex, err);

    if (!ex)
        return NULL;
    ex->arena = arena_new(err);
    if (!ex->arena) {
        free(ex);
        return NULL;
    }
    return ex;
}

void examples_free(struct examples *ex)
{
    if (!ex)
        return;
    free(ex->v);
    arena_free(ex->arena);
    free(ex);
}

struct example *examples_add(struct examples *ex, struct err *err)
{
    void *v = ex->v;

    if (mem_grow(&v, ex->n, &ex->capacity, sizeof *ex->v, err))
        return NULL;
    ex->v = v;
    ex->v[ex->n] = (struct example){.label = -1, .value = (double)NAN};
    return &ex->v[ex->n++];
}

static bool is_labelled(const struct dataset *d, int64_t i)
{
    switch (d->task->kind) {
    case TASK_CLASSES:
    case TASK_CHOICE:
        return d->raw->v[i].label >= 0;
    case TASK_REGRESSION:
        return !isnan(d->raw->v[i].value);
    case TASK_SPAN:
        return d->seq[d->first[i]].start >= 0;
    case TASK_MLM:
    case TASK_LM:
        return true;
    }
    BUG("task kind %d", (int)d->task->kind);
}

int64_t dataset_unlabelled(const struct dataset *d)
{
    for (int64_t i = 0; i < d->n; i++)
        if (!is_labelled(d, i))
            return i;
    return -1;
}

void predictions_free(struct predictions *p)
{
    if (!p)
        return;
    arena_free(p->arena);
    free(p);
}
