/* Every byte of each kind of file in a store changed in turn: it is noticed, and mended,
 * and nothing else is lost. */
#include "check.h"
#include "small_store.h"

#include <fcntl.h>

#include "retort/hash.h"

/* The id of what small_job asks for: the SHA-256 of "{}". */
#define ID "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"

struct kept {
    char path[256], *bytes;
    int64_t len;
};

static struct kept keep_file(struct fix *f, const char *path)
{
    struct kept k = {.bytes = NULL};

    snprintf(k.path, sizeof k.path, "%s", path);
    assert_ok(file_read(&k.bytes, &k.len, path, 1 << 24, &f->err), &f->err);
    return k;
}

/* As a disk does it: in place, and the times stay. */
static void put_byte(const struct kept *k, int64_t at, unsigned char byte)
{
    struct stat st;

    assert_int_equal(stat(k->path, &st), 0);
    (void)chmod(k->path, 0644);
    int fd = open(k->path, O_WRONLY);
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    const struct timespec times[2] = {st.st_atim, st.st_mtim};
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
}

static unsigned char changed(const struct kept *k, int64_t at)
{
    unsigned char was = (unsigned char)k->bytes[at];

    return (unsigned char)(was ^ (at % 3 ? 1 << at % 8 : 1 + at % 255));
}

static struct check_counts look(struct fix *f, const char *id, bool mend)
{
    const struct check_options opt = {mend, NULL, NULL};
    struct check_counts n;

    assert_ok(store_check(&n, f->store, id, &opt, &f->err), &f->err);
    return n;
}

static bool is_as_before(struct fix *f, const struct kept *k)
{
    char *now;
    int64_t len;

    assert_ok(file_read(&now, &len, k->path, 1 << 24, &f->err), &f->err);
    bool same = len == k->len && !memcmp(now, k->bytes, (size_t)len);
    free(now);
    return same;
}

/* Each byte is changed and noticed; at each `every`-th the file is mended to what it
 * was, else the byte is put back. */
static void spoil(struct fix *f, struct kept *k, const char *id, int64_t every)
{
    for (int64_t at = 0; at < k->len; at++) {
        put_byte(k, at, changed(k, at));
        struct check_counts n = look(f, id, false);
        if (n.damages + n.leftovers < 1)
            fail_msg("%s: byte %d is changed, and nobody notices", k->path, (int)at);
        if (at % every == 0) {
            n = look(f, id, true);
            if (n.mended < 1 || !is_as_before(f, k))
                fail_msg("%s: byte %d is changed, and not mended", k->path, (int)at);
            n = look(f, id, false);
            assert_int_equal(n.damages + n.leftovers, 0);
        } else {
            put_byte(k, at, (unsigned char)k->bytes[at]);
        }
    }
    print_message("%d bytes of %s changed in turn\n", (int)k->len,
                  strrchr(k->path, '/') + 1);
    free(k->bytes);
}

static void a_whole_store_is_found_whole(void **state)
{
    struct fix *f = *state;

    assert_ok(small_job(f->store, ID, 12, NULL, &f->err), &f->err);
    assert_ok(store_label(f->store, ID, "one", &f->err), &f->err);
    struct check_counts n = look(f, NULL, false);
    assert_int_equal(n.sealed, 1);
    assert_int_equal(n.damages + n.leftovers + n.partial + n.skipped, 0);
    assert_true(n.bytes > 1000);
}

static void every_byte_of_a_sealed_run(void **state)
{
    struct fix *f = *state;

    assert_ok(small_job(f->store, ID, 12, NULL, &f->err), &f->err);
    struct kept k = keep_file(f, run_file(f, ID, "run.h5"));
    spoil(f, &k, ID, 61);
    check_small_job(f, ID);
}

static void every_byte_of_a_snapshot(void **state)
{
    struct fix *f = *state;
    char **list, name[96];

    assert_ok(small_job(f->store, ID, 12, NULL, &f->err), &f->err);
    assert_ok(file_list(&list, run_file(f, ID, "parts"), &f->err), &f->err);
    snprintf(name, sizeof name, "parts/%.60s", list[1]);
    file_list_free(list);
    struct kept k = keep_file(f, run_file(f, ID, name));
    spoil(f, &k, ID, 61);
    check_small_job(f, ID);
}

static void every_byte_of_a_journal(void **state)
{
    struct fix *f = *state;

    assert_ok(small_job(f->store, ID, 9, NULL, &f->err), &f->err);
    struct kept k = keep_file(f, run_file(f, ID, "journal.1"));
    spoil(f, &k, ID, 1);
    assert_ok(small_job(f->store, ID, 12, NULL, &f->err), &f->err);
    check_small_job(f, ID);
}

static void every_byte_of_a_checkpoint(void **state)
{
    struct fix *f = *state;
    int64_t resumed;

    assert_ok(small_job(f->store, ID, 9, NULL, &f->err), &f->err);
    struct kept k = keep_file(f, run_file(f, ID, "ckpt/0000000001.000002"));
    spoil(f, &k, ID, 1);
    assert_ok(small_job(f->store, ID, 12, &resumed, &f->err), &f->err);
    assert_int_equal(resumed, 8);
    check_small_job(f, ID);
}

/* Two bytes are wrong: it is set aside, and the one before it serves. */
static void a_checkpoint_beyond_mending_gives_way(void **state)
{
    struct fix *f = *state;
    int64_t resumed;

    assert_ok(small_job(f->store, ID, 9, NULL, &f->err), &f->err);
    struct kept k = keep_file(f, run_file(f, ID, "ckpt/0000000001.000002"));
    put_byte(&k, 40, 1);
    put_byte(&k, k.len - 3, 1);
    assert_int_equal(look(f, ID, true).mended, 1);
    assert_ok(small_job(f->store, ID, 12, &resumed, &f->err), &f->err);
    assert_int_equal(resumed, 4);
    check_small_job(f, ID);
    free(k.bytes);
}

/* The same lines, in their order; the catalog's may be made anew. */
static void every_byte_of_labels(void **state)
{
    struct fix *f = *state;
    struct run_info info;
    char *notes;

    assert_ok(small_job(f->store, ID, 12, NULL, &f->err), &f->err);
    assert_ok(store_label(f->store, ID, "one", &f->err), &f->err);
    assert_ok(store_note(f->store, ID, "a note", &f->err), &f->err);
    assert_ok(store_label(f->store, ID, "two", &f->err), &f->err);
    char path[128];
    snprintf(path, sizeof path, "%s/labels", f->dir);
    struct kept k = keep_file(f, path);
    spoil(f, &k, NULL, 1);
    assert_ok(store_stat(f->store, ID, &info, &f->err), &f->err);
    assert_string_equal(info.label, "two");
    assert_ok(store_notes(f->store, ID, &notes, &f->err), &f->err);
    assert_string_equal(notes, "a note\n");
    free(notes);
}

static void every_byte_of_the_catalog(void **state)
{
    struct fix *f = *state;
    struct err err = ERR_INIT;

    assert_ok(small_job(f->store, ID, 12, NULL, &err), &err);
    assert_ok(small_job(f->store, ID_B, 12, NULL, &err), &err);
    assert_ok(store_remove(f->store, ID_B, &err), &err); /* its line stays */
    char path[128];
    snprintf(path, sizeof path, "%s/catalog", f->dir);
    struct kept k = keep_file(f, path);
    spoil(f, &k, NULL, 1);
}

/* A whole line that says what is not so. */
static void a_catalog_that_contradicts_a_run(void **state)
{
    struct fix *f = *state;
    struct kept k;
    char path[128], *digest;

    assert_ok(small_job(f->store, ID, 12, NULL, &f->err), &f->err);
    snprintf(path, sizeof path, "%s/catalog", f->dir);
    k = keep_file(f, path);
    struct run_info info;
    assert_ok(store_stat(f->store, ID, &info, &f->err), &f->err);
    digest = strstr(k.bytes, info.digest);
    assert_non_null(digest);
    *digest = *digest == 'a' ? 'b' : 'a';
    snprintf(k.bytes, 9, "%08x",
             (unsigned)crc32c(0, k.bytes + 9, (size_t)k.len - 10)); /* without newline */
    k.bytes[8] = '\t';
    assert_ok(file_write(path, k.bytes, k.len, &f->err), &f->err);
    assert_int_equal(look(f, NULL, false).damages, 1);
    assert_int_equal(look(f, NULL, true).mended, 1);
    assert_int_equal(look(f, NULL, false).damages, 0);
    free(k.bytes);
}

static void every_byte_of_a_lease(void **state)
{
    struct fix *f = *state;
    struct run_head h = head_of(ID);
    struct run_writer *w;

    assert_ok(run_begin(&w, f->store, &h, &f->err), &f->err);
    struct kept k = keep_file(f, run_file(f, ID, "lease"));
    for (int64_t at = 0; at < k.len; at++) {
        put_byte(&k, at, changed(&k, at));
        if (look(f, ID, false).damages != 1)
            fail_msg("byte %d of a lease is changed, and nobody notices", (int)at);
        /* Nobody takes a run over because of it, and nobody mends under its holder. */
        assert_int_equal(look(f, ID, true).mended, 0);
        put_byte(&k, at, (unsigned char)k.bytes[at]);
    }
    assert_int_equal(look(f, ID, false).skipped, 1);
    free(k.bytes);
    run_end(w, NULL);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, store_setup, store_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_whole_store_is_found_whole),
        TEST(every_byte_of_a_sealed_run),
        TEST(every_byte_of_a_snapshot),
        TEST(every_byte_of_a_journal),
        TEST(every_byte_of_a_checkpoint),
        TEST(a_checkpoint_beyond_mending_gives_way),
        TEST(every_byte_of_labels),
        TEST(every_byte_of_the_catalog),
        TEST(a_catalog_that_contradicts_a_run),
        TEST(every_byte_of_a_lease),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
