/* Command lines: what is read, and what is said of what cannot be. */
#include "../../runner/cli/args.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"

struct args {
    struct common common;
    const char *spec, *name;
    struct string_list more, set;
    int64_t count;
    double share;
    int format;
    bool all;
};

#define AT(field) offsetof(struct args, field)
static const char *const formats[] = {"md", "latex", "csv", NULL};
static const struct flag flags[] = {
    {.name = "set", .type = OPT_STRINGS, .value = "K=V", .offset = AT(set)},
    {.name = "count",
     .letter = 'c',
     .type = OPT_INT,
     .value = "N",
     .def = "7",
     .offset = AT(count)},
    {.name = "share",
     .type = OPT_REAL,
     .value = "X",
     .min = -1,
     .max = 1,
     .offset = AT(share)},
    {.name = "format",
     .type = OPT_ENUM,
     .def = "csv",
     .choices = formats,
     .offset = AT(format)},
    {.name = "name", .type = OPT_STRING, .value = "NAME", .offset = AT(name)},
    {.name = "all", .letter = 'a', .type = OPT_BOOL, .offset = AT(all)},
    FLAG_END,
};
static const struct operand operands[] = {
    {.name = "SPEC", .help = "the experiment", .offset = AT(spec)},
    {.name = "MORE", .optional = true, .many = true, .offset = AT(more)},
    OPERAND_END,
};
static const struct verb verb = {
    .name = "try",
    .operands = operands,
    .flags = flags,
    .common = COMMON_STORE | COMMON_QUIET | COMMON_JOBS,
    .size = sizeof(struct args),
};

/* Reads "a b c" (a copy in `line`, which must outlive the result) as the words after the
 * verb. */
static struct args *read_line(char *line, struct err *err)
{
    char *argv[32] = {(char[]){"try"}};
    int argc = 1;
    void *out;

    for (char *w = strtok(line, " "); w; w = strtok(NULL, " "))
        argv[argc++] = w;
    return args_parse(&out, &verb, argc, argv, err) ? NULL : out;
}

static void expect_error(const char *text, const char *message)
{
    struct err err = ERR_INIT;
    char line[256];

    snprintf(line, sizeof line, "%s", text);
    assert_null(read_line(line, &err));
    assert_int_equal(err.code, ERR_INPUT);
    assert_string_equal(err.text, message);
}

static void options_and_operands_come_in_any_order(void **state)
{
    struct err err = ERR_INIT;
    char line[] =
        "--count 3 a.json --set=x=1 -aq b --set y=2 --share -0.5 -j4 --format md c";
    struct args *a = read_line(line, &err);

    (void)state;
    assert_non_null(a);
    assert_string_equal(a->spec, "a.json");
    assert_int_equal(a->more.n, 2);
    assert_string_equal(a->more.v[1], "c");
    assert_int_equal(a->set.n, 2);
    assert_string_equal(a->set.v[0], "x=1");
    assert_string_equal(a->set.v[1], "y=2");
    assert_int_equal(a->count, 3);
    assert_true(a->share == -0.5);
    assert_int_equal(a->format, 0);
    assert_int_equal(a->common.jobs, 4);
    assert_true(a->all && a->common.quiet);
    args_free(a, &verb);
}

static void what_is_left_out_has_its_default(void **state)
{
    struct err err = ERR_INIT;
    char line[] = "a.json";
    struct args *a;

    (void)state;
    unsetenv("RETORT_STORE");
    a = read_line(line, &err);
    assert_non_null(a);
    assert_int_equal(a->count, 7);
    assert_int_equal(a->format, 2);
    assert_null(a->name);
    assert_int_equal(a->more.n, 0);
    assert_string_equal(a->common.store, "runs");
    args_free(a, &verb);
}

static void the_store_is_the_option_then_the_environment(void **state)
{
    struct err err = ERR_INIT;
    char one[] = "a.json", two[] = "a.json --store here";
    struct args *a;

    (void)state;
    setenv("RETORT_STORE", "there", 1);
    a = read_line(one, &err);
    assert_string_equal(a->common.store, "there");
    args_free(a, &verb);
    a = read_line(two, &err);
    assert_string_equal(a->common.store, "here");
    args_free(a, &verb);
    unsetenv("RETORT_STORE");
}

static void after_two_dashes_all_are_operands(void **state)
{
    struct err err = ERR_INIT;
    char line[] = "-- --all -q -";
    struct args *a = read_line(line, &err);

    (void)state;
    assert_non_null(a);
    assert_string_equal(a->spec, "--all");
    assert_string_equal(a->more.v[0], "-q");
    assert_string_equal(a->more.v[1], "-");
    assert_false(a->all);
    args_free(a, &verb);
}

static void help_is_asked_for_in_three_ways(void **state)
{
    struct err err = ERR_INIT;
    char *lines[] = {(char[]){"--help"}, (char[]){"-h"}, (char[]){"-qh"}};
    void *out;

    (void)state;
    for (int i = 0; i < 3; i++) {
        char *argv[] = {(char[]){"try"}, lines[i]};
        assert_int_equal(args_parse(&out, &verb, 2, argv, &err), 1);
        assert_null(out);
    }
}

static void errors_say_what_would_be_right(void **state)
{
    (void)state;
    expect_error("a.json --formt md", "unknown option --formt; did you mean --format?");
    expect_error("a.json --frobnicate", "unknown option --frobnicate");
    expect_error("a.json -nq", "unknown option -n");
    expect_error("a.json -name", "unknown option -name; did you mean --name?");
    expect_error("a.json --all=1", "--all takes no value, it has \"1\"");
    expect_error("a.json --name", "--name needs a NAME");
    expect_error(
        "a.json --name --all",
        "--name needs a NAME, but \"--all\" follows; if that is it, write --name=--all");
    expect_error("a.json --name=", "--name is empty; give a NAME");
    expect_error("--all", "SPEC is missing: the experiment");
    expect_error(
        "a.json --format mdd",
        "--format is \"mdd\"; did you mean \"md\"? It is one of md, latex or csv");
    expect_error("a.json --format yaml", "--format is \"yaml\"; use md, latex or csv");
}

static void numbers_are_whole_and_in_range(void **state)
{
    (void)state;
    expect_error("a.json -j 0", "--jobs is \"0\"; use a whole number from 1 to 1024");
    expect_error("a.json -j 1.5", "--jobs is \"1.5\"; use a whole number from 1 to 1024");
    expect_error("a.json --jobs 1e99",
                 "--jobs is \"1e99\"; use a whole number from 1 to 1024");
    expect_error("a.json --count 0x10", "--count is \"0x10\"; use a whole number");
    expect_error("a.json --count=", "--count is \"\"; use a whole number");
    expect_error("a.json --count 9007199254740994",
                 "--count is \"9007199254740994\"; use a whole number");
    expect_error("a.json --share nan", "--share is \"nan\"; use a number from -1 to 1");
    expect_error("a.json --share 0,5", "--share is \"0,5\"; use a number from -1 to 1");
    expect_error("a.json --share 1.01", "--share is \"1.01\"; use a number from -1 to 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_and_operands_come_in_any_order),
        cmocka_unit_test(what_is_left_out_has_its_default),
        cmocka_unit_test(the_store_is_the_option_then_the_environment),
        cmocka_unit_test(after_two_dashes_all_are_operands),
        cmocka_unit_test(help_is_asked_for_in_three_ways),
        cmocka_unit_test(errors_say_what_would_be_right),
        cmocka_unit_test(numbers_are_whole_and_in_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
