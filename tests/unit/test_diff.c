/* Differences of JSON texts. */
#include "check.h"
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_that_differ_are_named_by_path),
        cmocka_unit_test(equal_texts_in_another_order_are_equal),
        cmocka_unit_test(broken_json_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
