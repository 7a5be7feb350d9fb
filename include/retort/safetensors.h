/*
 * safetensors files, read by mapping and written atomically.
 *
 * Files come from strangers: header length, JSON, dtypes, shapes and offsets are checked
 * before anything is touched (in range, no overlap, no gaps, sizes equal to shape times
 * dtype, names unique); an error names the file and the tensor.
 */
#ifndef RETORT_SAFETENSORS_H
#define RETORT_SAFETENSORS_H

#include "retort/tensor.h"

struct safetensors;

struct safetensors_entry {
    const char *name;
    enum dtype dtype;   /* of a dtype that is not computed with (BOOL, U16): DT_U8, the
                         * rank -1, `count` its bytes */
    struct shape shape; /* rank above RANK_MAX: rank is -1 and only `count` holds */
    int64_t count;
    const void *data; /* into the mapping; may be unaligned */
};

int safetensors_open(struct safetensors **out, const char *path, struct err *err);
void safetensors_close(struct safetensors *st);
int64_t safetensors_count(const struct safetensors *st);
const struct safetensors_entry *safetensors_at(const struct safetensors *st,
                                               int64_t i); /* file order */
const struct safetensors_entry *safetensors_find(const struct safetensors *st,
                                                 const char *name);

/* Writes entries in the given order with {"format": "pt"} as metadata; equal content is
 * equal bytes. */
int safetensors_write(const char *path, const struct safetensors_entry *entries,
                      int64_t n, struct err *err);

#endif
