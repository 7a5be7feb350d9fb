/* DREAM: dialogues, questions, choices; what is wrong is told with its place. */
#include "check.h"

#include <stdlib.h>

#include "retort/file.h"
#include "retort/task.h"

static int read_text(const char *text, struct examples *ex, struct err *err)
{
    const struct task *task = task_find("choice/dream");
    char dir[] = "/tmp/retort-dream-XXXXXX", *folder, *path;
    struct err none = ERR_INIT;
    int rc;

    assert_non_null(mkdtemp(dir));
    folder = path_join(dir, "dream", &none);
    path = path_join(dir, "dream/dev.json", &none);
    assert_ok(file_mkdirs(folder, &none), &none);
    assert_ok(file_write(path, text, (int64_t)strlen(text), &none), &none);
    rc = task->load(task, &(struct task_source){dir, "dev"}, ex, err);
    assert_ok(file_remove(dir, &none), &none);
    free(path);
    free(folder);
    return rc;
}

static void turns_are_joined_and_the_answer_is_found(void **state)
{
    struct err err = ERR_INIT;
    struct examples *ex = examples_new(&err);

    (void)state;
    assert_ok(read_text("[[[\"W: Hi.\",\"M: Ho.\"],[{\"question\":\"Q?\",\"choice\":"
                        "[\"x\",\"y\",\"z\"],\"answer\":\"y\"}],\"4-1\"]]",
                        ex, &err),
              &err);
    assert_int_equal(ex->n, 1);
    assert_string_equal(ex->v[0].id, "4-1/0");
    assert_string_equal(ex->v[0].a, "W: Hi. M: Ho.");
    assert_string_equal(ex->v[0].b, "Q?");
    assert_int_equal(ex->v[0].label, 1);
    assert_int_equal(ex->v[0].n_choices, 3);
    examples_free(ex);
}

static void what_is_wrong_is_told_with_its_place(void **state)
{
    static const struct {
        const char *text, *message;
    } bad[] = {
        {"{}", "1:1: a list of dialogues"},
        {"[]", "no questions"},
        {"[7]", "1:2: a dialogue is a list"},
        {"[[[],[],\"i\"]]", "a list of turns"},
        {"[[[\"a\",3],[],\"i\"]]", "1:8: a turn is a text"},
        {"[[[\"a\"],[{}],\"i\"]]", "needs \"question\""},
        {"[[[\"a\"],[{\"question\":\"q\",\"choice\":[\"x\"]}],\"i\"]]", "three texts"},
        {"[[[\"a\"],[{\"question\":\"q\",\"choice\":[\"x\",\"y\",1]}],\"i\"]]",
         "a choice is a text"},
        {"[[[\"a\"],[{\"question\":\"q\",\"choice\":[\"x\",\"y\",\"z\"],\"answer\":\"w\"}"
         "],"
         "\"i\"]]",
         "none of the texts"},
        {"[[[\"a\"", "1:"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err err = ERR_INIT;
        struct examples *ex = examples_new(&err);
        assert_fails(read_text(bad[i].text, ex, &err), &err, ERR_INPUT, bad[i].message);
        examples_free(ex);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turns_are_joined_and_the_answer_is_found),
        cmocka_unit_test(what_is_wrong_is_told_with_its_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
