/* Attention at many shapes: every set of kernels against the definition in double,
 * threads, other sequences, masks, probabilities, head numbers. */
#include "check.h"
#include "retort/ops.h"

enum { SEQS = 6, TENSORS = 4 };

/* A batch of sequences, and what is asked of it. */
struct wish {
    const int32_t *length;
    int64_t seqs, heads, dim;
    double dropout;
    bool gates, mask, first_only, probs;
    const int32_t *head_id;
    int threads;
    int32_t first_example; /* examples count from here */
};

/* Output, gradients of q, k, v and gates, probabilities: in double, on the heap. */
struct result {
    int64_t n[TENSORS + 2];
    double *v[TENSORS + 2];
};

static float noise(uint64_t *s)
{
    *s = *s * 6364136223846793005ull + 1442695040888963407ull;
    return (float)(*s >> 40) / 8388608.0f - 1.0f;
}

static double *copy(const struct tensor *like, const void *from, int64_t *n)
{
    *n = shape_count(like->shape);
    double *to = malloc((size_t)(*n + 1) * sizeof *to);
    dtype_convert(to, DT_F64, from, like->dtype, *n);
    return to;
}

/* Values that depend on example, place and the head's number alone, so that batches can
 * be compared: d columns a head. */
static void fill(float *x, const struct wish *w, const int32_t *off, int64_t d,
                 uint64_t what, bool first)
{
    for (int64_t s = 0; s < w->seqs; s++)
        for (int64_t i = 0; i < (first ? 1 : off[s + 1] - off[s]); i++)
            for (int64_t h = 0; h < w->heads; h++) {
                uint64_t head = (uint64_t)(w->head_id ? w->head_id[h] : h);
                uint64_t seed = what * 1000003 + (uint64_t)(w->first_example + s) * 8191 +
                                (uint64_t)i + head * 104729;
                for (int64_t j = 0; j < d; j++)
                    *x++ = noise(&seed);
            }
}

static struct result attend(const struct wish *w, const char *level, enum dtype dtype)
{
    struct result out;
    struct err err = ERR_INIT;
    struct arena *arena = arena_new(&err);
    struct pool *pool = w->threads ? pool_new(w->threads, &err) : NULL;
    struct tape *tape = tape_new(pool, dtype, &err);
    int64_t n = 0, c = w->heads * w->dim;
    int32_t off[SEQS + 1] = {0}, *example, *position;
    uint8_t *mask;
    assert_ok(kernels_select(level, &err), &err);
    for (int64_t s = 0; s < w->seqs; s++)
        off[s + 1] = off[s] + w->length[s];
    n = off[w->seqs];
    int64_t nq = w->first_only ? w->seqs : n;
    example = arena_alloc(arena, n * 4);
    position = arena_alloc(arena, n * 4);
    for (int64_t s = 0; s < w->seqs; s++)
        for (int32_t i = off[s]; i < off[s + 1]; i++) {
            example[i] = w->first_example + (int32_t)s;
            position[i] = i - off[s];
        }
    struct rows rows = {n, example, position};
    float *x = arena_alloc(arena, (n + SEQS) * (c + 1) * (int64_t)sizeof *x);
    struct tensor *t[TENSORS], *probs = NULL;
    tape_begin(tape, TAPE_TRAIN);
    for (int i = 0; i < 3; i++) {
        fill(x, w, off, w->dim, (uint64_t)i, i == 0 && w->first_only);
        t[i] = tape_leaf(tape, SHAPE(i == 0 ? nq : n, c), x);
    }
    fill(x, w, off, 1, 3, true);
    t[3] = tape_leaf(tape, SHAPE(w->seqs, w->heads), x);
    struct tensor *mask_t = tape_tensor(tape, DT_U8, SHAPE(n));
    mask = mask_t->data;
    for (int64_t i = 0; i < n; i++)
        mask[i] = position[i] % 5 != 2;
    struct attention a = {
        .heads = w->heads,
        .head_dim = w->dim,
        .first_only = w->first_only,
        .offsets = tape_indices(tape, SHAPE(w->seqs + 1), off),
        .gates = w->gates ? t[3] : NULL,
        .key_mask = w->mask ? mask_t : NULL,
        .head_id = w->head_id,
        .dropout = w->dropout,
        .rows = &rows,
        .key = {7, "here", 2},
        .probs = w->probs ? &probs : NULL,
    };
    struct tensor *y = attention(tape, t[0], t[1], t[2], &a);
    fill(x, w, off, w->dim, 9, w->first_only);
    tape_backward(tape, sum_all(tape, mul(tape, y, tape_constant(tape, SHAPE(nq, c), x))),
                  1);
    assert_ok(tape_failed(tape, &err), &err);
    out.v[0] = copy(y, y->data, &out.n[0]);
    for (int i = 0; i < TENSORS; i++) {
        const void *g = tape_grad(tape, t[i]);
        out.n[i + 1] = 0;
        out.v[i + 1] = g ? copy(t[i], g, &out.n[i + 1]) : NULL;
    }
    out.n[5] = 0;
    out.v[5] = probs ? copy(probs, probs->data, &out.n[5]) : NULL;
    tape_free(tape);
    pool_free(pool);
    arena_free(arena);
    kernels_select(NULL, NULL);
    return out;
}

static void result_free(struct result *r)
{
    for (int i = 0; i < TENSORS + 2; i++)
        free(r->v[i]);
}

/* Normwise; sums of up to 512 products in float stay within a few 1e-7. */
static void compare(const struct wish *w, const char *level)
{
    struct result want = attend(w, "ref", DT_F64), got = attend(w, level, DT_F32);
    for (int i = 0; i < TENSORS + 2; i++) {
        double diff = 0, norm = 0;
        assert_int_equal(want.n[i], got.n[i]);
        for (int64_t e = 0; e < want.n[i]; e++) {
            double d = want.v[i][e] - got.v[i][e];
            diff += d * d;
            norm += want.v[i][e] * want.v[i][e];
        }
        /* one key: P is 1, and gradients of q and k are exactly 0 but for rounding */
        if (!(sqrt(diff) <= 2e-6 * sqrt(norm) + 1e-6))
            fail_msg(
                "%s, part %d, longest %d, heads %d x %d, dropout %g: difference %g of %g",
                level, i, w->length[0], (int)w->heads, (int)w->dim, w->dropout,
                sqrt(diff), sqrt(norm));
    }
    result_free(&want);
    result_free(&got);
}

static bool has_level(const char *level)
{
    bool has = kernels_select(level, NULL) == 0;
    kernels_select(NULL, NULL);
    return has;
}

static const char *const levels[] = {"ref", "v2", "v3", "v4"};
static const int32_t mixed[SEQS] = {19, 1, 0, 64, 33, 130};

static void every_level_at_awkward_shapes(void **state)
{
    (void)state;
    static const int32_t lengths[][3] = {{1, 1, 1},    {2, 3, 5},    {15, 16, 17},
                                         {31, 32, 33}, {100, 7, 48}, {512, 0, 1}};
    static const int64_t dims[] = {1, 3, 16, 20, 32, 64, 80};
    for (int l = 0; l < 4; l++)
        for (int i = 0; has_level(levels[l]) && i < 6; i++)
            for (int d = 0; d < 7; d++) {
                if (lengths[i][0] > 200 && dims[d] != 32 && dims[d] != 64)
                    continue;
                compare(&(struct wish){.length = lengths[i],
                                       .seqs = 3,
                                       .heads = 2,
                                       .dim = dims[d],
                                       .gates = true,
                                       .probs = d % 2 == 0,
                                       .dropout = d % 3 == 0 ? 0.3 : 0},
                        levels[l]);
            }
}

static void every_level_with_masks_and_first_queries(void **state)
{
    (void)state;
    for (int l = 0; l < 4; l++)
        for (int i = 0; has_level(levels[l]) && i < 8; i++)
            compare(&(struct wish){.length = mixed,
                                   .seqs = SEQS,
                                   .heads = 3,
                                   .dim = 24,
                                   .mask = i & 1,
                                   .first_only = i & 2,
                                   .gates = i & 4,
                                   .probs = i & 4,
                                   .dropout = 0.15},
                    levels[l]);
}

static void threads_change_no_bit(void **state)
{
    (void)state;
    struct wish w = {.length = mixed,
                     .seqs = SEQS,
                     .heads = 5,
                     .dim = 32,
                     .gates = true,
                     .dropout = 0.1,
                     .threads = 1};
    struct result one = attend(&w, NULL, DT_F32);
    for (w.threads = 2; w.threads <= 8; w.threads += w.threads == 3 ? 5 : 1) {
        struct result many = attend(&w, NULL, DT_F32);
        for (int i = 0; i < TENSORS + 1; i++)
            assert_memory_equal(one.v[i], many.v[i], (size_t)one.n[i] * sizeof(double));
        result_free(&many);
    }
    result_free(&one);
}

static void other_sequences_change_no_bit(void **state)
{
    (void)state;
    struct wish w = {.length = mixed,
                     .seqs = SEQS,
                     .heads = 2,
                     .dim = 32,
                     .gates = true,
                     .dropout = 0.1,
                     .threads = 2};
    struct result all = attend(&w, NULL, DT_F32);
    for (int s = 0, row = 0; s < SEQS; row += mixed[s++]) {
        w.length = &mixed[s];
        w.seqs = 1;
        w.first_example = s;
        struct result one = attend(&w, NULL, DT_F32);
        for (int i = 0; i < 4; i++)
            assert_memory_equal(one.v[i], all.v[i] + row * 64,
                                (size_t)one.n[i] * sizeof(double));
        assert_memory_equal(one.v[4], all.v[4] + 2 * s, 2 * sizeof(double));
        result_free(&one);
    }
    result_free(&all);
}

static void asking_for_probabilities_changes_no_bit(void **state)
{
    (void)state;
    struct wish w = {
        .length = mixed, .seqs = SEQS, .heads = 2, .dim = 32, .dropout = 0.1};
    struct result plain = attend(&w, NULL, DT_F32);
    w.probs = true;
    struct result asked = attend(&w, NULL, DT_F32);
    for (int i = 0; i < TENSORS + 1; i++)
        assert_memory_equal(plain.v[i], asked.v[i], (size_t)plain.n[i] * sizeof(double));
    for (int64_t s = 0, at = 0; s < SEQS; s++)
        for (int64_t i = 0; i < 2 * mixed[s]; i++, at += mixed[s]) {
            double sum = 0;
            for (int64_t j = 0; j < mixed[s]; j++)
                sum += asked.v[5][at + j];
            assert_true(fabs(sum - 1) < 1e-6);
        }
    result_free(&plain);
    result_free(&asked);
}

/* A head that alone is left, by its number in the full model, has the bits it had among
 * all. */
static void a_head_keeps_its_dropout_when_others_go(void **state)
{
    (void)state;
    static const int32_t id = 3;
    struct wish w = {.length = mixed, .seqs = SEQS, .heads = 4, .dim = 8, .dropout = 0.5};
    struct result all = attend(&w, NULL, DT_F32);
    w.heads = 1;
    w.head_id = &id;
    struct result alone = attend(&w, NULL, DT_F32);
    for (int part = 0; part < 4; part++)
        for (int64_t r = 0; r < alone.n[0] / 8; r++)
            assert_memory_equal(alone.v[part] + r * 8, all.v[part] + r * 32 + 24,
                                8 * sizeof(double));
    result_free(&all);
    result_free(&alone);
}

/* A masked key has probability 0; where all are masked, all are 0 and so is the output.
 */
static void masked_keys_get_nothing(void **state)
{
    (void)state;
    static const int32_t lengths[] = {7, 3};
    struct wish w = {
        .length = lengths, .seqs = 2, .heads = 1, .dim = 8, .mask = true, .probs = true};
    struct result r = attend(&w, NULL, DT_F32);
    for (int64_t i = 0; i < 7; i++)
        assert_true(r.v[5][i * 7 + 2] == 0);
    result_free(&r);
    struct err err = ERR_INIT;
    struct tape *tape = tape_new(NULL, DT_F32, &err);
    tape_begin(tape, TAPE_EVAL);
    struct tensor *mask = tape_tensor(tape, DT_U8, SHAPE(2)), *p;
    memset(mask->data, 0, 2);
    struct tensor *x = tape_constant(tape, SHAPE(2, 3), (float[]){1, 2, 3, 4, 5, 6});
    struct attention a = {.heads = 1,
                          .head_dim = 3,
                          .offsets = tape_indices(tape, SHAPE(2), (int32_t[]){0, 2}),
                          .key_mask = mask,
                          .probs = &p};
    struct tensor *y = attention(tape, x, x, x, &a);
    assert_ok(tape_failed(tape, &err), &err);
    for (int i = 0; i < 6; i++)
        assert_true(tensor_get(y, i) == 0);
    for (int i = 0; i < 4; i++)
        assert_true(tensor_get(p, i) == 0);
    tape_free(tape);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_level_at_awkward_shapes),
        cmocka_unit_test(every_level_with_masks_and_first_queries),
        cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(other_sequences_change_no_bit),
        cmocka_unit_test(asking_for_probabilities_changes_no_bit),
        cmocka_unit_test(a_head_keeps_its_dropout_when_others_go),
        cmocka_unit_test(masked_keys_get_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
