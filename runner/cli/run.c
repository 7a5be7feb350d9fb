/*
 * retort run SPEC, retort plan SPEC.
 *
 * `run` goes through the plan's jobs in order; a failing job fails alone, those that need
 * it are left out, the rest goes on.
 */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "retort/clock.h"
#include "retort/file.h"
#include "retort/launch.h"
#include "retort/pins.h"
#include "verbs.h"

struct args {
    struct common common;
    const char *spec;
    struct string_list set;
};

static volatile sig_atomic_t stop_signal;

/* The first asks for a checkpoint and a stop, the second stops at once. */
static void on_signal(int sig)
{
    if (stop_signal)
        _exit(128 + sig);
    stop_signal = sig;
}

struct session {
    const struct args *args;
    struct spec *spec;
    struct store *store;
    struct plan *plan;
    struct pool *pool;
    char env_class[65];
    struct diags *diags;
};

static int tell(const struct diags *diags, const struct err *err)
{
    if (diags && diags_count(diags)) {
        struct strbuf sb = STRBUF_INIT;
        diags_print(diags, &sb);
        fputs(strbuf_text(&sb), stderr);
        fprintf(stderr, "%lld error%s, nothing was run.\n", (long long)diags_count(diags),
                diags_count(diags) == 1 ? "" : "s");
        strbuf_release(&sb);
        return err_exit_code(&(struct err){.code = diags_code(diags)});
    }
    return tell_error(err);
}

/* 0, or the exit code. */
static int open_session(struct session *s)
{
    struct err err = ERR_INIT;
    struct plan_options opt = {.env_class = s->env_class};

    s->diags = diags_new(&err);
    if (!s->diags || env_class(s->env_class, &err) ||
        store_open(&s->store, s->args->common.store, true, &err))
        return tell(NULL, &err);
    s->spec = spec_load(s->args->spec, s->args->set.v, s->args->set.n, s->diags);
    if (s->spec)
        s->plan = plan_new(s->spec, s->store, &opt, s->diags);
    if (!s->plan)
        return tell(s->diags, &err);
    s->pool = pool_new((int)s->args->common.threads, &err);
    return s->pool ? 0 : tell(NULL, &err);
}

static void close_session(struct session *s)
{
    pool_free(s->pool);
    plan_free(s->plan);
    spec_free(s->spec);
    store_close(s->store);
    diags_free(s->diags);
}

/* ---- plan ---- */

static const char *state_word(enum job_state state)
{
    static const char *const word[] = {"cached", "resume", "run", "rerun", "blocked"};
    return word[state];
}

static int run_plan(const void *args)
{
    struct session s = {.args = args};
    int64_t count[5] = {0};
    int rc = open_session(&s);

    if (!rc) {
        printf("%-10s  %-12s  %-8s  %-28s  %s\n", "job", "stage", "what", "variables",
               "why");
        for (int64_t i = 0; i < s.plan->n; i++) {
            const struct job *j = &s.plan->job[i];
            count[j->state]++;
            printf("%.10s  %-12s  %-8s  %-28s  %s\n", j->id, j->stage,
                   state_word(j->state), j->variables ? j->variables : "",
                   j->why ? j->why : "");
        }
        printf("%lld jobs: %lld cached, %lld resume, %lld run\n", (long long)s.plan->n,
               (long long)count[JOB_CACHED], (long long)count[JOB_RESUME],
               (long long)(count[JOB_RUN] + count[JOB_RERUN]));
    }
    close_session(&s);
    return rc;
}

/* ---- run ---- */

struct screen {
    bool bar;
    double last;
    int64_t number, total;
};

static void on_progress(void *ctx, const struct job *job, int64_t done, int64_t total,
                        const char *text)
{
    enum { WIDTH = 24 };
    struct screen *sc = ctx;
    char bar[3 * WIDTH + 1];
    int64_t full = total > 0 ? WIDTH * done / total : 0;
    size_t at = 0;

    if (!sc->bar || clock_seconds() - sc->last < 0.1)
        return;
    sc->last = clock_seconds();
    for (int64_t i = 0; i < WIDTH; i++, at += 3)
        memcpy(bar + at, i < full ? "█" : "░", 3);
    bar[at] = '\0';
    fprintf(stderr, "\r\033[K[%lld/%lld] %-10s %s  %s  %s", (long long)sc->number,
            (long long)sc->total, job->stage, bar, job->variables ? job->variables : "",
            text);
}

static void on_note(void *ctx, const struct job *job, const char *text)
{
    struct screen *sc = ctx;

    fprintf(stderr, "%s%.10s %s: %s\n", sc->bar ? "\r\033[K" : "", job->id, job->stage,
            text);
}

static bool inputs_ready(const struct plan *plan, const struct job *j, const bool *good)
{
    (void)plan;
    for (int64_t i = 0; i < j->n_needs; i++)
        if (!good[j->needs[i]])
            return false;
    return true;
}

static void report_job(const struct screen *sc, const struct job *j, double seconds,
                       const struct err *err, bool quiet)
{
    const char *clear = sc->bar ? "\r\033[K" : "";

    if (err_is_set(err))
        fprintf(stderr, "%s[%lld/%lld] %.10s %s %s: failed: %s\n", clear,
                (long long)sc->number, (long long)sc->total, j->id, j->stage,
                j->variables ? j->variables : "", err->text);
    else if (!quiet && !sc->bar)
        fprintf(stderr, "[%lld/%lld] %.10s %s %s: done in %.1f s\n",
                (long long)sc->number, (long long)sc->total, j->id, j->stage,
                j->variables ? j->variables : "", seconds);
}

/* Jobs in the plan's order. Returns the exit code. */
static int run_jobs(struct session *s, const char *pins)
{
    struct screen sc = {.bar = isatty(2) && !s->args->common.quiet, .total = s->plan->n};
    struct watch watch = {&sc, on_progress, on_note};
    struct job_run r = {s->plan,      s->store, s->pool,      pins,
                        s->env_class, &watch,   &stop_signal, 60};
    struct err err = ERR_INIT;
    bool *good = mem_new(s->plan->n, sizeof *good, &err);
    int64_t done = 0, failed = 0, cached = 0, left_out = 0;
    double began = clock_seconds();

    if (!good)
        return tell(NULL, &err);
    for (int64_t i = 0; i < s->plan->n && !stop_signal; i++) {
        const struct job *j = &s->plan->job[i];
        double from = clock_seconds();
        sc.number = i + 1;
        if (j->state == JOB_CACHED) {
            good[i] = true;
            cached++;
            continue;
        }
        if (!inputs_ready(s->plan, j, good)) {
            left_out++;
            continue;
        }
        err_clear(&err);
        good[i] = job_execute(&r, j, &err) == 0;
        done += good[i];
        failed += !good[i] && err.code != ERR_STOPPED;
        report_job(&sc, j, clock_seconds() - from, &err, s->args->common.quiet);
    }
    free(good);
    fprintf(stderr, "%s%lld done, %lld failed, %lld cached", sc.bar ? "\r\033[K" : "",
            (long long)done, (long long)failed, (long long)cached);
    if (left_out)
        fprintf(stderr, ", %lld left out for what failed before them",
                (long long)left_out);
    fprintf(stderr, " in %.1f s. Store: %s\n", clock_seconds() - began,
            s->args->common.store);
    if (failed)
        fprintf(stderr, "Again, what failed: retort run %s\n", s->args->spec);
    return stop_signal ? 128 + (int)stop_signal : failed ? 1 : 0;
}

static int collect_pins(struct strbuf *json, const struct session *s, const char *dir,
                        struct err *err)
{
    struct pins_options opt = {dir, store_dir(s->store), kernels_level(),
                               pool_threads(s->pool)};

    return pins_collect(json, &opt, err);
}

static int run_run(const void *args)
{
    struct session s = {.args = args};
    struct strbuf pins = STRBUF_INIT;
    struct err err = ERR_INIT;
    int rc = open_session(&s);

    if (!rc) {
        struct sigaction act = {.sa_handler = on_signal};
        sigaction(SIGINT, &act, NULL);
        sigaction(SIGTERM, &act, NULL);
        char *dir = path_dir(s.args->spec, &err);
        if (!dir || collect_pins(&pins, &s, dir, &err))
            rc = tell(NULL, &err);
        else
            rc = run_jobs(&s, strbuf_text(&pins));
        free(dir);
    }
    strbuf_release(&pins);
    close_session(&s);
    return rc;
}

/* ---- the rows ---- */

static const struct operand operands[] = {
    {.name = "SPEC",
     .help = "the experiment, a JSON file (docs/spec.md)",
     .offset = offsetof(struct args, spec)},
    OPERAND_END,
};

static const struct flag flags[] = {
    {.name = "set",
     .type = OPT_STRINGS,
     .value = "STAGE.OPTION=VALUE",
     .help = "change the spec (may be given again); a swept variable leaves the sweep",
     .offset = offsetof(struct args, set)},
    FLAG_END,
};

const struct verb verb_run = {
    .name = "run",
    .group = "Experiments",
    .summary = "run what a spec asks for and is not there yet",
    .operands = operands,
    .flags = flags,
    .common = COMMON_STORE | COMMON_THREADS | COMMON_QUIET,
    .about =
        "Jobs whose runs are in the store are not run again; one that was stopped goes "
        "on "
        "from its last checkpoint. A job that fails fails alone: what does not need it "
        "goes on. The first Ctrl-C saves and stops, the second stops at once.",
    .size = sizeof(struct args),
    .run = run_run,
};

const struct verb verb_plan = {
    .name = "plan",
    .group = "Experiments",
    .summary = "what a run would do, and why",
    .operands = operands,
    .flags = flags,
    .common = COMMON_STORE | COMMON_THREADS | COMMON_QUIET,
    .size = sizeof(struct args),
    .run = run_plan,
};
