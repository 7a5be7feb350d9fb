/* Specs: what is read, and what is refused with which words. */
#include "spec_methods.h"

static void a_spec_without_sweep_is_one_point_of_seed_1(void **state)
{
    struct spec *spec = load_ok(SPEC(""), NULL);

    (void)state;
    assert_int_equal(spec_point_count(spec), 1);
    assert_int_equal(spec_point(spec, 0)->seed, 1);
    assert_int_equal(spec_stage_count(spec), 4);
    assert_string_equal(spec_name(spec), "s");
    assert_string_equal(spec_stage_name(spec, 3), "result");
    spec_free(spec);
}

static void seeds_change_fastest(void **state)
{
    struct spec *spec = load_ok(
        SPEC(", \"seeds\": [4, 9], \"sweep\": {\"grid\": {\"pruned.ratio\": [0, 1]}}"),
        NULL);

    (void)state;
    assert_int_equal(spec_point_count(spec), 4);
    assert_int_equal(spec_point(spec, 1)->seed, 9);
    assert_string_equal(spec_point(spec, 1)->value[0], "0");
    assert_string_equal(spec_point(spec, 2)->value[0], "1");
    spec_free(spec);
}

static void extends_merges_deeply_and_null_removes(void **state)
{
    (void)state;
    put("base.json", SPEC(", \"sweep\": {\"grid\": {\"pruned.ratio\": [0, 1]}}"));
    struct spec *spec = load_ok(
        "{\"retort\": 1, \"extends\": \"base.json\", \"sweep\": null, \"seeds\": [3], "
        "\"stages\": {\"result\": null, \"pruned\": {\"order\": \"random\"}}}",
        NULL);
    assert_int_equal(spec_point_count(spec), 1);
    assert_int_equal(spec_stage_count(spec), 3);
    spec_free(spec);
    put("base.json", "{\"retort\": 1, \"extends\": \"s.json\"}");
    refused("{\"retort\": 1, \"extends\": \"base.json\"}", "extends itself");
    refused("{\"retort\": 1, \"extends\": \"none.json\"}",
            "there is no file none.json to extend");
}

static void all_errors_are_told_at_once_with_their_places(void **state)
{
    static const char want[] = "broken.json:3:37: error: unknown key \"rato\" for "
                               "prune/heads; did you mean \"ratio\"?\n"
                               "    3 |     \"pruned\": {\"do\": \"prune/heads\", "
                               "\"rato\": 0.5, \"model\": {\"from\": \"teachr\"}},\n"
                               "      |                                     ^~~~~~\n"
                               "broken.json:3:68: error: no stage is named \"teachr\"; "
                               "did you mean \"teacher\"?\n"
                               "    3 |     \"pruned\": {\"do\": \"prune/heads\", "
                               "\"rato\": 0.5, \"model\": {\"from\": \"teachr\"}},\n"
                               "      |                                                  "
                               "                  ^~~~~~~~\n";
    char *told = NULL;

    (void)state;
    put("broken.json",
        "{\"retort\": 1, \"stages\": {\n    " START ", " TRAIN ",\n"
        "    \"pruned\": {\"do\": \"prune/heads\", \"rato\": 0.5, \"model\": {\"from\": "
        "\"teachr\"}},\n"
        "    \"p2\": {\"do\": \"prune/heads\", \"model\": {\"from\": \"teacher\"}}}}");
    assert_null(load_with("broken.json", NULL, &told));
    assert_string_equal(told, want);
    free(told);
}

static void wrong_values_are_refused_in_words(void **state)
{
    (void)state;
    refused(STAGE("\"x\": {\"do\": \"prune/head\", \"model\": \"m\"}"),
            "unknown method \"prune/head\"; did you mean \"prune/heads\"?");
    refused(STAGE("\"x\": {\"do\": \"prune/heads\", \"model\": \"m\", \"ratio\": 1.5}"),
            "\"ratio\" of prune/heads is 1.5; use 0 to 1");
    refused(
        STAGE(
            "\"x\": {\"do\": \"prune/heads\", \"model\": \"m\", \"order\": \"randon\"}"),
        "has no choice \"randon\"; did you mean \"random\"?");
    refused(STAGE("\"x\": {\"do\": \"prune/heads\"}"),
            "prune/heads needs \"model\": what to prune");
    refused(STAGE("\"x\": {\"model\": \"m\"}"), "stage \"x\" needs \"do\"");
    refused(STAGE("\"x\": {\"do\": \"start\", \"task\": \"synth/agreemnt\"}"),
            "no task is named \"synth/agreemnt\"; did you mean \"synth/agreement\"?");
    refused(STAGE("\"x\": {\"do\": \"evaluate\", \"model\": \"m\", \"task\": "
                  "\"synth/agreement\", "
                  "\"split\": \"dve\"}"),
            "synth/agreement has no split \"dve\"");
    refused(STAGE("\"x\": {\"do\": \"finetune\", \"model\": \"m\", \"task\": "
                  "\"synth/agreement\", "
                  "\"epochs\": 1.5}"),
            "wants a whole number, this is 1.5");
    refused("{\"stages\": {" START "}}", "a spec begins with \"retort\": 1");
    refused("[1]", "a spec is an object, this is an array");
    refused("{\"retort\": 1, \"retort\": 1}", "retort");
    refused(SPEC(", \"seeds\": [1, -1]"),
            "a seed is a whole number from 0 to 2^53, this is -1");
    refused(SPEC(", \"record\": {\"wieghts\": 1}"), "did you mean \"weights\"?");
}

static void inputs_are_typed(void **state)
{
    (void)state;
    refused(STAGE("\"x\": {\"do\": \"prune/heads\", \"model\": \"m\", \"scores\": "
                  "{\"from\": \"teacher\"}}"),
            "\"scores\" of prune/heads takes scores; stage \"teacher\" (finetune) gives "
            "a model");
    refused(STAGE("\"x\": {\"do\": \"prune/heads\", \"model\": {\"from\": \"teacher\", "
                  "\"output\": \"eval\"}}"),
            "stage \"teacher\" (finetune) gives a model, not an evaluation");
}

static void circles_of_stages_are_found(void **state)
{
    (void)state;
    refused(STAGE("\"a\": {\"do\": \"prune/heads\", \"model\": {\"from\": \"b\"}}, "
                  "\"b\": {\"do\": "
                  "\"prune/heads\", \"model\": {\"from\": \"a\"}}"),
            "stages wait for each other in a circle: a -> b -> a");
}

static void over_names_swept_variables(void **state)
{
    (void)state;
    refused(
        STAGE("\"x\": {\"do\": \"prune/heads\", \"model\": \"m\", \"over\": [\"sead\"]}"),
        "\"over\" names \"sead\", which is not swept; did you mean \"seed\"?");
}

static void the_schema_is_json_and_knows_the_methods(void **state)
{
    struct err err = ERR_INIT;
    struct strbuf sb = STRBUF_INIT;
    struct diags *diags = diags_new(&err);

    (void)state;
    spec_schema(&sb);
    struct json_doc *doc = json_parse(sb.text, (int64_t)sb.len, "schema", diags);
    assert_non_null(doc);
    assert_non_null(strstr(sb.text, "\"prune/heads\""));
    assert_non_null(strstr(sb.text, "\"share removed\""));
    json_doc_free(doc);
    diags_free(diags);
    strbuf_release(&sb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_spec_without_sweep_is_one_point_of_seed_1),
        cmocka_unit_test(seeds_change_fastest),
        cmocka_unit_test(extends_merges_deeply_and_null_removes),
        cmocka_unit_test(all_errors_are_told_at_once_with_their_places),
        cmocka_unit_test(wrong_values_are_refused_in_words),
        cmocka_unit_test(inputs_are_typed),
        cmocka_unit_test(circles_of_stages_are_found),
        cmocka_unit_test(over_names_swept_variables),
        cmocka_unit_test(the_schema_is_json_and_knows_the_methods),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
