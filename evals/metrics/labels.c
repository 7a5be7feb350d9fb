#include "labels.h"

const struct example *labels_example(const struct predictions *p, int64_t i)
{
    return &p->data->raw->v[i]; /* a slice orders its raw examples too */
}

int32_t labels_class(const struct predictions *p, int64_t i)
{
    return labels_example(p, i)->label;
}

int labels_check(const char *metric, const struct predictions *p, struct err *err)
{
    if (!p->pred)
        return err_set(err, ERR_INPUT, "%s needs classes; %s gives none", metric,
                       p->data->task->name);
    if (p->n < 1)
        return err_set(err, ERR_INPUT, "%s of no examples is not defined", metric);
    for (int64_t i = 0; i < p->n; i++)
        if (labels_class(p, i) < 0)
            return err_set(
                err, ERR_INPUT,
                "%s: the label of example %lld of %s is not known; use another split",
                metric, (long long)i, p->data->name);
    return 0;
}
