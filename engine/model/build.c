/*
 * The skeleton of a model: which parameters there are, their names and shapes.
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

/*
 * What an architecture calls its parts, as Hugging Face does. GPT-2's files hold query,
 * key and value as one tensor, c_attn; here they are three, named after it.
 */
struct words {
    const char *word, *position, *type, *embed_ln; /* NULL: it has none */
    const char *block;                             /* before the number */
    const char *query, *key, *value, *attn_out, *ln1;
    const char *gate, *in, *out, *ln2; /* gate NULL: none */
    const char *out_ln;
    bool qkv_bias, bias; /* of queries, keys, values; of all other maps */
    bool rms;
};

static const struct words words_of[] = {
    [HF_BERT] = {"bert.embeddings.word_embeddings", "bert.embeddings.position_embeddings",
                 "bert.embeddings.token_type_embeddings", "bert.embeddings.LayerNorm",
                 "bert.encoder.layer", "attention.self.query", "attention.self.key",
                 "attention.self.value", "attention.output.dense",
                 "attention.output.LayerNorm", NULL, "intermediate.dense", "output.dense",
                 "output.LayerNorm", NULL, true, true, false},
    [HF_GPT2] = {"transformer.wte", "transformer.wpe", NULL, NULL, "transformer.h",
                 "attn.c_attn.query", "attn.c_attn.key", "attn.c_attn.value",
                 "attn.c_proj", "ln_1", NULL, "mlp.c_fc", "mlp.c_proj", "ln_2",
                 "transformer.ln_f", true, true, false},
    [HF_GPT_NEO] = {"transformer.wte", "transformer.wpe", NULL, NULL, "transformer.h",
                    "attn.attention.q_proj", "attn.attention.k_proj",
                    "attn.attention.v_proj", "attn.attention.out_proj", "ln_1", NULL,
                    "mlp.c_fc", "mlp.c_proj", "ln_2", "transformer.ln_f", false, true,
                    false},
    [HF_LLAMA] = {"model.embed_tokens", NULL, NULL, NULL, "model.layers",
                  "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                  "self_attn.o_proj", "input_layernorm", "mlp.gate_proj", "mlp.up_proj",
                  "mlp.down_proj", "post_attention_layernorm", "model.norm", false, false,
                  true},
};

/* "base.name", in the model's arena; sticks to the builder. */
static const char *join(struct builder *b, const char *base, const char *name)
{
    const char *s = base && name ? arena_printf(b->m->arena, "%s.%s", base, name) : NULL;

    if (!s && !b->failed) {
        b->failed = true;
        err_set(b->err, ERR_MEMORY, "no memory for the model's names");
    }
    return s;
}

static void add_linear(struct builder *b, struct site_linear *s, const char *name,
                       int64_t out, int64_t in, bool bias)
{
    s->name = name;
    s->weight = add_param(b, SHAPE(out, in), true, join(b, name, "weight"));
    s->bias = bias ? add_param(b, SHAPE(out), false, join(b, name, "bias")) : NULL;
}

static void add_norm(struct builder *b, struct site_norm *s, const char *name,
                     int64_t width, bool rms)
{
    s->eps = b->m->cfg.eps;
    s->gamma = add_param(b, SHAPE(width), false, join(b, name, "weight"));
    s->beta = rms ? NULL : add_param(b, SHAPE(width), false, join(b, name, "bias"));
}

static void add_attention(struct builder *b, struct site_attention *s, const char *base,
                          int64_t layer)
{
    struct model *m = b->m;
    const struct hf_config *cfg = &m->cfg;
    const struct words *w = &words_of[cfg->arch];
    int64_t heads = cfg->heads_kept[layer], dim = cfg->head_dim;
    int64_t kv = heads * cfg->kv_heads / cfg->heads;

    s->name = join(b, base, "attention");
    s->layer = layer;
    s->heads = heads;
    s->kv_heads = kv;
    s->head_dim = dim;
    s->head_id = arena_alloc(m->arena, heads * (int64_t)sizeof *s->head_id);
    s->keep = arena_alloc(m->arena, heads * (int64_t)sizeof *s->keep);
    if (!s->head_id || !s->keep) {
        b->failed = true;
        err_set(b->err, ERR_MEMORY, "no memory for the model");
        return;
    }
    for (int64_t h = 0; h < heads; h++) {
        s->head_id[h] = cfg->head_ids[layer] ? cfg->head_ids[layer][h] : (int32_t)h;
        s->keep[h] = 1;
    }
    add_linear(b, &s->query, join(b, base, w->query), heads * dim, cfg->width,
               w->qkv_bias);
    add_linear(b, &s->key, join(b, base, w->key), kv * dim, cfg->width, w->qkv_bias);
    add_linear(b, &s->value, join(b, base, w->value), kv * dim, cfg->width, w->qkv_bias);
}

static void add_block(struct builder *b, struct block *k, int64_t layer)
{
    const struct hf_config *cfg = &b->m->cfg;
    const struct words *w = &words_of[cfg->arch];
    const char *base = arena_printf(b->m->arena, "%s.%lld", w->block, (long long)layer);
    int64_t inner = cfg->heads_kept[layer] * cfg->head_dim, ffn = cfg->ffn_kept[layer];

    if (!base) {
        b->failed = true;
        return;
    }
    add_attention(b, &k->attn, base, layer);
    add_linear(b, &k->attn_out, join(b, base, w->attn_out), cfg->width, inner, w->bias);
    add_norm(b, &k->ln1, join(b, base, w->ln1), cfg->width, w->rms);
    if (w->gate)
        add_linear(b, &k->ffn_gate, join(b, base, w->gate), ffn, cfg->width, w->bias);
    add_linear(b, &k->ffn_in, join(b, base, w->in), ffn, cfg->width, w->bias);
    add_linear(b, &k->ffn_out, join(b, base, w->out), cfg->width, ffn, w->bias);
    k->neuron_keep = arena_alloc(b->m->arena, ffn * (int64_t)sizeof *k->neuron_keep);
    for (int64_t j = 0; k->neuron_keep && j < ffn; j++)
        k->neuron_keep[j] = 1;
    add_norm(b, &k->ln2, join(b, base, w->ln2), cfg->width, w->rms);
}

static struct param *add_table(struct builder *b, const char *name, int64_t rows)
{
    return name
               ? add_param(b, SHAPE(rows, b->m->cfg.width), true, join(b, name, "weight"))
               : NULL;
}

static void add_body(struct builder *b, bool pooler)
{
    struct model *m = b->m;
    const struct hf_config *cfg = &m->cfg;
    const struct words *w = &words_of[cfg->arch];

    m->word = add_table(b, w->word, cfg->vocab);
    m->position = add_table(b, w->position, cfg->positions);
    m->type = add_table(b, w->type, cfg->types);
    if (w->embed_ln)
        add_norm(b, &m->embed_ln, w->embed_ln, cfg->width, w->rms);
    m->block = arena_zalloc(m->arena, cfg->layers * (int64_t)sizeof *m->block);
    for (int64_t l = 0; m->block && l < cfg->layers; l++)
        add_block(b, &m->block[l], l);
    if (w->out_ln)
        add_norm(b, &m->out_ln, w->out_ln, cfg->width, w->rms);
    if (pooler)
        add_linear(b, &m->pooler, "bert.pooler.dense", cfg->width, cfg->width, true);
    m->has_pooler = pooler;
}

static void add_head(struct builder *b, enum head_kind head, int64_t labels)
{
    struct model *m = b->m;
    int64_t width = m->cfg.width;

    int64_t classes =
        head == HEAD_NONE || head == HEAD_MLM || head == HEAD_LM ? 0 : labels;

    m->head = head;
    if (m->cfg.labels != classes)
        m->cfg.label_names = NULL; /* of another head */
    m->cfg.labels = classes;
    if (head_has_pooler(head) && !m->has_pooler) {
        add_linear(b, &m->pooler, "bert.pooler.dense", width, width, true);
        m->has_pooler = true;
    }
    if (head == HEAD_CLASSES || head == HEAD_REGRESSION || head == HEAD_CHOICE)
        add_linear(b, &m->classifier, "classifier", head == HEAD_CLASSES ? labels : 1,
                   width, true);
    if (head == HEAD_SPAN)
        add_linear(b, &m->classifier, "qa_outputs", 2, width, true);
    if (head == HEAD_MLM) {
        add_linear(b, &m->mlm_dense, "cls.predictions.transform.dense", width, width,
                   true);
        add_norm(b, &m->mlm_ln, "cls.predictions.transform.LayerNorm", width, false);
        m->mlm_bias = add_param(b, SHAPE(m->cfg.vocab), false, "cls.predictions.bias");
    }
    if (head == HEAD_LM)
        m->lm_head = m->cfg.tied ? m->word : add_table(b, "lm_head", m->cfg.vocab);
}

bool head_has_pooler(enum head_kind head)
{
    return head == HEAD_CLASSES || head == HEAD_REGRESSION || head == HEAD_CHOICE;
}

static const char *decoder_architecture(enum hf_arch arch, enum head_kind head)
{
    bool lm = head == HEAD_LM;

    switch (arch) {
    case HF_GPT2:
        return lm ? "GPT2LMHeadModel" : "GPT2Model";
    case HF_GPT_NEO:
        return lm ? "GPTNeoForCausalLM" : "GPTNeoModel";
    default:
        return lm ? "LlamaForCausalLM" : "LlamaModel";
    }
}

const char *head_architecture(enum hf_arch arch, enum head_kind head)
{
    static const char *const name[] = {
        [HEAD_NONE] = "BertModel",
        [HEAD_CLASSES] = "BertForSequenceClassification",
        [HEAD_REGRESSION] = "BertForSequenceClassification",
        [HEAD_SPAN] = "BertForQuestionAnswering",
        [HEAD_CHOICE] = "BertForMultipleChoice",
        [HEAD_MLM] = "BertForMaskedLM",
        [HEAD_LM] = NULL,
    };
    return arch == HF_BERT ? name[head] : decoder_architecture(arch, head);
}

enum head_kind head_for_task(const struct task *task)
{
    static const enum head_kind head[] = {
        [TASK_CLASSES] = HEAD_CLASSES, [TASK_REGRESSION] = HEAD_REGRESSION,
        [TASK_SPAN] = HEAD_SPAN,       [TASK_CHOICE] = HEAD_CHOICE,
        [TASK_MLM] = HEAD_MLM,         [TASK_LM] = HEAD_LM,
    };
    return head[task->kind];
}

int head_fit(enum head_kind *head, enum hf_arch arch, struct err *err)
{
    bool decoder = arch != HF_BERT;

    if (!decoder && *head == HEAD_LM)
        *head = HEAD_MLM;
    else if (decoder && *head == HEAD_CHOICE)
        *head = HEAD_LM;
    if (decoder && *head != HEAD_NONE && *head != HEAD_LM)
        return err_set(err, ERR_INPUT,
                       "a %s model reads language models and choices; this task needs an "
                       "encoder",
                       hf_arch_names[arch]);
    return 0;
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
    m->cfg.kv_heads = cfg->kv_heads ? cfg->kv_heads : cfg->heads;
    m->cfg.head_dim = cfg->head_dim ? cfg->head_dim : cfg->width / cfg->heads;
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
