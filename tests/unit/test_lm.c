/* Texts as contexts of a language model, and what is told of them. */
#include "check.h"

#include "retort/file.h"
#include "retort/task.h"

static const char vocab[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\nc\nd\ne\n";
enum { CLS = 2, SEP = 3, MASK = 4, A = 5, LEN = 8 };

static const struct task words = {.name = "test/words", .kind = TASK_LM, .labels = 1};

static struct tokenizer *tokenizer(void)
{
    struct err err = ERR_INIT;
    struct tokenizer *tok = NULL;

    assert_ok(tokenizer_wordpiece(&tok, vocab, sizeof vocab - 1, "vocab", true, &err),
              &err);
    return tok;
}

/* Documents as a dataset, or NULL with an error. */
static struct dataset *encode(const char *const *text, int64_t n,
                              const struct encoding *how, struct err *err)
{
    struct examples *raw = examples_new(err);
    struct tokenizer *tok = tokenizer();
    struct dataset *data = NULL;

    for (int64_t i = 0; i < n; i++) {
        struct example *e = examples_add(raw, err);
        e->a = text[i];
        e->id = "";
    }
    dataset_encode_as(&data, &words, raw, "train", tok, how, err);
    tokenizer_free(tok);
    return data;
}

static struct batch batch_of(const struct dataset *d, struct arena *arena)
{
    struct err err = ERR_INIT;
    struct batch b;
    int64_t pick[64];

    assert_true(d->n <= 64);
    for (int64_t i = 0; i < d->n; i++)
        pick[i] = i;
    assert_ok(batch_fill(&b, d, pick, d->n, arena, &err), &err);
    return b;
}

static const char *const three[] = {"a b c d e", "a\n\n b  c", "e d c b a e d c b a"};

/* The stream is [CLS] abcde [CLS] abc [CLS] edcbaedcba: 21 tokens. */
static void every_token_but_the_first_is_told_once(void **state)
{
    struct err err = ERR_INIT;
    struct dataset *d =
        encode(three, 3, &(struct encoding){.max_len = LEN, .causal = true}, &err);
    struct arena *arena = arena_new(&err);
    struct batch b = batch_of(d, arena);

    (void)state;
    assert_int_equal(d->n, 3);
    assert_int_equal(b.n_tok, 20);
    assert_int_equal(b.n_mlm, 20);
    assert_int_equal(d->seq[2].n, 4);
    for (int64_t i = 0; i < 20; i++) { /* the row's follower; windows touch */
        assert_int_equal(b.mlm_row[i], i);
        if (i < 19)
            assert_int_equal(b.mlm_label[i], b.id[i + 1]);
    }
    assert_int_equal(b.id[6], CLS);
    assert_int_equal(b.position[8], 0);
    assert_int_equal(b.mlm_label[19], A);
    arena_free(arena);
    dataset_free(d);
}

static void words_and_bytes_of_all_contexts_are_those_of_the_text(void **state)
{
    int64_t step[] = {0, 3, LEN}, n_words = 0, n_bytes = 0;
    struct err err = ERR_INIT;

    (void)state;
    for (int k = 0; k < 3; k++, n_words = n_bytes = 0) {
        struct encoding how = {.max_len = LEN, .causal = true, .step = step[k]};
        struct dataset *d = encode(three, 3, &how, &err);
        for (int64_t i = 0; i < d->n; i++) {
            n_words += d->seq[i].words;
            n_bytes += d->seq[i].bytes;
        }
        assert_int_equal(n_words, 5 + 3 + 10);
        assert_int_equal(n_bytes, strlen(three[0]) + strlen(three[1]) + strlen(three[2]));
        dataset_free(d);
    }
}

static void
overlapping_windows_tell_each_token_once_with_all_the_room_before_it(void **state)
{
    struct err err = ERR_INIT;
    struct encoding how = {.max_len = LEN, .causal = true, .step = 3};
    struct dataset *d = encode(three, 3, &how, &err);

    (void)state;
    assert_int_equal(d->n, 5); /* 8 told, then 3 a window: 8 11 14 17 20 */
    assert_int_equal(d->seq[0].score_from, 0);
    for (int i = 1; i < 5; i++) {
        assert_int_equal(d->seq[i].n, 8);
        assert_int_equal(d->seq[i].score_from, 5);
        assert_int_equal(d->seq[i].score_to, 8);
    }
    dataset_free(d);
}

/* The usual loop: its windows begin at 0, step, 2 step; labels before the new ones are
 * ignored, and the first of a window cannot be told. */
static void windows_with_targets_inside_are_those_of_the_usual_loop(void **state)
{
    struct err err = ERR_INIT;

    (void)state;
    for (int64_t step = 1; step <= LEN; step++) {
        struct encoding how = {.max_len = LEN,
                               .causal = true,
                               .step = step,
                               .windows = LM_WINDOWS_INSIDE,
                               .begin = BEGIN_NO};
        struct dataset *d = encode(three, 3, &how, &err);
        int64_t window = 0, prev_end = 0, length = 18;
        for (int64_t begin = 0; prev_end < length; begin += step) {
            int64_t end = begin + LEN < length ? begin + LEN : length;
            int64_t first = prev_end > begin ? prev_end : begin + 1;
            if (first < end) {
                assert_true(window < d->n);
                assert_int_equal(d->seq[window].n, end - begin);
                assert_int_equal(d->seq[window].score_from, first - begin - 1);
                assert_int_equal(d->seq[window].score_to, end - begin - 1);
                window++;
            }
            prev_end = end;
        }
        assert_int_equal(window, d->n);
        dataset_free(d);
    }
}

static void
documents_apart_end_their_windows_and_are_told_from_their_beginning(void **state)
{
    struct err err = ERR_INIT;
    struct encoding how = {.max_len = LEN, .causal = true, .apart = true};
    struct dataset *d = encode(three, 3, &how, &err);
    int64_t told = 0;

    (void)state;
    assert_int_equal(d->n, 4); /* 5, 3, 8 + 2 */
    for (int64_t i = 0; i < d->n; i++)
        for (int32_t k = d->seq[i].score_from; k < d->seq[i].score_to; k++, told++)
            assert_true(d->seq[i].target[k] != CLS);
    assert_int_equal(told, 18);
    dataset_free(d);
}

static void an_encoder_reads_packed_documents_with_hidden_words(void **state)
{
    struct err err = ERR_INIT;
    struct dataset *d = encode(three, 3, &(struct encoding){.max_len = LEN}, &err);
    struct arena *arena = arena_new(&err);
    struct batch b = batch_of(d, arena);

    (void)state;
    assert_int_equal(d->n, 4); /* 21 tokens in contexts of 6 */
    assert_true(b.n_mlm >= 4);
    for (int64_t i = 0; i < b.n_mlm; i++)
        assert_true(b.mlm_label[i] >= A);
    assert_int_equal(d->seq[0].id[0], CLS);
    assert_int_equal(d->seq[0].id[1], SEP);
    assert_int_equal(d->seq[3].id[d->seq[3].n - 1], SEP);
    arena_free(arena);
    dataset_free(d);
}

static bool count_and_stop(void *ctx, int64_t done, int64_t total)
{
    int64_t *left = ctx;

    assert_true(done > 0 && done <= total);
    return --*left > 0;
}

static void reading_many_documents_is_told_and_can_be_stopped(void **state)
{
    enum { N = 300, BYTES = 1 << 13 };
    struct err err = ERR_INIT;
    const char *text[N];
    char *one = malloc(BYTES + 1);
    int64_t left = 1000;
    struct encoding how = {.max_len = LEN,
                           .causal = true,
                           .progress = count_and_stop,
                           .progress_ctx = &left};
    struct dataset *d;

    (void)state;
    for (int i = 0; i < BYTES; i++)
        one[i] = i % 2 ? ' ' : 'a';
    one[BYTES] = '\0';
    for (int i = 0; i < N; i++)
        text[i] = one;
    d = encode(text, N, &how, &err);
    assert_non_null(d);
    assert_int_equal(left, 998); /* 2.3 MB */
    dataset_free(d);
    left = 1;
    assert_null(encode(text, N, &how, &err));
    assert_int_equal(err.code, ERR_STOPPED);
    free(one);
}

static void a_slice_takes_contexts(void **state)
{
    struct err err = ERR_INIT;
    struct dataset *d =
        encode(three, 3, &(struct encoding){.max_len = LEN, .causal = true}, &err);

    (void)state;
    assert_ok(dataset_slice(&d, 1, 3, &err), &err);
    assert_int_equal(d->n, 2);
    assert_int_equal(d->n_tokens, d->seq[0].n + d->seq[1].n);
    dataset_free(d);
}

static void a_text_without_anything_to_tell_is_refused(void **state)
{
    const char *const empty[] = {"", " \n"};
    struct err err = ERR_INIT;

    (void)state;
    struct dataset *d = encode(
        empty, 2, &(struct encoding){.max_len = LEN, .causal = true, .begin = BEGIN_NO},
        &err);
    assert_null(d);
    assert_fails(-1, &err, ERR_INPUT, "nothing to predict");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_token_but_the_first_is_told_once),
        cmocka_unit_test(words_and_bytes_of_all_contexts_are_those_of_the_text),
        cmocka_unit_test(
            overlapping_windows_tell_each_token_once_with_all_the_room_before_it),
        cmocka_unit_test(windows_with_targets_inside_are_those_of_the_usual_loop),
        cmocka_unit_test(
            documents_apart_end_their_windows_and_are_told_from_their_beginning),
        cmocka_unit_test(an_encoder_reads_packed_documents_with_hidden_words),
        cmocka_unit_test(reading_many_documents_is_told_and_can_be_stopped),
        cmocka_unit_test(a_slice_takes_contexts),
        cmocka_unit_test(a_text_without_anything_to_tell_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
