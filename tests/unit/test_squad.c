/* SQuAD's scores of single answers, and answers read off the logits of windows. */
#include "check.h"

#include <math.h>

#include "../../engine/model/internal.h"
#include "retort/squad.h"

/* ---- scores ---- */

static struct squad_score score(const char *said, const char *right,
                                enum squad_rules rules)
{
    struct answer answer = {right, 0};
    struct example ex = {.answers = &answer, .n_answers = right ? 1 : 0};
    struct squad_score s = {-1, -1};
    struct err err = ERR_INIT;

    assert_ok(squad_compare(&s, &ex, said, rules, &err), &err);
    return s;
}

static void words_are_lowered_and_lose_articles_and_punctuation(void **state)
{
    (void)state;
    assert_true(score("The Cat!", "cat", SQUAD_V1).exact == 1);
    assert_true(score("U.S.", "us", SQUAD_V1).exact == 1);
    assert_true(score("an-other", "other", SQUAD_V1).exact == 0); /* "another" */
    assert_true(score("a\xe2\x80\x93z", "\xe2\x80\x93z", SQUAD_V1).exact == 1);
    assert_true(score("\xce\x9f\xce\xa3", "\xce\xbf\xcf\x82", SQUAD_V1).exact == 1);
    assert_true(score("\xc4\xb0x", "i\xcc\x87x", SQUAD_V1).exact == 1);
    assert_true(score("a\xc2\xa0 b", "B", SQUAD_V1).exact == 1);
}

static void words_in_common_are_counted_with_their_number(void **state)
{
    struct squad_score s = score("x x y", "x y y z", SQUAD_V1);

    (void)state;
    assert_true(s.exact == 0);
    assert_true(fabs(s.f1 - 4.0 / 7) < 1e-15); /* 2 of 3 and of 4 */
}

static void answers_without_words_differ_by_the_rules(void **state)
{
    (void)state;
    assert_true(score("", "the", SQUAD_V1).exact == 1);
    assert_true(score("", "the", SQUAD_V1).f1 == 0);
    assert_true(score("", NULL, SQUAD_V2).f1 == 1);
    assert_true(score("x", NULL, SQUAD_V2).f1 == 0);
    assert_true(score("a", "the", SQUAD_V2).f1 == 1); /* the answer counts as none */
}

/* Three questions; the second has no answer. Surest first: right (1), wrong for the
 * second (-1), right (1): from 1 to 2, 1, 2. */
static void the_first_of_the_best_thresholds_is_taken(void **state)
{
    static const char *const text[] = {"x", "y", "z"};
    static const double odds[] = {-5, -3, 2};
    struct answer answers[] = {{"x", 0}, {"z", 0}};
    struct example v[] = {{.answers = &answers[0], .n_answers = 1},
                          {.id = "none"},
                          {.answers = &answers[1], .n_answers = 1}};
    struct examples ex = {.v = v, .n = 3};
    struct squad_said said = {text, odds, NULL, 1};
    struct squad_scores s;
    struct err err = ERR_INIT;

    (void)state;
    assert_ok(squad_score_all(&s, &ex, &said, SQUAD_V2, &err), &err);
    assert_true(s.f1.sum == 2 && s.f1.threshold == -5);
    assert_true(s.all.exact == 1); /* the third is taken back, the second is not */
    assert_true(s.unanswerable.n == 1 && s.unanswerable.exact == 0);
}

/* ---- windows ---- */

/* One example, "ab cd ef", in two windows: [CLS] q [SEP] ab cd [SEP], [CLS] q [SEP] cd ef
 * [SEP]; cd counts in the first. */
struct fixture {
    struct task task;
    struct example ex;
    struct examples raw;
    struct sequence seq[2];
    int64_t first[2];
    struct dataset data;
    struct predictions p;
    struct span_list list;
    const char *text, *answer;
    double odds;
    float logits[2], v[2][12];
};

static int32_t from[2][6] = {{-1, -1, -1, 0, 3, -1}, {-1, -1, -1, 3, 6, -1}};
static int32_t to[2][6] = {{-1, -1, -1, 2, 5, -1}, {-1, -1, -1, 5, 8, -1}};
static bool best[2][6] = {{0, 0, 0, 1, 1, 0}, {0, 0, 0, 0, 1, 0}};

static void fixture_init(struct fixture *f, bool no_answer, struct err *err)
{
    *f = (struct fixture){.task = {.no_answer = no_answer}, .ex = {.b = "ab cd ef"}};
    f->raw = (struct examples){.v = &f->ex, .n = 1};
    f->first[1] = 2;
    for (int w = 0; w < 2; w++)
        f->seq[w] = (struct sequence){
            .n = 6, .from = from[w], .to = to[w], .best = best[w], .context = 3};
    f->data = (struct dataset){.task = &f->task,
                               .raw = &f->raw,
                               .seq = f->seq,
                               .first = f->first,
                               .n = 1,
                               .span = {20, 30, 0}};
    f->p = (struct predictions){.data = &f->data,
                                .arena = arena_new(err),
                                .n = 1,
                                .logits = f->logits,
                                .text = &f->text,
                                .guess = &f->list};
    if (no_answer) {
        f->p.answer = &f->answer;
        f->p.null_odds = &f->odds;
    }
}

/* Logits of start and end of token t of window w. */
static void set(struct fixture *f, int w, int t, float start, float end)
{
    f->v[w][2 * t] = start;
    f->v[w][2 * t + 1] = end;
}

static void predict(struct fixture *f)
{
    struct err err = ERR_INIT;
    struct span_search *s = span_search_new(&err);
    const float *logits[] = {f->v[0], f->v[1]};

    f->list = (struct span_list){NULL, 0};
    assert_non_null(s);
    assert_ok(span_predict(s, &f->p, 0, logits, &err), &err);
    span_search_free(s);
}

static void a_start_counts_where_it_has_most_context(void **state)
{
    struct fixture f;
    struct err err = ERR_INIT;

    (void)state;
    fixture_init(&f, false, &err);
    set(&f, 1, 3, 9, 0); /* cd in the second window: not its place */
    set(&f, 0, 4, 1, 5);
    predict(&f);
    assert_string_equal(f.text, "cd");
    assert_true(f.logits[0] == 1 && f.logits[1] == 5);
    assert_int_equal(f.list.n, 4); /* cd, ab cd, ab, ef */
    assert_string_equal(span_text(&f.p, 0, f.list.v[1]), "ab cd");
    arena_free(f.p.arena);
}

static void answers_are_as_long_as_allowed_and_forwards(void **state)
{
    struct fixture f;
    struct err err = ERR_INIT;

    (void)state;
    fixture_init(&f, false, &err);
    f.data.span.max_answer = 1;
    set(&f, 0, 3, 3, 1);
    set(&f, 0, 4, 2, 4);
    predict(&f);
    assert_string_equal(f.text, "cd"); /* 6; "ab cd" with 7 is too long */
    f.data.span.n_best = 1;            /* start ab, end cd: no pair is left */
    set(&f, 1, 3, 9, 0);               /* nor in the second window */
    predict(&f);
    assert_string_equal(f.text, "empty");
    assert_true(f.logits[0] == 0);
    arena_free(f.p.arena);
}

static void no_answer_is_given_above_the_threshold(void **state)
{
    struct fixture f;
    struct err err = ERR_INIT;

    (void)state;
    fixture_init(&f, true, &err);
    set(&f, 0, 3, 1, 1);
    set(&f, 0, 0, 4, 4);
    set(&f, 1, 0, 2, 3); /* the least of both counts: 5 against 2 */
    predict(&f);
    assert_true(f.odds == 3);
    assert_string_equal(f.text, "");
    assert_string_equal(f.answer, "ab");
    f.data.span.null_threshold = 3;
    predict(&f);
    assert_string_equal(f.text, "ab");
    assert_int_equal(f.list.v[0].from, SPAN_NONE);
    arena_free(f.p.arena);
}

static void logits_that_are_no_numbers_give_no_guess(void **state)
{
    struct fixture f;
    struct err err = ERR_INIT;

    (void)state;
    fixture_init(&f, true, &err);
    for (int w = 0; w < 2; w++)
        for (int t = 0; t < 6; t++)
            set(&f, w, t, NAN, NAN);
    predict(&f);
    assert_string_equal(f.answer, "empty");
    assert_true(isnan(f.odds));
    arena_free(f.p.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_lowered_and_lose_articles_and_punctuation),
        cmocka_unit_test(words_in_common_are_counted_with_their_number),
        cmocka_unit_test(answers_without_words_differ_by_the_rules),
        cmocka_unit_test(the_first_of_the_best_thresholds_is_taken),
        cmocka_unit_test(a_start_counts_where_it_has_most_context),
        cmocka_unit_test(answers_are_as_long_as_allowed_and_forwards),
        cmocka_unit_test(no_answer_is_given_above_the_threshold),
        cmocka_unit_test(logits_that_are_no_numbers_give_no_guess),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
