/* A small drawn BERT and a task of made-up words with drawn labels, for tests of methods.
 */
#ifndef RETORT_TESTS_SMALL_MODEL_H
#define RETORT_TESTS_SMALL_MODEL_H

#include "fake_stage.h"
#include "retort/rng.h"

enum {
    LAYERS = 2,
    WIDTH = 32,
    HEADS = 4,
    DIM = WIDTH / HEADS,
    FFN = 64,
    CELLS = LAYERS * HEADS
};

static const char small_vocab[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\nc\nd\ne\n";
static const char *const small_labels[] = {"0", "1", NULL};
static const char *const small_splits[] = {"train", "dev", NULL};

extern const struct metric metric_accuracy, metric_f1;
static const struct metric *const small_metrics[] = {&metric_accuracy, &metric_f1, NULL};
static const struct task small_task = {.name = "test/words",
                                       .kind = TASK_CLASSES,
                                       .labels = 2,
                                       .label_names = small_labels,
                                       .metrics = small_metrics,
                                       .splits = small_splits,
                                       .max_len = 32};

/* "b a d c": 2 to 9 of five words; the label is drawn. */
static inline int small_load(const char *split, struct examples *out, struct err *err)
{
    for (int i = 0; i < 60; i++) {
        struct rng rng = rng_streamf(0, "words/%s/%d", split, i);
        struct example *e = examples_add(out, err);
        char text[64] = "";
        for (uint64_t n = 2 + rng_below(&rng, 8); n > 0; n--)
            strcat(strcat(text, *text ? " " : ""),
                   (const char *const[]){"a", "b", "c", "d", "e"}[rng_below(&rng, 5)]);
        e->id = "";
        e->a = arena_strdup(out->arena, text);
        e->label = (int32_t)rng_below(&rng, 2);
    }
    return 0;
}

static inline struct hf_config small_config(void)
{
    struct hf_config cfg;
    hf_config_defaults(&cfg);
    cfg.layers = LAYERS;
    cfg.width = WIDTH;
    cfg.heads = HEADS;
    cfg.ffn = FFN;
    cfg.vocab = 10;
    cfg.positions = 32;
    cfg.types = 2;
    cfg.eps = 1e-12;
    cfg.init_range = 0.3;
    cfg.classifier_dropout = -1;
    for (int l = 0; l < LAYERS; l++) {
        cfg.heads_kept[l] = HEADS;
        cfg.ffn_kept[l] = FFN;
    }
    return cfg;
}

static inline struct model *small_model(enum head_kind head, int64_t labels)
{
    struct err err = ERR_INIT;
    struct hf_config cfg = small_config();
    struct model *m = NULL;
    assert_ok(model_random(&m, &cfg, small_vocab, (int64_t)strlen(small_vocab), head,
                           labels, 7, &err),
              &err);
    return m;
}

/* The model as another stage would have recorded it. */
static inline struct fake_run *small_run(struct model *m)
{
    struct err err = ERR_INIT;
    struct fake_run *run = fake_run_new();
    struct stage st = {
        .rec = {run, fake_metric, fake_array, fake_text, fake_reference, NULL}};
    st.arena = arena_new(&err);
    stage_output_model(&st, m);
    assert_ok(stage_done(&st), &st.err);
    arena_free(st.arena);
    return run;
}

/* A stage that reads `model` and the task of words. */
static inline struct fake_stage *small_stage(struct fake_run *model)
{
    struct fake_stage *f = calloc(1, sizeof *f);
    f->task = &small_task;
    f->load = small_load;
    fake_give(f, "model", model);
    return f;
}

/* Runs a method on `model` (and `dense`, unless NULL), stopped after `stop` checkpoints
 * and resumed if that is above 0. The caller frees what comes back. */
static inline struct fake_run *small_make(const char *method, const char *options,
                                          struct fake_run *model, struct fake_run *dense,
                                          int threads, int64_t stop)
{
    struct fake_stage *f = small_stage(model);
    struct fake_run *out;

    f->threads = threads;
    f->stop_after = stop;
    if (dense)
        fake_give(f, "dense", dense);
    if (stop) {
        assert_int_equal(fake_try(f, method, options), -1);
        assert_int_equal(f->st.err.code, ERR_STOPPED);
        err_clear(&f->st.err);
        f->stop_after = 0;
    }
    assert_ok(fake_try(f, method, options), &f->st.err);
    out = f->out;
    f->out = NULL;
    fake_release(f);
    free(f);
    return out;
}

static inline struct dataset *small_data(const struct model *m, const char *split)
{
    struct err err = ERR_INIT;
    struct examples *raw = examples_new(&err);
    struct dataset *data = NULL;
    assert_ok(small_load(split, raw, &err), &err);
    assert_ok(dataset_encode(&data, &small_task, raw, split, m->tok, 32, 8, &err), &err);
    return data;
}

#endif
