#include "check.h"

#include <locale.h>

#include "retort/json.h"
#include "retort/mem.h"

/* Parses a text that must be good. */
static struct json_doc *good(const char *text)
{
    struct err err = ERR_INIT;
    struct diags *diags = diags_new(&err);
    struct json_doc *doc = json_parse(text, (int64_t)strlen(text), "t.json", diags);

    if (!doc || diags_count(diags) != 0) {
        diags_to_err(diags, &err);
        fail_msg("%s: %s", text, err.text);
    }
    diags_free(diags);
    return doc;
}

/* A text of n bytes must be refused with a printed story that holds `part`. */
static void refused_n(const char *text, int64_t n, const char *part)
{
    struct err err = ERR_INIT;
    struct diags *diags = diags_new(&err);
    struct json_doc *doc = json_parse(text, n, "t.json", diags);

    assert_null(doc);
    assert_true(diags_count(diags) > 0);
    assert_fails(diags_to_err(diags, &err), &err, ERR_INPUT, part);
    diags_free(diags);
}

static void refused(const char *text, const char *part)
{
    refused_n(text, (int64_t)strlen(text), part);
}

static void written_as(const char *text, const char *canonical)
{
    struct json_doc *doc = good(text);
    struct strbuf out = STRBUF_INIT;

    json_canonical(json_root(doc), &out);
    assert_string_equal(strbuf_text(&out), canonical);
    strbuf_release(&out);
    json_doc_free(doc);
}

static void all_kinds_are_read(void **state)
{
    struct json_doc *doc =
        good(" {\"a\": [1, -2.5e3, true, false, null, \"x\\ny\"], \"b\": {}} \n");
    const struct json *root = json_root(doc), *a = json_get(root, "a");

    assert_int_equal(json_kind(root), JSON_OBJECT);
    assert_int_equal(json_count(root), 2);
    assert_string_equal(json_key(json_first(root)), "a");
    assert_int_equal(json_count(a), 6);
    assert_int_equal(json_int(json_at(a, 0)), 1);
    assert_true(json_number(json_at(a, 1)) == -2500.0);
    assert_true(json_is_int(json_at(a, 1)));
    assert_true(json_bool(json_at(a, 2)));
    assert_false(json_bool(json_at(a, 3)));
    assert_int_equal(json_kind(json_at(a, 4)), JSON_NULL);
    assert_string_equal(json_string(json_at(a, 5)), "x\ny");
    assert_null(json_at(a, 6));
    assert_null(json_at(a, -1));
    assert_null(json_get(root, "c"));
    assert_null(json_get(a, "a"));
    assert_null(json_string(json_at(a, 0)));
    assert_int_equal(json_count(json_get(root, "b")), 0);
    assert_null(json_next(json_get(root, "b")));
    json_doc_free(doc);
    (void)state;
}

static void what_the_standard_forbids_is_refused(void **state)
{
    refused("", "the text ends where a value should be");
    refused("  ", "the text ends");
    refused("{\"a\": 01}", "must not begin with 0");
    refused("[1.]", "after '.'");
    refused("[.5]", "expected a value");
    refused("[+1]", "expected a value, found '+'");
    refused("[1e]", "exponent");
    refused("[-]", "after '-'");
    refused("[1x]", "no number");
    refused("[1.2.3]", "no number");
    refused("[0x10]", "no number");
    refused("NaN", "found 'NaN'");
    refused("[Infinity]", "found 'Infinity'");
    refused("[True]", "found 'True'");
    refused("[1,]", "nothing follows this comma");
    refused("[,1]", "expected a value");
    refused("[1 2]", "expected ',' or ']'");
    refused("{\"a\" 1}", "':'");
    refused("{\"a\": 1,}", "nothing follows this comma");
    refused("{a: 1}", "a key in double quotes");
    refused("{'a': 1}", "double quotes");
    refused("[1] // no", "no comments");
    refused("[1] x", "the end of the text, found 'x'");
    refused("[", "the text ends");
    refused("{\"a\":", "the text ends");
    refused("[1}", "found '}'");
    refused("\"a", "not closed");
    refused("\"a\nb\"", "not closed on its line");
    refused("\"a\tb\"", "0x09");
    refused("\"\\x\"", "unknown escape");
    refused("\"\\", "unknown escape");
    refused("\"\\u12g4\"", "four hexadecimal");
    refused("\"\\u0000\"", "\\u0000");
    refused("\"\\ud800\"", "half of a surrogate");
    refused("\"\\udc00\\ud800\"", "half of a surrogate");
    refused("\"\\ud800\\u0041\"", "half of a surrogate");
    refused("\xEF\xBB\xBF{}", "byte order mark");
    refused("[\f1]", "control character 0x0c");
    refused("[\x7F]", "control character 0x7f");
    refused_n("[1]\0", 4, "zero byte");
    refused_n("\"a\0b\"", 5, "zero byte");
    (void)state;
}

static void bad_utf8_is_refused_at_its_byte(void **state)
{
    refused("\"\xFF\"", "t.json:1:2: error: byte 0xff is not UTF-8");
    refused("\"\xC0\x80\"", "0xc0");
    refused("\"\xED\xA0\x80\"", "0xed");
    refused("\"\xF4\x90\x80\x80\"", "0xf4");
    refused("\"\xE2\x82\"", "0xe2");
    refused("\"\xE0\x80\x80\"", "0xe0");
    (void)state;
}

static void numbers_are_exact(void **state)
{
    written_as("[0.30000000000000004, 0.1, 1e-7, 1e21, 123456789012, -0, -0.0, 5e-324]",
               "[0.30000000000000004,0.1,1e-7,1e+21,123456789012,0,0,5e-324]");
    written_as(
        "[9007199254740992, 9007199254740994, 1.7976931348623157e308, 1E2, 1e-400]",
        "[9007199254740992,9007199254740994,1.7976931348623157e+308,100,0]");
    written_as("[1.2345678901234568e20]", "[123456789012345680000]");
    written_as("[123456789012345680000, 123456789012345683968]",
               "[123456789012345680000,123456789012345680000]");
    refused("[123456789012345680001]", "not exact");
    refused("[9007199254740993]", "not exact");
    refused("[12345678901234567890123]", "not exact");
    refused("[1e999]", "too large");
    refused("[-1e309]", "too large");
    (void)state;
}

static void a_number_may_be_longer_than_cjson_takes(void **state)
{
    char text[400] = "[0.";
    struct json_doc *doc;

    for (int i = 0; i < 200; i++)
        strcat(text, i == 0 ? "5" : "0");
    strcat(text, ", 2]");
    doc = good(text);
    assert_true(json_number(json_at(json_root(doc), 0)) == 0.5);
    assert_int_equal(json_int(json_at(json_root(doc), 1)), 2);
    json_doc_free(doc);
    (void)state;
}

static void the_locale_does_not_matter(void **state)
{
    static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "nl_NL.UTF-8"};
    bool any = false;

    for (size_t i = 0; i < 3 && !any; i++)
        any = setlocale(LC_ALL, names[i]) != NULL;
    if (!any)
        print_message("no locale with a decimal comma is installed here\n");
    written_as("[1.5, 0.25]", "[1.5,0.25]");
    setlocale(LC_ALL, "C");
    (void)state;
}

static void whole_numbers_are_told_from_others(void **state)
{
    struct json_doc *doc =
        good("[3, 3.0, 3.5, 9007199254740994, -9007199254740992, \"3\"]");
    static const bool want[] = {true, true, false, false, true, false};

    for (int64_t i = 0; i < 6; i++)
        assert_int_equal(json_is_int(json_at(json_root(doc), i)), want[i]);
    assert_true(json_int(json_at(json_root(doc), 4)) == -9007199254740992);
    assert_int_equal(json_int(json_at(json_root(doc), 2)), 0);
    json_doc_free(doc);
    (void)state;
}

static void duplicate_keys_are_all_reported(void **state)
{
    struct err err = ERR_INIT;
    struct diags *diags = diags_new(&err);
    const char *text = "{\"a\": 1, \"b\": {\"x\": 1, \"x\": 2}, \"\\u0061\": 2}";
    struct strbuf out = STRBUF_INIT;

    assert_null(json_parse(text, (int64_t)strlen(text), "t.json", diags));
    assert_int_equal(diags_count(diags), 2);
    diags_print(diags, &out);
    assert_string_equal(
        strbuf_text(&out),
        "t.json:1:24: error: key \"x\" stands here a second time\n"
        "    1 | {\"a\": 1, \"b\": {\"x\": 1, \"x\": 2}, \"\\u0061\": 2}\n"
        "      |                        ^~~\n"
        "t.json:1:33: error: key \"a\" stands here a second time\n"
        "    1 | {\"a\": 1, \"b\": {\"x\": 1, \"x\": 2}, \"\\u0061\": 2}\n"
        "      |                                 ^~~~~~~~\n");
    strbuf_release(&out);
    diags_free(diags);
    (void)state;
}

static void depth_has_a_limit(void **state)
{
    char text[400] = "";

    for (int i = 0; i < 64; i++)
        text[i] = '[', text[127 - i] = ']';
    json_doc_free(good(text));
    memset(text, 0, sizeof text);
    for (int i = 0; i < 65; i++)
        text[i] = '[', text[129 - i] = ']';
    refused(text, "t.json:1:65: error: more than 64 levels deep");
    (void)state;
}

static void places_count_code_points(void **state)
{
    struct err err = ERR_INIT;
    struct diags *diags = diags_new(&err);
    struct json_doc *doc = good("{\"\xC3\xA4\xE2\x82\xAC\": 1,\n\t\"key\": \"val\"}");
    const struct json *one = json_first(json_root(doc)), *two = json_next(one);
    struct strbuf out = STRBUF_INIT;

    json_place(doc, one, &out);
    assert_string_equal(strbuf_text(&out), "t.json:1:8");
    strbuf_clear(&out);
    json_place(doc, two, &out);
    assert_string_equal(strbuf_text(&out), "t.json:2:9");
    strbuf_clear(&out);
    json_error(doc, two, diags, "bad value %d", 7);
    json_key_error(doc, two, diags, "bad key");
    json_error(doc, one, diags, "bad one");
    diags_add(diags, "--set a=b", NULL, 0, 0, "no place");
    assert_int_equal(diags_count(diags), 4);
    diags_print(diags, &out);
    assert_string_equal(strbuf_text(&out), "--set a=b: error: no place\n"
                                           "t.json:1:8: error: bad one\n"
                                           "    1 | {\"\xC3\xA4\xE2\x82\xAC\": 1,\n"
                                           "      |        ^\n"
                                           "t.json:2:2: error: bad key\n"
                                           "    2 | \t\"key\": \"val\"}\n"
                                           "      | \t^~~~~\n"
                                           "t.json:2:9: error: bad value 7\n"
                                           "    2 | \t\"key\": \"val\"}\n"
                                           "      | \t       ^~~~~\n");
    strbuf_release(&out);
    json_doc_free(doc);
    diags_free(diags);
    (void)state;
}

static void long_lines_are_cut_around_the_caret(void **state)
{
    struct err err = ERR_INIT;
    struct diags *diags = diags_new(&err);
    struct strbuf out = STRBUF_INIT;
    char text[1001];

    memset(text, 'x', 1000);
    text[1000] = '\0';
    diags_add(diags, "long", text, 500, 503, "here");
    diags_print(diags, &out);
    assert_non_null(strstr(strbuf_text(&out), "long:1:501: error: here\n    1 | ...x"));
    assert_non_null(strstr(strbuf_text(&out), "x...\n"));
    assert_non_null(strstr(strbuf_text(&out), " ^~~\n"));
    assert_true(out.len < 400);
    strbuf_release(&out);
    diags_free(diags);
    (void)state;
}

static void many_errors_are_counted_and_the_text_is_bounded(void **state)
{
    struct err err = ERR_INIT;
    struct diags *diags = diags_new(&err);
    struct strbuf out = STRBUF_INIT;

    for (int i = 0; i < 1000; i++)
        diags_add(diags, "t", "abc", 1, 2, "number %d", i);
    assert_int_equal(diags_count(diags), 1000);
    diags_print(diags, &out);
    assert_non_null(strstr(strbuf_text(&out), "and 900 more errors\n"));
    assert_fails(diags_to_err(diags, &err), &err, ERR_INPUT, "number 0");
    strbuf_release(&out);
    diags_free(diags);
    (void)state;
}

/* The example of RFC 8785, section 3.2.3, and its rule about UTF-16 order. */
static void canonical_form_follows_rfc_8785(void **state)
{
    written_as(
        "{\"\\u20ac\": 1, \"\\r\": 2, \"\\ufb33\": 3, \"1\": 4, \"\\ud83d\\ude00\": 5, "
        "\"\\u0080\": 6, \"\\u00f6\": 7}",
        "{\"\\r\":2,\"1\":4,\"\xC2\x80\":6,\"\xC3\xB6\":7,\"\xE2\x82\xAC\":1,"
        "\"\xF0\x9F\x98\x80\":5,\"\xEF\xAC\xB3\":3}");
    written_as(
        "{\"numbers\": [333333333.33333329, 1E30, 4.50, 2e-3, "
        "0.000000000000000000000000001], \"string\": "
        "\"\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\\\\\\"\\/\", "
        "\"literals\": [null, true, false]}",
        "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,"
        "1e-27],\"string\":\"\xE2\x82\xAC$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}");
    (void)state;
}

static void every_key_is_found(void **state)
{
    struct strbuf text = STRBUF_INIT;
    char key[16];

    for (int i = 0; i < 300; i++)
        strbuf_printf(&text, "%s\"k%d\": %d", i ? ", " : "{", (i * 7) % 300, i);
    strbuf_putc(&text, '}');
    struct json_doc *doc = good(strbuf_text(&text));
    for (int i = 0; i < 300; i++) {
        snprintf(key, sizeof key, "k%d", (i * 7) % 300);
        assert_int_equal(json_int(json_get(json_root(doc), key)), i);
    }
    assert_null(json_get(json_root(doc), "k300"));
    json_doc_free(doc);
    strbuf_release(&text);
    (void)state;
}

static void pretty_keeps_the_order(void **state)
{
    struct json_doc *doc = good("{\"b\":[1,{\"c\":null}],\"a\":{},\"d\":[]}");
    struct strbuf out = STRBUF_INIT;

    json_pretty(json_root(doc), &out);
    assert_string_equal(strbuf_text(&out),
                        "{\n  \"b\": [\n    1,\n    {\n      \"c\": null\n"
                        "    }\n  ],\n  \"a\": {},\n  \"d\": []\n}");
    strbuf_release(&out);
    json_doc_free(doc);
    (void)state;
}

static void the_writer_puts_commas(void **state)
{
    struct strbuf out = STRBUF_INIT;
    struct json_doc *doc = good("{\"z\": 1, \"y\": 2}");
    struct json_writer w;

    json_begin(&w, &out, false);
    json_object(&w);
    json_member(&w, "a\"");
    json_array(&w);
    json_num(&w, 0.1);
    json_num(&w, (double)NAN);
    json_i64(&w, INT64_MIN);
    json_flag(&w, true);
    json_str(&w, NULL);
    json_str(&w, "\x01\xFF");
    json_array_end(&w);
    json_member(&w, "b");
    json_value(&w, json_root(doc));
    json_member(&w, "c");
    json_raw(&w, "[7]");
    json_member(&w, "d");
    json_object(&w);
    json_object_end(&w);
    json_object_end(&w);
    assert_string_equal(
        strbuf_text(&out),
        "{\"a\\\"\":[0.1,null,-9223372036854775808,true,null,"
        "\"\\u0001\xEF\xBF\xBD\"],\"b\":{\"y\":2,\"z\":1},\"c\":[7],\"d\":{}}");
    json_doc_free(doc);
    doc = good(strbuf_text(&out)); /* and it reads back: -2^63 is exact */
    json_doc_free(doc);
    strbuf_clear(&out);
    json_begin(&w, &out, true);
    json_object(&w);
    json_member(&w, "a");
    json_array(&w);
    json_i64(&w, 1);
    json_i64(&w, 2);
    json_array_end(&w);
    json_object_end(&w);
    assert_string_equal(strbuf_text(&out), "{\n  \"a\": [\n    1,\n    2\n  ]\n}");
    strbuf_release(&out);
    (void)state;
}

static void a_file_gives_one_error_with_its_place(void **state)
{
    struct err err = ERR_INIT;
    char path[] = "/tmp/retort-json-XXXXXX";
    int fd = mkstemp(path);
    FILE *f = fdopen(fd, "w");

    fputs("{\"a\": 1,\n \"a\": 2, \"a\": 3}", f);
    fclose(f);
    assert_null(json_parse_file(path, &err));
    assert_int_equal(err.code, ERR_INPUT);
    assert_non_null(strstr(err.text, ":2:2: key \"a\" stands here a second time"));
    err_clear(&err);
    remove(path);
    assert_null(json_parse_file(path, &err));
    assert_int_equal(err.code, ERR_MISSING);
    (void)state;
}

/* So that json_string(json_get(json_get(doc, "a"), "b")) needs no question in between. */
static void what_is_absent_reads_as_null(void **state)
{
    struct strbuf sb = STRBUF_INIT;

    (void)state;
    assert_int_equal(json_kind(NULL), JSON_NULL);
    assert_null(json_get(NULL, "a"));
    assert_null(json_at(NULL, 0));
    assert_null(json_first(NULL));
    assert_null(json_next(NULL));
    assert_null(json_key(NULL));
    assert_null(json_string(NULL));
    assert_true(json_number(NULL) == 0 && json_int(NULL) == 0 && json_count(NULL) == 0);
    assert_false(json_bool(NULL) || json_is_int(NULL));
    json_canonical(NULL, &sb);
    json_pretty(NULL, &sb);
    assert_string_equal(strbuf_text(&sb), "nullnull");
    strbuf_release(&sb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_kinds_are_read),
        cmocka_unit_test(what_the_standard_forbids_is_refused),
        cmocka_unit_test(bad_utf8_is_refused_at_its_byte),
        cmocka_unit_test(numbers_are_exact),
        cmocka_unit_test(a_number_may_be_longer_than_cjson_takes),
        cmocka_unit_test(the_locale_does_not_matter),
        cmocka_unit_test(whole_numbers_are_told_from_others),
        cmocka_unit_test(duplicate_keys_are_all_reported),
        cmocka_unit_test(depth_has_a_limit),
        cmocka_unit_test(places_count_code_points),
        cmocka_unit_test(long_lines_are_cut_around_the_caret),
        cmocka_unit_test(many_errors_are_counted_and_the_text_is_bounded),
        cmocka_unit_test(canonical_form_follows_rfc_8785),
        cmocka_unit_test(every_key_is_found),
        cmocka_unit_test(pretty_keeps_the_order),
        cmocka_unit_test(the_writer_puts_commas),
        cmocka_unit_test(a_file_gives_one_error_with_its_place),
        cmocka_unit_test(what_is_absent_reads_as_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
