/* A small sweep in a folder of its own: see torture.h. */
#include "torture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "retort/clock.h"
#include "retort/file.h"

#define HANGS_SECONDS 120

static const char spec[] =
    "{\"retort\": 1, \"name\": \"torture\", \"seeds\": [1],\n"
    " \"stages\": {\n"
    "  \"start\": {\"do\": \"init\", \"task\": \"synth/agreement\"},\n"
    "  \"trained\": {\"do\": \"finetune\", \"model\": {\"from\": \"start\"}, \"task\": "
    "\"synth/agreement\", \"max_steps\": 4, \"batch\": 4, \"lr\": 0.001, \"max_len\": "
    "32, "
    "\"record\": {\"weights\": 2}},\n"
    "  \"heads\": {\"do\": \"analyze/heads\", \"model\": {\"from\": \"trained\"}, "
    "\"task\": "
    "\"synth/agreement\", \"split\": \"train[0:8]\", \"max_len\": 32},\n"
    "  \"pruned\": {\"do\": \"prune/heads\", \"model\": {\"from\": \"trained\"}, "
    "\"scores\": "
    "{\"from\": \"heads\"}, \"ratio\": 0.5},\n"
    "  \"result\": {\"do\": \"evaluate\", \"model\": {\"from\": \"pruned\"}, \"task\": "
    "\"synth/agreement\", \"split\": \"dev[0:8]\", \"max_len\": 32}}}\n";

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "torture: %s: %s\n", what, strerror(errno));
    exit(4);
}

static void make_seam(struct bench *b)
{
    int fd = open(b->page, O_RDWR | O_CREAT | O_TRUNC, 0600);

    if (fd < 0 || ftruncate(fd, sizeof *b->seam))
        give_up(b->page);
    b->seam = mmap(NULL, sizeof *b->seam, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (b->seam == MAP_FAILED)
        give_up(b->page);
    snprintf(b->seam->root, sizeof b->seam->root, "%s/in", b->dir);
}

static int by_id(const void *a, const void *b)
{
    return memcmp(a, b, 64);
}

/* Sealed runs of the store, by id; -1: it cannot be listed. */
static int64_t results(struct bench *b, struct result **out)
{
    struct err err = ERR_INIT;
    struct store *store = NULL;
    struct run_info *list = NULL;
    int64_t n = 0, sealed = 0;

    *out = NULL;
    if (store_open(&store, b->store, false, &err) || store_list(store, &list, &n, &err)) {
        store_close(store);
        return -1;
    }
    *out = calloc((size_t)n + 1, sizeof **out);
    for (int64_t i = 0; *out && i < n; i++)
        if (list[i].state == RUN_SEALED) {
            memcpy((*out)[sealed].id, list[i].id, 65);
            memcpy((*out)[sealed++].digest, list[i].digest, 65);
        }
    qsort(*out, (size_t)sealed, sizeof **out, by_id);
    free(list);
    store_close(store);
    return sealed;
}

void bench_open(struct bench *b, const char *retort, const char *library)
{
    struct err err = ERR_INIT;
    char path[192];

    memset(b, 0, sizeof *b);
    b->retort = retort;
    b->library = library;
    snprintf(b->dir, sizeof b->dir, "%s/retort-torture-XXXXXX",
             access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    if (!mkdtemp(b->dir))
        give_up(b->dir);
    snprintf(b->store, sizeof b->store, "%s/in/runs", b->dir);
    snprintf(b->page, sizeof b->page, "%s/seam", b->dir);
    snprintf(path, sizeof path, "%s/spec.json", b->dir);
    if (file_write(path, spec, sizeof spec - 1, &err))
        give_up(err.text);
    make_seam(b);
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* orphaned workers are ours to wait for */
    bench_clear(b);
    double began = clock_seconds();
    if (bench_wait(b, bench_start(b, false)))
        give_up(bench_log(b));
    b->seconds = clock_seconds() - began;
    b->n_want = results(b, &b->want);
    if (b->n_want != 5)
        give_up("the undisturbed sweep has not five runs");
}

void bench_close(struct bench *b)
{
    struct err err = ERR_INIT;

    munmap(b->seam, sizeof *b->seam);
    free(b->want);
    if (b->lost)
        printf("The store of the last loss: %s\n", b->store);
    else
        file_remove(b->dir, &err);
}

void bench_clear(struct bench *b)
{
    struct err err = ERR_INIT;
    char log[200];

    snprintf(log, sizeof log, "%s.log", b->page);
    unlink(log);
    if (file_remove(b->seam->root, &err) || file_mkdirs(b->seam->root, &err))
        give_up(err.text);
}

void bench_seam(struct bench *b, int act, int64_t at, int kinds, int error)
{
    b->seam->act = act;
    b->seam->at = at;
    b->seam->kinds = kinds;
    b->seam->error = error;
    b->seam->calls = 0;
    b->seam->acted = 0;
}

/* The child's own, between fork and exec: this program has no threads. */
static void become(struct bench *b, bool under)
{
    int fd = open("log", O_WRONLY | O_CREAT | O_TRUNC, 0600);

    dup2(fd, 1);
    dup2(fd, 2);
    setpgid(0, 0);
    if (under) {
        setenv("LD_PRELOAD", b->library, 1);
        setenv(SEAM_VARIABLE, b->page, 1);
    }
    execl(b->retort, "retort", "run", "spec.json", "--store", b->store, "--jobs=2",
          "--threads=1", "--checkpoint-seconds=0", (char *)NULL);
    _exit(127);
}

pid_t bench_start(struct bench *b, bool under)
{
    pid_t pid = fork();

    if (pid < 0)
        give_up("fork");
    if (!pid) {
        if (chdir(b->dir))
            _exit(126);
        become(b, under);
    }
    setpgid(pid, pid);
    return pid;
}

int bench_wait(struct bench *b, pid_t pid)
{
    double until = clock_seconds() + HANGS_SECONDS;
    int code = -1, status;
    pid_t one;

    while ((one = waitpid(-1, &status, WNOHANG)) >= 0) {
        if (one == pid)
            code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        if (one)
            continue;
        if (clock_seconds() > until) {
            kill(-pid, SIGKILL);
            bench_lost(b, "waiting", 0, "it hung");
            code = -1;
            until = clock_seconds() + HANGS_SECONDS;
        }
        usleep(500);
    }
    return code;
}

const char *bench_log(struct bench *b)
{
    static char text[4096];
    struct err err = ERR_INIT;
    char path[192], *all;

    snprintf(path, sizeof path, "%s/log", b->dir);
    text[0] = 0;
    if (!file_read(&all, NULL, path, 1 << 20, &err)) {
        snprintf(text, sizeof text, "%.4000s", all);
        free(all);
    }
    return text;
}

void bench_lost(struct bench *b, const char *what, int64_t at, const char *why)
{
    b->lost++;
    printf("LOST: %s at %lld: %s\n", what, (long long)at, why);
    fflush(stdout);
}

/* What a process that died left over is removed; nothing else may be wrong but lines of
 * the catalog, which is a cache: half a line is what an append leaves. */
static void on_finding(void *ctx, const struct check_finding *f)
{
    char *text = ctx;
    bool fine = f->kind == FOUND_NOTE || f->mended;

    if ((!fine || (f->kind == FOUND_DAMAGE && f->id[0])) && !text[0])
        snprintf(text, 512, "%.250s: %.250s", f->path, f->text);
}

static void mend(struct bench *b, char text[512])
{
    struct err err = ERR_INIT;
    struct store *store = NULL;
    struct check_counts n;
    struct check_options opt = {true, on_finding, text};

    if (store_open(&store, b->store, false, &err) ||
        store_check(&n, store, NULL, &opt, &err))
        snprintf(text, 512, "%.500s", err.text);
    opt.mend = false; /* and then all is as it should be */
    if (!text[0] && store_check(&n, store, NULL, &opt, &err))
        snprintf(text, 512, "%.500s", err.text);
    store_close(store);
}

bool bench_equals(struct bench *b, const char *what, int64_t at)
{
    struct result *got;
    char text[512] = "";
    int64_t n = results(b, &got);

    if (n != b->n_want || memcmp(got, b->want, (size_t)n * sizeof *got) != 0)
        snprintf(text, sizeof text, "the results are others, or not all there");
    free(got);
    if (!text[0])
        mend(b, text);
    if (text[0])
        bench_lost(b, what, at, text);
    return !text[0];
}

bool bench_goes_on(struct bench *b, const char *what, int64_t at)
{
    int code = bench_wait(b, bench_start(b, false));

    if (code) {
        bench_lost(b, what, at, bench_log(b));
        return false;
    }
    return bench_equals(b, what, at);
}
