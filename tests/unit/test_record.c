/* "record" as text: read, written, compared, joined. */
#include "check.h"

#include "retort/spec.h"

static struct record_options parsed(const char *text)
{
    struct err err = ERR_INIT;
    struct record_options r;

    assert_ok(record_parse(&r, text, &err), &err);
    return r;
}

static void assert_text(const struct record_options *r, const char *want)
{
    struct err err = ERR_INIT;
    struct arena *arena = arena_new(&err);

    assert_string_equal(record_text(arena, r), want);
    arena_free(arena);
}

static const char full[] =
    "{\"activations\":{\"every\":1,\"examples\":\"all\"},\"attention\":{\"every\":6,"
    "\"examples\":2},\"gradients\":3,\"weights\":100}";

static void a_record_is_written_as_it_is_read(void **state)
{
    struct record_options r = parsed(full);

    (void)state;
    assert_int_equal(r.activations, 1);
    assert_true(r.activation_examples == RECORD_ALL_EXAMPLES);
    assert_int_equal(r.attention_examples, 2);
    assert_text(&r, full);
    r = parsed(NULL);
    assert_true(record_is_default(&r));
    assert_text(&r, "{}");
}

static bool covers(const char *have, const char *want)
{
    struct record_options h = parsed(have), w = parsed(want);

    return record_covers(&h, &w);
}

static void a_record_covers_what_is_rarer_and_of_fewer_examples(void **state)
{
    static const char ten[] = "{\"attention\":{\"every\":10,\"examples\":8}}";

    (void)state;
    assert_true(covers(full, "{}"));
    assert_true(covers("{}", "{}"));
    assert_true(covers(full, full));
    assert_false(covers("{}", full));
    assert_true(covers("{\"weights\":50}", "{\"weights\":100}"));
    assert_false(covers("{\"weights\":100}", "{\"weights\":50}"));
    assert_false(covers("{\"weights\":30}", "{\"weights\":100}"));
    assert_true(covers(ten, "{\"attention\":{\"every\":20,\"examples\":3}}"));
    assert_false(covers(ten, "{\"attention\":{\"every\":10,\"examples\":9}}"));
    assert_false(covers(ten, "{\"attention\":{\"every\":10,\"examples\":\"all\"}}"));
    assert_false(covers(ten, "{\"activations\":{\"every\":10,\"examples\":1}}"));
}

static void what_is_joined_covers_both(void **state)
{
    static const char *const text[] = {"{}", full, "{\"weights\":30}",
                                       "{\"gradients\":7,\"weights\":45}",
                                       "{\"attention\":{\"every\":9,\"examples\":5}}"};

    (void)state;
    for (size_t i = 0; i < sizeof text / sizeof *text; i++)
        for (size_t k = 0; k < sizeof text / sizeof *text; k++) {
            struct record_options a = parsed(text[i]), b = parsed(text[k]);
            struct record_options both = record_join(&a, &b);
            assert_true(record_covers(&both, &a) && record_covers(&both, &b));
        }
    struct record_options a = parsed(text[2]), b = parsed(text[3]);
    a = record_join(&a, &b);
    assert_text(&a, "{\"gradients\":7,\"weights\":15}");
}

static void a_mask_leaves_what_a_method_can_give(void **state)
{
    struct record_options r = parsed(full), m = record_mask(&r, RECORDS_STEPS);

    (void)state;
    assert_text(&m, "{\"gradients\":3,\"weights\":100}");
    m = record_mask(&r, 0);
    assert_true(record_is_default(&m));
    m = record_mask(&r, RECORDS_TRAINING);
    assert_text(&m, full);
}

static void the_forecast_counts_steps_and_examples(void **state)
{
    /* 201 steps: 0, 100, 200. */
    struct record_facts f = {201, 32, 10, 2, 64, 4, 1000, 10};
    struct record_options r = parsed("{\"weights\":100}");
    int64_t bytes = record_bytes(&r, &f);

    (void)state;
    assert_true(bytes > 3 * 4000 && bytes < 3 * 4000 + 3 * 10 * 1000);
    r = parsed("{\"attention\":{\"every\":100,\"examples\":\"all\"}}");
    int64_t all = record_bytes(&r, &f);
    r = parsed("{\"attention\":{\"every\":100,\"examples\":8}}");
    assert_true(all == 4 * record_bytes(&r, &f));
    r = parsed("{}");
    assert_int_equal(record_bytes(&r, &f), 0);
    f.parameters = INT64_MAX / 2;
    r = parsed("{\"weights\":1}");
    assert_true(record_bytes(&r, &f) == INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_written_as_it_is_read),
        cmocka_unit_test(a_record_covers_what_is_rarer_and_of_fewer_examples),
        cmocka_unit_test(what_is_joined_covers_both),
        cmocka_unit_test(a_mask_leaves_what_a_method_can_give),
        cmocka_unit_test(the_forecast_counts_steps_and_examples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
