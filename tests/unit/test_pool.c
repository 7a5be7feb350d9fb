#include "check.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#include "retort/pool.h"

static void count_one(void *ctx, int64_t task)
{
    ((int *)ctx)[task]++; /* a task has one thread */
}

static void every_task_runs_once(void **state)
{
    static int counts[5000];
    struct err err = ERR_INIT;

    (void)state;
    for (int threads = 1; threads <= 5; threads++) {
        struct pool *pool = pool_new(threads, &err);
        assert_non_null(pool);
        assert_int_equal(pool_threads(pool), threads);
        for (int64_t tasks = 0; tasks <= 5000; tasks = tasks * 3 + 1) {
            memset(counts, 0, sizeof counts);
            pool_run(pool, tasks, count_one, counts);
            for (int64_t i = 0; i < 5000; i++)
                assert_int_equal(counts[i], i < tasks);
        }
        pool_free(pool);
    }
}

/* One job right after another, with other contexts each time: a late worker must never
 * take a task of the next job for the last one. */
static void many_small_jobs_in_a_row_stay_apart(void **state)
{
    static int counts[64];
    struct err err = ERR_INIT;
    struct pool *pool = pool_new(4, &err);

    (void)state;
    for (int job = 0; job < 20000; job++) {
        int first = job % 32, tasks = 1 + job % 7;
        memset(counts, 0, sizeof counts);
        pool_run(pool, tasks, count_one, counts + first);
        for (int i = 0; i < 64; i++)
            if (counts[i] != (i >= first && i < first + tasks))
                fail_msg("job %d: count[%d] is %d", job, i, counts[i]);
    }
    pool_free(pool);
}

struct meeting {
    atomic_int here;
    int wanted;
};

static void meet(void *ctx, int64_t task)
{
    struct meeting *m = ctx;

    (void)task;
    atomic_fetch_add(&m->here, 1);
    while (atomic_load(&m->here) < m->wanted)
        sched_yield();
}

/* Each task waits for all others: it ends only if each runs on a thread of its own. */
static void tasks_run_at_the_same_time(void **state)
{
    struct err err = ERR_INIT;
    struct pool *pool = pool_new(3, &err);

    (void)state;
    for (int i = 0; i < 50; i++) {
        struct meeting m = {0, 3};
        if (i % 10 == 9)
            usleep(2000); /* the workers sleep by then */
        pool_run(pool, 3, meet, &m);
        assert_int_equal(m.here, 3);
    }
    pool_free(pool);
}

static void no_pool_runs_in_order_here(void **state)
{
    int counts[10] = {0};

    (void)state;
    pool_run(NULL, 10, count_one, counts);
    for (int i = 0; i < 10; i++)
        assert_int_equal(counts[i], 1);
    assert_int_equal(pool_threads(NULL), 1);
    pool_free(NULL);
}

static void zero_threads_mean_all_cores_and_absurd_ones_fail(void **state)
{
    struct err err = ERR_INIT;
    struct pool *pool = pool_new(0, &err);

    (void)state;
    assert_non_null(pool);
    assert_int_equal(pool_threads(pool), pool_cores());
    assert_in_range(pool_cores(), 1, sysconf(_SC_NPROCESSORS_CONF));
    pool_free(pool);
    assert_null(pool_new(-1, &err));
    assert_int_equal(err.code, ERR_INPUT);
    err_clear(&err);
    assert_null(pool_new(1000000, &err));
    assert_int_equal(err.code, ERR_INPUT);
}

static void affinity_bounds_the_cores(void **state)
{
    cpu_set_t old, one;
    size_t cpu = (size_t)sched_getcpu();

    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof old, &old), 0);
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    int cores = pool_cores();
    assert_int_equal(sched_setaffinity(0, sizeof old, &old), 0);
    assert_int_equal(cores, 1);
}

static void ask_openmp(void *ctx, int64_t task)
{
    int (*most)(void) = NULL;
    void *found = dlsym(RTLD_DEFAULT, "omp_get_max_threads");

    (void)task;
    memcpy(&most, &found, sizeof most);
    if (!most || most() != 1)
        atomic_fetch_add((atomic_int *)ctx, 1);
    usleep(1000);
}

/* oneDNN brings OpenMP along; where the linker left it out there is nothing to ask. */
static void each_thread_has_one_openmp_thread(void **state)
{
    struct err err = ERR_INIT;
    atomic_int wrong = 0;

    (void)state;
    if (!dlsym(RTLD_DEFAULT, "omp_get_max_threads") &&
        !dlopen("libgomp.so.1", RTLD_NOW | RTLD_GLOBAL)) {
        print_message("no OpenMP here\n");
        skip();
    }
    struct pool *pool = pool_new(4, &err);
    pool_run(pool, 50, ask_openmp, &wrong);
    pool_free(pool);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            each_thread_has_one_openmp_thread), /* first: a thread tells OpenMP once */
        cmocka_unit_test(every_task_runs_once),
        cmocka_unit_test(many_small_jobs_in_a_row_stay_apart),
        cmocka_unit_test(tasks_run_at_the_same_time),
        cmocka_unit_test(no_pool_runs_in_order_here),
        cmocka_unit_test(zero_threads_mean_all_cores_and_absurd_ones_fail),
        cmocka_unit_test(affinity_bounds_the_cores),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
