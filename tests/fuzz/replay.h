/*
 * Replays a folder of inputs through LLVMFuzzerTestOneInput: each file as it is, cut at
 * every length, and with single bytes changed in a fixed order. With -DRETORT_FUZZ there
 * is no main, for libFuzzer's: `make fuzz`.
 */
#ifndef RETORT_TESTS_REPLAY_H
#define RETORT_TESTS_REPLAY_H

#include "check.h"

#include "retort/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHANGES 1000 /* of single bytes, for each file */

static void replay_file(const char *path)
{
    struct err err = ERR_INIT;
    uint32_t random = 12345;
    char *text;
    int64_t len;

    assert_ok(file_read(&text, &len, path, 1 << 20, &err), &err);
    uint8_t *copy = malloc((size_t)len + 1);
    assert_non_null(copy);
    for (int64_t n = 0; n <= len; n++) {
        memcpy(copy, text, (size_t)n);
        LLVMFuzzerTestOneInput(copy, (size_t)n);
    }
    for (int i = 0; i < CHANGES && len > 0; i++) {
        random = random * 1664525u + 1013904223u;
        int64_t at = (int64_t)(random >> 8) % len;
        memcpy(copy, text, (size_t)len);
        copy[at] = i % 2 ? (uint8_t)(random >> 24)
                         : (uint8_t) "\"\\{}[],:0-9eE.tn\x80\xFF"[i / 2 % 18];
        LLVMFuzzerTestOneInput(copy, (size_t)len);
    }
    free(copy);
    free(text);
}

/* Runs all files of tests/fuzz/corpus/NAME; the programs are started in the root of the
 * sources. */
static inline void replay(const char *name)
{
    struct err err = ERR_INIT;
    char *dir = mem_printf(&err, "tests/fuzz/corpus/%s", name), **files;

    assert_ok(file_list(&files, dir, &err), &err);
    assert_non_null(files[0]);
    for (char **file = files; *file; file++) {
        char *path = path_join(dir, *file, &err);
        assert_non_null(path);
        replay_file(path);
        free(path);
    }
    file_list_free(files);
    free(dir);
}

/* The program's main, where libFuzzer does not bring one. */
#ifdef RETORT_FUZZ
#define FUZZ_MAIN(corpus)
#else
#define FUZZ_MAIN(corpus)                                                                \
    static void the_corpus_and_its_changes_do_no_harm(void **state)                      \
    {                                                                                    \
        (void)state;                                                                     \
        replay(corpus);                                                                  \
    }                                                                                    \
    int main(void)                                                                       \
    {                                                                                    \
        const struct CMUnitTest tests[] = {                                              \
            cmocka_unit_test(the_corpus_and_its_changes_do_no_harm)};                    \
        return cmocka_run_group_tests(tests, NULL, NULL);                                \
    }
#endif

#endif
