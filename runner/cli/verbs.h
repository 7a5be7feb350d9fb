/*
 * The verbs of the program: one file and one row each, listed in verbs.c; and what they
 * share.
 */
#ifndef RETORT_VERBS_H
#define RETORT_VERBS_H

#include <stdio.h>

#include "args.h"
#include "retort/err.h"

extern const struct verb *const verbs[]; /* as help shows them; ends with NULL */
const struct verb *verb_find(const char *name);
/* A NULL-terminated list of all names, valid as long as the program runs. */
const char *const *verb_names(void);

extern const struct verb verb_run, verb_plan, verb_watch, verb_data;
extern const struct verb verb_ls, verb_show, verb_log, verb_label, verb_note, verb_rm;
extern const struct verb verb_table, verb_plot, verb_report, verb_power, verb_diff,
    verb_export, verb_import, verb_score;
extern const struct verb verb_generate;
extern const struct verb verb_verify, verb_fsck, verb_gc;
extern const struct verb verb_list, verb_schema, verb_manual, verb_doctor,
    verb_completion, verb_help, verb_version;
extern const struct verb verb_worker; /* has no group: help does not show it */

/* ---- help.c ---- */

/* A variable of the environment, or a file, that the program looks at: for help and
 * manual. */
struct topic {
    const char *name, *help;
};
extern const struct topic help_environment[]; /* ends with name NULL */
extern const struct topic help_files[];
extern const struct topic help_exit_codes[];

void help_program(struct strbuf *out);
void help_verb(struct strbuf *out, const struct verb *v);
/* Words of `text` in lines of at most `width` columns, each after `indent` blanks; the
 * first line begins at column `at`. A newline at the end. */
void help_wrap(struct strbuf *out, const char *text, int at, int indent, int width);

/* ---- plugin.c ---- */

/* Loads the shared objects that RETORT_PLUGIN names, with colons between, or these, which
 * are added to it for the workers to come. What was loaded is not loaded again. */
int plugins_load_given(struct err *err);
int plugins_load(const struct string_list *files, struct err *err);

/* ---- common.c ---- */

/* Prints the error; returns its exit code. */
int tell_error(const struct err *err);
/* Names and notes come from files: what would steer a terminal becomes '?', but for line
 * ends. */
void clean_text(struct strbuf *text);
/* Prints the text and gives it back; a buffer that failed is told. Returns the exit code.
 */
int print_text(struct strbuf *text);
/* Columns of the terminal on stdout (COLUMNS goes first); 0: it is none, lines may be
 * long. */
int screen_width(void);
/* May the descriptor be sent colours? A terminal, NO_COLOR not set, TERM not "dumb". */
bool screen_color(int fd);
/* Columns that a UTF-8 text takes, one for each code point. */
int text_width(const char *text);

#endif
