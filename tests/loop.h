/* A stage for tests of the training loop: it records the losses and nothing else. */
#ifndef RETORT_TESTS_LOOP_H
#define RETORT_TESTS_LOOP_H

#include "check.h"

#include "retort/stage.h"
#include "retort/train.h"

enum { LOSSES_MAX = 512 };

struct losses {
    int64_t n;
    double v[LOSSES_MAX], norm[LOSSES_MAX];
};

static inline int loop_metric(void *ctx, enum record_class class, const char *name,
                              int64_t step, double value, struct err *err)
{
    struct losses *l = ctx;

    (void)class;
    (void)err;
    if (step >= LOSSES_MAX)
        return 0;
    if (!strcmp(name, "train/loss")) {
        l->v[step] = value;
        l->n = step + 1;
    }
    if (!strcmp(name, "train/grad_norm"))
        l->norm[step] = value;
    return 0;
}

static inline int loop_state(struct stage *st, const char *name, void *data,
                             int64_t bytes)
{
    (void)st;
    (void)name;
    (void)data;
    (void)bytes;
    return 0;
}

static inline bool loop_restore(struct stage *st)
{
    (void)st;
    return false;
}

static inline bool loop_checkpoint(struct stage *st, bool force)
{
    (void)st;
    (void)force;
    return false;
}

static inline void loop_progress(struct stage *st, int64_t done, int64_t total,
                                 const char *text)
{
    (void)st;
    (void)done;
    (void)total;
    (void)text;
}

static inline void loop_note(struct stage *st, const char *text)
{
    (void)st;
    print_message("%s\n", text);
}

/* The usual options: AdamW at 5e-5, warm-up of a tenth, clipping at global norm 1. */
static inline struct train_options loop_options(int64_t steps, int64_t batch)
{
    return (struct train_options){.epochs = 1,
                                  .max_steps = steps,
                                  .batch = batch,
                                  .accumulate = 1,
                                  .max_len = 128,
                                  .lr = 5e-5,
                                  .warmup = 0.1,
                                  .beta1 = 0.9,
                                  .beta2 = 0.999,
                                  .eps = 1e-8,
                                  .weight_decay = 0.01,
                                  .clip = CLIP_GLOBAL,
                                  .clip_norm = 1,
                                  .dropout = -1,
                                  .attention_dropout = -1,
                                  .keep_metric = "",
                                  .eval_split = ""};
}

/* Trains as train_loop does; what it recorded goes to *out. */
static inline void loop_run(struct losses *out, struct model *m,
                            const struct dataset *data, const struct train_options *opt,
                            int threads, uint64_t seed)
{
    struct stage st = {.seed = seed, .err = ERR_INIT};

    memset(out, 0, sizeof *out);
    st.pool = pool_new(threads, &st.err);
    st.arena = arena_new(&st.err);
    st.rec = (struct recorder){.ctx = out, .metric = loop_metric};
    st.state = loop_state;
    st.restore = loop_restore;
    st.checkpoint = loop_checkpoint;
    st.progress = loop_progress;
    st.note = loop_note;
    assert_ok(train_loop(&st, m, data, NULL, opt, NULL), &st.err);
    stage_release(&st);
    arena_free(st.arena);
    pool_free(st.pool);
}

#endif
