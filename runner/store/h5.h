/*
 * HDF5 in few verbs, none of which shows its types: h5.c alone includes the library. What
 * a run's file looks like is layout.c's.
 *
 * The library is not safe for threads in Debian: whoever has a file open, to write or to
 * read, holds a lock until it is closed again, so files are open for short and one by
 * one.
 */
#ifndef RETORT_STORE_H5_H
#define RETORT_STORE_H5_H

#include "retort/file.h"
#include "retort/stage.h"
#include "retort/strbuf.h"

/* ---- writing ---- */

/*
 * A file that is written in one go. Objects lie in the order of their writing, without
 * times: equal calls give equal bytes. Groups on the way to a path are made. A failure
 * sticks, and h5_finish tells it.
 */
struct h5_out;

struct h5_out *h5_create(const char *path, struct err *err); /* NULL on failure */
int h5_finish(struct h5_out *out, struct err *err);          /* closes and frees */

/* Attributes of the group or dataset at `path`. */
void h5_put_text(struct h5_out *out, const char *path, const char *name,
                 const char *text);
void h5_put_i64(struct h5_out *out, const char *path, const char *name, int64_t x);
void h5_put_u64(struct h5_out *out, const char *path, const char *name, uint64_t x);
void h5_put_f64(struct h5_out *out, const char *path, const char *name, double x);

/* Contiguous, aligned; dimensions labelled as `a` names them. */
void h5_array(struct h5_out *out, const char *path, const struct array *a);
/* n texts of fixed length in UTF-8; n -1: a scalar. */
void h5_texts(struct h5_out *out, const char *path, char *const *texts, int64_t n);
void h5_group(struct h5_out *out, const char *path);
/* From now on paths lie below this group, which is made; NULL: below the file's root. */
void h5_into(struct h5_out *out, const char *path);
/* Another file's object appears at `path`; `file` is relative to this one. */
void h5_external(struct h5_out *out, const char *path, const char *file,
                 const char *object);
/* The dataset at `scale` says what the positions along dimension `dim` of `path` are. */
void h5_scale(struct h5_out *out, const char *path, int dim, const char *scale);

/* ---- reading ---- */

/* What stands at a path. Strings and owned memory belong to the walk, unless taken over.
 */
struct h5_dataset {
    const char *path;
    bool is_text;
    struct array array; /* dim: not filled in */
    int64_t bytes;
    void *owned;      /* heap memory behind array.data, or NULL: it lies in the mapping */
    char **texts;     /* texts_n of them, 1 for a scalar */
    int64_t texts_n;  /* -1: a scalar */
    char *cls, *dims; /* the attributes "class" and "dims", or NULL */
};

struct h5_visitor {
    void *ctx;
    /* May take over owned, texts, cls and dims by setting them to NULL. */
    int (*dataset)(void *ctx, struct h5_dataset *d, struct err *err);
    int (*link)(void *ctx, const char *path, const char *file, const char *object,
                struct err *err);
};

struct h5_in;

/* `map` is the same file, mapped and found whole: the library crashes on damaged files.
 */
struct h5_in *h5_open(const char *path, const struct file_map *map, struct err *err);
void h5_close(struct h5_in *in);
/* Cut to the field's size; "" and false if there is no such text. */
bool h5_get_text(struct h5_in *in, const char *path, const char *name, char *field,
                 size_t size);
bool h5_get_i64(struct h5_in *in, const char *path, const char *name, int64_t *out);
bool h5_get_u64(struct h5_in *in, const char *path, const char *name, uint64_t *out);
bool h5_get_f64(struct h5_in *in, const char *path, const char *name, double *out);
/* All datasets and links, each group's in the order of their writing. */
int h5_walk(struct h5_in *in, const struct h5_visitor *v, struct err *err);

/* ---- another program's file ---- */

/* Numbers and texts of the data sets at the root, of one length, as JSON lines: the i-th
 * has each data set's i-th value under its name; a scalar stands in every line. The file
 * may be damaged and take the process down: call it in one that may go. */
int h5_rows(struct strbuf *out, const char *path, struct err *err);

#endif
