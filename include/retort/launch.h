/*
 * Running a plan: jobs as stages over the store, in worker processes.
 *
 * launch_run (in the process that a person started) hands jobs to workers, processes of
 * the same executable (`retort worker`) that have loaded the same plan. A worker that
 * dies takes its job with it and nothing else. How many workers there are, and how many
 * threads each has, decides no bit.
 */
#ifndef RETORT_LAUNCH_H
#define RETORT_LAUNCH_H

#include <stdatomic.h>

#include "retort/pool.h"
#include "retort/spec.h"
#include "retort/strbuf.h"

/* ---- one job ---- */

/* Who wants to know how a job goes. All may be NULL. */
struct watch {
    void *ctx;
    void (*progress)(void *ctx, const struct job *job, int64_t done, int64_t total,
                     const char *text);
    void (*note)(void *ctx, const struct job *job, const char *text);
    /* A checkpoint because of `save` or `stop`. */
    void (*saved)(void *ctx, const struct job *job, int64_t step);
    /* Asked to stop, in a stage that keeps no state: its run is closed, and nothing is
     * lost if the process ends here. If this returns, the stage works on. */
    void (*stopped)(void *ctx, const struct job *job);
};

struct job_run {
    struct plan *plan;
    struct store *store;
    struct pool *pool;
    const char *pins; /* JSON */
    const char *env_class;
    const struct watch *watch;
    const atomic_int *stop;    /* not 0: checkpoint and stop. NULL: never */
    const atomic_int *save;    /* when it changes: checkpoint and go on. NULL: never */
    double checkpoint_seconds; /* between checkpoints; 0: at every step */
    bool again;                /* also if the run is sealed */
    const char *profile;       /* folder of its profile; "" or NULL: none */
};

/*
 * Runs one job whose inputs are sealed, and seals its run; the lease is kept alive
 * meanwhile. 1 if the run turned out to be sealed already. -1 with err: ERR_STOPPED if it
 * was asked to stop (its state is saved), ERR_LOCKED if another process works on it,
 * another code if it failed (the reason is kept with the run).
 */
int job_execute(const struct job_run *r, const struct job *job, struct err *err);

/* ---- all jobs of a plan ---- */

struct launch {
    struct plan *plan;
    struct store *store;
    const char *pins; /* JSON */
    const char *spec; /* path of the spec, and what changes it: workers load it again,
                       * from the texts that the plan's spec holds */
    const char *const *set;
    int64_t n_set;
    int jobs;                  /* workers, at least 1 */
    int threads;               /* of each; 0: the cores, shared among the workers */
    bool quiet;                /* tell failures and notes alone */
    const char *profile;       /* folder for each job's profile, or NULL */
    const bool *only;          /* of each job: is it ours to run? NULL: all are */
    double checkpoint_seconds; /* between checkpoints; 0: at every step */
    struct store_use *use;     /* is kept alive meanwhile; NULL: none */
};

struct launch_result {
    int64_t done, failed, cached; /* cached: sealed before, by whomever */
    int64_t refused;  /* of those that failed: by the system (full disk, no memory) */
    int64_t left_out; /* not run, for what they need failed */
    int64_t stopped;  /* stopped or not begun, because of a signal */
    int64_t others;   /* not ours to run, and not sealed before */
    int signal;       /* that asked to stop, or 0 */
    bool preempted;   /* USR1 under Slurm: to be submitted again */
    double seconds;
};

/*
 * Runs what the plan's states ask for. Handles INT, TERM, HUP (checkpoint and stop; the
 * second time at once, by ending the process with 128 + signal) and USR1 (checkpoint and
 * go on) meanwhile. -1 with err if no worker can work; failed jobs are no failure of this
 * function.
 */
int launch_run(struct launch_result *out, const struct launch *l, struct err *err);

/* How many workers and threads launch_run will use for this plan. */
void launch_share(const struct launch *l, int *workers, int *threads);
/* Seconds it will take, from what the plan expects of its jobs; those of unknown length
 * count nothing. Needs plan, jobs and threads. */
double launch_forecast(const struct launch *l);

/* ---- on a cluster (slurm.c) ---- */

struct slurm_result {
    int64_t jobs, tasks, arrays; /* submitted */
    int64_t on_their_way;        /* jobs that an earlier submission still has */
    struct strbuf ids, dir;      /* "12 13": Slurm's numbers; where lists and logs are */
};

/*
 * Submits what the plan's states ask for to Slurm, as arrays that wait for each other;
 * what each task asks for is the spec's "cluster". `command` is `retort run ..` with
 * absolute paths; --part (and --threads) are added. All or nothing: arrays of a
 * submission that fails are cancelled. ERR_MISSING if there is no Slurm here.
 */
int slurm_submit(struct slurm_result *out, const struct launch *l,
                 const char *const *command, int64_t n_command, struct err *err);
void slurm_result_release(struct slurm_result *r);
/* The jobs of this task of an array (SLURM_ARRAY_TASK_ID), for struct launch; free(). */
int part_read(bool **only, const struct plan *plan, const char *path, struct err *err);
/* Has Slurm queue the task again that this process is; it will kill us for that. */
int slurm_requeue(struct err *err);

/* ---- a worker ---- */

struct worker_link; /* to the process that launched it */

/* What it was launched with; all belongs to the link. */
struct worker_order {
    const char *spec, *store, *pins, *digest;
    const char *profile;          /* a folder; "": none is made */
    const struct spec_file *file; /* as the launcher read them */
    int64_t n_files;
    const char *const *set;
    int64_t n_set;
    int threads;
    double checkpoint_seconds;
};

/* ERR_INPUT if this process was not started by launch_run. */
int worker_connect(struct worker_link **out, struct worker_order *order, struct err *err);
/* It cannot serve: tells why. */
void worker_refuse(struct worker_link *link, const struct err *err);
/* Runs jobs until the launcher has no more, or is gone. -1 if plan is not the launcher's.
 * `r` needs plan, store, pool, pins, env_class, checkpoint_seconds. */
int worker_serve(struct worker_link *link, struct job_run *r, struct err *err);
void worker_free(struct worker_link *link);

/* SHA-256 over all that makes two plans the same. */
int plan_digest(char out[65], const struct plan *plan, struct err *err);

#endif
