/*
 * Lines in columns: for lists on a terminal and for those that read them by awk.
 *
 * Where the width is limited, columns leave by their rank, highest first, until the rest
 * fits; of rank 1 only after the elastic column was cut ("..." at its end). Without a
 * limit (a pipe, a file) all columns are there, however long, so what a program reads
 * does not depend on a window.
 */
#ifndef RETORT_GRID_H
#define RETORT_GRID_H

#include "retort/strbuf.h"

struct grid_column {
    const char *title;
    bool right;   /* aligned: numbers */
    bool elastic; /* may be cut to fit */
    bool wraps;   /* the last one: goes on below itself rather than being cut */
    int rank;     /* 0: always shown */
};

struct grid;

/* Titles are copied. */
struct grid *grid_new(const struct grid_column *columns, int n, struct err *err);
void grid_free(struct grid *g);
/* The next cell, row by row. Failures stick, grid_print tells them. Control characters
 * are shown as '?'. */
void grid_put(struct grid *g, const char *text);
void grid_printf(struct grid *g, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* A number in its shortest form, NaN as an empty cell. */
void grid_number(struct grid *g, double x);
/* `width` 0: no limit; columns without any text leave out where it is limited. */
int grid_print(const struct grid *g, struct strbuf *out, int width, struct err *err);

#endif
