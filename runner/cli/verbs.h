/* The verbs of the program: one file each, one row in verbs.c. */
#ifndef RETORT_VERBS_H
#define RETORT_VERBS_H

#include "retort/err.h"

struct verb {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv); /* argv[0] is the verb; returns the exit code */
};

extern const struct verb verbs[]; /* ends with name NULL */

/* --store DIR if given, else RETORT_STORE, else ./runs. */
const char *store_place(const char *given);
/* Prints the error; returns its exit code. */
int tell_error(const struct err *err);

int verb_version(int argc, char **argv);
int verb_run(int argc, char **argv);
int verb_plan(int argc, char **argv);
int verb_ls(int argc, char **argv);
int verb_show(int argc, char **argv);
int verb_list(int argc, char **argv);
int verb_diff(int argc, char **argv);
int verb_export(int argc, char **argv);
int verb_table(int argc, char **argv);
int verb_plot(int argc, char **argv);

#endif
