/* Tasks whose files have SQuAD's form: built in, or declared in a spec. */
#ifndef RETORT_EVALS_SQUAD_H
#define RETORT_EVALS_SQUAD_H

#include "retort/task.h"

struct squad_split {
    const char *name;
    const char *const *files; /* candidates, NULL-terminated */
};

/* What task.config points to. */
struct squad {
    const struct squad_split *split;
    int64_t n;
};

/* task.files and task.load of such a task; task.no_answer says by which rules. */
const char *const *squad_files(const struct task *task, const char *split);
int squad_load(const struct task *task, const struct task_source *src,
               struct examples *out, struct err *err);

/* The usual metrics: of tasks whose questions all have answers, and of others. */
extern const struct metric *const squad_metrics_v1[], *const squad_metrics_v2[];

#endif
