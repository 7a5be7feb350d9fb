/*
 * retort verify --resume SPEC: is a sweep that is killed and run again the same? It is
 * run whole in a folder of its own, then again and again with kills at random moments.
 */
#include "resume.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "retort/clock.h"
#include "retort/file.h"
#include "retort/rng.h"
#include "retort/store.h"

extern char **environ;

#define KILLS_MOST 3 /* of one sweep, before it may end */

struct trial {
    const struct resume_options *opt;
    char dir[256], whole[300], again[300];
    double seconds; /* of the whole sweep */
    struct rng rng;
};

static int start(const struct trial *t, const char *store, pid_t *pid, struct err *err)
{
    char program[] = "/proc/self/exe", checkpoints[] = "--checkpoint-seconds=0";
    char *where = mem_printf(err, "--store=%s", store);
    char *threads = mem_printf(err, "--threads=%lld", (long long)t->opt->threads);
    char *jobs = mem_printf(err, "--jobs=%lld", (long long)t->opt->jobs);
    char *spec = mem_strdup(t->opt->spec, err), name[] = "retort", verb[] = "run",
         quiet[] = "-q", end[] = "--";
    char *argv[10] = {name, verb, quiet, checkpoints, where};
    int n = 5;
    posix_spawnattr_t attr;
    int rc = -1;

    if (t->opt->threads)
        argv[n++] = threads;
    if (t->opt->jobs)
        argv[n++] = jobs;
    argv[n++] = end;
    argv[n] = spec;
    if (!where || !threads || !jobs || !spec || posix_spawnattr_init(&attr))
        goto done;
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP); /* its workers go with it */
    posix_spawnattr_setpgroup(&attr, 0);
    errno = posix_spawn(pid, program, NULL, &attr, argv, environ);
    rc = errno ? err_errno(err, "%s cannot be started", program) : 0;
    posix_spawnattr_destroy(&attr);
done:
    free(spec);
    free(jobs);
    free(threads);
    free(where);
    return rc;
}

/* Waits for it and for the workers that it left; its exit code, 128 + signal. */
static int finish(pid_t pid)
{
    int status, code = -1;
    pid_t one;

    while ((one = waitpid(-1, &status, 0)) > 0 || (one < 0 && errno == EINTR))
        if (one == pid)
            code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    return code;
}

/* What the run told by its exit code. */
static enum err_code code_of(int exit_code)
{
    return exit_code == 2   ? ERR_INPUT
           : exit_code == 3 ? ERR_MISSING
           : exit_code == 4 ? ERR_IO
                            : ERR_NEGATIVE;
}

static int run_to_end(const struct trial *t, const char *store, struct err *err)
{
    pid_t pid;

    if (start(t, store, &pid, err))
        return -1;
    int code = finish(pid);
    return code ? err_set(err, code_of(code), "%s: retort run ends with exit code %d",
                          t->opt->spec, code)
                : 0;
}

static int kill_on_the_way(struct trial *t, struct err *err)
{
    double s = t->seconds * rng_uniform(&t->rng);
    struct timespec pause = {(time_t)s, (long)(1e9 * (s - (double)(time_t)s))};
    pid_t pid;

    if (start(t, t->again, &pid, err))
        return -1;
    nanosleep(&pause, NULL);
    kill(-pid, SIGKILL);
    finish(pid);
    return 0;
}

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct run_info *)a)->id, ((const struct run_info *)b)->id);
}

static int results(struct run_info **out, int64_t *n, const char *dir, struct err *err)
{
    struct store *store = NULL;
    int rc = store_open(&store, dir, false, err) ? -1 : store_list(store, out, n, err);

    store_close(store);
    if (!rc)
        qsort(*out, (size_t)*n, sizeof **out, by_id);
    return rc;
}

static int compare(const struct trial *t, struct err *err)
{
    struct run_info *a = NULL, *b = NULL;
    int64_t n = 0, m = 0;
    int rc = results(&a, &n, t->whole, err) || results(&b, &m, t->again, err) ? -1 : 0;

    if (!rc && n != m)
        rc = err_set(err, ERR_NEGATIVE, "%lld runs, undisturbed %lld", (long long)m,
                     (long long)n);
    for (int64_t i = 0; !rc && i < n; i++)
        if (strcmp(a[i].id, b[i].id) != 0 || b[i].state != RUN_SEALED ||
            strcmp(a[i].digest, b[i].digest) != 0)
            rc = err_set(err, ERR_NEGATIVE,
                         "run %.10s (%s %s) came out differently: result digest %.10s, "
                         "undisturbed %.10s; see retort diff over %s and %s",
                         a[i].id, a[i].stage, a[i].variables, b[i].digest, a[i].digest,
                         t->whole, t->again);
    free(a);
    free(b);
    return rc;
}

static int one_trial(struct trial *t, int64_t *kills, struct err *err)
{
    int64_t n = 1 + (int64_t)rng_below(&t->rng, KILLS_MOST);

    if (file_remove(t->again, err))
        return -1;
    for (int64_t i = 0; i < n; i++, ++*kills)
        if (kill_on_the_way(t, err))
            return -1;
    return run_to_end(t, t->again, err) || compare(t, err) ? -1 : 0;
}

static int make_folder(struct trial *t, struct err *err)
{
    const char *tmp = getenv("TMPDIR");

    snprintf(t->dir, sizeof t->dir, "%.200s/retort-resume-XXXXXX",
             tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(t->dir))
        return err_errno(err, "%s", t->dir);
    snprintf(t->whole, sizeof t->whole, "%s/whole", t->dir);
    snprintf(t->again, sizeof t->again, "%s/again", t->dir);
    return 0;
}

int verify_resume(const struct resume_options *opt, struct err *err)
{
    struct trial t = {.opt = opt};
    struct err late = ERR_INIT;
    int64_t kills = 0;
    int rc = -1;

    t.rng = rng_stream((uint64_t)time(NULL) << 20 ^ (uint64_t)getpid(), "verify/resume");
    if (make_folder(&t, err))
        return -1;
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* workers whose launcher was killed are ours */
    double began = clock_seconds();
    if (run_to_end(&t, t.whole, err))
        goto done;
    t.seconds = clock_seconds() - began;
    for (int64_t i = 0; i < opt->times; i++)
        if (one_trial(&t, &kills, err)) {
            err_prefix(err, "after %lld kills", (long long)kills);
            goto done;
        }
    printf("%s: %lld times, with %lld kills at random moments: each time the results of "
           "the undisturbed sweep\n",
           opt->spec, (long long)opt->times, (long long)kills);
    rc = 0;
done:
    if (rc && err->code == ERR_NEGATIVE)
        fprintf(stderr, "Both stores are kept in %s\n", t.dir);
    else
        file_remove(t.dir, &late);
    return rc;
}
