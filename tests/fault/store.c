/* The store when the disk is full, a call fails, or bytes of its files are lost or
 * changed. */
#include "check.h"
#include "fail_io.h"
#include "small_store.h"

#include "retort/hash.h"

/* HDF5 keeps what it could not write; that is not ours to free. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libhdf5\n";
}

static int setup(void **state)
{
    memset(&fail_io, 0, sizeof fail_io);
    return store_setup(state);
}

static int teardown(void **state)
{
    memset(&fail_io, 0, sizeof fail_io);
    return store_teardown(state);
}

/* ---- failing calls ---- */

static bool leftover(const char *name)
{
    return strcmp(name, "run.h5") != 0 && strcmp(name, "parts") != 0;
}

/* Only the run and its snapshots are left, and nothing else in parts/. */
static void assert_clean(struct fix *f)
{
    char **list;
    int64_t n = 0;

    assert_ok(file_list(&list, run_file(f, ID_A, ""), &f->err), &f->err);
    for (char **name = list; *name; name++)
        if (leftover(*name))
            fail_msg("%s is left behind", *name);
    file_list_free(list);
    assert_ok(file_list(&list, run_file(f, ID_A, "parts"), &f->err), &f->err);
    while (list[n])
        n++;
    file_list_free(list);
    assert_int_equal(n, 2);
}

/* The n-th call fails: the failure names a path, what was there stays, and run again all
 * is well. False once no call is left to fail. */
static bool one_call_fails(struct fix *f, int64_t n, int number)
{
    struct err err = ERR_INIT;

    fail_io.calls = 0;
    fail_io.fail_at = n;
    fail_io.number = number;
    int rc = small_job(f->store, ID_A, 12, NULL, &err);
    bool fired = fail_io.calls >= n;
    fail_io.fail_at = 0;
    if (rc) {
        if (!fired)
            fail_msg("no call failed, and yet: %s", err.text);
        if (err.code != ERR_IO || !strstr(err.text, f->dir))
            fail_msg("call %d: code %d, \"%s\"", (int)n, (int)err.code, err.text);
        err_clear(&err);
        struct run_info info;
        assert_ok(store_stat(f->store, ID_A, &info, &err), &err);
        assert_int_not_equal(info.state, RUN_DAMAGED);
        assert_int_not_equal(info.state, RUN_ACTIVE);
        if (info.state != RUN_SEALED)
            assert_ok(small_job(f->store, ID_A, 12, NULL, &err), &err);
    }
    check_small_job(f, ID_A);
    if (!rc)
        assert_clean(f);
    assert_ok(store_remove(f->store, ID_A, &err), &err);
    return fired;
}

static void a_full_disk_at_any_call_loses_nothing(void **state)
{
    int64_t n = 1;

    while (one_call_fails(*state, n, ENOSPC))
        n++;
    assert_true(n > 60); /* the calls were seen at all */
}

static void a_failing_device_at_any_call_loses_nothing(void **state)
{
    for (int64_t n = 1; one_call_fails(*state, n, EIO); n += 3)
        ;
}

/* From some call on all fail, as on a disk that stays full. */
static void a_disk_that_stays_full_leaves_what_was_saved(void **state)
{
    struct fix *f = *state;
    struct err err = ERR_INIT;
    struct run_info info;
    int64_t resumed;

    assert_ok(small_job(f->store, ID_A, 9, NULL, &err), &err);
    fail_io.stays = true;
    fail_io.number = ENOSPC;
    for (int64_t n = 1; n < 60; n++) {
        fail_io.calls = 0;
        fail_io.fail_at = n;
        int rc = small_job(f->store, ID_A, 12, NULL, &err);
        if (!rc)
            break;
        assert_int_equal(err.code, ERR_IO);
        err_clear(&err);
    }
    fail_io.fail_at = 0;
    assert_ok(store_stat(f->store, ID_A, &info, &err), &err);
    if (info.state != RUN_SEALED) {
        assert_ok(small_job(f->store, ID_A, 12, &resumed, &err), &err);
        assert_true(resumed >= 8);
    }
    check_small_job(f, ID_A);
}

/* ---- changed bytes ---- */

/* A file's bytes, and its path. */
struct kept {
    const char *path;
    char *bytes;
    int64_t len;
};

static struct kept keep_file(struct fix *f, const char *path)
{
    struct kept k = {path, NULL, 0};

    assert_ok(file_read(&k.bytes, &k.len, path, 1 << 24, &f->err), &f->err);
    return k;
}

static void put(struct fix *f, const struct kept *k, int64_t len)
{
    (void)chmod(k->path, 0644);
    assert_ok(file_write(k->path, k->bytes, len, &f->err), &f->err);
}

/* Looking at the run neither fails nor crashes; what is read is a beginning of the truth.
 */
static void look(struct fix *f)
{
    struct run_info info;
    struct run *run = NULL;
    struct series s;
    struct err err = ERR_INIT;

    assert_ok(store_stat(f->store, ID_A, &info, &err), &err);
    if (run_open(&run, f->store, ID_A, true, &err))
        return;
    if (!run_series_find(run, "loss", &s, &err))
        for (int64_t i = 0; i < s.n; i++)
            assert_true(s.step[i] == i && s.value[i] == (double)i);
    run_close(run);
}

static void run_on(struct fix *f, int64_t *resumed)
{
    assert_ok(small_job(f->store, ID_A, 12, resumed, &f->err), &f->err);
    check_small_job(f, ID_A);
}

/* Puts the half-done job back as it was. */
struct half {
    struct kept journal, one, two, part[2];
};

static struct half half_done(struct fix *f)
{
    struct half h;
    char **list;

    assert_ok(small_job(f->store, ID_A, 9, NULL, &f->err), &f->err);
    h.journal = keep_file(f, strdup(run_file(f, ID_A, "journal.1")));
    h.one = keep_file(f, strdup(run_file(f, ID_A, "ckpt/0000000001.000001")));
    h.two = keep_file(f, strdup(run_file(f, ID_A, "ckpt/0000000001.000002")));
    assert_ok(file_list(&list, run_file(f, ID_A, "parts"), &f->err), &f->err);
    for (int i = 0; i < 2; i++) {
        char name[96];
        snprintf(name, sizeof name, "parts/%.60s", list[i]);
        h.part[i] = keep_file(f, strdup(run_file(f, ID_A, name)));
    }
    file_list_free(list);
    return h;
}

static void put_back(struct fix *f, const struct half *h)
{
    assert_ok(file_remove(run_file(f, ID_A, ""), &f->err), &f->err);
    assert_ok(file_mkdirs(run_file(f, ID_A, "ckpt"), &f->err), &f->err);
    assert_ok(file_mkdirs(run_file(f, ID_A, "parts"), &f->err), &f->err);
    put(f, &h->journal, h->journal.len);
    put(f, &h->one, h->one.len);
    put(f, &h->two, h->two.len);
    put(f, &h->part[0], h->part[0].len);
    put(f, &h->part[1], h->part[1].len);
}

static void half_free(struct half *h)
{
    struct kept *all[] = {&h->journal, &h->one, &h->two, &h->part[0], &h->part[1]};

    for (size_t i = 0; i < 5; i++) {
        free((void *)(uintptr_t)all[i]->path);
        free(all[i]->bytes);
    }
}

/* Each byte flipped, and the file cut at each length: looked at every time, run on at
 * some. */
static void spoil(struct fix *f, const struct half *h, struct kept *k, int64_t every,
                  int64_t least)
{
    int64_t resumed;

    for (int64_t i = 0; i < 2 * k->len; i++) {
        int64_t at = i / 2;
        k->bytes[at] = (char)(k->bytes[at] ^ (1 << at % 8));
        put(f, k, i % 2 ? at : k->len);
        k->bytes[at] = (char)(k->bytes[at] ^ (1 << at % 8));
        look(f);
        if (i % every == 0) {
            run_on(f, &resumed);
            assert_true(resumed >= least);
            put_back(f, h);
        }
    }
    put_back(f, h);
}

static void a_journal_spoilt_at_any_byte_is_noticed(void **state)
{
    struct fix *f = *state;
    struct half h = half_done(f);

    spoil(f, &h, &h.journal, 37, 0);
    half_free(&h);
}

static void a_checkpoint_spoilt_at_any_byte_gives_way(void **state)
{
    struct fix *f = *state;
    struct half h = half_done(f);

    spoil(f, &h, &h.two, 7, 4);
    half_free(&h);
}

/* All but the bytes that the seal leaves out of account: there are none. */
static void a_sealed_run_spoilt_anywhere_is_noticed(void **state)
{
    struct fix *f = *state;
    struct err err = ERR_INIT;

    assert_ok(small_job(f->store, ID_A, 12, NULL, &err), &err);
    struct kept k = keep_file(f, run_file(f, ID_A, "run.h5"));
    for (int64_t i = 0; i < 600; i++) {
        struct run *run = NULL;
        struct run_info info;
        int64_t at = i < 300 ? i * k.len / 300 : k.len - 1 - (i - 300);
        k.bytes[at] = (char)(k.bytes[at] ^ (1 << i % 8));
        put(f, &k, i % 3 ? k.len : at);
        k.bytes[at] = (char)(k.bytes[at] ^ (1 << i % 8));
        assert_fails(run_open(&run, f->store, ID_A, false, &err), &err, ERR_INPUT,
                     "run.h5");
        assert_ok(store_stat(f->store, ID_A, &info, &err), &err);
        assert_int_equal(info.state, RUN_DAMAGED);
    }
    put(f, &k, k.len);
    check_small_job(f, ID_A);
    free(k.bytes);
}

/* A damaged run is made again, and the good one stands in its place. */
static void a_damaged_run_is_replaced(void **state)
{
    struct fix *f = *state;
    struct err err = ERR_INIT;

    assert_ok(small_job(f->store, ID_A, 12, NULL, &err), &err);
    assert_int_equal(chmod(run_file(f, ID_A, "run.h5"), 0644), 0);
    assert_int_equal(truncate(run_file(f, ID_A, "run.h5"), 700), 0);
    assert_ok(small_job(f->store, ID_A, 12, NULL, &err), &err);
    check_small_job(f, ID_A);
}

static void a_spoilt_snapshot_is_noticed_when_it_is_read(void **state)
{
    struct fix *f = *state;
    struct err err = ERR_INIT;
    struct run *run;
    struct array a;
    char **list, name[96];

    assert_ok(small_job(f->store, ID_A, 12, NULL, &err), &err);
    assert_ok(file_list(&list, run_file(f, ID_A, "parts"), &err), &err);
    snprintf(name, sizeof name, "parts/%.60s", list[1]);
    file_list_free(list);
    struct kept k = keep_file(f, run_file(f, ID_A, name));
    k.bytes[k.len / 2] ^= 4;
    put(f, &k, k.len);
    assert_ok(run_open(&run, f->store, ID_A, false, &err), &err);
    struct artifact *art = run_artifact(run);
    assert_ok(art->array(art->ctx, "/steps/0/weights/x", &a, &err), &err);
    assert_fails(art->array(art->ctx, "/steps/6/weights/x", &a, &err), &err, ERR_INPUT,
                 "checksum");
    assert_fails(run_load_steps(run, &err), &err, ERR_INPUT, "checksum");
    run_close(run);
    put(f, &k, k.len - 1);
    assert_ok(run_open(&run, f->store, ID_A, false, &err), &err);
    assert_fails(run_check_parts(run, &err), &err, ERR_INPUT, "its size is wrong");
    run_close(run);
    free(k.bytes);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_full_disk_at_any_call_loses_nothing),
        TEST(a_failing_device_at_any_call_loses_nothing),
        TEST(a_disk_that_stays_full_leaves_what_was_saved),
        TEST(a_journal_spoilt_at_any_byte_is_noticed),
        TEST(a_checkpoint_spoilt_at_any_byte_gives_way),
        TEST(a_sealed_run_spoilt_anywhere_is_noticed),
        TEST(a_damaged_run_is_replaced),
        TEST(a_spoilt_snapshot_is_noticed_when_it_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
