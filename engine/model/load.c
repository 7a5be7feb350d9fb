/*
 * Models from folders and from nothing; heads.
 */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "retort/file.h"

/* What stands before the names of all but the head. */
static const char *const body_of[] = {[HF_BERT] = "bert.",
                                      [HF_GPT2] = "transformer.",
                                      [HF_GPT_NEO] = "transformer.",
                                      [HF_LLAMA] = "model."};

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

void param_draw(struct param *p, uint64_t seed, double range)
{
    float *v = tensor_f32(&p->value);
    int64_t n = shape_count(p->value.shape);

    if (p->value.shape.rank == 1) { /* norms and biases */
        float c = ends_with(p->name, "bias") ? 0.0f : 1.0f;
        for (int64_t i = 0; i < n; i++)
            v[i] = c;
    } else {
        struct rng rng = rng_streamf(seed, "init/%s", p->name);
        for (int64_t i = 0; i < n; i++)
            v[i] = (float)(range * rng_normal(&rng));
    }
    param_touch(p);
}

int model_random(struct model **out, const struct hf_config *cfg, const char *vocab,
                 int64_t vocab_len, enum head_kind head, int64_t labels, uint64_t seed,
                 struct err *err)
{
    struct model *m = NULL;
    bool pooler;

    if (head_fit(&head, cfg->arch, err))
        return -1;
    pooler = head_has_pooler(head) || (head == HEAD_NONE && cfg->arch == HF_BERT);
    if (model_build(&m, cfg, head, labels, pooler, err))
        return -1;
    if (vocab && tokenizer_wordpiece(&m->tok, vocab, vocab_len, "vocabulary",
                                     cfg->lower_case, err)) {
        model_free(m);
        return -1;
    }
    for (int64_t i = 0; i < m->n_params; i++)
        param_draw(m->param[i], seed, cfg->init_range);
    *out = m;
    return 0;
}

int model_empty(struct model **out, const struct hf_config *cfg, enum head_kind head,
                bool pooler, struct tokenizer *tok, struct err *err)
{
    if (model_build(out, cfg, head, cfg->labels, pooler, err))
        return -1;
    (*out)->tok = tok;
    return 0;
}

/* ---- folders ---- */

bool model_is_body(const struct model *m, const char *name)
{
    const char *body = body_of[m->cfg.arch];

    return !strncmp(name, body, strlen(body));
}

/* Names as a folder may have them: as ours, without the body's prefix ("bert."), or
 * TensorFlow's gamma and beta. */
static const struct safetensors_entry *find_entry(const struct hf_folder *f,
                                                  enum hf_arch arch, const char *name)
{
    const struct safetensors_entry *e = hf_folder_find(f, name);
    size_t body = strlen(body_of[arch]);
    char old[256];
    const char *dot;

    if (!e && !strncmp(name, body_of[arch], body))
        e = hf_folder_find(f, name + body);
    if (e || !strstr(name, "LayerNorm"))
        return e;
    dot = strrchr(name, '.');
    snprintf(old, sizeof old, "%.*s.%s", (int)(dot - name), name,
             !strcmp(dot, ".weight") ? "gamma" : "beta");
    e = hf_folder_find(f, old);
    return e || strncmp(old, body_of[arch], body) != 0 ? e
                                                       : hf_folder_find(f, old + body);
}

static int check_entry(const struct safetensors_entry *e, struct shape shape,
                       const char *dir, struct err *err)
{
    char have[96], want[96];

    if (e->dtype != DT_F32 && e->dtype != DT_F16 && e->dtype != DT_BF16 &&
        e->dtype != DT_F64)
        return err_set(
            err, ERR_INPUT, "%s: tensor %s is %s; weights are f32, f16, bf16 or f64", dir,
            e->name, e->shape.rank < 0 ? "of another dtype" : dtype_name(e->dtype));
    if (e->shape.rank < 0 || !shape_equal(e->shape, shape))
        return err_set(err, ERR_INPUT,
                       "%s: tensor %s has shape %s; config.json asks for %s", dir,
                       e->name, e->shape.rank < 0 ? "(...)" : shape_text(have, e->shape),
                       shape_text(want, shape));
    return 0;
}

/* As it stands, or out of GPT-2's form. */
static int fill(struct param *p, const struct safetensors_entry *e,
                const struct gpt2_part *part, const char *dir, struct err *err)
{
    if (check_entry(e, part->name ? part->shape : p->value.shape, dir, err))
        return -1;
    if (part->name)
        gpt2_read(p, e, part);
    else
        dtype_convert(p->value.data, DT_F32, e->data, e->dtype, e->count);
    param_touch(p);
    p->changed = false;
    return 0;
}

/* Does the folder hold exactly the head that is asked for? */
static bool head_fits(const struct hf_folder *f, const struct model *m)
{
    const struct safetensors_entry *e;

    switch (m->head) {
    case HEAD_NONE:
        return true;
    case HEAD_LM:
        return find_entry(f, m->cfg.arch, m->lm_head->name) != NULL;
    case HEAD_MLM:
        return find_entry(f, m->cfg.arch, m->mlm_bias->name) &&
               find_entry(f, m->cfg.arch, m->mlm_dense.weight->name);
    default:
        e = find_entry(f, m->cfg.arch, m->classifier.weight->name);
        return e && shape_equal(e->shape, m->classifier.weight->value.shape);
    }
}

static int read_params(struct model *m, const struct hf_folder *f, const char *dir,
                       uint64_t seed, struct err *err)
{
    bool head = head_fits(f, m);

    for (int64_t i = 0; i < m->n_params; i++) {
        struct param *p = m->param[i];
        bool body = model_is_body(m, p->name);
        struct gpt2_part part = gpt2_part_of(m, p);
        const char *name = part.name ? part.name : p->name;
        const struct safetensors_entry *e =
            body || head ? find_entry(f, m->cfg.arch, name) : NULL;
        if (part.failed)
            return err_set(err, ERR_MEMORY, "no memory for the model's names");
        if (e) {
            if (fill(p, e, &part, dir, err))
                return -1;
        } else if (body && strncmp(p->name, "bert.pooler.", 12) != 0) {
            return err_set(err, ERR_INPUT, "%s: tensor %s is missing", dir, name);
        } else {
            param_draw(p, seed, m->cfg.init_range);
        }
    }
    return 0;
}

int model_load(struct model **out, const char *dir, enum head_kind head, int64_t labels,
               uint64_t seed, struct err *err)
{
    struct hf_folder *f = NULL;
    struct model *m = NULL;
    int rc = -1;

    if (hf_open(&f, dir, err))
        return -1;
    if (head_fit(&head, hf_folder_config(f)->arch, err)) {
        err_prefix(err, "%s", dir);
        goto done;
    }
    bool pooler = find_entry(f, HF_BERT, "bert.pooler.dense.weight") != NULL &&
                  head != HEAD_SPAN && head != HEAD_MLM;
    if (model_build(&m, hf_folder_config(f), head, labels, pooler, err) ||
        read_params(m, f, dir, seed, err))
        goto done;
    if (hf_folder_text(f) &&
        tokenizer_load(&m->tok, hf_folder_text(f), m->cfg.lower_case, err))
        goto done;
    /* tokenizer.json says it better than the note beside it. */
    if (m->tok && m->cfg.arch == HF_BERT)
        m->cfg.lower_case = tokenizer_lower_case(m->tok);
    if (m->tok && tokenizer_size(m->tok) > m->cfg.vocab) {
        err_set(err, ERR_INPUT,
                "%s: the tokenizer has %lld tokens, config.json says vocab_size %lld",
                dir, (long long)tokenizer_size(m->tok), (long long)m->cfg.vocab);
        goto done;
    }
    *out = m;
    m = NULL;
    rc = 0;
done:
    model_free(m);
    hf_close(f);
    return rc;
}

static void drop_head(struct model *m)
{
    int64_t n = 0;

    for (int64_t i = 0; i < m->n_params; i++) {
        struct param *p = m->param[i];
        bool pooler = !strncmp(p->name, "bert.pooler.", 12);
        if (model_is_body(m, p->name) && (!pooler || m->has_pooler))
            m->param[n++] = p;
        else
            param_release(p);
    }
    m->n_params = n;
    m->head = HEAD_NONE;
    memset(&m->classifier, 0, sizeof m->classifier);
    memset(&m->mlm_dense, 0, sizeof m->mlm_dense);
    m->mlm_bias = NULL;
    m->lm_head = NULL;
}

int model_set_head(struct model *m, enum head_kind head, int64_t labels, uint64_t seed,
                   struct err *err)
{
    int64_t before;

    if (head_fit(&head, m->cfg.arch, err))
        return -1;
    if (m->head == head && (head != HEAD_CLASSES || m->cfg.labels == labels))
        return 0;
    drop_head(m);
    before = m->n_params;
    if (model_add_head(m, head, labels, err))
        return -1;
    for (int64_t i = before; i < m->n_params; i++)
        param_draw(m->param[i], seed, m->cfg.init_range);
    return 0;
}
