/*
 * Models from folders and from nothing; heads; saving.
 */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "retort/file.h"

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

void param_draw(struct param *p, uint64_t seed, double range)
{
    float *v = tensor_f32(&p->value);
    int64_t n = shape_count(p->value.shape);

    if (strstr(p->name, "LayerNorm") || ends_with(p->name, "bias")) {
        float c = ends_with(p->name, "LayerNorm.weight") ? 1.0f : 0.0f;
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

    if (model_build(&m, cfg, head, labels, head_has_pooler(head) || head == HEAD_NONE,
                    err))
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

/* Names as a folder may have them: as ours, without "bert.", or TensorFlow's gamma and
 * beta. */
static const struct safetensors_entry *find_entry(const struct hf_folder *f,
                                                  const char *name)
{
    const struct safetensors_entry *e = hf_folder_find(f, name);
    char old[256];
    const char *dot;

    if (!e && !strncmp(name, "bert.", 5))
        e = hf_folder_find(f, name + 5);
    if (e || !strstr(name, "LayerNorm"))
        return e;
    dot = strrchr(name, '.');
    snprintf(old, sizeof old, "%.*s.%s", (int)(dot - name), name,
             !strcmp(dot, ".weight") ? "gamma" : "beta");
    e = hf_folder_find(f, old);
    return e || strncmp(old, "bert.", 5) ? e : hf_folder_find(f, old + 5);
}

static int fill(struct param *p, const struct safetensors_entry *e, const char *dir,
                struct err *err)
{
    char have[96], want[96];

    if (e->dtype != DT_F32 && e->dtype != DT_F16 && e->dtype != DT_BF16 &&
        e->dtype != DT_F64)
        return err_set(
            err, ERR_INPUT, "%s: tensor %s is %s; weights are f32, f16, bf16 or f64", dir,
            e->name, e->shape.rank < 0 ? "of another dtype" : dtype_name(e->dtype));
    if (e->shape.rank < 0 || !shape_equal(e->shape, p->value.shape))
        return err_set(err, ERR_INPUT,
                       "%s: tensor %s has shape %s; config.json asks for %s", dir,
                       e->name, e->shape.rank < 0 ? "(...)" : shape_text(have, e->shape),
                       shape_text(want, p->value.shape));
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
    case HEAD_MLM:
        return find_entry(f, m->mlm_bias->name) &&
               find_entry(f, m->mlm_dense.weight->name);
    default:
        e = find_entry(f, m->classifier.weight->name);
        return e && shape_equal(e->shape, m->classifier.weight->value.shape);
    }
}

static bool is_body(const char *name)
{
    return !strncmp(name, "bert.", 5);
}

static int read_params(struct model *m, const struct hf_folder *f, const char *dir,
                       uint64_t seed, struct err *err)
{
    bool head = head_fits(f, m);

    for (int64_t i = 0; i < m->n_params; i++) {
        struct param *p = m->param[i];
        const struct safetensors_entry *e =
            is_body(p->name) || head ? find_entry(f, p->name) : NULL;
        if (e) {
            if (fill(p, e, dir, err))
                return -1;
        } else if (is_body(p->name) && strncmp(p->name, "bert.pooler.", 12) != 0) {
            return err_set(err, ERR_INPUT, "%s: tensor %s is missing", dir, p->name);
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
    bool pooler = find_entry(f, "bert.pooler.dense.weight") != NULL &&
                  head != HEAD_SPAN && head != HEAD_MLM;
    if (model_build(&m, hf_folder_config(f), head, labels, pooler, err) ||
        read_params(m, f, dir, seed, err))
        goto done;
    if (hf_folder_text(f) && tokenizer_load(&m->tok, dir, m->cfg.lower_case, err))
        goto done;
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
        if (is_body(p->name) && (!pooler || m->has_pooler))
            m->param[n++] = p;
        else
            param_release(p);
    }
    m->n_params = n;
    m->head = HEAD_NONE;
    memset(&m->classifier, 0, sizeof m->classifier);
    memset(&m->mlm_dense, 0, sizeof m->mlm_dense);
    m->mlm_bias = NULL;
}

int model_set_head(struct model *m, enum head_kind head, int64_t labels, uint64_t seed,
                   struct err *err)
{
    int64_t before;

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

/* ---- saving ---- */

static int write_in(const char *dir, const char *name, const void *data, int64_t len,
                    struct err *err)
{
    char *path = path_join(dir, name, err);
    int rc = path ? file_write(path, data, len, err) : -1;

    free(path);
    return rc;
}

/* Parts (heads of `dim` rows, or neurons of 1) that are left go back to where they were:
 * along the first axis, or the second of a matrix. The rest is 0. */
static void spread(struct param *to, const struct param *from, const int32_t *id,
                   int64_t parts, int64_t dim, int axis)
{
    struct shape shape = to->value.shape;
    float *t = tensor_f32(&to->value);
    const float *f = tensor_f32(&from->value);
    int64_t rows = axis == 1 ? shape.dim[0] : 1;
    int64_t run = axis == 0 && shape.rank == 2 ? dim * shape.dim[1] : dim;
    int64_t width = axis == 1 ? shape.dim[1] : 0;

    for (int64_t r = 0; r < rows; r++)
        for (int64_t k = 0; k < parts; k++)
            memcpy(t + r * width + (id ? id[k] : k) * run, f + (r * parts + k) * run,
                   (size_t)run * sizeof *t);
}

static void spread_block(struct bert_block *to, const struct bert_block *from)
{
    const struct site_attention *s = &from->attn;
    const struct site_linear *f[] = {&s->query, &s->key, &s->value};
    const struct site_linear *t[] = {&to->attn.query, &to->attn.key, &to->attn.value};
    int64_t ffn = from->ffn_in.weight->value.shape.dim[0];

    for (int i = 0; i < 3; i++) {
        spread(t[i]->weight, f[i]->weight, s->head_id, s->heads, s->head_dim, 0);
        spread(t[i]->bias, f[i]->bias, s->head_id, s->heads, s->head_dim, 0);
    }
    spread(to->attn_out.weight, from->attn_out.weight, s->head_id, s->heads, s->head_dim,
           1);
    spread(to->ffn_in.weight, from->ffn_in.weight, NULL, ffn, 1, 0);
    spread(to->ffn_in.bias, from->ffn_in.bias, NULL, ffn, 1, 0);
    spread(to->ffn_out.weight, from->ffn_out.weight, NULL, ffn, 1, 1);
    for (int64_t h = 0; h < s->heads; h++)
        to->attn.keep[s->head_id[h]] = s->keep[h];
}

/*
 * The same function in full shapes, which every reader understands (transformers 5
 * ignores "pruned_heads"): what was removed comes back as zeros.
 */
static int model_expand(struct model **out, const struct model *model, struct err *err)
{
    struct hf_config cfg = model->cfg;
    struct model *m = NULL;

    for (int64_t l = 0; l < cfg.layers; l++) {
        cfg.heads_kept[l] = cfg.heads;
        cfg.head_ids[l] = NULL;
        cfg.ffn_kept[l] = cfg.ffn;
    }
    if (model_build(&m, &cfg, model->head, cfg.labels, model->has_pooler, err))
        return -1;
    for (int64_t i = 0; i < m->n_params; i++) {
        struct shape s = m->param[i]->value.shape;
        if (shape_equal(s, model->param[i]->value.shape))
            memcpy(m->param[i]->value.data, model->param[i]->value.data,
                   (size_t)shape_count(s) * sizeof(float));
    }
    for (int64_t l = 0; l < cfg.layers; l++) {
        for (int64_t h = 0; h < cfg.heads; h++)
            m->block[l].attn.keep[h] = 0;
        spread_block(&m->block[l], &model->block[l]);
    }
    *out = m;
    return 0;
}

/* Heads that are masked become columns of zeros in W_o, which is the same function. */
static void apply_keep(struct model *m)
{
    for (int64_t l = 0; l < m->cfg.layers; l++) {
        struct site_attention *s = &m->block[l].attn;
        struct param *w = m->block[l].attn_out.weight;
        int64_t in = s->heads * s->head_dim;
        float *v = tensor_f32(&w->value);
        for (int64_t i = 0; i < shape_count(w->value.shape); i++)
            v[i] = s->keep[i % in / s->head_dim] == 0 ? 0 : v[i];
    }
}

static int save_tensors(const struct model *m, const char *dir, struct err *err)
{
    struct safetensors_entry *e = mem_new(m->n_params, sizeof *e, err);
    char *path = path_join(dir, "model.safetensors", err);
    int rc = -1;

    if (!e || !path)
        goto done;
    for (int64_t i = 0; i < m->n_params; i++) {
        const struct param *p = m->param[i];
        bool bare = m->head == HEAD_NONE && is_body(p->name);
        e[i] = (struct safetensors_entry){.name = p->name + (bare ? 5 : 0),
                                          .dtype = DT_F32,
                                          .shape = p->value.shape,
                                          .count = shape_count(p->value.shape),
                                          .data = p->value.data};
    }
    rc = safetensors_write(path, e, m->n_params, err);
done:
    free(path);
    free(e);
    return rc;
}

static int save_tokenizer(const struct model *m, const char *dir, struct err *err)
{
    struct strbuf sb = STRBUF_INIT;
    const struct tokenizer_file *file;
    int n = m->tok ? tokenizer_files(m->tok, &file) : 0, rc = 0;

    for (int i = 0; rc == 0 && i < n; i++)
        rc = write_in(dir, file[i].name, file[i].text, file[i].len, err);
    if (rc == 0 && n > 0 && !strcmp(file[0].name, "vocab.txt")) {
        strbuf_printf(&sb,
                      "{\"do_lower_case\": %s, \"model_max_length\": %lld, "
                      "\"tokenizer_class\": \"BertTokenizer\"}\n",
                      tokenizer_lower_case(m->tok) ? "true" : "false",
                      (long long)m->cfg.positions);
        rc = strbuf_failed(&sb, err) ||
             write_in(dir, "tokenizer_config.json", sb.text, (int64_t)sb.len, err);
    }
    strbuf_release(&sb);
    return rc ? -1 : 0;
}

int model_save(const struct model *model, const char *dir, const struct task *task,
               struct err *err)
{
    struct strbuf json = STRBUF_INIT;
    struct model *m = NULL;
    int rc = -1;

    if (file_mkdirs(dir, err) || model_expand(&m, model, err))
        goto done;
    apply_keep(m);
    m->cfg.architecture = head_architecture(m->head);
    m->cfg.problem = m->head == HEAD_REGRESSION ? "regression" : NULL;
    if (task && task->label_names && m->head == HEAD_CLASSES) {
        m->cfg.label_names =
            arena_alloc(m->arena, task->labels * (int64_t)sizeof(char *));
        for (int64_t i = 0; m->cfg.label_names && i < task->labels; i++)
            m->cfg.label_names[i] = task->label_names[i];
    }
    if (hf_config_write(&m->cfg, &json, err) || strbuf_failed(&json, err) ||
        write_in(dir, "config.json", json.text, (int64_t)json.len, err) ||
        save_tokenizer(model, dir, err) || save_tensors(m, dir, err))
        goto done;
    rc = 0;
done:
    model_free(m);
    strbuf_release(&json);
    return rc;
}
