/*
 * Models as Hugging Face folders: full shapes, whatever was removed.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#include "retort/file.h"

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
    if (!to)
        return; /* a map without bias */
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

static void spread_block(struct block *to, const struct block *from)
{
    const struct site_attention *s = &from->attn;
    const struct site_linear *f[] = {&s->query, &s->key, &s->value};
    const struct site_linear *t[] = {&to->attn.query, &to->attn.key, &to->attn.value};
    int64_t ffn = from->ffn_in.weight->value.shape.dim[0];

    for (int i = 0; i < 3;
         i++) { /* shared heads are never removed alone: all are there */
        bool shared = i > 0 && s->kv_heads < s->heads;
        spread(t[i]->weight, f[i]->weight, shared ? NULL : s->head_id,
               shared ? s->kv_heads : s->heads, s->head_dim, 0);
        spread(t[i]->bias, f[i]->bias, shared ? NULL : s->head_id,
               shared ? s->kv_heads : s->heads, s->head_dim, 0);
    }
    spread(to->attn_out.weight, from->attn_out.weight, s->head_id, s->heads, s->head_dim,
           1);
    spread(to->ffn_gate.weight, from->ffn_gate.weight, NULL, ffn, 1, 0);
    spread(to->ffn_gate.bias, from->ffn_gate.bias, NULL, ffn, 1, 0);
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

/* Entries for all parameters; without a head, the body's prefix is left out. */
static int save_tensors(const struct model *m, const char *dir, struct err *err)
{
    struct safetensors_entry *e = mem_new(m->n_params, sizeof *e, err);
    struct arena *arena = arena_new(err);
    char *path = path_join(dir, "model.safetensors", err);
    int64_t n = 0;
    int rc = -1;

    if (!e || !path || !arena)
        goto done;
    for (int64_t i = 0; i < m->n_params; i++) {
        const struct param *p = m->param[i];
        const char *dot = strchr(p->name, '.');
        bool bare = m->head == HEAD_NONE && model_is_body(m, p->name);
        if (gpt2_part_of(m, p).name) {
            n += gpt2_write(&e[n], m, p, arena, bare);
            continue;
        }
        e[n++] = (struct safetensors_entry){.name = bare ? dot + 1 : p->name,
                                            .dtype = DT_F32,
                                            .shape = p->value.shape,
                                            .count = shape_count(p->value.shape),
                                            .data = p->value.data};
    }
    if (arena_failed(arena, err) == 0)
        rc = safetensors_write(path, e, n, err);
done:
    arena_free(arena);
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
    m->cfg.architecture = head_architecture(m->cfg.arch, m->head);
    m->cfg.problem = m->head == HEAD_REGRESSION ? "regression" : NULL;
    if (task && task->label_names && m->head == HEAD_CLASSES) {
        m->cfg.label_names =
            arena_alloc(m->arena, task->labels * (int64_t)sizeof(char *));
        for (int64_t i = 0; m->cfg.label_names && i < task->labels; i++)
            m->cfg.label_names[i] = task->label_names[i];
    }
    if (m->cfg.bos_id < 0)
        m->cfg.bos_id = HF_NO_TOKEN;
    if (m->cfg.eos_id < 0)
        m->cfg.eos_id = HF_NO_TOKEN;
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
