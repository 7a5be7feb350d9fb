/* The pairs of label and prediction that metrics are computed from. */
#ifndef RETORT_EVALS_LABELS_H
#define RETORT_EVALS_LABELS_H

#include "retort/task.h"

/* Refuses predictions without classes, and examples whose class is not known. */
int labels_check(const char *metric, const struct predictions *p, struct err *err);

/* The class of example i. */
int32_t labels_class(const struct predictions *p, int64_t i);

/* The raw example i. */
const struct example *labels_example(const struct predictions *p, int64_t i);

/* F1 of the words of answers; see spans.c. */
int span_f1(double *out, const struct predictions *p, struct err *err);

#endif
