#include "check.h"

#include <errno.h>
#include <spawn.h>
#include <sys/wait.h>

#include "../../engine/formats/torch_bin.h"
#include "retort/file.h"
#include "retort/hf.h"

extern char **environ;

#define FIXTURES "tests/parity/fixtures/torch_bin"

static char dir[] = "/tmp/retort-bin-XXXXXX";

static int setup(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    return file_remove(dir, &err);
}

/* ---- files of PyTorch ---- */

static int64_t bytes_of(const struct safetensors_entry *e)
{
    static const int64_t size[DT_COUNT] = {
        [DT_F64] = 8, [DT_F32] = 4, [DT_BF16] = 2, [DT_F16] = 2,
        [DT_I64] = 8, [DT_I32] = 4, [DT_I8] = 1,   [DT_U8] = 1};
    return e->count * size[e->dtype];
}

static void same_tensor(const struct safetensors_entry *a,
                        const struct safetensors_entry *b)
{
    assert_non_null(a);
    assert_string_equal(a->name, b->name);
    assert_int_equal(a->dtype, b->dtype);
    assert_int_equal(a->shape.rank, b->shape.rank);
    assert_true(a->shape.rank < 0 || shape_equal(a->shape, b->shape));
    assert_int_equal(a->count, b->count);
    if (bytes_of(b) > 0)
        assert_memory_equal(a->data, b->data, (size_t)bytes_of(b));
}

/* All files of torch.save in a folder hold what want.safetensors does, bit for bit. */
static void same_as_wanted(const char *folder)
{
    static const char *const files[] = {"archive.bin", "protocol4.bin", "old.bin",
                                        "without_crc.bin"};
    struct err err = ERR_INIT;
    struct safetensors *want;
    char *path = path_join(folder, "want.safetensors", &err);

    assert_ok(safetensors_open(&want, path, &err), &err);
    free(path);
    for (size_t k = 0; k < sizeof files / sizeof *files; k++) {
        struct torch_bin *b;
        path = path_join(folder, files[k], &err);
        assert_ok(torch_bin_open(&b, path, &err), &err);
        free(path);
        assert_int_equal(torch_bin_count(b), safetensors_count(want));
        for (int64_t i = 0; i < safetensors_count(want); i++) {
            const struct safetensors_entry *e = safetensors_at(want, i);
            same_tensor(torch_bin_find(b, e->name), e);
        }
        assert_string_equal(torch_bin_at(b, 0)->name, "plain");
        assert_null(torch_bin_find(b, "other"));
        assert_null(torch_bin_at(b, torch_bin_count(b)));
        torch_bin_close(b);
    }
    safetensors_close(want);
}

static void files_of_torch_save_are_read_to_the_bit(void **state)
{
    (void)state;
    same_as_wanted(FIXTURES);
}

static void notes_of_a_module_are_passed_over(void **state)
{
    struct err err = ERR_INIT;
    struct torch_bin *b;

    (void)state;
    assert_ok(torch_bin_open(&b, FIXTURES "/module.bin", &err), &err);
    assert_int_equal(torch_bin_count(b), 2);
    assert_string_equal(torch_bin_at(b, 0)->name, "weight");
    assert_int_equal(torch_bin_at(b, 0)->shape.dim[0], 3);
    torch_bin_close(b);
}

static void the_pytorch_at_hand_writes_what_we_read(void **state)
{
    const char *python = getenv("RETORT_PYTHON");
    char script[] = "tests/parity/make_torch_bin.py", name[512];
    pid_t child;
    int status;

    (void)state;
    if (!python) {
        print_message("PyTorch is not here (RETORT_PYTHON)\n");
        skip();
    }
    snprintf(name, sizeof name, "%s", python);
    char *argv[] = {name, script, dir, NULL};
    assert_int_equal(posix_spawn(&child, name, NULL, NULL, argv, environ), 0);
    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    assert_int_equal(status, 0);
    same_as_wanted(dir);
}

/* ---- files by hand, in the older form ---- */

static const char begin[] = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
                            "\x80\x02M\xe9\x03."
                            "\x80\x02}X\x0d\0\0\0little_endian\x88s.";
static const char keys[] = "\x80\x02]X\1\0\0\0ka.";
static const char floats[] = "\4\0\0\0\0\0\0\0AAAABBBBCCCCDDDD";

static char *hand_made(const char *pickle, size_t n, const char *end, size_t end_len)
{
    struct err err = ERR_INIT;
    struct strbuf sb = STRBUF_INIT;
    char *path = path_join(dir, "by_hand.bin", &err);

    strbuf_add(&sb, begin, sizeof begin - 1);
    strbuf_add(&sb, pickle, n);
    strbuf_add(&sb, end, end_len);
    assert_ok(file_write(path, sb.text, (int64_t)sb.len, &err), &err);
    strbuf_release(&sb);
    return path;
}

static void opens(const char *pickle, size_t n, enum err_code code, const char *part)
{
    struct err err = ERR_INIT;
    struct torch_bin *b;
    struct strbuf end = STRBUF_INIT;

    strbuf_add(&end, keys, sizeof keys - 1);
    strbuf_add(&end, floats, sizeof floats - 1);
    char *path = hand_made(pickle, n, end.text, end.len);
    if (code)
        assert_fails(torch_bin_open(&b, path, &err), &err, code, part);
    else
        assert_ok(torch_bin_open(&b, path, &err), &err);
    torch_bin_close(b);
    free(path);
    strbuf_release(&end);
}

#define REFUSED(pickle, part) opens(pickle, sizeof(pickle) - 1, ERR_INPUT, part)
#define READ(pickle) opens(pickle, sizeof(pickle) - 1, ERR_NONE, "")
/* {"a": tensor of storage "k" with 4 floats, and these sizes and strides} */
#define STORAGE(count)                                                                   \
    "(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0kX\3\0\0\0cpuK" count "tQ"
#define TENSOR(count, rest)                                                              \
    "\x80\x02}X\1\0\0\0actorch._utils\n_rebuild_tensor_v2\n(" STORAGE(count) rest        \
        "\x89)"                                                                          \
        "tRs."

static void a_file_by_hand_is_read(void **state)
{
    (void)state;
    READ(TENSOR("\4", "K\0K\2K\2\x86K\2K\1\x86"));
    READ(TENSOR("\4", "K\4K\0\x85K\1\x85")); /* nothing, at the end */
    READ(TENSOR("\4", "K\3))"));             /* a scalar */
}

static void what_is_no_tensor_is_refused(void **state)
{
    (void)state;
    REFUSED("\x80\x02"
            "cos\nsystem\nX\7\0\0\0rm -rf .\x85R.",
            "asks for os.system");
    REFUSED("\x80\x04\x8c\x05posix\x8c\6system\x93.", "asks for posix.system");
    REFUSED("\x80\x02}X\1\0\0\0aK\1s.", "\"a\" is a whole number");
    REFUSED("\x80\x02}K\1K\1s.", "a key is a whole number");
    REFUSED("\x80\x02].", "holds a list");
    REFUSED("\x80\x02"
            "cbuiltins\neval\n.",
            "asks for builtins.eval");
    REFUSED("\x80\x02(itorch\nSize\n.", "opcode 0x69");
    REFUSED("\x80\x02)\x81.", "opcode 0x81");
    REFUSED("\x80\x02"
            "ctorch\nSize\n)R}b.",
            "gives attributes to an object");
    REFUSED("\x80\x02"
            "K\1)R.",
            "calls a whole number");
    REFUSED("\x80\x06N.", "protocol 6");
}

static void broken_pickles_are_refused(void **state)
{
    (void)state;
    REFUSED("\x80\x02R.", "empty stack");
    REFUSED("\x80\x02t.", "not begun");
    REFUSED("\x80\x02(.", "ends with 0 values");
    REFUSED("\x80\x02NN.", "ends with 2 values");
    REFUSED("\x80\x02(K\1u.", "empty stack");
    REFUSED("\x80\x02}(K\1u.", "without a value");
    REFUSED("\x80\x02"
            "K\1K\1a.",
            "puts values into a whole number");
    REFUSED("\x80\x02h\0.", "asks for value 0 of 0");
    REFUSED("\x80\x02Nr\xff\xff\xff\xff.", "keeps value 4294967295");
    REFUSED("\x80\x02X\xff\xff\xff\x7fx.", "cut off");
    REFUSED("\x80\x02\x8b\xff\xff\xff\xff.", "cut off");
    REFUSED("\x80\x02"
            "cos",
            "cut off");
}

static void tensors_outside_of_their_storage_are_refused(void **state)
{
    (void)state;
    REFUSED(TENSOR("\4", "K\0K\5\x85K\1\x85"), "reaches to number 4 of a storage of 4");
    REFUSED(TENSOR("\4", "K\1K\2K\2\x86K\2K\1\x86"), "reaches to number 4");
    REFUSED(TENSOR("\4", "K\5K\0\x85K\1\x85"), "reaches to number 5");
    REFUSED(TENSOR("\4", "J\xff\xff\xff\xffK\1\x85K\1\x85"), "offset");
    REFUSED(TENSOR("\4", "K\0J\xff\xff\xff\xff\x85K\1\x85"), "from 0 up");
    REFUSED(TENSOR("\4", "K\0K\1\x85J\xff\xff\xff\xff\x85"), "from 0 up");
    REFUSED(TENSOR("\4", "K\0K\x09\x85K\0\x85"), "repeats its numbers");
    REFUSED(TENSOR("\4", "K\0K\2\x85K\1K\1\x86"), "sizes and strides are none");
    REFUSED(TENSOR("\4", "K\0\x8a\x08\0\0\0\0\0\0\0\x40K\4\x86K\1K\1\x86"),
            "more elements than a file");
    REFUSED(TENSOR("\4", "K\0K\3K\3\x86\x8a\x08\0\0\0\0\0\0\0\x40K\1\x86"),
            "lead out of every file");
    REFUSED(TENSOR("\5", "K\0K\4\x85K\1\x85"), "should have 5 numbers");
}

/* What costs a byte in the file may not cost a hundred in memory without end. */
static void endless_pickles_are_refused(void **state)
{
    static const struct {
        const char *text, *part;
    } each[] = {{"(", "more than 1000000 lists"},
                {"N", "more than 1000000 values"},
                {"Nq\1", "keeps value 1 after 0"},
                {")\x85", "more than 1000000 values"}};
    enum { N = 3000000 };
    char *pickle = malloc(N + 2);

    (void)state;
    assert_non_null(pickle);
    for (size_t k = 0; k < sizeof each / sizeof *each; k++) {
        memcpy(pickle, "\x80\x02", 2);
        for (size_t i = 0; i < N; i++)
            pickle[2 + i] = each[k].text[i % strlen(each[k].text)];
        opens(pickle, N + 2, ERR_INPUT, each[k].part);
    }
    free(pickle);
}

static void cut_files_are_refused(void **state)
{
    struct err err = ERR_INIT;
    static const char *const files[] = {"archive.bin", "old.bin"};

    (void)state;
    for (size_t k = 0; k < 2; k++) {
        char *path = path_join(FIXTURES, files[k], &err), *text, *cut;
        struct torch_bin *b;
        int64_t len;
        assert_ok(file_read(&text, &len, path, 1 << 20, &err), &err);
        cut = path_join(dir, "cut.bin", &err);
        assert_ok(file_write(cut, text, len - 30, &err), &err);
        assert_fails(torch_bin_open(&b, cut, &err), &err, ERR_INPUT, "cut");
        assert_ok(file_write(cut, text, 1, &err), &err);
        assert_fails(torch_bin_open(&b, cut, &err), &err, ERR_INPUT, "no file of torch");
        free(cut);
        free(text);
        free(path);
    }
}

/* One bit of a tensor: the archive's CRC tells. */
static void damaged_numbers_are_refused(void **state)
{
    struct err err = ERR_INIT;
    struct torch_bin *b;
    char *text, *path = path_join(dir, "damaged.bin", &err);
    int64_t len;

    (void)state;
    assert_ok(file_read(&text, &len, FIXTURES "/archive.bin", 1 << 20, &err), &err);
    assert_ok(torch_bin_open(&b, FIXTURES "/archive.bin", &err), &err);
    unsigned char number[4];
    memcpy(number, torch_bin_find(b, "scalar")->data, 4);
    torch_bin_close(b);
    char *at = memmem(text, (size_t)len, number, 4);
    assert_non_null(at);
    at[0] ^= 1;
    assert_ok(file_write(path, text, len, &err), &err);
    assert_fails(torch_bin_open(&b, path, &err), &err, ERR_INPUT, "CRC-32");
    free(path);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_of_torch_save_are_read_to_the_bit),
        cmocka_unit_test(notes_of_a_module_are_passed_over),
        cmocka_unit_test(the_pytorch_at_hand_writes_what_we_read),
        cmocka_unit_test(a_file_by_hand_is_read),
        cmocka_unit_test(what_is_no_tensor_is_refused),
        cmocka_unit_test(broken_pickles_are_refused),
        cmocka_unit_test(tensors_outside_of_their_storage_are_refused),
        cmocka_unit_test(endless_pickles_are_refused),
        cmocka_unit_test(cut_files_are_refused),
        cmocka_unit_test(damaged_numbers_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
