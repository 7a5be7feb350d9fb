/* Decoding of small drawn decoders: with stored keys and values as without. */
#include "check.h"

#include "retort/generate.h"
#include "retort/pool.h"

enum { VOCAB = 29, POSITIONS = 24 };

static struct model *decoder(enum hf_arch arch, uint64_t seed)
{
    struct err err = ERR_INIT;
    struct model *m = NULL;
    struct hf_config cfg;

    hf_config_defaults(&cfg);
    cfg.arch = arch;
    cfg.layers = 2;
    cfg.width = 32;
    cfg.heads = 4;
    cfg.kv_heads = arch == HF_LLAMA ? 2 : 4;
    cfg.head_dim = 8;
    cfg.ffn = 48;
    cfg.vocab = VOCAB;
    cfg.positions = POSITIONS;
    cfg.window = 5;
    cfg.local[1] = arch == HF_GPT_NEO;
    cfg.eps = 1e-5;
    cfg.rope_theta = 10000;
    cfg.tied = true;
    cfg.activation = arch == HF_LLAMA ? HF_SILU : HF_GELU_NEW;
    cfg.init_range = 0.4;
    for (int l = 0; l < 2; l++) {
        cfg.heads_kept[l] = 4;
        cfg.ffn_kept[l] = 48;
    }
    assert_ok(model_random(&m, &cfg, NULL, 0, HEAD_LM, 0, seed, &err), &err);
    return m;
}

static const enum hf_arch archs[] = {HF_GPT2, HF_GPT_NEO, HF_LLAMA};

static struct tokens continued(struct model *m, struct decoding how)
{
    static const int32_t prompt[] = {3, 7, 1};
    struct err err = ERR_INIT;
    struct tokens out = {NULL, NULL, NULL, 0, 0};
    struct tape *tape = tape_new(NULL, DT_F32, &err);

    assert_ok(generate(&out, m, tape, prompt, 3, &how, NULL, NULL, &err), &err);
    tape_free(tape);
    return out;
}

static void same_without_cache(struct decoding how)
{
    for (int i = 0; i < 3; i++)
        for (uint64_t seed = 1; seed <= 4; seed++) {
            struct model *m = decoder(archs[i], seed);
            struct tokens a, b;
            how.no_cache = false;
            a = continued(m, how);
            how.no_cache = true;
            b = continued(m, how);
            assert_int_equal(a.n, b.n);
            assert_true(a.n > 0);
            assert_memory_equal(a.id, b.id, (size_t)a.n * sizeof *a.id);
            tokens_release(&a);
            tokens_release(&b);
            model_free(m);
        }
}

static void greedy_text_is_the_same_with_stored_keys(void **state)
{
    (void)state;
    same_without_cache((struct decoding){.tokens = 40, .top_p = 1, .endless = true});
}

static void drawn_text_is_the_same_with_stored_keys(void **state)
{
    (void)state;
    same_without_cache((struct decoding){
        .tokens = 40, .temperature = 1.3, .top_k = 20, .top_p = 0.95, .endless = true});
}

static void the_text_of_beams_is_the_same_with_stored_keys(void **state)
{
    (void)state;
    same_without_cache((struct decoding){
        .tokens = 12, .top_p = 1, .beams = 3, .length_penalty = 0.9, .endless = true});
}

static void the_last_position_ends_a_text(void **state)
{
    struct model *m = decoder(HF_GPT2, 1);
    struct tokens t =
        continued(m, (struct decoding){.tokens = 1000, .top_p = 1, .endless = true});

    (void)state;
    assert_int_equal(t.n, POSITIONS - 3);
    tokens_release(&t);
    model_free(m);
}

static void the_likeliest_of_one_is_the_greedy_text(void **state)
{
    struct model *m = decoder(HF_LLAMA, 2);
    struct decoding how = {.tokens = 20, .top_p = 1, .endless = true};
    struct tokens a = continued(m, how), b;

    (void)state;
    how.temperature = 0.7;
    how.top_k = 1;
    b = continued(m, how);
    assert_int_equal(a.n, b.n);
    assert_memory_equal(a.id, b.id, (size_t)a.n * sizeof *a.id);
    tokens_release(&a);
    tokens_release(&b);
    model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_text_is_the_same_with_stored_keys),
        cmocka_unit_test(drawn_text_is_the_same_with_stored_keys),
        cmocka_unit_test(the_text_of_beams_is_the_same_with_stored_keys),
        cmocka_unit_test(the_last_position_ends_a_text),
        cmocka_unit_test(the_likeliest_of_one_is_the_greedy_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
