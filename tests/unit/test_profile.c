/* Laps add up to the time that went by, and both files say so. */
#include "check.h"

#include <unistd.h>

#include "retort/clock.h"
#include "retort/file.h"
#include "retort/json.h"
#include "retort/ops.h"
#include "retort/profile.h"

static char base[] = "build/test_profile.XXXXXX";

static char *read_text(const char *suffix)
{
    char path[80], *text;
    int64_t len;
    struct err err = ERR_INIT;
    snprintf(path, sizeof path, "%s/p%s", base, suffix);
    assert_int_equal(file_read(&text, &len, path, 1 << 24, &err), 0);
    return text;
}

static void finish(void)
{
    char path[80];
    struct err err = ERR_INIT;
    snprintf(path, sizeof path, "%s/p", base);
    assert_int_equal(profile_finish(path, "a \"title\"", &err), 0);
    assert_false(profile_on);
}

/* The products of a small step, forward and backward. */
static void work(void)
{
    static const float ones[8 * 16], w[4 * 16];
    struct err err = ERR_INIT;
    struct pool *pool = pool_new(1, &err);
    struct tape *tape = tape_new(pool, DT_F32, &err);
    tape_begin(tape, TAPE_GRAD);
    struct tensor *x = tape_leaf(tape, SHAPE(8, 16), ones);
    struct tensor *y = linear(tape, x, tape_constant(tape, SHAPE(4, 16), w), NULL);
    tape_backward(tape, sum_all(tape, y), 1);
    assert_int_equal(tape_failed(tape, &err), 0);
    tape_free(tape);
    pool_free(pool);
}

static void test_table(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    assert_int_equal(profile_start(&err), 0);
    work();
    finish();
    char *text = read_text(".txt");
    assert_non_null(strstr(text, "a \"title\"\n"));
    assert_non_null(strstr(text, "\nlinear  "));
    assert_non_null(strstr(text, "\nlinear (back)  "));
    assert_non_null(strstr(text, " 100.0 %"));
    free(text);
}

/* In the trace laps follow each other without a gap; products are counted. */
static void test_trace(void **state)
{
    struct err err = ERR_INIT;
    double end = 0, flops = 0;
    int laps = 0;
    (void)state;
    assert_int_equal(profile_start(&err), 0);
    double began = clock_seconds();
    work();
    double took = clock_seconds() - began;
    finish();
    char path[80];
    snprintf(path, sizeof path, "%s/p.trace.json", base);
    struct json_doc *doc = json_parse_file(path, &err);
    assert_non_null(doc);
    const struct json *events = json_get(json_root(doc), "traceEvents");
    for (const struct json *e = json_first(events); e; e = json_next(e)) {
        if (strcmp(json_string(json_get(e, "ph")), "X") != 0)
            continue;
        double ts = json_number(json_get(e, "ts"));
        assert_true(fabs(ts - end) < 1e-3);
        end = ts + json_number(json_get(e, "dur"));
        if (json_get(e, "args"))
            flops += json_number(json_get(json_get(e, "args"), "flops"));
        laps++;
    }
    assert_true(laps >= 4);
    assert_true(end >= took * 1e6);
    assert_true(flops == 2.0 * 8 * 16 * 4 * 2); /* y, and dx; the weights are constant */
    json_doc_free(doc);
}

/* Nothing is kept, and nothing costs, where nobody asked. */
static void test_off(void **state)
{
    (void)state;
    assert_false(profile_on);
    profile_lap("nothing");
    work();
    assert_false(profile_on);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_off),
                                       cmocka_unit_test(test_table),
                                       cmocka_unit_test(test_trace)};
    if (!mkdtemp(base))
        return 1;
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    char path[80];
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/p%s", base, i ? ".txt" : ".trace.json");
        remove(path);
    }
    rmdir(base);
    return rc;
}
