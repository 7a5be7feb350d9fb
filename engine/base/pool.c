/*
 * A pool of threads that stays.
 *
 * A job is open from its publication until the caller, who takes tasks like everybody,
 * finds none left. A worker joins an open job by counting itself in; late ones find it
 * closed and go back to wait. The caller waits only for those who joined, so a sleeping
 * worker never holds up a small job, and nobody can touch the next job with the last
 * one's function: fields change only while the job is closed and empty.
 *
 * Workers wait spinning for some ten microseconds, since a step publishes one job after
 * another, then sleep on a condition variable. Where threads outnumber cores, spinning
 * would only steal: they sleep at once.
 */
#include "retort/pool.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "retort/file.h"
#include "retort/mem.h"

enum { SPINS = 1000, THREADS_MOST = 1024, OPEN = 1 << 30 };

struct pool {
    void (*fn)(void *ctx, int64_t task);
    void *ctx;
    int64_t tasks;
    atomic_int_fast64_t next; /* first task that nobody has taken */
    atomic_int state;         /* OPEN, and the number of workers in the job */
    atomic_uint generation;   /* of the job, so that waiting workers see a new one */
    atomic_int sleepers;
    atomic_bool stop;
    atomic_bool caller_sleeps;
    pthread_mutex_t lock;
    pthread_cond_t start, done;
    pthread_t *ids;
    int threads, spins;
};

static _Thread_local bool inside; /* a task is running on this thread */

/*
 * oneDNN's products would otherwise start OpenMP threads of their own. The function is
 * looked up at run time: our library has no OpenMP, and in a program without oneDNN there
 * is none to set.
 */
static void one_omp_thread(void)
{
    static _Thread_local bool told;
    void (*set)(int) = NULL;

    if (told)
        return;
    told = true;
    void *found = dlsym(RTLD_DEFAULT, "omp_set_num_threads");
    memcpy(&set, &found, sizeof set);
    if (set)
        set(1);
}

static void relax(void)
{
#ifdef __x86_64__
    __builtin_ia32_pause();
#endif
}

static void take_tasks(struct pool *pool)
{
    inside = true;
    for (;;) {
        int64_t task = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
        if (task >= pool->tasks)
            break;
        pool->fn(pool->ctx, task);
    }
    inside = false;
}

static bool join(struct pool *pool)
{
    int state = atomic_load(&pool->state);

    while (state & OPEN)
        if (atomic_compare_exchange_weak(&pool->state, &state, state + 1))
            return true;
    return false;
}

static void leave(struct pool *pool)
{
    /* The last one out of a closed job; the caller is alone with it then. */
    if (atomic_fetch_sub(&pool->state, 1) != 1 || !atomic_load(&pool->caller_sleeps))
        return;
    pthread_mutex_lock(&pool->lock);
    pthread_cond_signal(&pool->done);
    pthread_mutex_unlock(&pool->lock);
}

/* Until there is a generation other than `seen`, or the end. Gives the generation. */
static unsigned wait_start(struct pool *pool, unsigned seen)
{
    for (int i = 0; i < pool->spins; i++) {
        unsigned now = atomic_load(&pool->generation);
        if (now != seen || atomic_load(&pool->stop))
            return now;
        relax();
    }
    pthread_mutex_lock(&pool->lock);
    atomic_fetch_add(&pool->sleepers, 1);
    while (atomic_load(&pool->generation) == seen && !atomic_load(&pool->stop))
        pthread_cond_wait(&pool->start, &pool->lock);
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->lock);
    return atomic_load(&pool->generation);
}

static void *work(void *arg)
{
    struct pool *pool = arg;
    unsigned seen = 0;

    one_omp_thread();
    for (;;) {
        seen = wait_start(pool, seen);
        if (atomic_load(&pool->stop))
            return NULL;
        if (!join(pool))
            continue;
        take_tasks(pool);
        leave(pool);
    }
}

static int start_threads(struct pool *pool, struct err *err)
{
    int wanted = pool->threads;

    for (pool->threads = 1; pool->threads < wanted; pool->threads++) {
        errno = pthread_create(&pool->ids[pool->threads - 1], NULL, work, pool);
        if (errno)
            return err_errno(err, "thread %d of %d", pool->threads + 1, wanted);
    }
    return 0;
}

struct pool *pool_new(int threads, struct err *err)
{
    int cores = pool_cores();

    if (threads < 0 || threads > THREADS_MOST) {
        err_set(err, ERR_INPUT, "%d threads; use 1 to %d, or 0 for all cores", threads,
                THREADS_MOST);
        return NULL;
    }
    struct pool *pool = mem_new(1, sizeof *pool, err);
    if (!pool)
        return NULL;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->start, NULL);
    pthread_cond_init(&pool->done, NULL);
    pool->threads = threads ? threads : cores;
    pool->spins = pool->threads > cores ? 0 : SPINS;
    one_omp_thread();
    pool->ids = mem_new(pool->threads, sizeof *pool->ids, err);
    if (!pool->ids)
        pool->threads = 1;
    if (!pool->ids || start_threads(pool, err)) {
        pool_free(pool);
        return NULL;
    }
    return pool;
}

void pool_free(struct pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->stop, true);
    pthread_cond_broadcast(&pool->start);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->threads - 1; i++)
        pthread_join(pool->ids[i], NULL);
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->start);
    pthread_mutex_destroy(&pool->lock);
    free(pool->ids);
    free(pool);
}

int pool_threads(const struct pool *pool)
{
    return pool ? pool->threads : 1;
}

/* Wakes no more sleepers than there are tasks to share. */
static void wake(struct pool *pool)
{
    int sleepers = atomic_load(&pool->sleepers);

    if (!sleepers)
        return;
    pthread_mutex_lock(&pool->lock);
    if (pool->tasks > sleepers)
        pthread_cond_broadcast(&pool->start);
    else
        for (int64_t i = 1; i < pool->tasks; i++)
            pthread_cond_signal(&pool->start);
    pthread_mutex_unlock(&pool->lock);
}

static void wait_done(struct pool *pool)
{
    for (int i = 0; i < pool->spins; i++) {
        if (!atomic_load(&pool->state))
            return;
        relax();
    }
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->caller_sleeps, true);
    while (atomic_load(&pool->state))
        pthread_cond_wait(&pool->done, &pool->lock);
    atomic_store(&pool->caller_sleeps, false);
    pthread_mutex_unlock(&pool->lock);
}

void pool_run(struct pool *pool, int64_t tasks, void (*fn)(void *ctx, int64_t task),
              void *ctx)
{
    one_omp_thread();
    if (!pool || pool->threads == 1 || tasks <= 1) {
        for (int64_t i = 0; i < tasks; i++)
            fn(ctx, i);
        return;
    }
    if (inside)
        BUG("pool_run inside a task");
    if (atomic_load(&pool->state))
        BUG("pool_run from two threads at once");
    pool->fn = fn;
    pool->ctx = ctx;
    pool->tasks = tasks;
    atomic_store(&pool->next, 0);
    atomic_store(&pool->state, OPEN);
    atomic_fetch_add(&pool->generation, 1);
    wake(pool);
    take_tasks(pool);
    atomic_fetch_and(&pool->state, ~OPEN);
    wait_done(pool);
}

static int affinity_cores(void)
{
    /* The kernel refuses a set that is smaller than its own: double it until it fits. */
    for (int cpus = 1024; cpus <= 1 << 20; cpus *= 2) {
        cpu_set_t *set = CPU_ALLOC((size_t)cpus);
        if (!set)
            return 1;
        size_t size = CPU_ALLOC_SIZE((size_t)cpus);
        int n = sched_getaffinity(0, size, set) ? 0 : CPU_COUNT_S(size, set);
        CPU_FREE(set);
        if (n > 0)
            return n;
    }
    return 1;
}

/* What "max 100000" or "150000 100000" in `dir`/cpu.max allows: whole cores, at least
 * one. */
static int quota_cores(const char *dir, int cores)
{
    char path[4200], *text = NULL;
    long long quota, period;

    snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", dir);
    if (file_read(&text, NULL, path, 256, NULL))
        return cores;
    if (sscanf(text, "%lld %lld", &quota, &period) == 2 && quota > 0 && period > 0 &&
        quota / period < cores)
        cores = quota < period ? 1 : (int)(quota / period);
    free(text);
    return cores;
}

int pool_cores(void)
{
    int cores = affinity_cores();
    char *text = NULL, dir[4096] = "";

    if (file_read(&text, NULL, "/proc/self/cgroup", 1 << 16, NULL) == 0) {
        const char *line = strstr(text, "0::/");
        if (line && (line == text || line[-1] == '\n'))
            snprintf(dir, sizeof dir, "%.*s", (int)strcspn(line + 3, "\n"), line + 3);
        free(text);
    }
    /* A group is bound by every group above it, too. */
    for (char *cut; (cut = strrchr(dir, '/')); *cut = '\0')
        cores = quota_cores(dir, cores);
    return quota_cores("", cores);
}
