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

enum { SETS_MAX = 256 };

struct args {
    const char *spec, *store;
    const char *set[SETS_MAX];
    int64_t n_set;
    int threads;
    bool quiet;
};

static volatile sig_atomic_t stop_signal;

/* The first asks for a checkpoint and a stop, the second stops at once. */
static void on_signal(int sig)
{
    if (stop_signal)
        _exit(128 + sig);
    stop_signal = sig;
}

static int usage(const char *verb, FILE *to)
{
    fprintf(to,
            "usage: retort %s [options] SPEC\n\n"
            "  --set STAGE.OPTION=VALUE   change the spec; on a swept variable it leaves "
            "the sweep\n"
            "  --store DIR                where runs are kept (RETORT_STORE, ./runs)\n"
            "  --threads N                threads of a job (all cores)\n"
            "  -q, --quiet                no progress\n"
            "  --help                     this text\n",
            verb);
    return to == stderr ? 2 : 0;
}

/* The value of "--name VALUE" or "--name=VALUE" at *i, or NULL if argv[*i] is another
 * option. */
static const char *value_of(const char *name, int argc, char **argv, int *i)
{
    size_t n = strlen(name);

    if (strncmp(argv[*i], name, n) != 0)
        return NULL;
    if (argv[*i][n] == '=')
        return argv[*i] + n + 1;
    return argv[*i][n] == '\0' && *i + 1 < argc ? argv[++*i] : NULL;
}

/* -1 to go on, else the exit code. */
static int parse(struct args *a, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *v;
        char *end = NULL;
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
            return usage(argv[0], stdout);
        if (!strcmp(argv[i], "--quiet") || !strcmp(argv[i], "-q")) {
            a->quiet = true;
        } else if ((v = value_of("--set", argc, argv, &i)) && a->n_set < SETS_MAX) {
            a->set[a->n_set++] = v;
        } else if ((v = value_of("--store", argc, argv, &i))) {
            a->store = v;
        } else if ((v = value_of("--threads", argc, argv, &i))) {
            long n = strtol(v, &end, 10);
            if (n < 1 || n > 1024 || *end) {
                fprintf(stderr, "retort: --threads \"%s\" is no number from 1 to 1024\n",
                        v);
                return 2;
            }
            a->threads = (int)n;
        } else if (argv[i][0] == '-' || a->spec) {
            fprintf(stderr, "retort: unexpected \"%s\"\n", argv[i]);
            return usage(argv[0], stderr);
        } else {
            a->spec = argv[i];
        }
    }
    if (!a->spec)
        return usage(argv[0], stderr);
    a->store = store_place(a->store);
    return -1;
}

struct session {
    struct args args;
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
        return 2;
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
        store_open(&s->store, s->args.store, true, &err))
        return tell(NULL, &err);
    s->spec = spec_load(s->args.spec, s->args.set, s->args.n_set, s->diags);
    if (s->spec)
        s->plan = plan_new(s->spec, s->store, &opt, s->diags);
    if (!s->plan)
        return tell(s->diags, &err);
    s->pool = pool_new(s->args.threads, &err);
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

/* ---- plan
 * ------------------------------------------------------------------------------------------
 */

static const char *state_word(enum job_state state)
{
    static const char *const word[] = {"cached", "resume", "run", "rerun", "blocked"};
    return word[state];
}

int verb_plan(int argc, char **argv)
{
    struct session s = {.args = {.spec = NULL}};
    int64_t count[5] = {0};
    int rc = parse(&s.args, argc, argv);

    if (rc >= 0)
        return rc;
    rc = open_session(&s);
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

/* ---- run
 * ----------------------------------------------------------------------------------------
 */

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
    struct screen sc = {.bar = isatty(2) && !s->args.quiet, .total = s->plan->n};
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
        report_job(&sc, j, clock_seconds() - from, &err, s->args.quiet);
    }
    free(good);
    fprintf(stderr, "%s%lld done, %lld failed, %lld cached", sc.bar ? "\r\033[K" : "",
            (long long)done, (long long)failed, (long long)cached);
    if (left_out)
        fprintf(stderr, ", %lld left out for what failed before them",
                (long long)left_out);
    fprintf(stderr, " in %.1f s. Store: %s\n", clock_seconds() - began, s->args.store);
    if (failed)
        fprintf(stderr, "Again, what failed: retort run %s\n", s->args.spec);
    return stop_signal ? 128 + (int)stop_signal : failed ? 1 : 0;
}

static int collect_pins(struct strbuf *json, const struct session *s, const char *dir,
                        struct err *err)
{
    struct pins_options opt = {dir, store_dir(s->store), kernels_level(),
                               pool_threads(s->pool)};

    return pins_collect(json, &opt, err);
}

int verb_run(int argc, char **argv)
{
    struct session s = {.args = {.spec = NULL}};
    struct strbuf pins = STRBUF_INIT;
    struct err err = ERR_INIT;
    int rc = parse(&s.args, argc, argv);

    if (rc >= 0)
        return rc;
    rc = open_session(&s);
    if (!rc) {
        struct sigaction act = {.sa_handler = on_signal};
        sigaction(SIGINT, &act, NULL);
        sigaction(SIGTERM, &act, NULL);
        char *dir = path_dir(s.args.spec, &err);
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
