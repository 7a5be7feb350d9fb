/* Differences of JSON texts and of runs. */
#include <stdlib.h>
#include <unistd.h>

#include "check.h"
#include "retort/file.h"
#include "retort/report.h"

static void members_that_differ_are_named_by_path(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct strbuf out = STRBUF_INIT;
    assert_int_equal(diff_json(&out, "{\"a\":{\"seed\":1,\"x\":[1]},\"gone\":true}",
                               "{\"a\":{\"seed\":2,\"x\":[1]},\"new\":null}", "  ", &err),
                     3);
    assert_string_equal(out.text, "  a.seed: 1 -> 2\n  gone: true -> (absent)\n"
                                  "  new: (absent) -> null\n");
    strbuf_release(&out);
}

static void equal_texts_in_another_order_are_equal(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct strbuf out = STRBUF_INIT;
    assert_int_equal(
        diff_json(&out, "{\"a\":1,\"b\":{}}", "{ \"b\": {}, \"a\": 1.0}", "", &err), 0);
    assert_int_equal(out.len, 0);
    strbuf_release(&out);
}

static void broken_json_is_an_error(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct strbuf out = STRBUF_INIT;
    assert_fails((int)diff_json(&out, "{", "{}", "", &err), &err, ERR_INPUT, "first run");
    strbuf_release(&out);
}

static void make_run(struct store *store, const char *id, const char *resolved,
                     double loss, float weight)
{
    struct err err = ERR_INIT;
    struct run_head head = {.id = id,
                            .name = "n",
                            .stage = "s",
                            .method = "m",
                            .variables = "",
                            .spec = "{}",
                            .resolved = resolved,
                            .pins = "{}",
                            .env_class = "e",
                            .record = "{}"};
    struct run_writer *w = NULL;
    float v[6] = {0, 1, 2, 3, 4, weight};
    struct array a = {DT_F32, SHAPE(2, 3), v, {NULL}};

    assert_ok(run_begin(&w, store, &head, &err), &err);
    struct recorder r = run_recorder(w);
    assert_ok(r.metric(r.ctx, RECORD_RESULT, "loss", 0, 0.5, &err), &err);
    assert_ok(r.metric(r.ctx, RECORD_RESULT, "loss", 1, loss, &err), &err);
    assert_ok(r.array(r.ctx, RECORD_RESULT, "/tensors/w", &a, &err), &err);
    assert_ok(run_seal(w, &err), &err);
    run_end(w, NULL);
}

static void runs_are_told_apart_to_the_first_element(void **state)
{
    (void)state;
    static const char one[] =
        "aa00000000000000000000000000000000000000000000000000000000000001";
    static const char two[] =
        "bb00000000000000000000000000000000000000000000000000000000000002";
    char dir[] = "/tmp/retort-diff-XXXXXX";
    struct err err = ERR_INIT;
    struct strbuf out = STRBUF_INIT;
    struct store *store = NULL;
    struct run *a = NULL, *b = NULL;
    struct diff_options opt = {.tensors = true};
    bool same = true;

    assert_non_null(mkdtemp(dir));
    assert_ok(store_open(&store, dir, true, &err), &err);
    make_run(store, one, "{\"seed\":1}", 0.25, 5);
    make_run(store, two, "{\"seed\":2}", 0.125, 5.5f);
    assert_ok(run_open(&a, store, one, false, &err), &err);
    assert_ok(run_open(&b, store, two, false, &err), &err);
    assert_ok(diff_runs(&out, &same, a, b, &opt, &err), &err);
    assert_false(same);
    assert_non_null(strstr(out.text, "spec\n  seed: 1 -> 2\npins: equal\n"));
    assert_non_null(strstr(out.text, "  loss parts at step 1: 0.25 against 0.125\n"));
    assert_non_null(strstr(
        out.text, "  /tensors/w[1, 2]: 5 against 5.5; 1 of 6 differ, by at most 0.5 "));
    assert_non_null(strstr(out.text, "1 of 1 differ"));
    strbuf_clear(&out);
    assert_ok(diff_runs(&out, &same, a, a, &opt, &err), &err);
    assert_true(same);
    run_close(b);
    run_close(a);
    store_close(store);
    strbuf_release(&out);
    assert_ok(file_remove(dir, &err), &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_that_differ_are_named_by_path),
        cmocka_unit_test(equal_texts_in_another_order_are_equal),
        cmocka_unit_test(broken_json_is_an_error),
        cmocka_unit_test(runs_are_told_apart_to_the_first_element),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
