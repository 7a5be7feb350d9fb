#include "check.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void the_first_message_is_kept(void **state)
{
    struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(err_set(&err, ERR_INPUT, "a.json:%d: bad", 3), -1);
    assert_int_equal(err_set(&err, ERR_IO, "later"), -1);
    assert_int_equal(err.code, ERR_INPUT);
    assert_string_equal(err.text, "a.json:3: bad");
}

static void errno_decides_the_code_and_is_told_in_words(void **state)
{
    struct err err = ERR_INIT;

    (void)state;
    errno = ENOENT;
    assert_fails(err_errno(&err, "%s", "x"), &err, ERR_MISSING, "x: No such file");
    errno = ENOMEM;
    assert_fails(err_errno(&err, "x"), &err, ERR_MEMORY, "x: ");
    errno = EACCES;
    assert_fails(err_errno(&err, "x"), &err, ERR_IO, "x: Permission denied");
}

static void a_prefix_goes_before_the_message(void **state)
{
    struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(err_prefix(&err, "nothing is there"), -1);
    assert_false(err_is_set(&err));
    err_set(&err, ERR_INPUT, "bad value");
    assert_fails(err_prefix(&err, "%s:%d", "spec", 4), &err, ERR_INPUT,
                 "spec:4: bad value");
}

static void long_texts_are_cut_at_whole_characters(void **state)
{
    static char long_text[3 * ERR_TEXT_MAX];
    struct err err = ERR_INIT;

    (void)state;
    for (size_t shift = 0; shift < 3; shift++) {
        memset(long_text, 'a', shift);
        for (size_t i = shift; i + 3 < sizeof long_text; i += 3)
            memcpy(long_text + i, "\xe2\x82\xac", 4);
        err_clear(&err);
        err_set(&err, ERR_INPUT, "%s", long_text);
        assert_in_range(strlen(err.text), ERR_TEXT_MAX - 4, ERR_TEXT_MAX - 1);
        assert_int_equal((strlen(err.text) - shift) % 3, 0);
        err_prefix(&err, "place");
        assert_memory_equal(err.text, "place: ", 7);
        assert_int_equal((strlen(err.text) - shift - 7) % 3, 0);
    }
}

static void exit_codes_follow_the_code(void **state)
{
    static const struct {
        enum err_code code;
        int exit;
    } rows[] = {{ERR_NONE, 0}, {ERR_NEGATIVE, 1}, {ERR_INPUT, 2},  {ERR_MISSING, 3},
                {ERR_IO, 4},   {ERR_MEMORY, 4},   {ERR_LOCKED, 5}, {ERR_STOPPED, 75}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct err err = ERR_INIT;
        if (rows[i].code)
            err_set(&err, rows[i].code, "x");
        assert_int_equal(err_exit_code(&err), rows[i].exit);
    }
}

static void no_place_for_the_story_is_fine(void **state)
{
    (void)state;
    assert_int_equal(err_set(NULL, ERR_IO, "x"), -1);
    assert_int_equal(err_errno(NULL, "x"), -1);
    assert_int_equal(err_prefix(NULL, "x"), -1);
    err_clear(NULL);
    assert_int_equal(err_exit_code(NULL), 0);
}

static void a_bug_aborts(void **state)
{
    int status;
    pid_t pid = fork();

    (void)state;
    if (pid == 0) {
        signal(SIGABRT, SIG_DFL);
        if (!freopen("/dev/null", "w", stderr))
            _exit(1);
        BUG("value %d", 3);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_message_is_kept),
        cmocka_unit_test(errno_decides_the_code_and_is_told_in_words),
        cmocka_unit_test(a_prefix_goes_before_the_message),
        cmocka_unit_test(long_texts_are_cut_at_whole_characters),
        cmocka_unit_test(exit_codes_follow_the_code),
        cmocka_unit_test(no_place_for_the_story_is_fine),
        cmocka_unit_test(a_bug_aborts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
