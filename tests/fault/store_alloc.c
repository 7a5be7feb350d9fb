/* The store when an allocation fails: told as such, nothing leaks, nothing is lost.
 * (Sealing is HDF5's own affair.) */
#include "check.h"
#include "fail_alloc.h"
#include "small_store.h"

static struct fix *fix;

static int setup(void **state)
{
    int rc = store_setup(state);

    fix = *state;
    return rc;
}

/* Goes on from where the last call got to: some steps, a checkpoint. */
static int work(struct store *store, struct err *err)
{
    int64_t x = 0, step = 0;
    struct region r = {"x", &x, sizeof x};
    struct run_head h = head_of(ID_A);
    struct run_writer *w = NULL;
    int rc = -1;

    if (run_begin(&w, store, &h, err))
        return -1;
    struct recorder rec = run_recorder(w);
    struct array a = {DT_I64, SHAPE(1), &x, {"one"}};
    const char *const texts[] = {"a", "b"};
    if (run_restore(w, &step, &r, 1, err) < 0)
        goto done;
    for (int i = 0; i < 3; i++, x++)
        if (rec.metric(rec.ctx, RECORD_RESULT, "loss", x, (double)x, err))
            goto done;
    if (rec.array(rec.ctx, RECORD_RESULT, "/scores/x", &a, err) ||
        rec.text(rec.ctx, RECORD_RESULT, "/eval/id", texts, 2, err) ||
        rec.reference(rec.ctx, "/tensors/w", ID_B ":/tensors/w", err) ||
        run_remark(w, "a remark", err) || run_checkpoint(w, x, &r, 1, err))
        goto done;
    rc = 0;
done:
    run_end(w, rc ? "failed" : NULL);
    return rc;
}

static int look(struct store *store, struct err *err)
{
    struct run *run = NULL;
    struct run_info *list = NULL;
    struct series s;
    int64_t n;
    int rc = -1;

    if (run_open(&run, store, ID_A, true, err))
        return -1;
    struct artifact *a = run_artifact(run);
    const char *const *names;
    if (run_series_find(run, "loss", &s, err) ||
        a->list(a->ctx, "/scores", &names, err) || store_list(store, &list, &n, err))
        goto done;
    for (int64_t i = 0; i < s.n; i++)
        if (s.step[i] != i || s.value[i] != (double)i)
            BUG("step %lld is wrong", (long long)i);
    rc = 0;
done:
    free(list);
    run_close(run);
    return rc;
}

/* Every third call begins anew: a store of ever more journals would ask for ever more
 * memory. */
static void begin_anew(void)
{
    static int calls;
    struct err err = ERR_INIT;
    bool armed = fail_alloc.armed;

    fail_alloc.armed = false;
    if (calls++ % 3 == 0)
        assert_ok(file_remove(run_file(fix, ID_A, ""), &err), &err);
    fail_alloc.armed = armed;
}

static int act(void *ctx, struct err *err)
{
    struct store *store = NULL;
    int rc;

    (void)ctx;
    begin_anew();
    if (store_open(&store, fix->dir, false, err))
        return -1;
    rc = work(store, err) || look(store, err) ? -1 : 0;
    store_close(store);
    return rc;
}

static void an_allocation_that_fails_is_told_and_loses_nothing(void **state)
{
    (void)state;
    fail_each_alloc(act, NULL);
    struct err err = ERR_INIT;
    assert_ok(act(NULL, &err), &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            an_allocation_that_fails_is_told_and_loses_nothing, setup, store_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
