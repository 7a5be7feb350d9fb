/* Plans: which jobs there are, what they wait for, and what is in their ids. */
#include "spec_methods.h"
#include "retort/hash.h"

static struct spec *spec_of_plan;

static struct plan *plan_with(const char *text, const char *set, const char *data_dir)
{
    struct err err = ERR_INIT;
    struct diags *diags = diags_new(&err);
    struct strbuf sb = STRBUF_INIT;
    struct plan_options opt = {.data_dir = data_dir};

    spec_of_plan = load_ok(text, set);
    struct plan *plan = plan_new(spec_of_plan, NULL, &opt, diags);
    diags_print(diags, &sb);
    if (!plan)
        fail_msg("%s", strbuf_text(&sb));
    strbuf_release(&sb);
    diags_free(diags);
    return plan;
}

static struct plan *plan_of(const char *text)
{
    return plan_with(text, NULL, NULL);
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

/* The id of `result` at the first point. */
static void id_of(char id[65], const char *text, const char *set)
{
    struct plan *plan = plan_with(text, set, NULL);

    memcpy(id, job_at(plan, 0, "result")->id, 65);
    done(plan);
}

static void equal_stages_of_different_points_are_one_job(void **state)
{
    struct plan *plan = plan_of(SPEC(
        ", \"seeds\": [1, 2], \"sweep\": {\"grid\": {\"pruned.ratio\": [0, 0.5, 1]}}"));

    (void)state;
    assert_int_equal(spec_point_count(plan->spec), 6);
    assert_int_equal(plan->n, 2 * (1 + 1 + 3 + 3));
    assert_ptr_equal(job_at(plan, 0, "teacher"), job_at(plan, 2, "teacher"));
    assert_string_equal(job_at(plan, 0, "teacher")->variables, "seed=1");
    assert_string_equal(job_at(plan, 3, "pruned")->variables, "pruned.ratio=0.5 seed=2");
    done(plan);
}

static void every_job_comes_after_those_it_needs(void **state)
{
    struct plan *plan = plan_of("{\"retort\": 1, \"stages\": {" RESULT ", " PRUNE
                                ", " TRAIN ", " START "}}");

    (void)state;
    for (int64_t j = 0; j < plan->n; j++)
        for (int64_t k = 0; k < plan->job[j].n_needs; k++)
            assert_true(plan->job[j].needs[k] < j);
    assert_int_equal(job_at(plan, 0, "result")->n_needs, 1);
    done(plan);
}

static void an_id_is_the_digest_of_the_resolved_text(void **state)
{
    struct plan *plan = plan_of(SPEC(""));
    const struct job *job = job_at(plan, 0, "start");
    char hex[65];

    (void)state;
    sha256_text(hex, job->resolved, strlen(job->resolved));
    assert_string_equal(job->id, hex);
    assert_non_null(strstr(job->resolved, "\"do\":\"start\""));
    assert_non_null(strstr(job->resolved, "\"seed\":1"));
    assert_null(strstr(job_at(plan, 0, "pruned")->resolved, "\"seed\""));
    done(plan);
}

static void defaults_written_out_change_no_id(void **state)
{
    char a[65], b[65], c[65];

    (void)state;
    id_of(a, SPEC(""), NULL);
    id_of(b, SPEC(", \"name\": \"other\", \"record\": \"all\""), "pruned.ratio=0.5");
    id_of(c, SPEC(""), "pruned.ratio=0.25");
    assert_string_equal(a, b);
    assert_string_not_equal(a, c);
}

static void as_code_is_the_same_as_its_defaults_written_out(void **state)
{
    char a[65], b[65];

    (void)state;
    id_of(a, SPEC(""), "teacher.as=code");
    id_of(b, SPEC(""), "teacher.lr=2e-5");
    assert_string_equal(a, b);
}

static void a_stage_with_its_own_seed_is_shared_by_all_seeds(void **state)
{
    struct plan *plan = plan_with(SPEC(", \"seeds\": [1, 2]"), "start.seed=7", NULL);

    (void)state;
    assert_ptr_equal(job_at(plan, 0, "start"), job_at(plan, 1, "start"));
    assert_true(job_at(plan, 0, "start")->seed == 7);
    assert_ptr_not_equal(job_at(plan, 0, "teacher"), job_at(plan, 1, "teacher"));
    done(plan);
}

static void over_reads_all_points_of_its_group(void **state)
{
    struct plan *plan =
        plan_of("{\"retort\": 1, \"seeds\": [1, 2, 3], \"stages\": {" START ", " TRAIN
                ", " PRUNE ", " RESULT ", \"mean\": {\"do\": \"mean\", \"eval\": "
                "{\"from\": \"result\"}, \"over\": [\"seed\"]}}, "
                "\"sweep\": {\"grid\": {\"pruned.ratio\": [0, 1]}}}");
    const struct job *mean = job_at(plan, 0, "mean");

    (void)state;
    assert_ptr_equal(mean, job_at(plan, 2, "mean"));
    assert_ptr_not_equal(mean, job_at(plan, 3, "mean"));
    assert_int_equal(mean->input[0].n, 3);
    assert_int_equal(mean->n_needs, 3);
    assert_int_equal(mean->n_points, 3);
    assert_true(mean->input[0].point[2]->seed == 3);
    assert_string_equal(mean->variables, "pruned.ratio=0");
    done(plan);
}

#define OWN                                                                              \
    "{\"retort\": 1, \"tasks\": {\"my/moods\": {\"kind\": \"classes\", \"labels\": "     \
    "[\"bad\", "                                                                         \
    "\"good\"], \"columns\": {\"a\": \"text\", \"label\": \"mood\"}, \"files\": "        \
    "{\"train\": "                                                                       \
    "\"moods.tsv\"}}}, \"stages\": {\"start\": {\"do\": \"start\", \"task\": "           \
    "\"my/moods\"}, "                                                                    \
    "\"result\": {\"do\": \"evaluate\", \"model\": {\"from\": \"start\"}, \"task\": "    \
    "\"my/moods\"}}}"

static void changed_data_change_the_id(void **state)
{
    char a[65], b[65];

    (void)state;
    put("moods.tsv", "text\tmood\nfine\tgood\n");
    id_of(a, OWN, NULL);
    put("moods.tsv", "text\tmood\nfine\tbad\n");
    id_of(b, OWN, NULL);
    assert_string_not_equal(a, b);
}

static void wrong_declarations_of_tasks_are_refused(void **state)
{
    (void)state;
    refused("{\"retort\": 1, \"tasks\": {\"x\": {\"kind\": \"class\", \"columms\": {}}}, "
            "\"stages\": {" START "}}",
            "unknown key \"columms\" for a task; did you mean \"columns\"?");
    refused(
        "{\"retort\": 1, \"tasks\": {\"x\": {\"kind\": \"class\"}}, \"stages\": {" START
        "}}",
        "a task's kind is classes, regression, mlm, text or span");
}

static void missing_data_and_checkpoints_are_told_with_their_places(void **state)
{
    struct err err = ERR_INIT;
    struct diags *diags = diags_new(&err);
    struct strbuf sb = STRBUF_INIT;
    struct plan_options opt = {.data_dir = "nowhere"};
    struct spec *spec =
        load_ok("{\"retort\": 1, \"stages\": {\"x\": {\"do\": \"finetune\", \"model\": "
                "\"models/none\", \"task\": \"glue/mrpc\"}}}",
                NULL);

    (void)state;
    assert_null(plan_new(spec, NULL, &opt, diags));
    diags_print(diags, &sb);
    assert_non_null(strstr(sb.text, ": error: there is no folder models/none"));
    assert_non_null(
        strstr(sb.text, "the files of glue/mrpc are not below nowhere; set RETORT_DATA"));
    strbuf_release(&sb);
    diags_free(diags);
    spec_free(spec);
}

static void a_thousand_points_are_planned(void **state)
{
    struct plan *plan =
        plan_of(SPEC(", \"seeds\": [1, 2], \"sweep\": {\"grid\": {\"pruned.ratio\": "
                     "{\"range\": [0, 0.998, 0.002]}}}"));

    (void)state;
    assert_int_equal(spec_point_count(plan->spec), 1000);
    assert_int_equal(plan->n, 2 * (2 + 2 * 500));
    done(plan);
}

/* Seals an empty run for a job, as if it had been worked on. */
static void seal(struct store *store, const struct plan *plan, const struct job *job)
{
    struct err err = ERR_INIT;
    struct run_writer *w = NULL;
    struct run_head head = {.id = job->id,
                            .name = spec_name(plan->spec),
                            .stage = job->stage,
                            .method = job->method->name,
                            .variables = job->variables,
                            .spec = spec_text(plan->spec),
                            .resolved = job->resolved,
                            .pins = "{}",
                            .env_class = "test",
                            .record = job->record};

    assert_ok(run_begin(&w, store, &head, &err), &err);
    assert_ok(run_seal(w, &err), &err);
    run_end(w, NULL);
}

static struct plan *plan_in(struct store *store, const char *text)
{
    struct err err = ERR_INIT;
    struct diags *diags = diags_new(&err);
    struct plan *plan = plan_new(load_ok(text, NULL), store, NULL, diags);

    assert_non_null(plan);
    diags_free(diags);
    return plan;
}

#define RATIOS(list) SPEC(", \"sweep\": {\"grid\": {\"pruned.ratio\": [" list "]}}")

static void sealed_jobs_are_cached_and_new_ones_say_what_differs(void **state)
{
    struct err err = ERR_INIT;
    struct store *store = NULL;
    char want[65];

    (void)state;
    assert_ok(store_open(&store, "runs", true, &err), &err);
    struct plan *plan = plan_in(store, RATIOS("0.25"));
    assert_int_equal(plan->job[0].state, JOB_RUN);
    assert_string_equal(plan->job[0].why, "new");
    for (int64_t j = 0; j < plan->n; j++)
        seal(store, plan, &plan->job[j]);
    snprintf(want, sizeof(want), "pruned.ratio is 0.5, was 0.25 in %.10s",
             job_at(plan, 0, "pruned")->id);
    done(plan);

    plan = plan_in(store, RATIOS("0.25, 0.5"));
    assert_int_equal(job_at(plan, 0, "teacher")->state, JOB_CACHED);
    assert_int_equal(job_at(plan, 0, "result")->state, JOB_CACHED);
    assert_int_equal(job_at(plan, 1, "pruned")->state, JOB_RUN);
    assert_string_equal(job_at(plan, 1, "pruned")->why, want);
    done(plan);
    store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_stages_of_different_points_are_one_job),
        cmocka_unit_test(every_job_comes_after_those_it_needs),
        cmocka_unit_test(an_id_is_the_digest_of_the_resolved_text),
        cmocka_unit_test(defaults_written_out_change_no_id),
        cmocka_unit_test(as_code_is_the_same_as_its_defaults_written_out),
        cmocka_unit_test(a_stage_with_its_own_seed_is_shared_by_all_seeds),
        cmocka_unit_test(over_reads_all_points_of_its_group),
        cmocka_unit_test(changed_data_change_the_id),
        cmocka_unit_test(wrong_declarations_of_tasks_are_refused),
        cmocka_unit_test(missing_data_and_checkpoints_are_told_with_their_places),
        cmocka_unit_test(a_thousand_points_are_planned),
        cmocka_unit_test(sealed_jobs_are_cached_and_new_ones_say_what_differs),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
