/*
 * A notebook and its script from one text: notebooks-export/notebook.py, in the percent
 * format, compiled into the program.
 *
 *     # %% [markdown] table-text if=table
 *
 * begins a cell, with its kind, its id, its tags, and what it is there for.
 */
#ifndef RETORT_NOTEBOOK_H
#define RETORT_NOTEBOOK_H

#include <stdbool.h>

#include "retort/err.h"

struct notebook {
    const char *title, *about; /* in place of @TITLE@ and @ABOUT@; plain text */
    const char *const *holds;  /* NULL-terminated: what "if" may ask for */
};

/* Writes DIR/notebook.ipynb (nbformat 4.5) and DIR/notebook.py. */
int notebook_write(const struct notebook *nb, const char *dir, struct err *err);

#endif
