/* Encoding, slices, orders and batches of small splits made here. */
#include "check.h"

#include "retort/file.h"
#include "retort/rng.h"
#include "retort/strbuf.h"
#include "retort/task.h"

/* a = 5, b = 6, ... z = 30, aa is a a a a ... */
static const char VOCAB[] =
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\n"
    "m\nn\no\np\nq\nr\ns\nt\nu\nv\nw\nx\ny\nz\n";

static const struct task CLASSES = {
    .name = "t/classes", .kind = TASK_CLASSES, .labels = 2};
static const struct task SPAN = {.name = "t/span", .kind = TASK_SPAN};
static const struct task CHOICE = {.name = "t/choice", .kind = TASK_CHOICE};
static const struct task MLM = {.name = "t/mlm", .kind = TASK_MLM};

static struct tokenizer *tok;

static int setup(void **state)
{
    (void)state;
    return tokenizer_wordpiece(&tok, VOCAB, sizeof VOCAB - 1, "vocab", true, NULL);
}

static int teardown(void **state)
{
    (void)state;
    tokenizer_free(tok);
    return 0;
}

static struct example *add(struct examples *ex, const char *a, const char *b,
                           int32_t label)
{
    struct example *e = examples_add(ex, NULL);
    assert_non_null(e);
    e->id = arena_printf(ex->arena, "%d", (int)ex->n);
    e->a = a;
    e->b = b;
    e->label = label;
    return e;
}

static struct dataset *encode(const struct task *task, struct examples *ex,
                              int64_t max_len, int64_t stride)
{
    struct err err = ERR_INIT;
    struct dataset *data = NULL;
    assert_ok(dataset_encode(&data, task, ex, "train", tok, max_len, stride, &err), &err);
    return data;
}

/* Tokens as letters: "Ca bSc dS". */
static void expect_tokens(const struct sequence *s, const char *want)
{
    char got[256] = "";
    for (int32_t i = 0; i < s->n; i++)
        got[i] = s->id[i] >= 5 ? (char)('a' + s->id[i] - 5) : "PUCSM"[s->id[i]];
    assert_string_equal(got, want);
}

static void texts_get_cls_and_sep_and_types(void **state)
{
    (void)state;
    struct examples *ex = examples_new(NULL);
    add(ex, "a b", NULL, 1);
    add(ex, "a b", "c", 0);
    struct dataset *data = encode(&CLASSES, ex, 16, 0);
    assert_string_equal(data->name, "t/classes/train");
    assert_int_equal(data->n_seq, 2);
    assert_int_equal(data->n_tokens, 10);
    expect_tokens(&data->seq[0], "CabS");
    expect_tokens(&data->seq[1], "CabScS");
    assert_int_equal(data->seq[0].label, 1);
    const int32_t types[] = {0, 0, 0, 0, 1, 1};
    assert_memory_equal(data->seq[1].type, types, sizeof types);
    assert_int_equal(data->n_cut, 0);
    dataset_free(data);
}

/* Lengths that the reference's truncation="longest_first" gives for max_length 10. */
static void pairs_are_cut_longest_first(void **state)
{
    (void)state;
    struct examples *ex = examples_new(NULL);
    add(ex, "a a a a a a a a a", "b b", 0);
    add(ex, "a a", "b b b b b b b b b", 0);
    add(ex, "a a a a a a a a a", "b b b b b b b b", 0);
    add(ex, "a a a a a a a a", "b b b b b b b b b b", 0);
    add(ex, "a a a a a a a a a a", NULL, 0);
    struct dataset *data = encode(&CLASSES, ex, 10, 0);
    expect_tokens(&data->seq[0], "CaaaaaSbbS");
    expect_tokens(&data->seq[1], "CaaSbbbbbS");
    expect_tokens(&data->seq[2], "CaaaaSbbbS");
    expect_tokens(&data->seq[3], "CaaaSbbbbS");
    expect_tokens(&data->seq[4], "CaaaaaaaaS");
    assert_int_equal(data->n_cut, 5);
    dataset_free(data);
}

static void choices_are_one_sequence_each(void **state)
{
    (void)state;
    static const char *choices[] = {"c", "d e", "f"};
    struct err err = ERR_INIT;
    struct arena *arena = arena_new(&err);
    struct examples *ex = examples_new(NULL);
    for (int i = 0; i < 2; i++) {
        struct example *e = add(ex, "a", i ? "b" : NULL, 2 - i);
        e->choices = choices;
        e->n_choices = 3;
    }
    struct dataset *data = encode(&CHOICE, ex, 16, 0);
    assert_int_equal(data->n_seq, 6);
    expect_tokens(&data->seq[1], "CaSdeS");
    expect_tokens(&data->seq[4], "CaSbdeS");
    struct batch b;
    const int64_t pick[] = {1, 0};
    assert_ok(batch_fill(&b, data, pick, 2, arena, &err), &err);
    assert_int_equal(b.n_seq, 6);
    assert_int_equal(b.label[0], 1);
    assert_int_equal(b.label[1], 2);
    assert_int_equal(b.seq[0], 3);
    dataset_free(data);
    arena_free(arena);
}

/* ---- spans ---- */

static struct dataset *span(struct answer *answer, bool answerable, int64_t max_len,
                            int64_t stride)
{
    struct examples *ex = examples_new(NULL);
    struct example *e = add(ex, "q", "a b c d e f g h i j", -1);
    e->answers = answer;
    e->n_answers = answer ? 1 : 0;
    e->answerable = answerable;
    return encode(&SPAN, ex, max_len, stride);
}

static void long_contexts_get_windows_with_overlap(void **state)
{
    (void)state;
    struct answer answer = {"e f", 8};
    struct dataset *data = span(&answer, true, 9, 2);
    assert_int_equal(data->n_seq, 3);
    expect_tokens(&data->seq[0], "CqSabcdeS");
    expect_tokens(&data->seq[1], "CqSdefghS");
    expect_tokens(&data->seq[2], "CqSghijS");
    dataset_free(data);
}

static void answers_are_found_where_a_window_holds_them_whole(void **state)
{
    (void)state;
    struct answer answer = {"e f", 8};
    struct dataset *data = span(&answer, true, 9, 2);
    const struct sequence *s = data->seq;
    assert_int_equal(s[0].start, 0); /* half of it */
    assert_int_equal(s[1].start, 4);
    assert_int_equal(s[1].end, 5);
    assert_int_equal(s[1].from[4], 8);
    assert_int_equal(s[1].to[5], 11);
    assert_int_equal(s[1].from[0], -1);
    assert_int_equal(s[2].start, 0);
    dataset_free(data);
}

static void an_answer_in_the_last_token_is_found(void **state)
{
    (void)state;
    struct answer answer = {"j", 18};
    struct dataset *data = span(&answer, true, 32, 2);
    assert_int_equal(data->seq[0].start, 12);
    assert_int_equal(data->seq[0].end, 12);
    dataset_free(data);
}

static void no_answer_is_cls_and_an_unknown_one_is_not_counted(void **state)
{
    (void)state;
    struct dataset *data = span(NULL, false, 32, 2);
    assert_int_equal(data->seq[0].start, 0);
    dataset_free(data);
    data = span(NULL, true, 32, 2);
    assert_int_equal(data->seq[0].start, -1);
    dataset_free(data);
}

static void every_context_token_is_best_in_one_window(void **state)
{
    (void)state;
    struct dataset *data = span(NULL, false, 9, 2);
    int seen[10] = {0};
    for (int64_t w = 0; w < data->n_seq; w++)
        for (int32_t i = 0; i < data->seq[w].n; i++)
            if (data->seq[w].best[i])
                seen[data->seq[w].from[i] / 2]++;
    for (int i = 0; i < 10; i++)
        assert_int_equal(seen[i], 1);
    assert_false(
        data->seq[1].best[3]); /* d: 1 to the right in window 0, 0 to the left in 1 */
    assert_true(data->seq[0].best[6]);
    assert_true(
        data->seq[1].best[4]); /* e: 0 to the right in window 0, 1 to the left in 1 */
    dataset_free(data);
}

static void a_question_too_long_is_cut_so_that_windows_get_on(void **state)
{
    (void)state;
    struct examples *ex = examples_new(NULL);
    add(ex, "q q q q q q q q q q q q q q q q q q q q", "a b c d e f g", -1);
    struct dataset *data = encode(&SPAN, ex, 12, 4);
    expect_tokens(&data->seq[0], "CqqqqSabcdeS");
    assert_int_equal(data->n_seq, 3);
    assert_int_equal(data->n_cut, 3);
    dataset_free(data);
}

/* ---- slices, orders, batches ---- */

static struct dataset *letters(const struct task *task, int n, int len)
{
    struct examples *ex = examples_new(NULL);
    for (int i = 0; i < n; i++) {
        char text[256] = "";
        for (int j = 0; j < len; j++)
            snprintf(text + 2 * j, 3, "%c ", 'a' + (i + j) % 26);
        add(ex, arena_strdup(ex->arena, text), NULL, i % 2);
    }
    return encode(task, ex, 128, 0);
}

static void slices_are_parts_of_one_permutation(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct dataset *part[2] = {letters(&CLASSES, 20, 2), letters(&CLASSES, 20, 2)};
    int64_t want[20];
    for (int64_t i = 0; i < 20; i++)
        want[i] = i;
    struct rng rng = rng_stream(0, "slice/t/classes/train");
    rng_shuffle(&rng, want, 20);
    for (int k = 0; k < 2; k++) {
        assert_ok(dataset_slice(&part[k], 8 * k, 8 * k + 8, &err), &err);
        assert_int_equal(part[k]->n, 8);
        assert_int_equal(part[k]->n_tokens, 32);
        for (int64_t i = 0; i < 8; i++) {
            assert_int_equal(part[k]->index[i], want[8 * k + i]);
            assert_int_equal(part[k]->seq[i].id[1], 5 + want[8 * k + i]);
            assert_int_equal(part[k]->raw->v[i].a[0], 'a' + want[8 * k + i]);
            assert_int_equal(part[k]->seq[i].example, i);
        }
    }
    assert_string_equal(part[1]->name, "t/classes/train[8:16]");
    assert_fails(dataset_slice(&part[1], 0, 1, &err), &err, ERR_INPUT,
                 "is a slice already");
    dataset_free(part[0]);
    dataset_free(part[1]);
}

static void slices_outside_are_refused(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct dataset *data = letters(&CLASSES, 5, 2);
    assert_fails(dataset_slice(&data, 2, 6, &err), &err, ERR_INPUT,
                 "t/classes/train[2:6]: not inside 0 to 5");
    assert_fails(dataset_slice(&data, 3, 3, &err), &err, ERR_INPUT, "or empty");
    assert_fails(dataset_slice(&data, -1, 3, &err), &err, ERR_INPUT, "not inside");
    assert_int_equal(data->n, 5);
    dataset_free(data);
}

static void orders_are_permutations_that_differ_by_epoch_and_seed(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct arena *arena = arena_new(&err);
    struct dataset *data = letters(&CLASSES, 50, 2);
    int64_t *a = dataset_order(data, 1, 0, arena), *b = dataset_order(data, 1, 1, arena);
    int64_t *c = dataset_order(data, 2, 0, arena),
            *again = dataset_order(data, 1, 0, arena);
    int seen[50] = {0};
    for (int i = 0; i < 50; i++)
        seen[a[i]]++;
    for (int i = 0; i < 50; i++)
        assert_int_equal(seen[i], 1);
    assert_memory_equal(a, again, 50 * sizeof *a);
    assert_memory_not_equal(a, b, 50 * sizeof *a);
    assert_memory_not_equal(a, c, 50 * sizeof *a);
    dataset_free(data);
    arena_free(arena);
}

static void batches_are_packed_without_padding(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct arena *arena = arena_new(&err);
    struct examples *ex = examples_new(NULL);
    struct batch b;
    add(ex, "a b c", NULL, 1);
    add(ex, "d", "e", 0);
    struct dataset *data = encode(&CLASSES, ex, 16, 0);
    assert_ok(batch_fill(&b, data, (const int64_t[]){1, 0}, 2, arena, &err), &err);
    const int32_t id[] = {2, 8, 3, 9, 3, 2, 5, 6, 7, 3},
                  position[] = {0, 1, 2, 3, 4, 0, 1, 2, 3, 4};
    const int32_t type[] = {0, 0, 0, 1, 1, 0, 0, 0, 0, 0},
                  row[] = {1, 1, 1, 1, 1, 0, 0, 0, 0, 0};
    const int32_t offset[] = {0, 5, 10}, label[] = {0, 1};
    assert_int_equal(b.n_tok, 10);
    assert_memory_equal(b.id, id, sizeof id);
    assert_memory_equal(b.position, position, sizeof position);
    assert_memory_equal(b.type, type, sizeof type);
    assert_memory_equal(b.row_example, row, sizeof row);
    assert_memory_equal(b.offset, offset, sizeof offset);
    assert_memory_equal(b.label, label, sizeof label);
    assert_int_equal(b.example[0], 1);
    dataset_free(data);
    arena_free(arena);
}

static void masking_does_not_depend_on_the_batch_or_slice(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct arena *arena = arena_new(&err);
    struct dataset *data = letters(&MLM, 10, 60), *part = letters(&MLM, 10, 60);
    struct batch all, one;
    int64_t pick[10];
    for (int64_t i = 0; i < 10; i++)
        pick[i] = i;
    assert_ok(batch_fill(&all, data, pick, 10, arena, &err), &err);
    assert_ok(dataset_slice(&part, 3, 5, &err), &err);
    assert_ok(batch_fill(&one, part, pick + 1, 1, arena, &err), &err);
    int32_t *same = all.id + all.offset[part->index[1]];
    assert_memory_equal(one.id, same, (size_t)one.n_tok * sizeof *same);
    dataset_free(data);
    dataset_free(part);
    arena_free(arena);
}

static void fifteen_in_a_hundred_tokens_are_hidden(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct arena *arena = arena_new(&err);
    struct dataset *data = letters(&MLM, 400, 100);
    struct batch b;
    int64_t masked = 0, kept = 0, *pick = dataset_order(data, 0, 0, arena);
    assert_ok(batch_fill(&b, data, pick, 400, arena, &err), &err);
    for (int64_t i = 0; i < b.n_mlm; i++) {
        masked += b.id[b.mlm_row[i]] == 4;
        kept += b.id[b.mlm_row[i]] == b.mlm_label[i];
        assert_true(b.mlm_label[i] >= 5);
    }
    /* four standard deviations of the binomial counts */
    assert_true(labs(b.n_mlm - 6000) < 4 * 72);
    assert_true(labs(masked * 10 - b.n_mlm * 8) < 10 * 4 * 31);
    assert_true(labs(kept * 10 - b.n_mlm) < 10 * 4 * 24 + b.n_mlm / 26);
    dataset_free(data);
    arena_free(arena);
}

static void bad_examples_are_named(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct dataset *data = NULL;
    struct examples *ex = examples_new(NULL);
    add(ex, "a", NULL, 0);
    add(ex, "a", NULL, 2);
    assert_fails(dataset_encode(&data, &CLASSES, ex, "dev", tok, 16, 0, &err), &err,
                 ERR_INPUT, "t/classes/dev: example 2: label is 2; t/classes has 0 to 1");
    ex = examples_new(NULL);
    add(ex, NULL, NULL, 0);
    assert_fails(dataset_encode(&data, &CLASSES, ex, "dev", tok, 16, 0, &err), &err,
                 ERR_INPUT, "example 1: has no text");
    assert_fails(
        dataset_encode(&data, &CLASSES, examples_new(NULL), "dev", tok, 2, 0, &err), &err,
        ERR_INPUT, "max_len is 2; use 8 to");
    assert_fails(
        dataset_encode(&data, &SPAN, examples_new(NULL), "dev", tok, 64, 60, &err), &err,
        ERR_INPUT, "stride is 60; use 0 to half of max_len, 32");
    assert_null(data);
}

/* ---- the reference ---- */

static void put_ids(struct strbuf *sb, const struct sequence *s)
{
    for (int32_t i = 0; i < s->n; i++)
        strbuf_printf(sb, "%s%d", i ? "," : "", s->id[i]);
}

/* "ids start:end from:to,... best" of each window, as in encode.tsv. */
static void put_windows(struct strbuf *sb, const struct dataset *data)
{
    for (int64_t w = 0; w < data->n_seq; w++) {
        const struct sequence *s = &data->seq[w];
        strbuf_puts(sb, w ? "/" : "");
        put_ids(sb, s);
        strbuf_printf(sb, " %d:%d ", s->start, s->end);
        for (int32_t i = s->context; i < s->n - 1; i++)
            strbuf_printf(sb, "%s%d:%d", i > s->context ? "," : "", s->from[i], s->to[i]);
        strbuf_putc(sb, ' ');
        for (int32_t i = s->context; i < s->n - 1; i++)
            strbuf_putc(sb, s->best[i] ? '1' : '0');
    }
}

static void check_row(char *row, const struct tokenizer *words)
{
    struct err err = ERR_INIT;
    struct examples *ex = examples_new(&err);
    struct dataset *data = NULL;
    struct strbuf sb = STRBUF_INIT;
    char *field[8] = {0};

    for (int i = 0; i < 8; i++)
        field[i] = strsep(&row, "\t");
    bool is_span = strcmp(field[0], "span") == 0;
    struct example *e = add(ex, field[5], field[6], -1);
    struct answer answer = {"", atoll(field[3])};
    if (answer.begin >= 0) {
        char *text = arena_strdup(ex->arena, field[6] + answer.begin);
        text[atoll(field[4])] = 0;
        answer.text = text;
        e->answers = &answer;
        e->n_answers = 1;
        e->answerable = true;
    }
    assert_ok(dataset_encode(&data, is_span ? &SPAN : &CLASSES, ex, "x", words,
                             atoll(field[1]), atoll(field[2]), &err),
              &err);
    if (is_span)
        put_windows(&sb, data);
    else
        put_ids(&sb, &data->seq[0]);
    assert_string_equal(strbuf_text(&sb), field[7]);
    strbuf_release(&sb);
    dataset_free(data);
}

static void pairs_and_windows_equal_the_reference(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct tokenizer *words = NULL;
    char *text = NULL, *row;
    int64_t len = 0, n = 0;

    assert_ok(
        tokenizer_load(&words, "tests/parity/fixtures/wordpiece.vocab.txt", true, &err),
        &err);
    assert_ok(file_read(&text, &len, "tests/parity/fixtures/encode.tsv", 1 << 20, &err),
              &err);
    for (char *p = text; (row = strsep(&p, "\n")) && *row; n++)
        check_row(row, words);
    assert_int_equal(n, 200);
    free(text);
    tokenizer_free(words);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_get_cls_and_sep_and_types),
        cmocka_unit_test(pairs_are_cut_longest_first),
        cmocka_unit_test(choices_are_one_sequence_each),
        cmocka_unit_test(long_contexts_get_windows_with_overlap),
        cmocka_unit_test(answers_are_found_where_a_window_holds_them_whole),
        cmocka_unit_test(an_answer_in_the_last_token_is_found),
        cmocka_unit_test(no_answer_is_cls_and_an_unknown_one_is_not_counted),
        cmocka_unit_test(every_context_token_is_best_in_one_window),
        cmocka_unit_test(a_question_too_long_is_cut_so_that_windows_get_on),
        cmocka_unit_test(slices_are_parts_of_one_permutation),
        cmocka_unit_test(slices_outside_are_refused),
        cmocka_unit_test(orders_are_permutations_that_differ_by_epoch_and_seed),
        cmocka_unit_test(batches_are_packed_without_padding),
        cmocka_unit_test(masking_does_not_depend_on_the_batch_or_slice),
        cmocka_unit_test(fifteen_in_a_hundred_tokens_are_hidden),
        cmocka_unit_test(bad_examples_are_named),
        cmocka_unit_test(pairs_and_windows_equal_the_reference),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
