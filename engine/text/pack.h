/*
 * Sequences of decoders, and of masked language models over packed documents; private to
 * engine/text.
 */
#ifndef RETORT_TEXT_PACK_H
#define RETORT_TEXT_PACK_H

#include "retort/task.h"

/* TASK_LM: makes the contexts of data->raw, which then holds one example for each. The
 * arrays of `data` other than raw are not there yet. */
int pack_documents(struct dataset *data, const struct tokenizer *tok,
                   const struct encoding *how, struct err *err);

/* TASK_CHOICE for a decoder: one sequence for each choice of example i, appended. */
int pack_choices(struct dataset *data, int64_t i, const struct tokenizer *tok,
                 const struct encoding *how, int64_t *capacity, struct err *err);

#endif
