/*
 * The store: what jobs leave on disk.
 *
 *     <store>/ab/ab..64 hex../run.h5   sealed, read-only: the run
 *                            /journal.G  append-only records of generation G, while it
 *                                        works
 *                            /ckpt/      checkpoints, whole files
 *                            /lease      who works on it (host, pid, start time,
 *                                        generation, heartbeat)
 *     <store>/catalog        append-only lines with CRC: a cache of what is there
 *     <store>/objects.git    object database of the pins (runner/pins/git.c)
 *     <store>/labels         names and notes that people gave to runs
 *
 * No HDF5 file is ever open for writing across a step: the truth of a working run is its
 * journal; at the end a fresh run.h5 is written aside, checked, renamed, made read-only.
 * HDF5 itself is seen by runner/store/h5.c alone.
 */
#ifndef RETORT_STORE_H
#define RETORT_STORE_H

#include "retort/stage.h"

struct store;

int store_open(struct store **out, const char *dir, bool create, struct err *err);
void store_close(struct store *store);
const char *store_dir(const struct store *store);

enum run_state {
    RUN_ABSENT,
    RUN_PARTIAL, /* journal or checkpoints, nobody works on it */
    RUN_ACTIVE,  /* a live lease */
    RUN_SEALED,
    RUN_DAMAGED, /* run.h5 is there and cannot be read; the reason is in its err */
};

/* What is known without reading the whole: from the catalog, or from the run. */
struct run_info {
    char id[65];
    enum run_state state;
    char name[96], stage[96], method[96], label[96];
    uint64_t seed;
    bool has_seed;
    char variables[512]; /* "pruned.ratio=0.3 seed=1" */
    char env_class[65];
    double started, ended; /* Unix seconds */
    double seconds;        /* work, over all generations */
    int64_t bytes;
    int64_t step;      /* of the last checkpoint, when partial */
    char digest[65];   /* result digest, when sealed */
    char failure[512]; /* why the last try ended, "" if it did not fail */
    char holder[160];  /* who works on it, when active */
};

/* State of one run by its full id. Cheap. */
int store_stat(struct store *store, const char *id, struct run_info *out,
               struct err *err);
/* Full id from a unique prefix (>= 4 digits) or a label; ERR_MISSING, or ERR_INPUT if
 * ambiguous. */
int store_resolve(struct store *store, const char *name, char id[65], struct err *err);
/* All runs, by start. One damaged run is an entry of state RUN_DAMAGED, never a failure.
 * Free with free(). */
int store_list(struct store *store, struct run_info **out, int64_t *n, struct err *err);
/* After store_list or store_stat: full ids of the runs that tensors of a sealed one lie
 * in, each followed by a comma. NULL: the catalog does not know; open the run. Free with
 * free(). */
char *store_origins(struct store *store, const char *id, struct err *err);
int store_label(struct store *store, const char *id, const char *label, struct err *err);
int store_note(struct store *store, const char *id, const char *text, struct err *err);
int store_notes(struct store *store, const char *id, char **out, struct err *err);
int store_remove(struct store *store, const char *id,
                 struct err *err); /* ERR_LOCKED if active */
int store_rebuild_catalog(struct store *store, struct err *err);

/* ---- writing ---- */

struct run_writer;

/* What is written at the root of a run. JSON texts. */
struct run_head {
    const char *id, *name, *stage, *method, *variables;
    uint64_t seed;
    bool has_seed;
    const char *spec;     /* the spec's text as given */
    const char *resolved; /* canonical JSON that the id is the hash of */
    const char *pins;     /* JSON: git, data, host, libraries */
    const char *env_class;
    const char *record; /* canonical JSON of what is recorded beyond the default */
    bool unless_sealed; /* begin nothing if the run is sealed by now */
};

/*
 * Takes the lease (ERR_LOCKED with who holds it), opens a new generation's journal, and
 * finds the newest checkpoint that is whole and of the same env_class (others are set
 * aside with a note in the log). Records after that checkpoint are dropped at the
 * sealing. Returns 0; 1 with *out NULL if head->unless_sealed and the run is sealed; -1.
 */
int run_begin(struct run_writer **out, struct store *store, const struct run_head *head,
              struct err *err);
struct recorder run_recorder(struct run_writer *w); /* writes to the journal */
int64_t run_generation(const struct run_writer *w);

/* Checkpoint: named regions, and how far the journal counts. The old one is kept until
 * the new one is safe. */
struct region {
    const char *name;
    void *data;
    int64_t bytes;
};
int run_checkpoint(struct run_writer *w, int64_t step, const struct region *r, int64_t n,
                   struct err *err);
/* Fills regions from the checkpoint; *step as saved. Returns 1 if there was one, 0 if
 * none, -1. A checkpoint whose names or sizes differ is refused, the one before it used.
 */
int run_restore(struct run_writer *w, int64_t *step, const struct region *r, int64_t n,
                struct err *err);
int run_heartbeat(struct run_writer *w, struct err *err);
/* A warning about this run: one of the strings at /notes, at most NOTES_MAX of them. As a
 * result's environment it is in no digest, and it lasts as records do. */
#define NOTES_MAX 100
int run_remark(struct run_writer *w, const char *text, struct err *err);
/* What a person should see: checkpoints set aside, and why; a line each, "" if none.
 * Owned by w. */
const char *run_notes(const struct run_writer *w);

/* Writes run.h5 from the journals, checks it, makes it read-only, removes journals and
 * checkpoints, tells the catalog. */
int run_seal(struct run_writer *w, struct err *err);
/* Gives the lease back; an unsealed run keeps journal and checkpoints. `why`: a failure,
 * or NULL. */
void run_end(struct run_writer *w, const char *why);
/* Writes why a run ended whose process died without a word; the caller knows that it is
 * dead. No run, or a sealed one: nothing to do. */
int run_died(struct store *store, const char *id, const char *why, struct err *err);

/* ---- sweeps and garbage ---- */

struct store_use;
/* A sweep works in this store until store_use_end; ERR_LOCKED while garbage is
 * collected. */
int store_use_begin(struct store_use **out, struct store *store, struct err *err);
/* Garbage is collected until store_use_end; ERR_LOCKED, with who, while a sweep works. */
int store_collect_begin(struct store_use **out, struct store *store, struct err *err);
void store_use_beat(struct store_use *u); /* every 15 seconds or so; NULL is fine */
void store_use_end(struct store_use *u);

/* ---- checking and mending ---- */

enum finding_kind {
    FOUND_NOTE,     /* nothing is wrong: worked on just now, so not looked at */
    FOUND_LEFTOVER, /* what a process that died did not clear away: harmless */
    FOUND_DAMAGE,   /* bytes that are not as they were written, or things that disagree */
};
struct check_finding {
    enum finding_kind kind;
    const char *id;   /* of the run; "": the store's own files */
    const char *path; /* the file */
    const char *text; /* what is wrong with it */
    bool mended;
    const char *deed; /* what was done about it, or what a person can do; "": nothing */
};
struct check_options {
    bool mend;
    void (*tell)(void *ctx, const struct check_finding *f); /* may be NULL */
    void *ctx;
};
struct check_counts {
    int64_t sealed, partial;            /* runs that were looked at */
    int64_t skipped;                    /* worked on just now */
    int64_t bytes;                      /* read of runs and snapshots */
    int64_t leftovers, damages, mended; /* mended: of both */
};

/*
 * Looks at one run, or with `id` NULL at all and at catalog, labels and pins: seals,
 * digests, snapshots, references, ids; journals and checkpoints byte by byte, and against
 * a sealed run beside them; the catalog against the runs.
 *
 * With `mend`: what is wrong is put right, by copies that are judged before they take the
 * old one's place. A file with one wrong byte is made whole by its checksum; of what is
 * worse, checkpoints are set aside, a run is left for `retort run` to make again. Runs
 * that somebody works on are left alone. -1 only if nothing could be looked at.
 */
int store_check(struct check_counts *out, struct store *store, const char *id,
                const struct check_options *opt, struct err *err);

/* ---- reading ---- */

struct run;

/* A sealed run, or with `partial` a working one (from its journals). */
int run_open(struct run **out, struct store *store, const char *id, bool partial,
             struct err *err);
void run_close(struct run *run);
const struct run_info *run_info(const struct run *run);
/* /spec, /resolved, /pins, ... as recorded. NULL if absent. */
const char *run_head_text(const struct run *run, const char *name);
/* Reads as a stage does; references lead to other runs of the store. Valid as long as the
 * run. */
struct artifact *run_artifact(struct run *run);

struct series {
    const char *name; /* "train/loss" */
    int64_t n;
    const int64_t *step;
    const double *value;
    enum record_class cls;
};
int64_t run_series_count(const struct run *run);
int run_series(struct run *run, int64_t i, struct series *out, struct err *err);
int run_series_find(struct run *run, const char *name, struct series *out,
                    struct err *err);

struct run_item {
    const char *path;
    enum record_class cls;
    enum dtype dtype;
    struct shape shape;
    bool is_text;
    const char *origin; /* of a reference, else NULL */
    int64_t bytes;      /* on disk */
};
int64_t run_item_count(const struct run *run);
const struct run_item *run_item(const struct run *run, int64_t i);
const struct run_item *run_item_find(const struct run *run,
                                     const char *path); /* or NULL */

/* Are all snapshots ("record") there, by name and size? -1 with the first that is not. */
int run_check_parts(struct run *run, struct err *err);
/* Does each reference lead to something? -1 with the first that does not. */
int run_check_references(struct run *run, struct err *err);
/* Makes the items of all snapshots visible to run_item:
 * "/steps/<step>/weights/<parameter>" ... Without it, they are opened one by one as the
 * artifact is asked for them. */
int run_load_steps(struct run *run, struct err *err);
/* Steps that snapshots were taken at, in order; valid as long as the run. */
int run_steps(struct run *run, const int64_t **steps, int64_t *n, struct err *err);

/* One HDF5 file that stands alone: each run at /runs/<id> as docs/store.md has it, but
 * for what is large: models' weights and masks, features, vocabularies, snapshots. Each
 * run once. */
int runs_bundle(const char *path, struct run *const *runs, int64_t n, struct err *err);

/* Recomputes the result digest of a sealed run from its contents. */
int run_digest(struct run *run, char out[65], struct err *err);

#endif
