/* Options that a selection among runs brings: what is refused, and what is in the ids. */
#include "spec_methods.h"

/* The project's own methods. */
static int begin_real(void **state)
{
    int rc = begin(state);

    method_use(NULL);
    return rc;
}

#define TASK "\"task\": \"synth/agreement\""
#define HEAD                                                                             \
    "\"start\": {\"do\": \"init\", " TASK ", \"layers\": 1}, "                           \
    "\"tuned\": {\"do\": \"finetune\", \"model\": {\"from\": \"start\"}, " TASK "}, "    \
    "\"score\": {\"do\": \"evaluate\", \"model\": {\"from\": \"tuned\"}, " TASK "}, "    \
    "\"best\": {\"do\": \"select\", \"scores\": {\"from\": \"score\"}, \"model\": "      \
    "{\"from\": \"tuned\"}, " TASK ", \"over\": [\"tuned.lr\", \"tuned.batch\"]}, "
#define LAST(options)                                                                    \
    "\"last\": {\"do\": \"finetune\", \"model\": {\"from\": \"start\"}, " TASK           \
    ", " options "}"
#define GRID                                                                             \
    "\"sweep\": {\"grid\": {\"tuned.lr\": [0.1, 0.01, 0.001], \"tuned.batch\": [8, "     \
    "16]}}"
#define FULL(options) "{\"retort\": 1, \"stages\": {" HEAD LAST(options) "}, " GRID "}"
#define FROM(value) "{\"from\": \"best\", \"value\": \"" value "\"}"

static struct plan *plan_of(const char *text)
{
    struct err err = ERR_INIT;
    struct diags *diags = diags_new(&err);
    struct strbuf sb = STRBUF_INIT;
    struct plan *plan = plan_new(load_ok(text, NULL), NULL, NULL, diags);

    diags_print(diags, &sb);
    if (!plan)
        fail_msg("%s", strbuf_text(&sb));
    strbuf_release(&sb);
    diags_free(diags);
    return plan;
}

static void done(struct plan *plan)
{
    struct spec *spec = plan->spec;

    plan_free(plan);
    spec_free(spec);
}

static const struct job *job_at(const struct plan *plan, int64_t point, const char *stage)
{
    for (int64_t s = 0; s < spec_stage_count(plan->spec); s++)
        if (!strcmp(spec_stage_name(plan->spec, s), stage))
            return &plan->job[plan->of[point * spec_stage_count(plan->spec) + s]];
    fail_msg("no stage %s", stage);
    return NULL;
}

static void one_job_waits_for_the_selection_whatever_was_swept_before_it(void **state)
{
    struct plan *plan = plan_of(FULL("\"lr\": " FROM("tuned.lr")));
    const struct job *last = job_at(plan, 0, "last"), *best = job_at(plan, 0, "best");

    (void)state;
    assert_int_equal(plan->n, 1 + 6 + 6 + 1 + 1);
    assert_ptr_equal(last, job_at(plan, 5, "last"));
    assert_int_equal(best->input[0].n, 6);
    assert_int_equal(last->n_choices, 1);
    assert_string_equal(last->choice[0].from_id, best->id);
    assert_int_equal(last->choice[0].n, 6);
    assert_string_equal(last->choice[0].text[2], "0.01");
    bool waits = false;
    for (int64_t i = 0; i < last->n_needs; i++)
        waits = waits || &plan->job[last->needs[i]] == best;
    assert_true(waits);
    done(plan);
}

/* Values come from the candidates, so the names of stages are not in the id. */
static void ids_hang_on_the_selection_and_on_what_it_can_bring(void **state)
{
    static const char *const text[] = {
        FULL("\"lr\": " FROM("tuned.lr")),
        "{\"retort\": 1, \"stages\": {"
        "\"start\": {\"do\": \"init\", " TASK ", \"layers\": 1}, "
        "\"x\": {\"do\": \"finetune\", \"model\": {\"from\": \"start\"}, " TASK "}, "
        "\"y\": {\"do\": \"evaluate\", \"model\": {\"from\": \"x\"}, " TASK "}, "
        "\"z\": {\"do\": \"select\", \"scores\": {\"from\": \"y\"}, \"model\": "
        "{\"from\": \"x\"}, " TASK ", \"over\": [\"x.lr\", \"x.batch\"]}, "
        "\"last\": {\"do\": \"finetune\", \"model\": {\"from\": \"start\"}, " TASK
        ", \"lr\": {\"from\": \"z\", \"value\": \"x.lr\"}}}, \"sweep\": {\"grid\": "
        "{\"x.lr\": [1e-1, 1e-2, 1e-3], \"x.batch\": [8, 16]}}}",
        "{\"retort\": 1, \"stages\": {" HEAD LAST(
            "\"lr\": " FROM("tuned.lr")) "}, "
                                         "\"sweep\": {\"grid\": {\"tuned.lr\": [0.1, "
                                         "0.01, 0.002], \"tuned.batch\": [8, "
                                         "16]}}}",
        FULL("\"lr\": " FROM("tuned.lr") ", \"batch\": " FROM("tuned.batch")),
        FULL("\"beta1\": " FROM("tuned.lr")),
    };
    char id[5][65];

    (void)state;
    for (int i = 0; i < 5; i++) {
        struct plan *plan = plan_of(text[i]);
        memcpy(id[i], job_at(plan, 0, "last")->id, 65);
        done(plan);
    }
    assert_string_equal(id[0], id[1]);
    for (int i = 2; i < 5; i++)
        assert_string_not_equal(id[0], id[i]);
}

static void seeds_choose_for_themselves(void **state)
{
    struct plan *plan =
        plan_of("{\"retort\": 1, \"seeds\": [1, 2], \"stages\": {" HEAD LAST(
            "\"lr\": " FROM("tuned.lr")) "}, " GRID "}");

    (void)state;
    assert_int_equal(plan->n, 2 * (1 + 6 + 6 + 1 + 1));
    assert_ptr_not_equal(job_at(plan, 0, "best"), job_at(plan, 1, "best"));
    done(plan);
}

static void what_does_not_fit_is_refused_before_anything_runs(void **state)
{
    (void)state;
    refused(FULL("\"lr\": {\"from\": \"bets\", \"value\": \"tuned.lr\"}"),
            "no stage is named \"bets\"; did you mean \"best\"?");
    refused(FULL("\"lr\": {\"from\": \"score\", \"value\": \"tuned.lr\"}"),
            "stage \"score\" (evaluate) gives an evaluation, not a choice");
    refused(FULL("\"lr\": {\"from\": \"best\"}"), "what a selection brings: {\"from\"");
    refused(FULL("\"lr\": {\"from\": \"best\", \"value\": \"lr\"}"),
            "{\"from\": \"stage\", \"value\": \"stage.option\"}");
    refused(FULL("\"lr\": {\"from\": \"best\", \"value\": \"tuned.lr\", \"x\": 1}"),
            "unknown key \"x\"");
    refused(FULL("\"lr\": " FROM("tuned.rl")), "has no option \"rl\"");
    refused(FULL("\"lr\": " FROM("tunes.lr")), "did you mean \"tuned\"?");
    refused(FULL("\"lr\": " FROM("last.lr")),
            "stage \"last\" takes no part in what \"best\" chooses from");
    refused(FULL("\"batch\": " FROM("tuned.lr")),
            "\"batch\" of finetune is a whole number; \"lr\" of finetune is a number");
    refused(FULL("\"split\": " FROM("tuned.split")), "it cannot be chosen");
    refused("{\"retort\": 1, \"stages\": {\"start\": {\"do\": \"init\", " TASK "}, "
            "\"a\": {\"do\": \"finetune\", \"model\": {\"from\": \"start\"}, " TASK
            ", \"lr\": {\"from\": \"b\", \"value\": \"a.lr\"}}, "
            "\"b\": {\"do\": \"select\", \"scores\": {\"from\": \"a\"}}}}",
            "stages wait for each other in a circle: a -> b -> a");
}

static void plan_refused(const char *text, const char *part)
{
    struct err err = ERR_INIT;
    struct diags *diags = diags_new(&err);
    struct strbuf sb = STRBUF_INIT;
    struct spec *spec = load_ok(text, NULL);

    assert_null(plan_new(spec, NULL, NULL, diags));
    diags_print(diags, &sb);
    if (!strstr(strbuf_text(&sb), part))
        fail_msg("wanted \"%s\", got: %s", part, strbuf_text(&sb));
    strbuf_release(&sb);
    diags_free(diags);
    spec_free(spec);
}

static void every_value_that_can_come_is_checked(void **state)
{
    (void)state;
    plan_refused(FULL("\"warmup\": " FROM("tuned.batch")),
                 "\"warmup\" of finetune is 8; use 0 to 1");
    plan_refused(FULL("\"keep\": \"best\", \"lr\": " FROM("tuned.lr")), "keep");
    plan_refused("{\"retort\": 1, \"stages\": {" HEAD
                 "\"more\": {\"do\": \"select\", \"scores\": {\"from\": \"score\"}, "
                 "\"model\": {\"from\": \"start\"}, " TASK
                 ", \"over\": [\"tuned.lr\"]}}, " GRID "}",
                 "must stand for the same points, one by one; here are 3 and 1");
    plan_refused(
        "{\"retort\": 1, \"stages\": {" HEAD
        "\"more\": {\"do\": \"finetune\", \"model\": {\"from\": \"start\"}, " TASK
        ", \"lr\": " FROM(
            "tuned.lr") "}, "
                        "\"next\": {\"do\": \"select\", \"scores\": {\"from\": "
                        "\"more\"}, "
                        "\"over\": [\"tuned.lr\"]}, "
                        "\"end\": {\"do\": \"finetune\", \"model\": {\"from\": "
                        "\"start\"}, " TASK
                        ", \"lr\": {\"from\": \"next\", \"value\": \"more.lr\"}}}, " GRID
                        "}",
        "\"more.lr\" is itself what \"best\" brings; take it from there");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_job_waits_for_the_selection_whatever_was_swept_before_it),
        cmocka_unit_test(ids_hang_on_the_selection_and_on_what_it_can_bring),
        cmocka_unit_test(seeds_choose_for_themselves),
        cmocka_unit_test(what_does_not_fit_is_refused_before_anything_runs),
        cmocka_unit_test(every_value_that_can_come_is_checked),
    };

    return cmocka_run_group_tests(tests, begin_real, end);
}
