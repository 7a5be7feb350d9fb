/* RACE: its folders of articles; what is wrong is told with its place. */
#include "check.h"

#include <stdlib.h>

#include "retort/file.h"
#include "retort/task.h"

static void put(const char *dir, const char *name, const char *text)
{
    struct err err = ERR_INIT;
    char *path = path_join(dir, name, &err), *folder = path_dir(path, &err);

    assert_ok(file_mkdirs(folder, &err), &err);
    assert_ok(file_write(path, text, (int64_t)strlen(text), &err), &err);
    free(folder);
    free(path);
}

static const char good[] =
    "{\"article\": \"Sun.\", \"questions\": [\"Who?\", \"What is _ ?\"], \"options\": "
    "[[\"a\", \"b\", \"c\", \"d\"], [\"e\", \"f\", \"g\", \"h\"]], \"answers\": [\"C\", "
    "\"A\"], \"id\": \"x\"}";

static void questions_of_all_articles_are_read_in_order(void **state)
{
    struct err err = ERR_INIT;
    char dir[] = "/tmp/retort-race-XXXXXX";
    static const struct {
        const char *task, *first;
        int64_t n;
    } want[] = {{"race/middle", "middle10.txt/0", 4},
                {"race/high", "high7.txt/0", 2},
                {"race/all", "middle10.txt/0", 6}};

    (void)state;
    assert_non_null(mkdtemp(dir));
    put(dir, "RACE/dev/middle/2.txt", good);
    put(dir, "RACE/dev/middle/10.txt", good);
    put(dir, "RACE/dev/middle/notes", "no article");
    put(dir, "RACE/dev/high/7.txt", good);
    for (int i = 0; i < 3; i++) {
        const struct task *task = task_find(want[i].task);
        struct examples *ex = examples_new(&err);
        assert_ok(task->load(task, &(struct task_source){dir, "dev"}, ex, &err), &err);
        assert_int_equal(ex->n, want[i].n);
        assert_string_equal(ex->v[0].id, want[i].first);
        assert_string_equal(ex->v[0].a, "Sun.");
        assert_string_equal(ex->v[1].b, "What is _ ?");
        assert_int_equal(ex->v[0].label, 2);
        assert_int_equal(ex->v[0].n_choices, 4);
        assert_string_equal(ex->v[1].choices[3], "h");
        assert_string_equal(ex->v[0].prompts[1],
                            "Article: Sun.\n\nQuestion: Who?\nAnswer:");
        examples_free(ex);
    }
    assert_ok(file_remove(dir, &err), &err);
}

static void what_is_wrong_is_told_with_its_place(void **state)
{
    static const struct {
        const char *text, *message;
    } bad[] = {
        {"[]", "1.txt:1:1: a text \"article\""},
        {"{\"article\": \"a\", \"questions\": [\"q\"], \"options\": [], \"answers\": []}",
         "as many \"questions\""},
        {"{\"article\": \"a\", \"questions\": [3], \"options\": [[]], \"answers\": "
         "[\"A\"]}",
         "1.txt:1:32: a question is a text"},
        {"{\"article\": \"a\", \"questions\": [\"q\"], \"options\": [[\"x\"]], "
         "\"answers\": [\"A\"]}",
         "four options"},
        {"{\"article\": \"a\", \"questions\": [\"q\"], \"options\": [[\"x\", \"y\", 3, "
         "\"z\"]], \"answers\": [\"A\"]}",
         "an option is a text"},
        {"{\"article\": \"a\", \"questions\": [\"q\"], \"options\": [[\"x\", \"y\", "
         "\"z\", \"z\"]], \"answers\": [\"E\"]}",
         "an answer is \"A\", \"B\", \"C\" or \"D\""},
        {"{\"article\": \"a\"", "1.txt:1:"},
    };
    struct err err = ERR_INIT, none = ERR_INIT;
    const struct task *task = task_find("race/middle");

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char dir[] = "/tmp/retort-race-XXXXXX";
        struct examples *ex = examples_new(&none);
        assert_non_null(mkdtemp(dir));
        put(dir, "RACE/train/middle/1.txt", bad[i].text);
        assert_fails(task->load(task, &(struct task_source){dir, "train"}, ex, &err),
                     &err, ERR_INPUT, bad[i].message);
        assert_ok(file_remove(dir, &none), &none);
        examples_free(ex);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(questions_of_all_articles_are_read_in_order),
        cmocka_unit_test(what_is_wrong_is_told_with_its_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
