/* The store: write, seal, read; crashes; leases; damage. */
#include "check.h"

#include "small_store.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "retort/hash.h"

static struct run_writer *begin(struct fix *f, const char *id)
{
    struct run_head h = head_of(id);
    struct run_writer *w = NULL;

    assert_ok(run_begin(&w, f->store, &h, &f->err), &f->err);
    return w;
}

static void metric(struct fix *f, struct run_writer *w, const char *name, int64_t step,
                   double v)
{
    struct recorder r = run_recorder(w);
    assert_ok(r.metric(r.ctx, RECORD_RESULT, name, step, v, &f->err), &f->err);
}

static const float weights[6] = {1, 2, 3, 4, 5, -0.0f};
static const char *const words[3] = {"one", "", "dr\xc3\xa9i"};

static void record_some(struct fix *f, struct run_writer *w)
{
    static const uint16_t half[2] = {0x3f80, 0x4000};
    struct recorder r = run_recorder(w);
    struct array a = {DT_F32, SHAPE(2, 3), weights, {"layer", "head"}};
    struct array b = {DT_BF16, SHAPE(2), half, {NULL}};
    struct array none = {DT_I64, SHAPE(0, 4), NULL, {NULL}};

    metric(f, w, "train/loss", 0, 0.5);
    metric(f, w, "train/loss", 1, (double)NAN);
    metric(f, w, "train/loss/aux", 0, 3);
    assert_ok(r.metric(r.ctx, RECORD_ENV, "time/step", 0, 0.01, &f->err), &f->err);
    assert_ok(r.array(r.ctx, RECORD_RESULT, "/scores/heads", &a, &f->err), &f->err);
    assert_ok(r.array(r.ctx, RECORD_EXTRA, "/tensors/bf", &b, &f->err), &f->err);
    assert_ok(r.array(r.ctx, RECORD_RESULT, "/tensors/none", &none, &f->err), &f->err);
    assert_ok(r.text(r.ctx, RECORD_RESULT, "/eval/x/id", words, 3, &f->err), &f->err);
    assert_ok(r.text(r.ctx, RECORD_RESULT, "/tokenizer/vocab", words + 2, -1, &f->err),
              &f->err);
}

static void seal(struct fix *f, struct run_writer *w)
{
    assert_ok(run_seal(w, &f->err), &f->err);
    run_end(w, NULL);
}

static void check_some(struct fix *f, struct run *run)
{
    struct artifact *a = run_artifact(run);
    struct array x;
    struct series s;
    const char *const *texts;
    int64_t n;

    assert_ok(a->array(a->ctx, "/scores/heads", &x, &f->err), &f->err);
    assert_int_equal(x.dtype, DT_F32);
    assert_int_equal(x.shape.rank, 2);
    assert_int_equal(x.shape.dim[1], 3);
    assert_memory_equal(x.data, weights, sizeof weights);
    assert_string_equal(x.dim[0], "layer");
    assert_string_equal(x.dim[1], "head");
    assert_ok(a->array(a->ctx, "/tensors/bf", &x, &f->err), &f->err);
    assert_int_equal(x.dtype, DT_BF16);
    assert_int_equal(((const uint16_t *)x.data)[1], 0x4000);
    assert_ok(a->array(a->ctx, "/tensors/none", &x, &f->err), &f->err);
    assert_int_equal(x.shape.dim[0], 0);
    assert_ok(a->text(a->ctx, "/eval/x/id", &texts, &n, &f->err), &f->err);
    assert_int_equal(n, 3);
    assert_string_equal(texts[1], "");
    assert_string_equal(texts[2], words[2]);
    assert_ok(a->text(a->ctx, "/tokenizer/vocab", &texts, &n, &f->err), &f->err);
    assert_int_equal(n, -1);
    assert_ok(a->list(a->ctx, "/tensors", &texts, &f->err), &f->err);
    assert_string_equal(texts[0], "bf");
    assert_string_equal(texts[1], "none");
    assert_null(texts[2]);
    assert_ok(run_series_find(run, "train/loss", &s, &f->err), &f->err);
    assert_int_equal(s.n, 2);
    assert_true(s.value[0] == 0.5 && isnan(s.value[1]) && s.step[1] == 1);
    assert_int_equal(run_series_count(run), 3);
    assert_string_equal(run_head_text(run, "/spec"), "{\"name\": \"é\"}");
    assert_fails(a->array(a->ctx, "/nowhere", &x, &f->err), &f->err, ERR_MISSING,
                 "/nowhere");
}

static void a_sealed_run_reads_back_as_written(void **state)
{
    struct fix *f = *state;
    struct run_writer *w = begin(f, ID_A);
    struct run *run;
    struct run_info info;
    char digest[65];

    record_some(f, w);
    assert_ok(run_open(&run, f->store, ID_A, true, &f->err),
              &f->err); /* while it works */
    assert_int_equal(run_info(run)->state, RUN_ACTIVE);
    check_some(f, run);
    run_close(run);
    seal(f, w);

    assert_ok(run_open(&run, f->store, ID_A, false, &f->err), &f->err);
    check_some(f, run);
    assert_ok(run_digest(run, digest, &f->err), &f->err);
    assert_string_equal(digest, run_info(run)->digest);
    run_close(run);
    assert_ok(store_stat(f->store, ID_A, &info, &f->err), &f->err);
    assert_int_equal(info.state, RUN_SEALED);
    assert_string_equal(info.variables, "pruned.ratio=0.3 seed=1");
    assert_true(info.has_seed && info.seed == 7);
}

static void bad_records_are_refused_in_words(void **state)
{
    struct fix *f = *state;
    struct run_writer *w = begin(f, ID_A);
    struct recorder r = run_recorder(w);
    struct array a = {DT_F32, SHAPE(2, 3), weights, {NULL}};

    record_some(f, w);
    assert_fails(r.array(r.ctx, RECORD_RESULT, "/scores", &a, &f->err), &f->err,
                 ERR_INPUT, "group");
    assert_fails(r.array(r.ctx, RECORD_RESULT, "/scores/heads/x", &a, &f->err), &f->err,
                 ERR_INPUT, "is a dataset");
    assert_fails(r.array(r.ctx, RECORD_RESULT, "x/../y", &a, &f->err), &f->err, ERR_INPUT,
                 "absolute");
    assert_fails(r.array(r.ctx, RECORD_RESULT, "/spec", &a, &f->err), &f->err, ERR_INPUT,
                 "own");
    assert_fails(r.metric(r.ctx, RECORD_RESULT, "train/loss", 0, 1, &f->err), &f->err,
                 ERR_INPUT, "do not fall");
    assert_fails(r.reference(r.ctx, "/tensors/r", "nothing", &f->err), &f->err, ERR_INPUT,
                 "origin");
    run_end(w, "enough");
}

/* In a child that is killed in the middle: two checkpoints, and records
 * after the last. */
static void work_and_be_killed(struct fix *f, const char *id)
{
    pid_t child = fork();

    if (!child) {
        int64_t x = 0;
        struct region r = {"x", &x, sizeof x};
        struct run_writer *w = begin(f, id);
        for (int64_t i = 0; i < 10; i++) {
            metric(f, w, "loss", i, (double)i);
            x = i + 1;
            if (i % 4 == 3)
                assert_ok(run_checkpoint(w, i + 1, &r, 1, &f->err), &f->err);
        }
        raise(SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
}

/* Goes on from a checkpoint, if there is one, to the end. Returns where it
 * went on from. */
static int64_t finish(struct fix *f, const char *id)
{
    int64_t x = 0, step = 0;
    struct region r = {"x", &x, sizeof x};
    struct run_writer *w = begin(f, id);
    int rc = run_restore(w, &step, &r, 1, &f->err);

    assert_ok(rc, &f->err);
    assert_int_equal(x, step);
    for (int64_t i = x; i < 12; i++)
        metric(f, w, "loss", i, (double)i);
    seal(f, w);
    return step;
}

static void assert_twelve(struct fix *f, const char *id, char digest[65])
{
    struct run *run;
    struct series s;

    assert_ok(run_open(&run, f->store, id, false, &f->err), &f->err);
    assert_ok(run_series_find(run, "loss", &s, &f->err), &f->err);
    assert_int_equal(s.n, 12);
    for (int64_t i = 0; i < 12; i++)
        assert_true(s.step[i] == i && s.value[i] == (double)i);
    strcpy(digest, run_info(run)->digest);
    run_close(run);
}

static void a_killed_run_goes_on_and_ends_the_same(void **state)
{
    struct fix *f = *state;
    char one[65], two[65];
    struct run_info info;

    assert_int_equal(finish(f, ID_A), 0);
    work_and_be_killed(f, ID_B);
    assert_ok(store_stat(f->store, ID_B, &info, &f->err), &f->err);
    assert_int_equal(info.state, RUN_PARTIAL);
    assert_int_equal(info.step, 8);
    assert_non_null(strstr(info.failure, "killed"));
    assert_int_equal(finish(f, ID_B), 8);
    assert_twelve(f, ID_A, one);
    assert_twelve(f, ID_B, two);
    assert_string_equal(one, two);
}

static void overwrite(const char *path, int64_t at, const char *bytes, size_t n)
{
    int fd = open(path, O_WRONLY);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, n, at < 0 ? file_size(path) + at : at), n);
    close(fd);
}

static void a_damaged_checkpoint_gives_way_to_the_one_before(void **state)
{
    struct fix *f = *state;
    char path[256], digest[65];

    work_and_be_killed(f, ID_B);
    snprintf(path, sizeof path, "%s/bb/%s/ckpt/0000000001.000002", f->dir, ID_B);
    overwrite(path, -3, "???", 3);
    assert_int_equal(finish(f, ID_B), 4);
    assert_twelve(f, ID_B, digest);
}

static void a_torn_tail_of_the_journal_is_cut_off(void **state)
{
    struct fix *f = *state;
    char path[256], digest[65];
    struct run *run;
    struct series s;

    work_and_be_killed(f, ID_B);
    snprintf(path, sizeof path, "%s/bb/%s/journal.1", f->dir, ID_B);
    assert_int_equal(truncate(path, file_size(path) - 5), 0);
    assert_ok(run_open(&run, f->store, ID_B, true, &f->err), &f->err);
    assert_ok(run_series_find(run, "loss", &s, &f->err), &f->err);
    assert_int_equal(s.n, 9);
    run_close(run);
    assert_int_equal(finish(f, ID_B), 8);
    assert_twelve(f, ID_B, digest);
}

static void a_checkpoint_of_another_environment_is_set_aside(void **state)
{
    struct fix *f = *state;
    int64_t x = 0, step = 0;
    struct region r = {"x", &x, sizeof x};
    struct run_head h = head_of(ID_B);
    struct run_writer *w;

    work_and_be_killed(f, ID_B);
    h.env_class = "e2";
    assert_ok(run_begin(&w, f->store, &h, &f->err), &f->err);
    assert_int_equal(run_restore(w, &step, &r, 1, &f->err), 0);
    assert_non_null(strstr(run_notes(w), "set aside"));
    assert_int_equal(x, 0);
    run_end(w, NULL);
}

static void a_run_in_work_is_locked(void **state)
{
    struct fix *f = *state;
    struct run_head h = head_of(ID_A);
    struct run_writer *w = begin(f, ID_A), *other;

    assert_fails(run_begin(&other, f->store, &h, &f->err), &f->err, ERR_LOCKED,
                 "worked on by process");
    assert_fails(store_remove(f->store, ID_A, &f->err), &f->err, ERR_LOCKED, "worked on");
    assert_ok(run_heartbeat(w, &f->err), &f->err);
    run_end(w, "stopped by a test");
    w = begin(f, ID_A);
    assert_int_equal(run_generation(w), 2);
    run_end(w, NULL);
    assert_ok(store_remove(f->store, ID_A, &f->err), &f->err);
}

static void another_hosts_lease_counts_by_its_age(void **state)
{
    struct fix *f = *state;
    char path[256];
    struct run_head h = head_of(ID_A);
    struct run_writer *w;
    static const char text[] =
        "retort-lease 2\nhost far\nboot b\nspace s\npid 1\nstart 1\n";
    char lease[128];
    int n = snprintf(lease, sizeof lease, "%ssum %08x\n", text,
                     (unsigned)crc32c(0, text, sizeof text - 1));
    struct timespec old[2] = {{1000, 0}, {1000, 0}};

    snprintf(path, sizeof path, "%s/aa/%s", f->dir, ID_A);
    assert_ok(file_mkdirs(path, &f->err), &f->err);
    snprintf(path, sizeof path, "%s/aa/%s/lease", f->dir, ID_A);
    assert_ok(file_write(path, lease, n, &f->err), &f->err);
    assert_fails(run_begin(&w, f->store, &h, &f->err), &f->err, ERR_LOCKED, "far");
    assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
    assert_ok(run_begin(&w, f->store, &h, &f->err), &f->err);
    run_end(w, NULL);
}

static void references_lead_to_other_runs(void **state)
{
    struct fix *f = *state;
    struct run_writer *w = begin(f, ID_A);
    struct run *run;
    struct array x;

    record_some(f, w);
    seal(f, w);
    w = begin(f, ID_B);
    struct recorder r = run_recorder(w);
    assert_ok(r.reference(r.ctx, "/tensors/w", ID_A ":/scores/heads", &f->err), &f->err);
    assert_ok(r.reference(r.ctx, "/tensors/ring", ID_B ":/tensors/ring", &f->err),
              &f->err);
    assert_ok(r.reference(r.ctx, "/tensors/lost", ID_C ":/x", &f->err), &f->err);
    seal(f, w);
    assert_ok(run_open(&run, f->store, ID_B, false, &f->err), &f->err);
    struct artifact *a = run_artifact(run);
    assert_ok(a->array(a->ctx, "/tensors/w", &x, &f->err), &f->err);
    assert_memory_equal(x.data, weights, sizeof weights);
    assert_string_equal(run_item(run, 0)->origin, ID_A ":/scores/heads");
    assert_fails(a->array(a->ctx, "/tensors/ring", &x, &f->err), &f->err, ERR_INPUT,
                 "ring");
    assert_fails(a->array(a->ctx, "/tensors/lost", &x, &f->err), &f->err, ERR_MISSING,
                 "cc0000");
    run_close(run);
}

static void equal_content_gives_equal_bytes(void **state)
{
    struct fix *f = *state;
    char path[256], sum[2][65];

    setenv("SOURCE_DATE_EPOCH", "1700000000", 1);
    snprintf(path, sizeof path, "%s/aa/%s/run.h5", f->dir, ID_A);
    for (int i = 0; i < 2; i++) {
        struct run_writer *w = begin(f, ID_A);
        record_some(f, w);
        seal(f, w);
        assert_ok(sha256_file(sum[i], path, &f->err), &f->err);
        assert_ok(store_remove(f->store, ID_A, &f->err), &f->err);
        if (!i)
            usleep(1100000); /* so that a time of objects would show */
    }
    unsetenv("SOURCE_DATE_EPOCH");
    assert_string_equal(sum[0], sum[1]);
}

static void one_damaged_run_among_good_ones_is_an_entry(void **state)
{
    struct fix *f = *state;
    const char *ids[] = {ID_A, ID_B, ID_C};
    char path[256];
    struct run_info *list;
    struct run *run;
    int64_t n;

    for (int i = 0; i < 3; i++) {
        struct run_writer *w = begin(f, ids[i]);
        record_some(f, w);
        seal(f, w);
    }
    snprintf(path, sizeof path, "%s/bb/%s/run.h5", f->dir, ID_B);
    chmod(path, 0644);
    assert_int_equal(truncate(path, file_size(path) / 2), 0);
    assert_ok(store_list(f->store, &list, &n, &f->err), &f->err);
    assert_int_equal(n, 3);
    int damaged = 0;
    for (int64_t i = 0; i < n; i++)
        if (list[i].state == RUN_DAMAGED) {
            assert_string_equal(list[i].id, ID_B);
            assert_non_null(strstr(list[i].failure, "run.h5"));
            damaged++;
        }
    assert_int_equal(damaged, 1);
    free(list);
    assert_fails(run_open(&run, f->store, ID_B, false, &f->err), &f->err, ERR_INPUT,
                 "run.h5");
}

static void a_run_cut_or_changed_anywhere_never_crashes(void **state)
{
    struct fix *f = *state;
    struct run_writer *w = begin(f, ID_A);
    char path[256], digest[65];
    char *good;
    int64_t len;

    record_some(f, w);
    seal(f, w);
    snprintf(path, sizeof path, "%s/aa/%s/run.h5", f->dir, ID_A);
    assert_ok(file_read(&good, &len, path, 1 << 24, &f->err), &f->err);
    chmod(path, 0644);
    for (int i = 0; i < 400; i++) {
        struct run *run = NULL;
        int64_t at = (int64_t)i * 7919 % len;
        if (i % 4 == 0) {
            assert_ok(file_write(path, good, at, &f->err), &f->err);
        } else {
            char *bad = malloc((size_t)len);
            memcpy(bad, good, (size_t)len);
            bad[at] = (char)(bad[at] ^ (1 << i % 8));
            assert_ok(file_write(path, bad, len, &f->err), &f->err);
            free(bad);
        }
        if (!run_open(&run, f->store, ID_A, false, &f->err))
            assert_ok(run_digest(run, digest, &f->err), &f->err);
        run_close(run);
        err_clear(&f->err);
    }
    free(good);
}

static void runs_are_found_by_prefix_and_label(void **state)
{
    struct fix *f = *state;
    char id[65], *notes;
    struct run_info info;

    run_end(begin(f, ID_A), "no");
    seal(f, begin(f, ID_B));
    assert_ok(store_resolve(f->store, "bb00", id, &f->err), &f->err);
    assert_string_equal(id, ID_B);
    assert_fails(store_resolve(f->store, "cc00", id, &f->err), &f->err, ERR_MISSING,
                 "cc00");
    assert_ok(store_label(f->store, ID_A, "best", &f->err), &f->err);
    assert_ok(store_label(f->store, ID_B, "best", &f->err), &f->err);
    assert_ok(store_resolve(f->store, "best", id, &f->err), &f->err);
    assert_string_equal(id, ID_B);
    assert_ok(store_stat(f->store, ID_A, &info, &f->err), &f->err);
    assert_string_equal(info.label, "");
    assert_string_equal(info.failure, "no");
    assert_ok(store_note(f->store, ID_A, "a\tb\n100%", &f->err), &f->err);
    assert_ok(store_notes(f->store, ID_A, &notes, &f->err), &f->err);
    assert_string_equal(notes, "a\tb\n100%\n");
    free(notes);
}

static void the_catalog_can_be_lost(void **state)
{
    struct fix *f = *state;
    char path[256];
    struct run_info a, b;

    seal(f, begin(f, ID_A));
    assert_ok(store_stat(f->store, ID_A, &a, &f->err), &f->err);
    snprintf(path, sizeof path, "%s/catalog", f->dir);
    assert_ok(file_write(path, "rubbish\n12345678\thalf", 22, &f->err), &f->err);
    store_close(f->store);
    assert_ok(store_open(&f->store, f->dir, false, &f->err), &f->err);
    assert_ok(store_stat(f->store, ID_A, &b, &f->err), &f->err);
    assert_memory_equal(&a, &b, sizeof a);
    assert_ok(store_rebuild_catalog(f->store, &f->err), &f->err);
    assert_ok(store_stat(f->store, ID_A, &b, &f->err), &f->err);
    assert_memory_equal(&a, &b, sizeof a);
}

static void the_catalog_knows_what_a_run_refers_to(void **state)
{
    struct fix *f = *state;
    struct run_info info;
    char path[256], *origins;

    seal(f, begin(f, ID_A));
    struct run_writer *w = begin(f, ID_B);
    struct recorder r = run_recorder(w);
    assert_ok(r.reference(r.ctx, "/tensors/v", ID_A ":/x", &f->err), &f->err);
    assert_ok(r.reference(r.ctx, "/tensors/w", ID_A ":/y", &f->err), &f->err);
    assert_ok(r.reference(r.ctx, "/tensors/x", ID_C ":/x", &f->err), &f->err);
    seal(f, w);
    for (int lost = 0; lost < 2; lost++) {
        assert_ok(store_stat(f->store, ID_A, &info, &f->err), &f->err);
        assert_ok(store_stat(f->store, ID_B, &info, &f->err), &f->err);
        origins = store_origins(f->store, ID_A, &f->err);
        assert_string_equal(origins, "");
        free(origins);
        origins = store_origins(f->store, ID_B, &f->err);
        assert_string_equal(origins, ID_A "," ID_C ",");
        free(origins);
        snprintf(path, sizeof path, "%s/catalog", f->dir);
        assert_ok(file_write(path, "", 0, &f->err), &f->err);
        store_close(f->store);
        assert_ok(store_open(&f->store, f->dir, false, &f->err), &f->err);
        assert_null(store_origins(f->store, ID_B, &f->err));
    }
}

/* Its last record is torn, as by the death of its writer. */
static void a_run_keeps_what_its_process_died_of(void **state)
{
    struct fix *f = *state;
    struct run_info info;
    int64_t resumed;

    assert_ok(small_job(f->store, ID_A, 9, &resumed, &f->err), &f->err);
    int fd = open(run_file(f, ID_A, "journal.1"), O_WRONLY | O_APPEND);
    assert_int_equal(write(fd, "RTJ1 torn", 9), 9);
    close(fd);
    assert_ok(run_died(f->store, ID_A, "killed by signal 9", &f->err), &f->err);
    assert_ok(store_stat(f->store, ID_A, &info, &f->err), &f->err);
    assert_int_equal(info.state, RUN_PARTIAL);
    assert_string_equal(info.failure, "killed by signal 9");
    assert_ok(small_job(f->store, ID_A, 12, &resumed, &f->err), &f->err);
    assert_int_equal(resumed, 8);
    /* Nothing there, or all there: nothing to say. */
    assert_ok(run_died(f->store, ID_A, "late", &f->err), &f->err);
    assert_ok(run_died(f->store, ID_B, "never begun", &f->err), &f->err);
    assert_ok(store_stat(f->store, ID_A, &info, &f->err), &f->err);
    assert_int_equal(info.state, RUN_SEALED);
}

static void a_read_only_store_reads_and_says_why_it_cannot_write(void **state)
{
    struct fix *f = *state;
    struct run_head h = head_of(ID_B);
    struct run_writer *w = begin(f, ID_A);
    struct run *run;
    bool root = geteuid() == 0;

    record_some(f, w);
    seal(f, w);
    assert_int_equal(chmod(f->dir, 0555), 0);
    if (root)
        assert_int_equal(seteuid(65534), 0);
    int begun = run_begin(&w, f->store, &h, &f->err);
    struct err why = f->err;
    err_clear(&f->err);
    int opened = run_open(&run, f->store, ID_A, false, &f->err);
    if (root)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(chmod(f->dir, 0755), 0);
    assert_int_equal(begun, -1);
    assert_int_equal(why.code, ERR_IO);
    assert_non_null(strstr(why.text, f->dir));
    assert_ok(opened, &f->err);
    check_some(f, run);
    run_close(run);
}

static void a_run_made_again_must_come_out_the_same(void **state)
{
    struct fix *f = *state;
    struct run_writer *w = begin(f, ID_A);

    metric(f, w, "loss", 0, 1);
    seal(f, w);
    w = begin(f, ID_A);
    metric(f, w, "loss", 0, 2);
    assert_fails(run_seal(w, &f->err), &f->err, ERR_NEGATIVE, "differently");
    run_end(w, "differs");
}

/* Any HDF5 reader must do; h5py stands for them. References are followed
 * by HDF5 itself. */
static void h5py_reads_a_run_and_its_references(void **state)
{
    static const char script[] =
        "import sys, h5py\n"
        "f = h5py.File(sys.argv[1])\n"
        "w = f['tensors/w']\n"
        "assert w[()].tolist() == [[1, 2, 3], [4, 5, 0]], w[()]\n"
        "assert [d.label for d in w.dims] == ['layer', 'head']\n"
        "assert list(f['tensors/bf'][:]) == [1, 2], f['tensors/bf'][:]\n"
        "assert f['spec'].asstr()[()] == '{\"name\": \"\\u00e9\"}'\n"
        "assert list(f['eval/x/id'].asstr()[:]) == ['one', '', 'dr\\u00e9i']\n"
        "assert list(f['metrics/loss/step'][:]) == [0] and f['metrics/loss/value'][0] == "
        "0.5\n"
        "assert f.attrs['format'] == b'retort-run' and f.attrs['format_version'] == 1\n";
    struct fix *f = *state;
    const char *python = getenv("RETORT_PYTHON");
    char py[128], command[1024];

    if (!python) {
        print_message("no Python with h5py (RETORT_PYTHON)\n");
        skip();
    }
    struct run_writer *w = begin(f, ID_A);
    record_some(f, w);
    seal(f, w);
    w = begin(f, ID_B);
    struct recorder r = run_recorder(w);
    assert_ok(r.reference(r.ctx, "/tensors/w", ID_A ":/scores/heads", &f->err), &f->err);
    assert_ok(r.reference(r.ctx, "/tensors/bf", ID_A ":/tensors/bf", &f->err), &f->err);
    assert_ok(r.text(r.ctx, RECORD_RESULT, "/eval/x/id", words, 3, &f->err), &f->err);
    metric(f, w, "loss", 0, 0.5);
    seal(f, w);
    snprintf(py, sizeof py, "%s/check.py", f->dir);
    assert_ok(file_write(py, script, sizeof script - 1, &f->err), &f->err);
    snprintf(command, sizeof command, "'%s' '%s' '%s/bb/%s/run.h5'", python, py, f->dir,
             ID_B);
    assert_int_equal(system(command), 0);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, store_setup, store_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_sealed_run_reads_back_as_written),
        TEST(bad_records_are_refused_in_words),
        TEST(a_killed_run_goes_on_and_ends_the_same),
        TEST(a_damaged_checkpoint_gives_way_to_the_one_before),
        TEST(a_torn_tail_of_the_journal_is_cut_off),
        TEST(a_checkpoint_of_another_environment_is_set_aside),
        TEST(a_run_in_work_is_locked),
        TEST(another_hosts_lease_counts_by_its_age),
        TEST(references_lead_to_other_runs),
        TEST(equal_content_gives_equal_bytes),
        TEST(one_damaged_run_among_good_ones_is_an_entry),
        TEST(a_run_cut_or_changed_anywhere_never_crashes),
        TEST(runs_are_found_by_prefix_and_label),
        TEST(the_catalog_can_be_lost),
        TEST(the_catalog_knows_what_a_run_refers_to),
        TEST(a_run_keeps_what_its_process_died_of),
        TEST(a_read_only_store_reads_and_says_why_it_cannot_write),
        TEST(a_run_made_again_must_come_out_the_same),
        TEST(h5py_reads_a_run_and_its_references),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
