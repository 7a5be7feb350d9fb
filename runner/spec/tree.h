/*
 * The tree of a spec while it is put together: values that know the file they came from.
 *
 * A parsed document cannot be changed, and a spec is several of them laid over each other
 * (extends, --set, the sweep). So values are copied into nodes of the spec's arena. Nodes
 * are never changed once the base is complete: setting a path copies the way down to it
 * and shares the rest, so the points of a sweep share all stages that they leave alone,
 * and with them their checks.
 */
#ifndef RETORT_SPEC_TREE_H
#define RETORT_SPEC_TREE_H

#include "retort/spec.h"
#include "retort/task.h"

#define SPEC_POINTS_MAX 200000
#define SPEC_STAGES_MAX 1000
#define SPEC_ERRORS_MAX 10000 /* 100 of them are shown, the others counted */

/* Where values come from: a file, or one --set. */
struct source {
    struct json_doc *doc;
    const char *name; /* path as given, or "--set a.b=c" */
    const char *dir;  /* folder that its paths are relative to */
    const char *text; /* of a file, else NULL */
    bool is_set;
};

struct stage_decl;

struct node {
    enum json_kind kind;
    const char *key; /* in an object, else NULL */
    const char *text;
    double number;
    bool flag, is_int;
    struct node *first, *next;
    const struct json *src; /* its place; NULL: made by a rule (range, log, random) */
    const struct source *source;
    const struct node *var;  /* the key in the sweep that set it, or NULL */
    struct stage_decl *decl; /* of a stage: what was read from it */
};

/* Names to numbers. */
struct map {
    struct map_slot *slot;
    int64_t n, size;
};
/* The number of `key`; if it is not there: -1, or with `add` >= 0 it is put in and
 * returned. The key is not copied. -2: no memory. */
int64_t map_at(struct map *map, const char *key, int64_t add);
void map_release(struct map *map);

/* One `from`, path or task name of an input. */
struct ref {
    const struct node *node;
    const char *stage; /* name, or NULL */
    unsigned output;   /* kinds that "output" allows */
    const char *path;  /* relative to the source's folder, or NULL */
    const struct task *task;
};

struct input_decl {
    const struct input *input;
    const struct node *node;
    struct ref *ref;
    int64_t n;
};

/* An option whose value a selection among runs brings: {"from": "best", "value":
 * "tuned.lr"}. */
struct choice {
    const struct option *option;
    const struct node *node;
    const char *from;         /* the stage that selects */
    const char *stage, *name; /* whose option's value, at the point that is chosen */
};

/* A stage, read and checked on its own. Shared by all points that have the same text. */
struct stage_decl {
    bool read;
    const struct method *method; /* NULL: unknown, already reported */
    const struct node *node;
    void *options;             /* those that are chosen: zero */
    const char *options_json;  /* after defaults, in the order of the table */
    const struct node **value; /* after defaults, by the rows of the table */
    bool *left_out;            /* of the identity: later additions at their defaults */
    struct choice *choice;
    int64_t n_choices;
    struct input_decl *input;
    int64_t n_inputs;
    const char **over;
    int64_t n_over;
    const char *over_key; /* one text for equal lists */
    bool own_seed;
    uint64_t seed;
    bool own_record;
    struct record_options record;
    bool bad; /* has errors */
};

struct assign {
    const char *var;
    const struct node *value;
    bool labelled; /* set by an item with a label */
};

struct combo {
    struct assign *v;
    int64_t n;
    const char *label;
};

struct spec {
    struct arena *arena;
    struct diags *diags; /* while loading */
    struct err err;      /* no memory */
    char *path, *name, *dir;
    const char *text, *revision;
    const struct spec_file *given; /* while loading */
    int64_t n_given;
    struct record_options record;
    struct source **source;
    int64_t n_sources, cap_sources;
    struct node *root; /* merged, with --set */
    struct node **set_value;
    const char **set_path;
    int64_t n_sets;
    struct combo *combo;
    int64_t n_combos;
    const char **var;         /* all variables of the sweep, NULL-terminated */
    const struct node **tree; /* stages object of each combo */
    uint64_t *seeds;
    int64_t n_seeds;
    struct point *points;
    int64_t n_points; /* combos x seeds, seeds fastest */
    const char **stage;
    int64_t n_stages;
    struct cluster *cluster;  /* of each stage */
    const struct task **task; /* declared, NULL-terminated */
    const char **task_text;   /* what of each declaration decides the numbers */
    int64_t n_tasks;
    struct map reported; /* errors that were told */
};

/* Values. All return NULL when memory is short (sticks to the arena). */
struct node *node_from_json(struct spec *sp, const struct json *v,
                            const struct source *src);
struct node *node_number(struct spec *sp, double x, const struct node *place);
/* A copy that remembers the key of the sweep that sets it. */
struct node *node_mark(struct spec *sp, const struct node *v, const struct node *var);
const struct node *node_get(const struct node *object, const char *key);
/* The value at "a.b.c" below an object, or NULL. */
const struct node *node_path(const struct node *object, const char *path);
/* A new tree with `value` at the path (NULL or a JSON null: without it). Objects on the
 * way are made. */
struct node *node_set(struct spec *sp, const struct node *object, const char *path,
                      const struct node *value);
/* `over` laid over `base`: objects merge, null removes, everything else replaces. */
struct node *node_merge(struct spec *sp, const struct node *base,
                        const struct node *over);
bool node_equal(const struct node *a, const struct node *b);
int64_t node_count(const struct node *v);
void node_write(struct json_writer *w, const struct node *v);
/* RFC 8785 text, in the arena. */
const char *node_canonical(struct spec *sp, const struct node *v);
const char *text_canonical(struct arena *arena, const char *json, struct err *err);
/* For messages: short canonical text. */
const char *node_show(struct spec *sp, const struct node *v);

/* Errors at a value, or at its key. The same error at the same place is told once. */
void node_error(struct spec *sp, const struct node *v, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void node_key_error(struct spec *sp, const struct node *v, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* What failed for a value, with its cause for the exit code. */
void node_failure(struct spec *sp, const struct node *v, const struct err *err);
/* unknown key "x" for WHAT; did you mean "y"? */
void node_unknown_key(struct spec *sp, const struct node *v, const char *what,
                      const char *const *names);
/* "; did you mean "x"?" or "" */
const char *did_you_mean(struct spec *sp, const char *wrong, const char *const *names);

/* load.c: keeps a document as long as the spec; the new source is the last. Takes doc
 * over. */
int spec_keep(struct spec *sp, struct json_doc *doc, const char *name, const char *dir,
              bool is_set);
/* load.c: the keys of the top level, NULL-terminated. */
extern const char *const spec_keys[];
/* Is the name of n bytes one of them? */
bool is_among(const char *const *names, const char *name, size_t n);
/* sets.c: applies one "stage.option=value" to the tree. */
void spec_set(struct spec *sp, const char *set);
/* Names of an object of stages, NULL-terminated. */
const char **stage_names(struct spec *sp, const struct node *stages);
/* sweep.c: fills spec->combo and spec->tree. */
int sweep_expand(struct spec *sp);
/* stages.c: reads a stage. ties.c: checks how the stages of all points are tied. */
/* Does the option name a split of the task? (unit "split", or a name that ends so) */
bool option_is_split(const struct option *o);
struct stage_decl *stage_read(struct spec *sp, const struct node *node);
void stages_check(struct spec *sp);
/* "a model or scores" */
const char *kind_text(struct spec *sp, unsigned kinds);
/* options.c: all options of a stage; one value, into the method's struct; what the method
 * itself checks. Errors are told. */
bool options_read(struct spec *sp, struct stage_decl *st, const char *reading);
bool option_read(struct spec *sp, const struct method *m, const struct option *o,
                 const struct node *v, void *options);
bool options_check(struct spec *sp, const struct stage_decl *st, const void *options);
/* choices.c: an object in place of an option's value; and whether it fits the stages that
 * it names. */
bool choice_read(struct spec *sp, struct stage_decl *st, const struct option *o,
                 const struct node *v);
void choices_check(struct spec *sp, const struct node *tree, const struct stage_decl *st);
/* tasks.c */
void tasks_read(struct spec *sp, const struct node *tasks);
const struct task *spec_find_task(const struct spec *sp, const char *name);
/* Canonical JSON of a declared task without its paths; NULL for a built-in one. */
const char *task_declared_text(const struct spec *sp, const struct task *task);
/* record.c: "record", checked; of the whole spec (method NULL), or of a stage. */
struct record_options record_read(struct spec *sp, const struct node *record,
                                  const struct method *method);
void record_schema(struct json_writer *w);
/* cluster.c: what each stage asks of a cluster; after the stages are known. `top`: with
 * what single stages ask. */
void cluster_read(struct spec *sp, const struct node *cluster);
void cluster_schema(struct json_writer *w, bool top);

#endif
