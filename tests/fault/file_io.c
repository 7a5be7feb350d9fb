#include "check.h"
#include "fail_io.h"

#include "retort/file.h"
#include "retort/hash.h"

static char dir[64], path[96];

static int enter(void **state)
{
    struct err err = ERR_INIT;

    (void)state;
    memset(&fail_io, 0, sizeof fail_io);
    strcpy(dir, "/tmp/retort-io-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/f", dir);
    return file_write(path, "old", 3, &err);
}

static int leave(void **state)
{
    struct err err = ERR_INIT;

    (void)state;
    memset(&fail_io, 0, sizeof fail_io);
    return file_remove(dir, &err);
}

static void assert_holds(const char *want)
{
    struct err err = ERR_INIT;
    char *text = NULL, **list = NULL;

    fail_io.fail_at = 0;
    assert_ok(file_read(&text, NULL, path, 100, &err), &err);
    assert_string_equal(text, want);
    assert_ok(file_list(&list, dir, &err), &err);
    assert_string_equal(list[0], "f");
    assert_null(list[1]); /* nothing is left beside it */
    file_list_free(list);
    free(text);
}

/* write, fsync, rename, fsync of the folder: only after the rename may the new bytes
 * show. */
static void a_failing_call_leaves_the_old_file_or_the_new(void **state)
{
    static const int numbers[] = {EIO, ENOSPC, EDQUOT};

    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        for (int n = 1; n <= 5; n++) {
            struct err err = ERR_INIT;
            fail_io.fail_at = 0;
            assert_ok(file_write(path, "old", 3, &err), &err);
            fail_io.calls = 0;
            fail_io.fail_at = n;
            fail_io.number = numbers[i];
            int rc = file_write(path, "newer", 5, &err);
            if (n < 5)
                assert_fails(rc, &err, ERR_IO, dir);
            else
                assert_ok(rc, &err);
            assert_holds(n < 4 ? "old" : "newer");
        }
}

static void interrupted_and_short_calls_are_completed(void **state)
{
    struct err err = ERR_INIT;
    char *text = NULL, hex[SHA256_HEX];
    int64_t n;

    (void)state;
    fail_io.stutter = true;
    assert_ok(file_write(path, "abc", 3, &err), &err);
    assert_ok(file_read(&text, &n, path, 100, &err), &err);
    assert_int_equal(n, 3);
    assert_string_equal(text, "abc");
    free(text);
    assert_ok(sha256_file(hex, path, &err), &err);
    assert_memory_equal(hex, "ba7816bf", 8);
}

static void a_failing_read_gives_no_part(void **state)
{
    struct err err = ERR_INIT;
    char *text = NULL, hex[SHA256_HEX];

    (void)state;
    fail_io.number = EIO;
    for (int n = 1; n <= 2; n++) { /* the bytes, then the end */
        fail_io.calls = 0;
        fail_io.fail_at = n;
        assert_fails(file_read(&text, NULL, path, 100, &err), &err, ERR_IO, path);
        assert_null(text);
        fail_io.calls = 0;
        assert_fails(sha256_file(hex, path, &err), &err, ERR_IO, path);
        assert_string_equal(hex, "");
    }
}

static void a_folder_that_cannot_be_made_is_told(void **state)
{
    struct err err = ERR_INIT;
    char sub[96];

    (void)state;
    snprintf(sub, sizeof sub, "%s/a", dir);
    fail_io.number = EROFS;
    fail_io.calls = 0;
    fail_io.fail_at = 3; /* /tmp and ours are there: their mkdir fails anyway */
    assert_fails(file_mkdirs(sub, &err), &err, ERR_IO, "/a: Read-only");
    assert_false(file_exists(sub));
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter, leave)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(a_failing_call_leaves_the_old_file_or_the_new),
        IN_FOLDER(interrupted_and_short_calls_are_completed),
        IN_FOLDER(a_failing_read_gives_no_part),
        IN_FOLDER(a_folder_that_cannot_be_made_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
