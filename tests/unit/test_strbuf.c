#include "check.h"

#include <locale.h>

#include "retort/file.h"
#include "retort/rng.h"
#include "retort/strbuf.h"

static void appends_of_all_kinds_join(void **state)
{
    struct err err = ERR_INIT;
    struct strbuf sb = STRBUF_INIT;

    (void)state;
    assert_string_equal(strbuf_text(&sb), "");
    strbuf_puts(&sb, "ab");
    strbuf_putc(&sb, 'c');
    strbuf_add(&sb, "d\0e", 3);
    strbuf_printf(&sb, "%d", 42);
    assert_int_equal(sb.len, 8);
    assert_memory_equal(strbuf_text(&sb), "abcd\0e42", 9);
    strbuf_clear(&sb);
    for (int i = 0; i < 10000; i++)
        strbuf_printf(&sb, "%d,", i % 10);
    assert_int_equal(sb.len, 20000);
    char *text = strbuf_take(&sb, &err);
    assert_non_null(text);
    assert_null(sb.text);
    free(text);
    text = strbuf_take(&sb, &err);
    assert_string_equal(text, "");
    free(text);
}

static void check_double(double x, const char *want)
{
    struct strbuf sb = STRBUF_INIT;

    strbuf_double(&sb, x);
    assert_string_equal(strbuf_text(&sb), want);
    strbuf_release(&sb);
}

static double of_bits(uint64_t bits)
{
    double x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

/* RFC 8785, appendix B, and the borders of ECMAScript's forms. */
static void doubles_are_written_as_ecmascript_does(void **state)
{
    static const struct {
        uint64_t bits;
        const char *text;
    } rows[] = {
        {0x0000000000000000, "0"},
        {0x8000000000000000, "0"},
        {0x0000000000000001, "5e-324"},
        {0x8000000000000001, "-5e-324"},
        {0x7fefffffffffffff, "1.7976931348623157e+308"},
        {0xffefffffffffffff, "-1.7976931348623157e+308"},
        {0x4340000000000000, "9007199254740992"},
        {0xc340000000000000, "-9007199254740992"},
        {0x4430000000000000, "295147905179352830000"},
        {0x44b52d02c7e14af5, "9.999999999999997e+22"},
        {0x44b52d02c7e14af6, "1e+23"},
        {0x44b52d02c7e14af7, "1.0000000000000001e+23"},
        {0x444b1ae4d6e2ef4e, "999999999999999700000"},
        {0x444b1ae4d6e2ef4f, "999999999999999900000"},
        {0x444b1ae4d6e2ef50, "1e+21"},
        {0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7"},
        {0x3eb0c6f7a0b5ed8d, "0.000001"},
        {0x41b3de4355555553, "333333333.3333332"},
        {0x41b3de4355555554, "333333333.33333325"},
        {0x41b3de4355555555, "333333333.3333333"},
        {0x41b3de4355555556, "333333333.3333334"},
        {0x41b3de4355555557, "333333333.33333343"},
        {0xbecbf647612f3696, "-0.0000033333333333333333"},
        {0x43143ff3c1cb0959, "1424953923781206.2"},
        {0x3d30000000000000, "5.684341886080802e-14"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_double(of_bits(rows[i].bits), rows[i].text);
    check_double(0.3, "0.3");
    check_double(1e-7, "1e-7");
    check_double(-123.5, "-123.5");
    check_double((double)NAN, "nan");
    check_double((double)INFINITY, "inf");
    check_double(-(double)INFINITY, "-inf");
}

/* Random bit patterns and powers of two: what is written reads back, and one digit less
 * never would. */
static void doubles_read_back_equal(void **state)
{
    struct rng rng = rng_stream(1, "test/doubles");
    struct strbuf sb = STRBUF_INIT;

    (void)state;
    for (int i = 0; i < 22000; i++) {
        double x = i < 2000 ? ldexp(1, i - 1074) : of_bits(rng_next(&rng));
        if (!isfinite(x))
            continue;
        strbuf_clear(&sb);
        strbuf_double(&sb, x);
        if (strtod(strbuf_text(&sb), NULL) != x)
            fail_msg("%.17g was written %s", x, strbuf_text(&sb));
        int digits = 0;
        for (const char *s = sb.text; *s && *s != 'e'; s++)
            digits += *s >= '0' && *s <= '9' && !(digits == 0 && *s == '0');
        char less[40];
        snprintf(less, sizeof less, "%.*e", digits < 2 ? 0 : digits - 2, x);
        if (digits >= 2 && digits <= 17 && strtod(less, NULL) == x &&
            strchr(sb.text, 'e')) /* without an exponent, zeros stand in for digits */
            fail_msg("%s is longer than %s", sb.text, less);
    }
    strbuf_release(&sb);
}

/* Makes the German locale by localedef where none is installed. */
static bool decimal_comma(const char *dir)
{
    char command[200];

    if (setlocale(LC_NUMERIC, "de_DE.UTF-8"))
        return true;
    snprintf(command, sizeof command,
             "localedef -i de_DE -f UTF-8 %s/de_DE.UTF-8 >/dev/null 2>&1", dir);
    if (system(command) < 0)
        return false;
    setenv("LOCPATH", dir, 1);
    return setlocale(LC_NUMERIC, "de_DE.UTF-8") != NULL;
}

static void check_read(const char *text, double want)
{
    double x = (double)NAN;

    if (text_double(&x, text) || x < want || x > want)
        fail_msg("\"%s\" is read as %.17g", text, x);
}

static void the_locale_changes_no_double(void **state)
{
    struct err err = ERR_INIT;
    char dir[] = "/tmp/retort-locale-XXXXXX", comma[8];

    (void)state;
    assert_non_null(mkdtemp(dir));
    bool found = decimal_comma(dir);
    assert_ok(file_remove(dir, &err), &err);
    if (!found) {
        print_message("no locale with a decimal comma is here, nor localedef\n");
        skip();
    }
    snprintf(comma, sizeof comma, "%.1f", 0.5);
    check_double(0.5, "0.5");
    check_double(1.25e-30, "1.25e-30");
    check_read("0.5", 0.5);
    setlocale(LC_NUMERIC, "C");
    assert_string_equal(comma, "0,5");
}

static void only_whole_finite_numbers_are_read(void **state)
{
    static const char *const wrong[] = {"",    " 1", "1 ",    "1,5", "0x10", "nan",
                                        "inf", "1e", "1e999", "-",   "1.2.3"};
    double x = 7;

    (void)state;
    check_read("-1.5e-3", -1.5e-3);
    check_read("42", 42);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (!text_double(&x, wrong[i]))
            fail_msg("\"%s\" was read as %g", wrong[i], x);
    assert_true(x > 6.9 && x < 7.1);
}

static void the_nearest_name_is_found_or_none(void **state)
{
    static const char *const names[] = {"distill/kd", "distill/pkd", "epochs", "lr",
                                        NULL};
    static char huge[5000];

    (void)state;
    assert_string_equal(nearest_name("distil/kd", names), "distill/kd");
    assert_string_equal(nearest_name("distill/pdk", names), "distill/pkd");
    assert_string_equal(nearest_name("epoch", names), "epochs");
    assert_null(nearest_name("prune", names));
    assert_null(nearest_name("xy", names));
    assert_null(nearest_name("", names));
    memset(huge, 'e', sizeof huge - 1);
    assert_null(nearest_name(huge, names));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_of_all_kinds_join),
        cmocka_unit_test(doubles_are_written_as_ecmascript_does),
        cmocka_unit_test(doubles_read_back_equal),
        cmocka_unit_test(the_locale_changes_no_double),
        cmocka_unit_test(only_whole_finite_numbers_are_read),
        cmocka_unit_test(the_nearest_name_is_found_or_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
