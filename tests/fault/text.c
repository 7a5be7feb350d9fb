/* Tokens, datasets and batches with each allocation failing in turn. */
#include "fail_alloc.h"

#include "retort/task.h"

static const char VOCAB[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\n##c\n";

static struct examples *some_examples(struct err *err)
{
    struct examples *ex = examples_new(err);

    for (int i = 0; ex && i < 12; i++) {
        struct example *e = examples_add(ex, err);
        if (!e) {
            examples_free(ex);
            return NULL;
        }
        e->a = "a b";
        e->b = "ac b a b \xc3\xa9 bc a b ac ac a b b b a";
        e->answerable = false;
    }
    return ex;
}

static int fill_batch(const struct dataset *data, struct err *err)
{
    const int64_t pick[] = {3, 0, 11};
    struct batch batch;
    struct arena *arena = arena_new(err);

    int rc = arena ? batch_fill(&batch, data, pick, 3, arena, err) : -1;
    arena_free(arena);
    return rc;
}

static int encode_and_batch(void *ctx, struct err *err)
{
    const struct task task = {
        .name = "t", .kind = *(const enum task_kind *)ctx, .labels = 2};
    struct tokenizer *tok = NULL;
    struct dataset *data = NULL;
    int rc = -1;

    if (tokenizer_wordpiece(&tok, VOCAB, sizeof VOCAB - 1, "vocab", true, err))
        goto done;
    struct examples *ex = some_examples(err);
    if (!ex || dataset_encode(&data, &task, ex, "train", tok, 16, 4, err))
        goto done;
    rc = fill_batch(data, err);
done:
    dataset_free(data);
    tokenizer_free(tok);
    return rc;
}

/* A text that needs the heap for its glyphs. */
static int encode_long_word(void *ctx, struct err *err)
{
    static char text[3000];
    struct tokenizer *tok = NULL;
    struct tokens t = {0};
    int rc = -1;

    (void)ctx;
    memset(text, 'a', sizeof text);
    if (tokenizer_wordpiece(&tok, VOCAB, sizeof VOCAB - 1, "vocab", true, err))
        return -1;
    rc = tokenizer_encode(tok, text, sizeof text, &t, err);
    if (rc == 0 && t.n != 1)
        rc = -2;
    tokens_release(&t);
    tokenizer_free(tok);
    return rc;
}

static void pairs_survive_each_failing_allocation(void **state)
{
    (void)state;
    fail_each_alloc(encode_and_batch, &(enum task_kind){TASK_REGRESSION});
}

static void windows_survive_each_failing_allocation(void **state)
{
    (void)state;
    fail_each_alloc(encode_and_batch, &(enum task_kind){TASK_SPAN});
}

static void long_words_survive_each_failing_allocation(void **state)
{
    (void)state;
    fail_each_alloc(encode_long_word, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_survive_each_failing_allocation),
        cmocka_unit_test(windows_survive_each_failing_allocation),
        cmocka_unit_test(long_words_survive_each_failing_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
