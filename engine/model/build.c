/*
 * The skeleton of a BERT: which parameters there are, their names and shapes.
 *
 * Names are Hugging Face's. Parameters live in the model's arena; the list keeps the
 * order of the architecture, in which they are saved and optimised.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#include "retort/tokenizer.h"

struct builder {
    struct model *m;
    int64_t capacity;
    struct err *err;
    bool failed;
};

static struct param *add_param(struct builder *b, struct shape shape, bool decay,
                               const char *name)
{
    struct model *m = b->m;
    struct param *p;

    if (b->failed)
        return NULL;
    b->failed = true;
    p = name ? arena_zalloc(m->arena, (int64_t)sizeof *p) : NULL;
    if (!p) {
        err_set(b->err, ERR_MEMORY, "no memory for the model's parameters");
        return NULL;
    }
    if (param_init(p, m->arena, name, shape, b->err))
        return NULL;
    p->decay = decay;
    if (m->n_params == b->capacity) {
        int64_t room = b->capacity ? 2 * b->capacity : 256;
        struct param **list = arena_alloc(m->arena, room * (int64_t)sizeof *list);
        if (!list) {
            err_set(b->err, ERR_MEMORY, "no memory for the model's parameters");
            return NULL;
        }
        if (m->n_params)
            memcpy(list, m->param, (size_t)m->n_params * sizeof *list);
        m->param = list;
        b->capacity = room;
    }
    m->param[m->n_params++] = p;
    b->failed = false;
    return p;
}

static void add_linear(struct builder *b, struct site_linear *s, const char *name,
                       int64_t out, int64_t in)
{
    struct arena *a = b->m->arena;

    s->name = name;
    s->weight = add_param(b, SHAPE(out, in), true,
                          arena_printf(a, "%s.weight", name ? name : ""));
    s->bias =
        add_param(b, SHAPE(out), false, arena_printf(a, "%s.bias", name ? name : ""));
}

static void add_norm(struct builder *b, struct site_norm *s, const char *name,
                     int64_t width)
{
    struct arena *a = b->m->arena;

    s->eps = b->m->cfg.eps;
    s->gamma =
        add_param(b, SHAPE(width), false, arena_printf(a, "%s.weight", name ? name : ""));
    s->beta =
        add_param(b, SHAPE(width), false, arena_printf(a, "%s.bias", name ? name : ""));
}

static void add_attention(struct builder *b, struct site_attention *s, int64_t layer)
{
    struct model *m = b->m;
    const struct hf_config *cfg = &m->cfg;
    struct arena *a = m->arena;
    int64_t heads = cfg->heads_kept[layer], dim = cfg->width / cfg->heads;
    const char *base =
        arena_printf(a, "bert.encoder.layer.%lld.attention", (long long)layer);

    s->name = base;
    s->layer = layer;
    s->heads = heads;
    s->head_dim = dim;
    s->head_id = arena_alloc(a, heads * (int64_t)sizeof *s->head_id);
    s->keep = arena_alloc(a, heads * (int64_t)sizeof *s->keep);
    if (!base || !s->head_id || !s->keep) {
        b->failed = true;
        err_set(b->err, ERR_MEMORY, "no memory for the model");
        return;
    }
    for (int64_t h = 0; h < heads; h++) {
        s->head_id[h] = cfg->head_ids[layer] ? cfg->head_ids[layer][h] : (int32_t)h;
        s->keep[h] = 1;
    }
    add_linear(b, &s->query, arena_printf(a, "%s.self.query", base), heads * dim,
               cfg->width);
    add_linear(b, &s->key, arena_printf(a, "%s.self.key", base), heads * dim, cfg->width);
    add_linear(b, &s->value, arena_printf(a, "%s.self.value", base), heads * dim,
               cfg->width);
}

static void add_block(struct builder *b, struct bert_block *k, int64_t layer)
{
    const struct hf_config *cfg = &b->m->cfg;
    struct arena *a = b->m->arena;
    const char *base = arena_printf(a, "bert.encoder.layer.%lld", (long long)layer);
    int64_t inner = cfg->heads_kept[layer] * (cfg->width / cfg->heads);

    if (!base) {
        b->failed = true;
        return;
    }
    add_attention(b, &k->attn, layer);
    add_linear(b, &k->attn_out, arena_printf(a, "%s.attention.output.dense", base),
               cfg->width, inner);
    add_norm(b, &k->ln1, arena_printf(a, "%s.attention.output.LayerNorm", base),
             cfg->width);
    add_linear(b, &k->ffn_in, arena_printf(a, "%s.intermediate.dense", base),
               cfg->ffn_kept[layer], cfg->width);
    add_linear(b, &k->ffn_out, arena_printf(a, "%s.output.dense", base), cfg->width,
               cfg->ffn_kept[layer]);
    add_norm(b, &k->ln2, arena_printf(a, "%s.output.LayerNorm", base), cfg->width);
}

static void add_body(struct builder *b, bool pooler)
{
    struct model *m = b->m;
    const struct hf_config *cfg = &m->cfg;

    m->word = add_param(b, SHAPE(cfg->vocab, cfg->width), true,
                        "bert.embeddings.word_embeddings.weight");
    m->position = add_param(b, SHAPE(cfg->positions, cfg->width), true,
                            "bert.embeddings.position_embeddings.weight");
    m->type = add_param(b, SHAPE(cfg->types, cfg->width), true,
                        "bert.embeddings.token_type_embeddings.weight");
    add_norm(b, &m->embed_ln, "bert.embeddings.LayerNorm", cfg->width);
    m->block = arena_zalloc(m->arena, cfg->layers * (int64_t)sizeof *m->block);
    for (int64_t l = 0; m->block && l < cfg->layers; l++)
        add_block(b, &m->block[l], l);
    if (pooler)
        add_linear(b, &m->pooler, "bert.pooler.dense", cfg->width, cfg->width);
    m->has_pooler = pooler;
}

static void add_head(struct builder *b, enum head_kind head, int64_t labels)
{
    struct model *m = b->m;
    int64_t width = m->cfg.width;

    int64_t classes = head == HEAD_NONE || head == HEAD_MLM ? 0 : labels;

    m->head = head;
    if (m->cfg.labels != classes)
        m->cfg.label_names = NULL; /* of another head */
    m->cfg.labels = classes;
    if (head_has_pooler(head) && !m->has_pooler) {
        add_linear(b, &m->pooler, "bert.pooler.dense", width, width);
        m->has_pooler = true;
    }
    if (head == HEAD_CLASSES || head == HEAD_REGRESSION || head == HEAD_CHOICE)
        add_linear(b, &m->classifier, "classifier", head == HEAD_CLASSES ? labels : 1,
                   width);
    if (head == HEAD_SPAN)
        add_linear(b, &m->classifier, "qa_outputs", 2, width);
    if (head == HEAD_MLM) {
        add_linear(b, &m->mlm_dense, "cls.predictions.transform.dense", width, width);
        add_norm(b, &m->mlm_ln, "cls.predictions.transform.LayerNorm", width);
        m->mlm_bias = add_param(b, SHAPE(m->cfg.vocab), false, "cls.predictions.bias");
    }
}

bool head_has_pooler(enum head_kind head)
{
    return head == HEAD_CLASSES || head == HEAD_REGRESSION || head == HEAD_CHOICE;
}

const char *head_architecture(enum head_kind head)
{
    static const char *const name[] = {
        [HEAD_NONE] = "BertModel",
        [HEAD_CLASSES] = "BertForSequenceClassification",
        [HEAD_REGRESSION] = "BertForSequenceClassification",
        [HEAD_SPAN] = "BertForQuestionAnswering",
        [HEAD_CHOICE] = "BertForMultipleChoice",
        [HEAD_MLM] = "BertForMaskedLM",
    };
    return name[head];
}

enum head_kind head_for_task(const struct task *task)
{
    static const enum head_kind head[] = {
        [TASK_CLASSES] = HEAD_CLASSES, [TASK_REGRESSION] = HEAD_REGRESSION,
        [TASK_SPAN] = HEAD_SPAN,       [TASK_CHOICE] = HEAD_CHOICE,
        [TASK_MLM] = HEAD_MLM,
    };
    return head[task->kind];
}

int model_add_head(struct model *m, enum head_kind head, int64_t labels, struct err *err)
{
    struct builder b = {m, m->n_params, err, false};

    add_head(&b, head, labels);
    if (arena_failed(m->arena, err))
        return -1;
    return b.failed ? -1 : 0;
}

/* Strings and label names must outlive the caller's configuration. */
static void own_strings(struct model *m)
{
    struct hf_config *cfg = &m->cfg;
    const char **names = cfg->label_names;

    cfg->architecture =
        cfg->architecture ? arena_strdup(m->arena, cfg->architecture) : NULL;
    cfg->problem = cfg->problem ? arena_strdup(m->arena, cfg->problem) : NULL;
    if (!names)
        return;
    cfg->label_names = arena_zalloc(m->arena, cfg->labels * (int64_t)sizeof *names);
    for (int64_t i = 0; cfg->label_names && i < cfg->labels; i++)
        cfg->label_names[i] = names[i] ? arena_strdup(m->arena, names[i]) : NULL;
}

/* The lists of kept heads, too. */
static int own_head_ids(struct model *m, struct err *err)
{
    for (int64_t l = 0; l < m->cfg.layers; l++) {
        int64_t n = m->cfg.heads_kept[l];
        if (!m->cfg.head_ids[l])
            continue;
        int32_t *ids = arena_alloc(m->arena, n * (int64_t)sizeof *ids);
        if (!ids)
            return err_set(err, ERR_MEMORY, "no memory for the model");
        memcpy(ids, m->cfg.head_ids[l], (size_t)n * sizeof *ids);
        m->cfg.head_ids[l] = ids;
    }
    return 0;
}

int model_build(struct model **out, const struct hf_config *cfg, enum head_kind head,
                int64_t labels, bool pooler, struct err *err)
{
    struct model *m = mem_new(1, sizeof *m, err);

    if (!m)
        return -1;
    m->cfg = *cfg;
    m->arena = arena_new(err);
    if (!m->arena || own_head_ids(m, err))
        goto fail;
    own_strings(m);
    struct builder b = {m, 0, err, false};
    add_body(&b, pooler || head_has_pooler(head));
    add_head(&b, head, labels);
    if (b.failed || arena_failed(m->arena, err))
        goto fail;
    *out = m;
    return 0;
fail:
    err_set(err, ERR_MEMORY, "no memory for the model");
    model_free(m);
    return -1;
}

void model_free(struct model *m)
{
    if (!m)
        return;
    for (int64_t i = 0; i < m->n_params; i++)
        param_release(m->param[i]);
    tokenizer_free(m->tok);
    arena_free(m->arena);
    free(m);
}

struct param *model_param(const struct model *m, const char *name)
{
    for (int64_t i = 0; i < m->n_params; i++)
        if (!strcmp(m->param[i]->name, name))
            return m->param[i];
    return NULL;
}
