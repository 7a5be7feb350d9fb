/*
 * What memory gives: a[i] = b[i] + s * c[i] over arrays that no cache holds (McCalpin's
 * triad), each thread its own part. Counted are two reads and one write; that the write
 * reads its line first is not.
 */
#include "bench.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "retort/clock.h"

enum { FLOATS = 1 << 24, PASSES = 8, THREADS_MAX = 64 };

struct part {
    float *a;
    const float *b, *c;
    int64_t n;
};

static void *run_part(void *arg)
{
    const struct part *p = arg;

    for (int k = 0; k < PASSES; k++)
        for (int64_t i = 0; i < p->n; i++)
            p->a[i] = p->b[i] + 0.5f * p->c[i];
    return NULL;
}

static void run_all(struct part *p, int threads)
{
    pthread_t id[THREADS_MAX];

    for (int i = 1; i < threads; i++)
        if (pthread_create(&id[i], NULL, run_part, &p[i]))
            BUG("no thread %d", i);
    run_part(&p[0]);
    for (int i = 1; i < threads; i++)
        pthread_join(id[i], NULL);
}

int side_stream(const struct bench_case *c, int threads)
{
    struct part part[THREADS_MAX];
    struct err err = ERR_INIT;
    float *v = mem_new(3 * (int64_t)FLOATS, sizeof *v, &err);

    (void)c;
    if (!v) {
        fprintf(stderr, "bench: %s\n", err.text);
        return 1;
    }
    if (threads > THREADS_MAX)
        threads = THREADS_MAX;
    for (int64_t i = 0; i < 3 * (int64_t)FLOATS; i++)
        v[i] = 1;
    for (int i = 0; i < threads; i++) {
        int64_t n = FLOATS / threads, at = i * n;
        part[i] = (struct part){v + at, v + FLOATS + at, v + 2 * FLOATS + at, n};
    }
    run_all(part, threads);
    side_ready();
    while (side_wait() == SIDE_GO) {
        double began = clock_seconds(), cpu = side_cpu();
        run_all(part, threads);
        side_round(clock_seconds() - began, side_cpu() - cpu,
                   12.0 * PASSES * (double)part[0].n * threads);
    }
    side_peak();
    free(v);
    return 0;
}
