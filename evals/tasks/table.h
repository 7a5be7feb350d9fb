/*
 * The reader that all tasks kept in tables share: TSV and JSONL, errors as
 * "file:line:field: ...".
 */
#ifndef RETORT_EVALS_TABLE_H
#define RETORT_EVALS_TABLE_H

#include "retort/task.h"

/* The files of one split and how their columns are found. */
struct table_split {
    const char *name;
    const char *const *files; /* candidates, NULL-terminated */
    struct task_columns columns;
    bool skip_broken; /* rows with a wrong number of fields are left out (QQP has some) */
};

/* What task.config points to. */
struct table {
    const struct table_split *splits;
    int64_t n;
    enum task_format format;
};

/* task.files and task.load of such a task. */
const char *const *table_files(const struct task *task, const char *split);
/* All of it is text: UTF-8 without zero bytes; else an error with line and field. */
int textfile_check(const char *path, const char *text, int64_t len, struct err *err);
int textfile_load(const struct task *task, const struct task_source *src,
                  struct examples *out, struct err *err);

#endif
