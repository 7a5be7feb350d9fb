/* retort run SPEC: has the jobs of a plan done by workers, and tells how that went. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "retort/file.h"
#include "retort/ops.h"
#include "retort/pins.h"
#include "session.h"

static int collect_pins(struct strbuf *json, const struct session *s, const char *dir,
                        int threads, struct err *err)
{
    const struct pins_options opt = {dir, store_dir(s->store), kernels_level(), threads};

    /* Where all is cached nothing is recorded, and a large tree takes its time. */
    for (int64_t i = 0; i < s->plan->n; i++)
        if (s->plan->job[i].state != JOB_CACHED)
            return pins_collect(json, &opt, err);
    return 0;
}

/* ---- the end ---- */

/* As a shell reads it back. */
static void put_quoted(struct strbuf *out, const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789_-./=:,+@%";

    if (*text && strspn(text, plain) == strlen(text)) {
        strbuf_puts(out, text);
        return;
    }
    strbuf_putc(out, '\'');
    for (; *text; text++)
        if (*text == '\'')
            strbuf_puts(out, "'\\''");
        else
            strbuf_putc(out, *text);
    strbuf_putc(out, '\'');
}

/* The command that does what is left, as it was given. */
static void put_command(struct strbuf *out, const struct plan_args *a)
{
    put_quoted(out, program_invocation_name);
    strbuf_puts(out, " run ");
    if (a->spec[0] == '-')
        strbuf_puts(out, "-- ");
    put_quoted(out, a->spec);
    for (int64_t i = 0; i < a->set.n; i++) {
        strbuf_puts(out, " --set=");
        put_quoted(out, a->set.v[i]);
    }
    for (int64_t i = 0; i < a->common.plugins.n; i++) {
        strbuf_puts(out, " --plugin=");
        put_quoted(out, a->common.plugins.v[i]);
    }
    if (strcmp(a->common.store, "runs") != 0) {
        strbuf_puts(out, " --store=");
        put_quoted(out, a->common.store);
    }
    if (a->common.jobs > 1)
        strbuf_printf(out, " --jobs=%lld", (long long)a->common.jobs);
    if (a->common.threads)
        strbuf_printf(out, " --threads=%lld", (long long)a->common.threads);
    if (a->launch)
        strbuf_printf(out, " --launch=%s", launch_choices[a->launch]);
    if (a->rerun_on)
        strbuf_printf(out, " --rerun-on=%s", rerun_choices[a->rerun_on]);
    if (a->require_clean)
        strbuf_puts(out, " --require-clean");
    if (a->checkpoint_seconds < 60 || a->checkpoint_seconds > 60)
        strbuf_printf(out, " --checkpoint-seconds=%g", a->checkpoint_seconds);
    if (a->profile) {
        strbuf_puts(out, " --profile=");
        put_quoted(out, a->profile);
    }
}

static void put_duration(struct strbuf *out, double seconds)
{
    long whole = (long)(seconds + 0.5);

    if (seconds < 60)
        strbuf_printf(out, "%.1f s", seconds);
    else if (whole < 3600)
        strbuf_printf(out, "%ld min %ld s", whole / 60, whole % 60);
    else
        strbuf_printf(out, "%ld h %ld min", whole / 3600, whole / 60 % 60);
}

static void tell_end(const struct plan_args *a, const struct launch_result *r)
{
    struct strbuf sb = STRBUF_INIT;

    strbuf_printf(&sb, "%lld done, %lld failed, %lld cached", (long long)r->done,
                  (long long)r->failed, (long long)r->cached);
    if (r->left_out)
        strbuf_printf(&sb, ", %lld left out for what failed%s before them",
                      (long long)r->left_out, r->others ? " or is missing" : "");
    if (r->stopped)
        strbuf_printf(&sb, ", %lld to do", (long long)r->stopped);
    strbuf_puts(&sb, " in ");
    put_duration(&sb, r->seconds);
    strbuf_printf(&sb, ". Store: %s\n", a->common.store);
    if (r->failed || r->stopped) {
        strbuf_puts(&sb, r->failed ? "Again, what failed: " : "To go on: ");
        put_command(&sb, a);
        strbuf_putc(&sb, '\n');
    }
    if (!a->common.quiet || r->failed || r->stopped)
        fputs(strbuf_text(&sb), stderr);
    strbuf_release(&sb);
}

static int exit_code(const struct launch_result *r)
{
    if (r->signal)
        return 128 + r->signal;
    if (r->preempted && r->stopped)
        return 75;
    if (r->failed)
        return r->refused == r->failed ? 4 : 1;
    return r->left_out ? 1 : 0;
}

/* A task of Slurm that was told that its time is over is queued again, and ended for
 * that: one that ends before would count as done. */
static void queue_again(void)
{
    struct err err = ERR_INIT;

    if (slurm_requeue(&err))
        tell_error(&err);
    else
        sleep(60);
}

/* ---- the whole ---- */

static int launch(const struct plan_args *a, const struct session *s,
                  struct store_use *use, struct err *err)
{
    struct launch l = {.plan = s->plan,
                       .store = s->store,
                       .spec = a->spec,
                       .set = a->set.v,
                       .n_set = a->set.n,
                       .jobs = (int)a->common.jobs,
                       .threads = (int)a->common.threads,
                       .quiet = a->common.quiet,
                       .profile = a->profile,
                       .checkpoint_seconds = a->checkpoint_seconds,
                       .use = use};
    struct launch_result result;
    struct strbuf pins = STRBUF_INIT;
    char *dir = path_dir(a->spec, err);
    const char *revision = spec_revision(s->spec);
    bool *only = NULL;
    int rc = -1, workers, threads;

    launch_share(&l, &workers, &threads);
    if (!dir || (a->profile && file_mkdirs(a->profile, err)) ||
        ((revision || a->require_clean) &&
         pins_require(dir, store_dir(s->store), revision, a->require_clean, err)) ||
        collect_pins(&pins, s, dir, threads, err))
        goto done;
    l.pins = strbuf_text(&pins);
    if (a->launch == LAUNCH_SLURM) {
        rc = cluster_submit(a, &l, err);
        goto done;
    }
    if (a->part && part_read(&only, s->plan, a->part, err))
        goto done;
    l.only = only;
    rc = launch_run(&result, &l, err) ? err_exit_code(err) : exit_code(&result);
    if (err_is_set(err))
        tell_error(err);
    tell_end(a, &result);
    if (a->part && rc == 75)
        queue_again();
    if (a->profile && !a->common.quiet)
        fprintf(stderr,
                result.done ? "Profiles: %s\n"
                            : "No job was run, so nothing was measured for %s\n",
                a->profile);
done:
    free(only);
    free(dir);
    strbuf_release(&pins);
    return rc;
}

/* Nothing is to do: a store that may not be written to serves as well. */
static bool has_work(const struct plan *plan)
{
    for (int64_t i = 0; i < plan->n; i++)
        if (plan->job[i].state != JOB_CACHED)
            return true;
    return false;
}

/* From here on no garbage is collected; what the plan found there must be there still. */
static int begin_use(struct store_use **use, const struct session *s, struct err *err)
{
    struct run_info info;

    if (!has_work(s->plan))
        return 0;
    if (store_use_begin(use, s->store, err))
        return -1;
    for (int64_t i = 0; i < s->plan->n; i++) {
        const struct job *j = &s->plan->job[i];
        if (j->state != JOB_CACHED)
            continue;
        if (store_stat(s->store, j->id, &info, err))
            return -1;
        if (info.state != RUN_SEALED)
            return err_set(err, ERR_LOCKED,
                           "%s: run %.10s was removed just now; run again",
                           store_dir(s->store), j->id);
    }
    return 0;
}

static int run_run(const void *args)
{
    const struct plan_args *a = args;
    const struct session_options opt = session_options_of(a, true);
    struct session s;
    struct err err = ERR_INIT;
    int rc;

    if (session_open(&s, &opt, &err)) {
        rc = session_tell(&s, &err);
    } else {
        struct store_use *use = NULL;
        rc = begin_use(&use, &s, &err) ? -1 : launch(a, &s, use, &err);
        store_use_end(use);
        if (rc < 0)
            rc = tell_error(&err);
    }
    session_close(&s);
    return rc;
}

static const struct flag flags[] = {
    PLAN_FLAGS,
    {.name = "require-clean",
     .type = OPT_BOOL,
     .help = "refuse where the repository of the spec has changes that are not committed",
     .offset = offsetof(struct plan_args, require_clean)},
    {.name = "profile",
     .type = OPT_STRING,
     .value = "DIR",
     .help = "measure where the time of each job goes: DIR/<id>-<stage>.txt, a table of "
             "the operations, and .trace.json, which Perfetto opens",
     .offset = offsetof(struct plan_args, profile)},
    {.name = "launch",
     .type = OPT_ENUM,
     .choices = launch_choices,
     .help = "with \"slurm\", submit the jobs to a cluster and return: docs/cluster.md",
     .offset = offsetof(struct plan_args, launch)},
    {.name = "part",
     .type = OPT_STRING,
     .value = "FILE",
     .help = "only the jobs that FILE has for this task: what --launch slurm submits",
     .offset = offsetof(struct plan_args, part)},
    {.name = "checkpoint-seconds",
     .type = OPT_REAL,
     .value = "S",
     .def = "60",
     .min = 0,
     .max = 1e6,
     .help = "how long a job works between two checkpoints; 0: at every step",
     .offset = offsetof(struct plan_args, checkpoint_seconds)},
    FLAG_END,
};

const struct verb verb_run = {
    .name = "run",
    .group = "Experiments",
    .summary = "run what a spec asks for and is not there yet",
    .operands = plan_operands,
    .flags = flags,
    .common = COMMON_STORE | COMMON_JOBS | COMMON_THREADS | COMMON_QUIET | COMMON_PLUGIN,
    .about =
        "Jobs whose runs are in the store are not run again; one that was stopped goes "
        "on from its last checkpoint. Jobs are done by worker processes, --jobs at a "
        "time (1 unless given), which share the cores; one that fails or dies fails "
        "alone, and what does not need it goes on. A job that another process works on "
        "is waited for.\n\n"
        "The first Ctrl-C (or TERM) saves and stops, the second stops at once; USR1 "
        "saves "
        "and goes on. What was stopped goes on by the same command.",
    .size = sizeof(struct plan_args),
    .run = run_run,
};
