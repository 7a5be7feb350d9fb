#include "check.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "retort/file.h"

/* Each test works in an empty folder of its own. */
static int enter(void **state)
{
    char *dir = strdup("/tmp/retort-file-XXXXXX");

    *state = dir;
    return mkdtemp(dir) ? 0 : -1;
}

static int leave(void **state)
{
    struct err err = ERR_INIT;
    int rc = file_remove(*state, &err);

    free(*state);
    return rc;
}

static const char *in(void **state, const char *name)
{
    static char paths[4][256];
    static int turn;
    char *path = paths[turn++ % 4];

    snprintf(path, 256, "%s/%s", (const char *)*state, name);
    return path;
}

static void what_is_written_is_read(void **state)
{
    struct err err = ERR_INIT;
    const char *path = in(state, "f");
    char *text = NULL, **list;
    int64_t n = -1;

    for (int64_t size = 0; size <= 20000; size += 4095) {
        char *data = mem_new(size, 1, &err);
        memset(data, 'x', (size_t)size);
        assert_ok(file_write(path, data, size, &err), &err);
        assert_ok(file_read(&text, &n, path, 20000, &err), &err);
        assert_int_equal(n, size);
        assert_int_equal(file_size(path), size);
        assert_memory_equal(text, data, (size_t)size);
        assert_int_equal(text[n], 0);
        free(text);
        free(data);
    }
    assert_ok(file_list(&list, *state, &err), &err); /* nothing is left beside it */
    assert_string_equal(list[0], "f");
    assert_null(list[1]);
    file_list_free(list);
}

static void too_large_missing_and_odd_files_are_refused(void **state)
{
    struct err err = ERR_INIT;
    const char *f = in(state, "f"), *fifo = in(state, "fifo");
    char *text = NULL;
    int64_t n;

    assert_ok(file_write(f, "12345", 5, &err), &err);
    assert_ok(file_read(&text, &n, f, 5, &err), &err);
    free(text);
    assert_fails(file_read(&text, &n, f, 4, &err), &err, ERR_INPUT,
                 "larger than 4 bytes");
    assert_fails(file_read(&text, &n, in(state, "no"), 9, &err), &err, ERR_MISSING,
                 "/no: No such");
    assert_fails(file_read(&text, &n, *state, 9, &err), &err, ERR_INPUT, "is a folder");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_fails(file_read(&text, &n, fifo, 9, &err), &err, ERR_INPUT,
                 "not a regular file");
    assert_fails(file_read(&text, &n, "/proc/self/environ", 1, &err), &err, ERR_INPUT,
                 "larger");
}

static void a_failed_write_keeps_the_old_file(void **state)
{
    struct err err = ERR_INIT;
    char **list;

    assert_fails(file_write(in(state, "no/f"), "x", 1, &err), &err, ERR_MISSING, "no/f");
    assert_ok(file_mkdirs(in(state, "dir/sub"), &err), &err);
    assert_fails(file_write(in(state, "dir"), "x", 1, &err), &err, ERR_IO, "dir: ");
    assert_ok(file_list(&list, *state, &err), &err);
    assert_string_equal(list[0], "dir");
    assert_null(list[1]);
    file_list_free(list);
    int fd = open("/dev/full", O_WRONLY);
    if (fd >= 0) {
        assert_fails(file_write_fd(fd, "x", 1, "full", &err), &err, ERR_IO,
                     "full: No space");
        close(fd);
    }
}

static void a_map_shows_the_bytes(void **state)
{
    struct err err = ERR_INIT;
    struct file_map map;
    const char *f = in(state, "f");

    assert_ok(file_write(f, "abc", 3, &err), &err);
    assert_ok(file_map(&map, f, &err), &err);
    assert_int_equal(map.len, 3);
    assert_memory_equal(map.data, "abc", 3);
    file_unmap(&map);
    assert_ok(file_write(f, "", 0, &err), &err);
    assert_ok(file_map(&map, f, &err), &err);
    assert_true(map.len == 0 && !map.data);
    file_unmap(&map);
    assert_fails(file_map(&map, in(state, "no"), &err), &err, ERR_MISSING, "no: ");
    assert_fails(file_map(&map, *state, &err), &err, ERR_INPUT, "is a folder");
}

static void folders_are_made_with_their_parents(void **state)
{
    struct err err = ERR_INIT;

    assert_ok(file_mkdirs(in(state, "a/b/c"), &err), &err);
    assert_ok(file_mkdirs(in(state, "a/b/c/"), &err), &err);
    assert_true(file_is_dir(in(state, "a/b/c")));
    assert_ok(file_write(in(state, "a/f"), "", 0, &err), &err);
    assert_true(file_exists(in(state, "a/f")) && !file_is_dir(in(state, "a/f")));
    assert_fails(file_mkdirs(in(state, "a/f"), &err), &err, ERR_IO, "not a folder");
    assert_fails(file_mkdirs(in(state, "a/f/g"), &err), &err, ERR_IO, "a/f");
    assert_fails(file_mkdirs("", &err), &err, ERR_MISSING, "No such");
    assert_int_equal(file_size(in(state, "a/no")), -1);
}

static void removing_follows_no_links(void **state)
{
    struct err err = ERR_INIT;

    assert_ok(file_mkdirs(in(state, "keep"), &err), &err);
    assert_ok(file_write(in(state, "keep/f"), "x", 1, &err), &err);
    assert_ok(file_mkdirs(in(state, "gone/a/b"), &err), &err);
    assert_ok(file_write(in(state, "gone/a/f"), "x", 1, &err), &err);
    assert_int_equal(symlink(in(state, "keep"), in(state, "gone/a/link")), 0);
    assert_int_equal(chmod(in(state, "gone/a/f"), 0400), 0);
    assert_ok(file_remove(in(state, "gone"), &err), &err);
    assert_false(file_exists(in(state, "gone")));
    assert_true(file_exists(in(state, "keep/f")));
    assert_ok(file_remove(in(state, "gone"), &err), &err);
    assert_ok(file_remove(in(state, "keep/f"), &err), &err);
    assert_false(file_exists(in(state, "keep/f")));
}

static void lists_are_sorted_by_bytes(void **state)
{
    static const char *const names[] = {"b", "\xc3\xa4", "A", "a10", "a2", ".hidden"};
    static const char *const sorted[] = {".hidden", "A", "a10", "a2", "b", "\xc3\xa4"};
    struct err err = ERR_INIT;
    char **list;

    for (int i = 0; i < 6; i++)
        assert_ok(file_write(in(state, names[i]), "", 0, &err), &err);
    assert_ok(file_list(&list, *state, &err), &err);
    for (int i = 0; i < 6; i++)
        assert_string_equal(list[i], sorted[i]);
    assert_null(list[6]);
    file_list_free(list);
    assert_fails(file_list(&list, in(state, "no"), &err), &err, ERR_MISSING, "no: ");
}

static void check_text(char *got, const char *want)
{
    assert_non_null(got);
    assert_string_equal(got, want);
    free(got);
}

static void paths_are_joined_and_split(void **state)
{
    struct err err = ERR_INIT;

    (void)state;
    check_text(path_join("a", "b", &err), "a/b");
    check_text(path_join("a/", "b", &err), "a/b");
    check_text(path_join("", "b", &err), "b");
    check_text(path_join(".", "b", &err), "b");
    check_text(path_join("a", "/b", &err), "/b");
    check_text(path_join("/", "b", &err), "/b");
    check_text(path_dir("a/b/c", &err), "a/b");
    check_text(path_dir("a", &err), ".");
    check_text(path_dir("/a", &err), "/");
    assert_string_equal(path_base("a/b/c"), "c");
    assert_string_equal(path_base("c"), "c");
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter, leave)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(what_is_written_is_read),
        IN_FOLDER(too_large_missing_and_odd_files_are_refused),
        IN_FOLDER(a_failed_write_keeps_the_old_file),
        IN_FOLDER(a_map_shows_the_bytes),
        IN_FOLDER(folders_are_made_with_their_parents),
        IN_FOLDER(removing_follows_no_links),
        IN_FOLDER(lists_are_sorted_by_bytes),
        cmocka_unit_test(paths_are_joined_and_split),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
