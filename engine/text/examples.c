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

void predictions_free(struct predictions *p)
{
    if (!p)
        return;
    arena_free(p->arena);
    free(p);
}
