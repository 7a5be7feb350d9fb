#include "check.h"

#include "retort/utf8.h"

static void only_the_shortest_form_of_a_scalar_is_a_character(void **state)
{
    static const struct {
        const char *text;
        int64_t length;
    } cases[] = {
        {"a", 1},
        {"\xc3\xa9", 2},
        {"\xe2\x82\xac", 3},
        {"\xf0\x9f\x98\x80", 4},
        {"\xf4\x8f\xbf\xbf", 4},
        {"\x80", 0},             /* alone */
        {"\xc3", 0},             /* cut */
        {"\xe2\x82", 0},         /* cut */
        {"\xc0\x80", 0},         /* overlong */
        {"\xe0\x9f\xbf", 0},     /* overlong */
        {"\xf0\x8f\xbf\xbf", 0}, /* overlong */
        {"\xed\xa0\x80", 0},     /* surrogate */
        {"\xf4\x90\x80\x80", 0}, /* beyond U+10FFFF */
        {"\xff", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(utf8_length(cases[i].text, (int64_t)strlen(cases[i].text)),
                         cases[i].length);
}

static void the_first_bad_byte_is_found(void **state)
{
    (void)state;
    assert_int_equal(utf8_invalid("", 0), -1);
    assert_int_equal(utf8_invalid("h\xc3\xa9\0x", 5), -1);
    assert_int_equal(utf8_invalid("h\xc3\xa9\xff", 4), 3);
    assert_int_equal(utf8_invalid("h\xc3", 2), 1);
}

static void what_is_shown_steers_no_terminal(void **state)
{
    static const char text[] = "a\tb\033[31m\r\n\x7f\xc2\x9b\xff\xc3\xa9";
    struct strbuf sb = STRBUF_INIT;

    (void)state;
    utf8_show(&sb, text, (int64_t)sizeof text - 1);
    assert_string_equal(strbuf_text(&sb), "a\tb?[31m????\xef\xbf\xbd\xc3\xa9");
    strbuf_release(&sb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_shortest_form_of_a_scalar_is_a_character),
        cmocka_unit_test(the_first_bad_byte_is_found),
        cmocka_unit_test(what_is_shown_steers_no_terminal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
