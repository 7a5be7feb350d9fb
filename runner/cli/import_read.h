/*
 * Numbers that another program wrote, as rows of texts: CSV with a header line (RFC
 * 4180), JSON lines (an object each), HDF5 (data sets of one length at the root). What a
 * row has under a column is a number, true or false, or a text; NULL where there is
 * nothing.
 */
#ifndef RETORT_IMPORT_READ_H
#define RETORT_IMPORT_READ_H

#include <stdint.h>

#include "retort/mem.h"

struct import_rows {
    struct arena *arena;
    const char **column;
    int64_t n_columns, column_capacity;
    struct import_row {
        int64_t line; /* of the file, from 1; of HDF5 the position, from 1 */
        const char **value;
    } * row;
    int64_t n, capacity;
};

enum import_format { IMPORT_AUTO, IMPORT_CSV, IMPORT_JSONL, IMPORT_H5 };

/* IMPORT_AUTO: by the name's end. Released also after a failure. */
int import_read(struct import_rows *out, const char *path, enum import_format format,
                struct err *err);
void import_release(struct import_rows *rows);
/* Its place among the columns; -1 with ERR_INPUT that names the nearest one. */
int64_t import_column(const struct import_rows *rows, const char *path, const char *name,
                      struct err *err);

#endif
