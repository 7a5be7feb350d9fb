/*
 * The weights of a folder, in whichever of four ways they lie there, looked for in the
 * order of transformers:
 *
 *     model.safetensors     model.safetensors.index.json and the shards that it names
 *     pytorch_model.bin     pytorch_model.bin.index.json and the shards that it names
 *
 * Private to engine/formats.
 */
#ifndef RETORT_WEIGHTS_H
#define RETORT_WEIGHTS_H

#include "retort/safetensors.h"

struct weights;

int weights_open(struct weights **out, const char *dir, struct err *err);
void weights_close(struct weights *w);
int64_t weights_count(const struct weights *w);
const struct safetensors_entry *weights_at(const struct weights *w, int64_t i);

/* Names of the files that hold them: the index, if there is one, then the shards by their
 * bytes. NULL-terminated; free with file_list_free. Opens the index alone. */
int weights_files(char ***out, const char *dir, struct err *err);

#endif
