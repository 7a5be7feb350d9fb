/*
 * Questions about the runs of a store: which of them, in which order.
 *
 * A test is KEY OP VALUE in one word, "stage=result", "pruned.ratio<=0.5",
 * "accuracy>0.8". OP is one of = != < <= > >=; both sides are compared as numbers where
 * they are numbers, else as texts, and the value of = and != may hold * and ?. A key is,
 * in this order,
 *
 *     a field      id, state, spec, stage, method, label, seed, seconds, started,
 *                  ended, bytes, step, digest, failure (a label is the run's own,
 *                  else that of its point)
 *     a variable   of the sweep: "pruned.ratio"
 *     a metric     "eval/glue/mrpc/dev/f1", or the end of its name: "dev/f1", "f1";
 *                  its last value
 */
#ifndef RETORT_QUERY_H
#define RETORT_QUERY_H

#include "retort/json.h"
#include "retort/option.h"
#include "retort/store.h"
#include "retort/strbuf.h"

/* A run of the list; its file is read only when a metric is asked for. */
struct query_run {
    const struct run_info *info;
    struct store *store;
    struct run *run;
    bool tried;
};
void query_run_release(struct query_run *r);

struct value {
    bool there, is_number;
    double x;
    char text[512];
};
/* What the run has under the key; not there: out->there is false. */
void query_value(struct value *out, struct query_run *r, const char *key);

/* Does one of the names mean this metric: its name, the end of it, or a pattern (with *
 * and ?)? */
bool query_names_metric(const struct string_list *names, const char *metric);
/* Is the key neither a field nor a variable of any of these? */
bool query_is_metric(const char *key, const struct query_run *list, int64_t n);

struct test {
    char key[128];
    int op;
    const char *value; /* in the caller's text */
};
int query_parse(struct test *out, const char *text, struct err *err);
/* *known becomes true if the run has the key at all. */
bool query_holds(const struct test *t, struct query_run *r, bool *known);

/* Sorts by the key's value, numbers before texts, what is not there last; equal ones keep
 * their order. */
int query_sort(struct query_run *list, int64_t n, const char *key, bool reverse,
               struct err *err);

/* ERR_MISSING: no run has this key; with the nearest one there is. */
int query_unknown(const char *key, struct query_run *list, int64_t n, struct err *err);

/* The next "name=value" of run_info.variables; false at the end. Quotes of a JSON string
 * are taken off. `at` moves on. */
bool variable_next(const char **at, char name[128], char value[512]);

const char *run_state_word(enum run_state state);
/* Members "id", "state", "spec", "stage", "method", "label", "seed", "variables" ... of
 * an open object. */
void query_put_run(struct json_writer *w, const struct run_info *r);
/* An object of "pruned.ratio=0.3 seed=1". */
void query_put_variables(struct json_writer *w, const char *variables);
/* "2026-11-25T09:45:23Z"; "" for 0. */
void time_text(char out[32], double unix_seconds);
/* "0.4 s", "17.9 s", "2:05", "1:02:05" */
void seconds_text(char out[32], double seconds);
/* "436 kB" */
void bytes_text(char out[32], int64_t bytes);

/* The full id of what a person calls a run: the first digits of its id, its label, or
 * "latest", the one that was started last. */
int find_run(struct store *store, const char *name, char id[65], struct err *err);
#define RUN_HELP "a run: the first digits of its id (4 or more), its label, or \"latest\""

#endif
