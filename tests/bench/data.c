/*
 * Models and data of the benchmark: real where they are at hand, else drawn.
 *
 * Checkpoints are looked for in RETORT_SHARED/models, data in RETORT_SHARED/data. Without
 * them the model is drawn in the same shape and the examples have random tokens and the
 * real data's lengths, by its deciles. Questions with contexts of exactly 384 tokens, and
 * texts of 1,024 tokens for a decoder, are always drawn.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "retort/file.h"

static const struct bench_shape shapes[] = {
    {"minilm", "minilm-l6-h384", 6, 384, 12, 1536, 0},
    {"gte-small", "gte-small-l12-h384", 12, 384, 12, 1536, 0},
    {"base", "bert-base-l12-h768", 12, 768, 12, 3072, 0},
    {"gpt2", "gpt2", 12, 768, 12, 3072, 50257},
};

const char *const work_names[] = {"train", "eval", "ablate", "kd", "kd-cached", NULL};

enum work work_find(const char *name)
{
    int i = 0;

    while (work_names[i + 1] && strcmp(work_names[i], name) != 0)
        i++;
    return (enum work)i;
}

const struct bench_shape *bench_shape(const char *name)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (!strcmp(shapes[i].name, name))
            return &shapes[i];
    return NULL;
}

/* ---- kinds of data ---- */

static const char *const two_labels[] = {"0", "1", NULL};

struct kind {
    const char *name, *task, *split;
    struct task drawn; /* the task of drawn examples */
    int decile[11];    /* of the lengths in tokens */
};

/* Deciles of MRPC and SST-2: their training splits, by BERT's uncased vocabulary. */
static const struct kind kinds[] = {
    {"mrpc",
     "glue/mrpc",
     "train",
     {.name = "drawn/mrpc", .kind = TASK_CLASSES, .labels = 2, .label_names = two_labels},
     {19, 36, 41, 45, 49, 53, 57, 61, 64, 70, 103}},
    {"sst2",
     "glue/sst2",
     "train",
     {.name = "drawn/sst2", .kind = TASK_CLASSES, .labels = 2, .label_names = two_labels},
     {3, 4, 6, 7, 8, 10, 13, 16, 20, 27, 66}},
    {"squad",
     NULL,
     NULL,
     {.name = "drawn/squad", .kind = TASK_SPAN},
     {384, 384, 384, 384, 384, 384, 384, 384, 384, 384, 384}},
    {"text",
     NULL,
     NULL,
     {.name = "drawn/text", .kind = TASK_LM},
     {1024, 1024, 1024, 1024, 1024, 1024, 1024, 1024, 1024, 1024, 1024}},
};

static const struct kind *find_kind(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(kinds[i].name, name))
            return &kinds[i];
    return NULL;
}

/* A folder of the real things, or false. */
static bool real_dir(char *path, size_t size, const char *kind, const char *name)
{
    const char *dir = getenv("RETORT_SHARED");

    snprintf(path, size, "%s/%s/%s", dir ? dir : "", kind, name);
    return dir && file_is_dir(path);
}

bool bench_model_dir(char *path, size_t size, const char *model)
{
    return real_dir(path, size, "models", bench_shape(model)->folder);
}

bool bench_data_dir(char *path, size_t size, const struct bench_case *c)
{
    return find_kind(c->data)->task && real_dir(path, size, "data", "glue");
}

static const struct task *task_of(const struct bench_case *c)
{
    const struct kind *k = find_kind(c->data);
    char dir[1024];

    return bench_data_dir(dir, sizeof dir, c) ? task_find(k->task) : &k->drawn;
}

/* ---- the model ---- */

static void shape_config(struct hf_config *cfg, const struct bench_shape *s)
{
    bool decoder = s->vocab > 0;

    hf_config_defaults(cfg);
    cfg->arch = decoder ? HF_GPT2 : HF_BERT;
    cfg->layers = s->layers;
    cfg->width = s->width;
    cfg->heads = cfg->kv_heads = s->heads;
    cfg->head_dim = s->width / s->heads;
    cfg->ffn = s->ffn;
    cfg->vocab = decoder ? s->vocab : 30522;
    cfg->positions = decoder ? 1024 : 512;
    cfg->types = decoder ? 0 : 2;
    cfg->eps = decoder ? 1e-5 : 1e-12;
    cfg->activation = decoder ? HF_GELU_NEW : HF_GELU;
    cfg->tied = decoder;
    cfg->bos_id = cfg->eos_id = decoder ? (int32_t)s->vocab - 1 : -1;
    /* Decoders are pretrained without dropout, on both sides. */
    cfg->dropout = cfg->attention_dropout = decoder ? 0 : 0.1;
    cfg->classifier_dropout = -1;
    cfg->init_range = 0.02;
    cfg->lower_case = true;
    for (int64_t l = 0; l < s->layers; l++) {
        cfg->heads_kept[l] = s->heads;
        cfg->ffn_kept[l] = s->ffn;
    }
}

int bench_model(struct model **out, const struct bench_case *c, const struct task **task,
                bool *real, struct err *err)
{
    struct hf_config cfg;
    char path[1024];

    *task = task_of(c);
    *real = bench_model_dir(path, sizeof path, c->model);
    if (*real)
        return model_load(out, path, head_for_task(*task), (*task)->labels, 1, err);
    shape_config(&cfg, bench_shape(c->model));
    return model_random(out, &cfg, NULL, 0, head_for_task(*task), (*task)->labels, 1,
                        err);
}

/* ---- drawn examples ---- */

/* A length whose distribution has the given deciles. */
static int32_t draw_length(struct rng *rng, const int *decile)
{
    double u = rng_uniform(rng) * 10;
    int i = (int)u;

    return (int32_t)(decile[i] + (u - i) * (decile[i + 1] - decile[i]) + 0.5);
}

static int draw_sequence(struct sequence *s, const struct kind *k, struct rng *rng,
                         struct arena *arena)
{
    enum { FIRST_WORD = 1000, WORDS = 29000, CLS = 101, SEP = 102 };

    s->n = draw_length(rng, k->decile);
    s->id = arena_alloc(arena, s->n * (int64_t)sizeof *s->id);
    s->type = arena_zalloc(arena, s->n * (int64_t)sizeof *s->type);
    if (!s->id || !s->type)
        return -1;
    for (int32_t i = 0; i < s->n; i++) {
        s->id[i] = FIRST_WORD + (int32_t)rng_below(rng, WORDS);
        s->type[i] = i > s->n / 2;
    }
    s->id[0] = CLS;
    s->id[s->n - 1] = SEP;
    s->label = (int32_t)rng_below(rng, 2);
    s->start = (int32_t)rng_below(rng, (uint64_t)s->n);
    s->end = s->start;
    return 0;
}

/* The next tokens inside the text are told, as by transformers' loss. */
static int draw_targets(struct sequence *s, struct arena *arena)
{
    int32_t *target = arena_zalloc(arena, s->n * (int64_t)sizeof *target);

    if (!target)
        return -1;
    memcpy(target, s->id + 1, (size_t)(s->n - 1) * sizeof *target);
    s->target = target;
    s->score_to = s->n - 1;
    return 0;
}

static int draw_data(struct dataset **out, const struct kind *k, int64_t n,
                     struct err *err)
{
    struct dataset *d = mem_new(1, sizeof *d, err);
    struct rng rng = rng_streamf(1, "bench/%s", k->name);
    int rc = -1;

    if (!d)
        return -1;
    d->task = &k->drawn;
    snprintf(d->name, sizeof d->name, "%s/train", k->drawn.name);
    d->n = d->n_seq = n;
    d->max_len = k->decile[10];
    d->causal = k->drawn.kind == TASK_LM;
    d->windows = LM_WINDOWS_INSIDE;
    d->raw = examples_new(err);
    d->arena = arena_new(err);
    d->seq = mem_new(n, sizeof *d->seq, err);
    d->first = mem_new(n + 1, sizeof *d->first, err);
    d->index = mem_new(n, sizeof *d->index, err);
    if (!d->raw || !d->arena || !d->seq || !d->first || !d->index)
        goto done;
    for (int64_t i = 0; i < n; i++) {
        struct example *e = examples_add(d->raw, err);
        if (!e || draw_sequence(&d->seq[i], k, &rng, d->arena) ||
            (d->causal && draw_targets(&d->seq[i], d->arena)))
            goto done;
        e->id = e->a = e->b = "";
        e->label = d->seq[i].label;
        d->seq[i].example = (int32_t)i;
        d->first[i + 1] = i + 1;
        d->index[i] = i;
        d->n_tokens += d->seq[i].n;
    }
    *out = d;
    d = NULL;
    rc = 0;
done:
    if (d)
        arena_failed(d->arena, err);
    dataset_free(d);
    return rc;
}

/* ---- data of a case ---- */

int64_t bench_examples(const struct bench_case *c)
{
    return c->batch * c->steps * (work_trains(c->work) ? c->rounds + 2 : 1);
}

int bench_data(struct dataset **out, const struct bench_case *c,
               const struct model *model, bool *real, struct err *err)
{
    const struct kind *k = find_kind(c->data);
    const struct task *task = task_of(c);
    struct task_source src = {NULL, k->split};
    struct examples *raw;
    struct dataset *d = NULL;
    char dir[1024];

    *real = task != &k->drawn && model->tok;
    if (!*real)
        return draw_data(out, k, bench_examples(c), err);
    bench_data_dir(dir, sizeof dir, c);
    src.dir = dir;
    raw = examples_new(err);
    if (!raw)
        return -1;
    if (task->load(task, &src, raw, err)) {
        examples_free(raw);
        return -1;
    }
    if (dataset_encode(&d, task, raw, k->split, model->tok, 128, 128, err) ||
        dataset_slice(&d, 0, bench_examples(c), err)) {
        dataset_free(d);
        return -1;
    }
    *out = d;
    return 0;
}

int64_t *bench_order(const struct dataset *data, const struct bench_case *c,
                     struct arena *arena)
{
    int64_t *order;

    if (work_trains(c->work))
        return dataset_order(data, 1, 0, arena); /* as the training loop does */
    order = arena_alloc(arena, data->n * (int64_t)sizeof *order);
    for (int64_t i = 0; order && i < data->n; i++)
        order[i] = i;
    return order;
}

/* ---- how much work that is ---- */

/* A layer on T tokens: query, key, value and output maps, scores and their sum, and the
 * two maps of the feed-forward part; 2 operations for a product and its sum. Decoders
 * need half of the scores, and a head over the vocabulary. Embeddings, norms and the
 * heads of encoders are left out. */
struct flops bench_flops(const struct bench_shape *s, const int32_t *length, int64_t n,
                         bool first_token_only)
{
    double c = (double)s->width, f = (double)s->ffn, v = (double)s->vocab;
    struct flops sum = {0, 0};

    for (int64_t i = 0; i < n; i++) {
        double t = (double)length[i];
        double layer = t * (8 * c * c + 4 * c * f) + (s->vocab ? 2 : 4) * t * t * c;
        double last = t * 4 * c * c + 4 * c * c + 4 * c * f + 4 * t * c;
        sum.full += layer * (double)s->layers + 2 * t * c * v;
        sum.done += layer * (double)(s->layers - 1) + (first_token_only ? last : layer) +
                    2 * t * c * v;
    }
    return sum;
}
