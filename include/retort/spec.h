/*
 * Specs and plans: from one JSON file to a graph of jobs.
 *
 *     spec_load: strict JSON, `extends`, `--set`, checked against the methods' tables;
 *                all errors at once
 *     spec -> points (sweep x seeds) -> jobs (equal stages merged) -> ids
 *
 * docs/spec.md describes the language.
 */
#ifndef RETORT_SPEC_H
#define RETORT_SPEC_H

#include "retort/hash.h"
#include "retort/json.h"
#include "retort/method.h"
#include "retort/store.h"

struct spec;

/* `sets`: "pruned.ratio=0.5" as given by --set (value: JSON, or else a string). All
 * errors go to diags. */
struct spec *spec_load(const char *path, const char *const *sets, int64_t n_sets,
                       struct diags *diags);
/* The same, with texts in place of the files of these paths: what another process has
 * read. */
struct spec_file {
    const char *path, *text;
};
struct spec *spec_load_given(const char *path, const struct spec_file *given,
                             int64_t n_given, const char *const *sets, int64_t n_sets,
                             struct diags *diags);
/* The files that a spec was read from, i from 0: its own, then what it extends. False
 * after the last. */
bool spec_file(const struct spec *spec, int64_t i, struct spec_file *out);
void spec_free(struct spec *spec);
const char *spec_name(const struct spec *spec);
const char *spec_path(const struct spec *spec);
const char *spec_text(const struct spec *spec); /* as read, before extends and --set */
const char *spec_revision(const struct spec *spec); /* demanded commit, or NULL */
/* A task of the spec's own "tasks", or a built-in one; NULL if there is none of this
 * name. */
const struct task *spec_task(const struct spec *spec, const char *name);
/* A JSON Schema (draft 2020-12) of the language, from the methods' tables:
 * for editors. */
void spec_schema(struct strbuf *out);

/* One assignment of the sweep's variables, with one seed. */
struct point {
    int64_t n_vars;
    const char **var;   /* "pruned.ratio", in the order of the sweep */
    const char **value; /* canonical JSON */
    const char *label;  /* of a list's item, or NULL */
    uint64_t seed;
};
/* What a job asks of a cluster's scheduler ("cluster" in the spec): decides no bit. */
struct cluster {
    int64_t cores, gpus; /* of a task */
    int64_t chunk;       /* jobs of a task; 0: by their expected time */
    int64_t warn;        /* seconds before its end that a task is told */
    const char *memory, *time, *partition, *account; /* as Slurm reads them, or NULL */
};
struct cluster spec_cluster(const struct spec *spec, const char *stage);

int64_t spec_point_count(const struct spec *spec);
const struct point *spec_point(const struct spec *spec, int64_t i);
int64_t spec_stage_count(const struct spec *spec);
const char *spec_stage_name(const struct spec *spec, int64_t i);

/* ---- the plan ---- */

enum job_state { JOB_CACHED, JOB_RESUME, JOB_RUN, JOB_RERUN, JOB_BLOCKED };

/* One input of a job, resolved. */
struct job_input {
    const char *name;           /* as in the method's inputs table */
    int64_t n;                  /* 1, or as many as `over` gives */
    const char **from_id;       /* (n) job that makes it; NULL: it is a path or a name */
    const char **path;          /* (n) folder, or NULL */
    const char **value;         /* (n) task name, or NULL */
    const char **digest;        /* (n) of the folder or the task's files, or NULL */
    const struct point **point; /* (n) the point that each stands for */
};

/* An option whose value a selecting job brings; the value of each of its candidates is
 * known before. */
struct job_choice {
    const struct option *option;
    const char *from_id; /* the job that selects */
    const char *from;    /* its stage, for people */
    int64_t n;
    const void **options; /* (n) each a struct of the method whose field is set */
    const char **text;    /* (n) the same as canonical JSON */
};

struct job {
    char id[65];
    const char *stage; /* name in the spec (the first that merged) */
    const struct method *method;
    const void *options; /* parsed struct; fields that are chosen are zero */
    struct job_choice *choice;
    int64_t n_choices;
    const char *resolved; /* canonical JSON whose SHA-256 is the id */
    const char
        *variables;     /* "pruned.ratio=0.3 seed=1": what tells it from its siblings */
    const char *record; /* canonical JSON */
    uint64_t seed;
    bool uses_seed;
    struct job_input *input;
    int64_t n_inputs;
    int64_t *needs; /* indices of jobs it waits for */
    int64_t n_needs;
    int64_t *point; /* points it serves */
    int64_t n_points;
    enum job_state state;
    const char
        *why; /* "sealed 2026-11-20", "pruned.ratio is 0.35, was 0.30 in 77d0e6f2b1" */
    int64_t step;   /* of the checkpoint that JOB_RESUME goes on from */
    double seconds; /* expected; NaN: unknown */
    int64_t bytes;  /* expected on disk; -1: unknown */
};

struct plan {
    struct spec *spec;
    struct job *job; /* every job after those it needs */
    int64_t n;
    int64_t
        *of; /* job of (point p, stage s): of[p * stages + s]; -1: an arm without it */
    struct arena *arena;
};

/* Sets the option that candidate `chosen` (from 0) brings. */
void job_choose(void *options, const struct job_choice *c, int64_t chosen);

struct plan_options {
    const char
        *data_dir; /* RETORT_DATA or the cache; tasks' files are looked up below it */
    const char *env_class;
    bool rerun;         /* ignore what is sealed */
    bool rerun_on_code; /* rerun what other code made, as far as can be told */
    bool download;      /* fetch models named "hf:.." that are not in the cache */
    bool progress;      /* and show how that goes */
};

/* Reads data and checkpoints to pin them by digest. Errors (a missing file) go to diags
 * with the place in the spec that named it. NULL then. */
struct plan *plan_new(struct spec *spec, struct store *store,
                      const struct plan_options *opt, struct diags *diags);
void plan_free(struct plan *plan);

/* Below which folder tasks' files are looked up: RETORT_DATA, or the data cache. Never
 * NULL. */
const char *task_data_dir(void);
/* The folder that a task's file names are relative to: the data folder, or the one of its
 * family below it (DIR/glue). NULL for generated tasks; ERR_MISSING with -1 if no file is
 * there. Free *out. */
int task_find_dir(char **out, const struct task *task, const char *data_dir,
                  struct err *err);

/* What a job's id holds of a split's files: their SHA-256. A task that is generated has
 * none. */
int task_digest(char hex[SHA256_HEX], const struct task *task, const char *split,
                struct err *err);

/* ---- "record": what runs keep beyond the default (docs/spec.md, retort/record.h) ----
 */

/* Canonical JSON, as a run keeps it:
 * {"attention":{"every":500,"examples":8},"weights":100}; {} is the default. */
void record_write(struct json_writer *w, const struct record_options *r);
const char *record_text(struct arena *arena,
                        const struct record_options *r); /* NULL: no memory */
/* From such a text; NULL is the default. */
int record_parse(struct record_options *out, const char *text, struct err *err);
bool record_is_default(const struct record_options *r);
/* Does a run recorded by `have` hold all that `want` asks for? */
bool record_covers(const struct record_options *have, const struct record_options *want);
/* The sparsest that covers both. */
struct record_options record_join(const struct record_options *a,
                                  const struct record_options *b);
/* What is left where a method gives `kinds` (enum record_kind) alone. */
struct record_options record_mask(const struct record_options *r, unsigned kinds);

/*
 * Bytes on disk that `r` adds to a run of these sizes: for the forecast of a plan. Comes
 * to within a few per cent where `tokens` is the mean length of the examples.
 */
struct record_facts {
    int64_t steps;                /* updates; 1 for a stage without steps */
    int64_t batch;                /* examples of a step; of the split, without steps */
    double tokens;                /* of one example, on average */
    int64_t layers, width, heads; /* of the model */
    int64_t parameters, tensors;  /* its elements, and in how many tensors they lie */
};
int64_t record_bytes(const struct record_options *r, const struct record_facts *facts);

#endif
