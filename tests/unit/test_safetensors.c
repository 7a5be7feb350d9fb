#include "check.h"

#include <unistd.h>

#include "retort/file.h"
#include "retort/safetensors.h"
#include "retort/strbuf.h"

static char path[] = "/tmp/retort-safetensors-XXXXXX";

static int make_path(void **state)
{
    int fd = mkstemp(path);
    (void)state;
    return fd < 0 ? -1 : close(fd);
}

static int remove_path(void **state)
{
    (void)state;
    return remove(path);
}

/* Writes a file: the length (`claimed`, or the true one if negative), the header, n zero
 * bytes. */
static void put_file(int64_t claimed, const char *header, size_t header_len, size_t n)
{
    FILE *f = fopen(path, "wb");
    uint64_t len = claimed < 0 ? header_len : (uint64_t)claimed;

    assert_non_null(f);
    for (int i = 0; i < 8; i++)
        fputc((int)(len >> (8 * i) & 0xFF), f);
    fwrite(header, 1, header_len, f);
    for (size_t i = 0; i < n; i++)
        fputc(0, f);
    assert_int_equal(fclose(f), 0);
}

static void refused(const char *header, size_t n, const char *part)
{
    struct err err = ERR_INIT;
    struct safetensors *st;

    put_file(-1, header, strlen(header), n);
    int rc = safetensors_open(&st, path, &err);
    assert_null(st);
    assert_non_null(strstr(err.text, path));
    assert_fails(rc, &err, ERR_INPUT, part);
}

#define ONE(dtype, shape, offsets)                                                       \
    "{\"w\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
#define TWO(a, b)                                                                        \
    "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":" a                         \
    "},\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":" b "}}"

static void what_is_written_is_read_back(void **state)
{
    static const float f[6] = {1, 2, 3, 4, 5, 6};
    static const int64_t ids[2] = {-1, INT64_MAX};
    static const uint16_t half[1] = {0x3C00};
    const struct safetensors_entry put[] = {
        {"z.weight", DT_F32, SHAPE(2, 3), 6, f},
        {"a \"ids\"", DT_I64, SHAPE(1, 2), 2, ids},
        {"empty", DT_F64, SHAPE(0, 5), 0, NULL},
        {"half", DT_F16, SCALAR, 1, half},
    };
    struct err err = ERR_INIT;
    struct safetensors *st;

    assert_ok(safetensors_write(path, put, 4, &err), &err);
    assert_ok(safetensors_open(&st, path, &err), &err);
    assert_int_equal(safetensors_count(st), 4);
    for (int64_t i = 0; i < 4; i++) {
        const struct safetensors_entry *e = safetensors_at(st, i);
        assert_string_equal(e->name, put[i].name);
        assert_ptr_equal(safetensors_find(st, put[i].name), e);
        assert_int_equal(e->dtype, put[i].dtype);
        assert_int_equal(e->count, put[i].count);
        assert_int_equal(e->shape.rank, put[i].shape.rank);
        assert_memory_equal(e->shape.dim, put[i].shape.dim, sizeof e->shape.dim);
    }
    assert_memory_equal(safetensors_at(st, 0)->data, f, sizeof f);
    assert_memory_equal(safetensors_at(st, 1)->data, ids, sizeof ids);
    assert_memory_equal(safetensors_at(st, 3)->data, half, sizeof half);
    assert_null(safetensors_at(st, 4));
    assert_null(safetensors_find(st, "none"));
    safetensors_close(st);
    (void)state;
}

static void equal_content_is_equal_bytes(void **state)
{
    static const float f[2] = {1, 2};
    const struct safetensors_entry put[] = {{"w", DT_F32, SHAPE(2), 2, f}};
    struct err err = ERR_INIT;
    char *a, *b;
    int64_t n, m;

    assert_ok(safetensors_write(path, put, 1, &err), &err);
    assert_ok(file_read(&a, &n, path, 1000, &err), &err);
    assert_ok(safetensors_write(path, put, 1, &err), &err);
    assert_ok(file_read(&b, &m, path, 1000, &err), &err);
    assert_int_equal(n, m);
    assert_memory_equal(a, b, (size_t)n);
    assert_int_equal(n % 8, 0);
    free(a);
    free(b);
    (void)state;
}

static void a_header_past_the_end_is_refused(void **state)
{
    static const int64_t lengths[] = {3, 1000, INT64_MAX, INT64_MAX - 7};
    struct err err = ERR_INIT;
    struct safetensors *st;

    for (size_t i = 0; i < 4; i++) {
        put_file(lengths[i], "{}", 2, 0);
        assert_fails(safetensors_open(&st, path, &err), &err, ERR_INPUT, "2 follow");
    }
    put_file(2, "{}", 2, 0);
    assert_int_equal(truncate(path, 7), 0);
    assert_fails(safetensors_open(&st, path, &err), &err, ERR_INPUT, "too few");
    assert_int_equal(truncate(path, 0), 0);
    assert_fails(safetensors_open(&st, path, &err), &err, ERR_INPUT,
                 "0 bytes are too few");
    (void)state;
}

static void a_git_lfs_pointer_is_recognised(void **state)
{
    struct err err = ERR_INIT;
    struct safetensors *st;
    FILE *f = fopen(path, "wb");

    fputs("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", f);
    fclose(f);
    assert_fails(safetensors_open(&st, path, &err), &err, ERR_INPUT, "Git LFS pointer");
    (void)state;
}

static void a_broken_header_is_refused_with_its_place(void **state)
{
    refused("", 0, "text ends");
    refused("[]", 0, "it should be an object");
    refused("{", 0, "(header):1:2");
    refused("{} x", 0, "end of the text");
    refused("{\"a\xFF\":1}", 0, "not UTF-8");
    refused("{\"w\": 1, \"w\": 2}", 0, "key \"w\" stands here a second time");
    (void)state;
}

static void a_broken_entry_names_its_tensor(void **state)
{
    refused("{\"w\": 1}", 0, "tensor \"w\": is a number");
    refused("{\"w\": {}}", 0, "tensor \"w\": \"dtype\"");
    refused(ONE("F99", "[1]", "[0,1]"), 1, "dtype \"F99\" is unknown");
    refused(ONE("U16", "[1]", "[0,1]"), 1, "make 2 bytes, data_offsets 1");
    refused(ONE("f32", "[1]", "[0,4]"), 4, "dtype \"f32\"");
    refused(ONE("F32", "4", "[0,16]"), 16, "\"shape\"");
    refused(ONE("F32", "[-1]", "[0,4]"), 4, "dimension 0");
    refused(ONE("F32", "[1,1.5]", "[0,4]"), 4, "dimension 1");
    refused(ONE("F32", "[\"1\"]", "[0,4]"), 4, "dimension 0");
    refused(ONE("F32", "[4294967296,4294967296]", "[0,4]"), 4, "more elements");
    refused(ONE("F64", "[4503599627370496,1024]", "[0,4]"), 4, "more bytes");
    refused(ONE("F32", "[1]", "[0]"), 4, "two whole numbers");
    refused(ONE("F32", "[1]", "{\"a\":0,\"b\":4}"), 4, "two whole numbers");
    refused(ONE("F32", "[1]", "[0,4.5]"), 4, "two whole numbers");
    refused(ONE("F32", "[1]", "[-4,0]"), 4, "negative");
    refused(ONE("F32", "[1]", "[4,0]"), 4, "wrong way round");
    refused(ONE("F32", "[1]", "[0,4]"), 3, "file has 3 bytes of tensors");
    refused(ONE("F32", "[1]", "[0,9007199254740992]"), 4, "data_offsets end at");
    refused(ONE("F32", "[2]", "[0,4]"), 4, "make 8 bytes, data_offsets 4");
    refused(ONE("F16", "[1]", "[0,4]"), 4, "make 2 bytes, data_offsets 4");
    (void)state;
}

static void tensors_fill_the_file_without_gap_or_overlap(void **state)
{
    refused(TWO("[0,4]", "[2,6]"), 6, "tensor \"b\": overlaps tensor \"a\"");
    refused(TWO("[0,4]", "[0,4]"), 4, "overlaps");
    refused(TWO("[0,4]", "[5,9]"), 9, "tensor \"b\": 1 bytes before it");
    refused(TWO("[5,9]", "[1,5]"), 9, "tensor \"b\": 1 bytes before it");
    refused(TWO("[0,4]", "[4,8]"), 10, "last 2 bytes");
    refused("{}", 1, "last 1 bytes");
    (void)state;
}

static void unusual_files_that_are_valid_are_read(void **state)
{
    struct err err = ERR_INIT;
    struct safetensors *st;
    const char *many =
        "{\"a\":{\"dtype\":\"I8\",\"shape\":[1,2,1,1,2],\"data_offsets\":[1,5]},"
        "\"__metadata__\":{\"format\":\"pt\"},"
        "\"\xC3\xA4\":{\"data_offsets\":[0,1],\"shape\":[],\"dtype\":\"U8\"}}  ";

    put_file(-1, "{}", 2, 0);
    assert_ok(safetensors_open(&st, path, &err), &err);
    assert_int_equal(safetensors_count(st), 0);
    assert_null(safetensors_find(st, "a"));
    safetensors_close(st);
    put_file(-1, many, strlen(many), 5);
    assert_ok(safetensors_open(&st, path, &err), &err);
    assert_int_equal(safetensors_count(st), 2);
    assert_int_equal(safetensors_find(st, "a")->shape.rank, -1);
    assert_int_equal(safetensors_find(st, "a")->count, 4);
    assert_int_equal(safetensors_find(st, "\xC3\xA4")->shape.rank, 0);
    assert_null(safetensors_find(st, "__metadata__"));
    safetensors_close(st);
    (void)state;
}

static void a_missing_file_is_told_as_missing(void **state)
{
    struct err err = ERR_INIT;
    struct safetensors *st;

    assert_fails(safetensors_open(&st, "/nowhere/x.safetensors", &err), &err, ERR_MISSING,
                 "/nowhere/x.safetensors");
    assert_fails(safetensors_open(&st, "/", &err), &err, ERR_INPUT, "folder");
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(equal_content_is_equal_bytes),
        cmocka_unit_test(a_header_past_the_end_is_refused),
        cmocka_unit_test(a_git_lfs_pointer_is_recognised),
        cmocka_unit_test(a_broken_header_is_refused_with_its_place),
        cmocka_unit_test(a_broken_entry_names_its_tensor),
        cmocka_unit_test(tensors_fill_the_file_without_gap_or_overlap),
        cmocka_unit_test(unusual_files_that_are_valid_are_read),
        cmocka_unit_test(a_missing_file_is_told_as_missing),
    };
    return cmocka_run_group_tests(tests, make_path, remove_path);
}
