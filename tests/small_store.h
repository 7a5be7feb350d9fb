/* A store in a folder of its own, and a small job done in it: for tests of the store. */
#ifndef RETORT_TESTS_SMALL_STORE_H
#define RETORT_TESTS_SMALL_STORE_H

#include "check.h"

#include <sys/stat.h>
#include <unistd.h>

#include "retort/file.h"
#include "retort/store.h"

#define ID_A "aa00000000000000000000000000000000000000000000000000000000000001"
#define ID_B "bb00000000000000000000000000000000000000000000000000000000000002"
#define ID_C "cc00000000000000000000000000000000000000000000000000000000000003"

struct fix {
    char dir[64];
    struct store *store;
    struct err err;
};

static inline int store_setup(void **state)
{
    struct fix *f = calloc(1, sizeof *f);

    /* In memory where there is such a place: each checkpoint waits for the disk. */
    snprintf(f->dir, sizeof f->dir, "%s/retort-store-XXXXXX",
             access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    if (!mkdtemp(f->dir) || chmod(f->dir, 0755))
        return -1;
    unsetenv("SOURCE_DATE_EPOCH");
    *state = f;
    return store_open(&f->store, f->dir, true, &f->err);
}

static inline int store_teardown(void **state)
{
    struct fix *f = *state;

    store_close(f->store);
    err_clear(&f->err);
    int rc = file_remove(f->dir, &f->err);
    free(f);
    return rc;
}

static inline struct run_head head_of(const char *id)
{
    return (struct run_head){.id = id,
                             .name = "heads",
                             .stage = "teacher",
                             .method = "finetune",
                             .variables = "pruned.ratio=0.3 seed=1",
                             .seed = 7,
                             .has_seed = true,
                             .spec = "{\"name\": \"é\"}",
                             .resolved = "{}",
                             .pins = "{\"git\":{}}",
                             .env_class = "e1",
                             .record = "{}"};
}

/* The path of a file of a run. */
static inline const char *run_file(const struct fix *f, const char *id, const char *name)
{
    static char path[4][256];
    static int at;

    at = (at + 1) % 4;
    snprintf(path[at], sizeof path[at], "%s/%.2s/%s/%s", f->dir, id, id, name);
    return path[at];
}

/* A loop of 12 steps over one number: a metric and a text each step, a checkpoint after
 * every 4, a snapshot at every 6, and an array at the end. Goes on from a checkpoint if
 * there is one; is left unsealed after `stop` steps. Returns 0, or -1 as a stage would.
 */
static inline int small_job(struct store *store, const char *id, int64_t stop,
                            int64_t *resumed, struct err *err)
{
    int64_t x = 0, step = 0;
    struct region r = {"x", &x, sizeof x};
    struct run_head h = head_of(id);
    struct run_writer *w = NULL;
    int rc =
        run_begin(&w, store, &h, err) || run_restore(w, &step, &r, 1, err) < 0 ? -1 : 0;

    if (resumed)
        *resumed = step;
    for (int64_t i = x; !rc && i < 12 && i < stop; i++) {
        struct recorder rec = run_recorder(w);
        const char *text = i % 2 ? "odd" : "even";
        struct recorded part = {"weights/x", {DT_I64, SHAPE(1), &x, {"one"}}};
        rc = rec.metric(rec.ctx, RECORD_RESULT, "loss", i, (double)i, err) ||
                     rec.text(rec.ctx, RECORD_RESULT, "/last/text", &text, -1, err) ||
                     (i % 6 == 0 && rec.snapshot(rec.ctx, i, &part, 1, err))
                 ? -1
                 : 0;
        x = i + 1;
        if (!rc && x % 4 == 0)
            rc = run_checkpoint(w, x, &r, 1, err);
    }
    if (!rc && stop >= 12) {
        struct recorder rec = run_recorder(w);
        struct array a = {DT_I64, SHAPE(1), &x, {"one"}};
        rc = rec.array(rec.ctx, RECORD_RESULT, "/scores/x", &a, err) || run_seal(w, err)
                 ? -1
                 : 0;
    }
    run_end(w, rc ? err->text : NULL);
    return rc;
}

/* The whole content is what small_job makes. */
static inline void check_small_job(struct fix *f, const char *id)
{
    struct run *run = NULL;
    struct series s;
    struct array a;
    const int64_t *steps;
    int64_t n;

    assert_ok(run_open(&run, f->store, id, false, &f->err), &f->err);
    struct artifact *art = run_artifact(run);
    assert_ok(run_series_find(run, "loss", &s, &f->err), &f->err);
    assert_int_equal(s.n, 12);
    for (int64_t i = 0; i < 12; i++)
        assert_true(s.step[i] == i && s.value[i] == (double)i);
    assert_ok(art->array(art->ctx, "/scores/x", &a, &f->err), &f->err);
    assert_int_equal(*(const int64_t *)a.data, 12);
    assert_ok(run_steps(run, &steps, &n, &f->err), &f->err);
    assert_int_equal(n, 2);
    assert_ok(art->array(art->ctx, "/steps/6/weights/x", &a, &f->err), &f->err);
    assert_int_equal(*(const int64_t *)a.data, 6);
    run_close(run);
}

#endif
