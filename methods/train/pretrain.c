/*
 * pretrain: a language model of a given shape, from drawn weights.
 *
 * A decoder (gpt2, gpt_neo, llama) learns each next token (Radford et al. 2019), an
 * encoder (bert) tokens that are hidden (Devlin et al. 2019), both from documents packed
 * into contexts of max_len tokens: retort/task.h, "language models".
 */
#include "retort/method.h"
#include "retort/train.h"

#include <math.h>
#include <string.h>

struct options {
    struct train_options train;
    const char *split;
    int arch;
    int64_t layers, width, heads, kv_heads, ffn, positions, vocab, window;
    double range;
    bool tied, scaled_residual;
};

static const char *const archs[] = {"bert", "gpt2", "gpt_neo", "llama", NULL};

/* clang-format off */
static const struct option options[] = {
    TRAIN_OPTIONS(struct options, train, "1", "5e-4"),
    {"split", OPT_STRING, "\"train\"", 0, 0, NULL, NULL, "split to learn from", offsetof(struct options, split)},
    {"arch", OPT_ENUM, "\"gpt2\"", 0, 0, archs, NULL, "architecture; bert learns hidden tokens, the others the next one", offsetof(struct options, arch)},
    {"layers", OPT_INT, "8", 0, HF_LAYERS_MAX, NULL, "blocks", "number of blocks; 0: architecture and shape are those of the config.json beside the tokenizer", offsetof(struct options, layers)},
    {"width", OPT_INT, "256", 1, 65536, NULL, "channels", "width of the hidden states", offsetof(struct options, width)},
    {"heads", OPT_INT, "8", 1, HF_HEADS_MAX, NULL, "heads", "attention heads of a block", offsetof(struct options, heads)},
    {"kv_heads", OPT_INT, "0", 0, HF_HEADS_MAX, NULL, "heads", "llama: heads of keys and values; 0: as many as heads", offsetof(struct options, kv_heads)},
    {"ffn", OPT_INT, "0", 0, 262144, NULL, "neurons", "width of the feed-forward layer; 0: four times the width", offsetof(struct options, ffn)},
    {"positions", OPT_INT, "512", 8, 65536, NULL, "tokens", "longest context", offsetof(struct options, positions)},
    {"window", OPT_INT, "256", 1, 65536, NULL, "tokens", "gpt_neo: how far each second block looks back", offsetof(struct options, window)},
    {"vocab", OPT_INT, "0", 0, 1 << 24, NULL, "tokens", "cut the vocabulary to its first so many less one, and <|endoftext|>; 0: all", offsetof(struct options, vocab)},
    {"tied", OPT_BOOL, "true", 0, 0, NULL, NULL, "llama: the logits' weights are the embeddings", offsetof(struct options, tied)},
    {"scaled_residual", OPT_BOOL, "false", 0, 0, NULL, NULL, "weights that write to the residual stream are drawn smaller by sqrt(2 layers), as GPT-2's", offsetof(struct options, scaled_residual)},
    {"range", OPT_REAL, "0.02", 0, 100, NULL, NULL, "standard deviation of the drawn weights", offsetof(struct options, range)},
    OPTION_END,
};

static const char *const later[] = {"scaled_residual", NULL};

static const struct input inputs[] = {
    {"task", KIND_TASK, true, false, "texts to learn from"},
    {"tokenizer", KIND_MODEL, false, false, "a folder with a tokenizer (or a checkpoint, for its tokenizer); none for a generated task, which brings its words"},
    INPUT_END,
};
/* clang-format on */

static int check(const void *options_, struct err *err)
{
    const struct options *o = options_;

    if (o->layers > 0 && o->width % o->heads)
        return err_set(err, ERR_INPUT, "width %lld is not a multiple of heads %lld",
                       (long long)o->width, (long long)o->heads);
    if (o->layers > 0 && o->kv_heads > 0 && o->heads % o->kv_heads)
        return err_set(err, ERR_INPUT, "heads %lld is not a multiple of kv_heads %lld",
                       (long long)o->heads, (long long)o->kv_heads);
    return train_check(&o->train, err);
}

static void shape_of_options(struct hf_config *cfg, const struct options *o)
{
    bool bert = o->arch == HF_BERT, llama = o->arch == HF_LLAMA;

    hf_config_defaults(cfg);
    cfg->arch = (enum hf_arch)o->arch;
    cfg->layers = o->layers;
    cfg->width = o->width;
    cfg->heads = o->heads;
    cfg->kv_heads = llama && o->kv_heads ? o->kv_heads : o->heads;
    cfg->head_dim = o->width / o->heads;
    cfg->ffn = o->ffn ? o->ffn : 4 * o->width;
    cfg->positions = o->positions;
    cfg->window = o->window;
    cfg->tied = !llama || o->tied;
    cfg->init_range = o->range;
    cfg->eps = bert ? 1e-12 : 1e-5;
    cfg->types = bert ? 2 : 0;
    cfg->rope_theta = 10000;
    cfg->classifier_dropout = -1;
    cfg->activation = bert ? HF_GELU : llama ? HF_SILU : HF_GELU_NEW;
    for (int64_t l = 0; l < o->layers; l++) {
        cfg->heads_kept[l] = cfg->heads;
        cfg->ffn_kept[l] = cfg->ffn;
        cfg->local[l] = o->arch == HF_GPT_NEO && l % 2 == 1;
    }
}

/* As GPT-2 begins (Radford et al. 2019, section 2.3): each of the 2 L maps that add to
 * the residual stream by 1 / sqrt(2 L). */
static void scale_residual(struct model *m)
{
    double factor = 1 / sqrt(2 * (double)m->cfg.layers);

    for (int64_t l = 0; l < m->cfg.layers; l++) {
        struct param *out[2] = {m->block[l].attn_out.weight, m->block[l].ffn_out.weight};
        for (int i = 0; i < 2; i++) {
            float *w = tensor_f32(&out[i]->value);
            for (int64_t k = 0; k < shape_count(out[i]->value.shape); k++)
                w[k] = (float)((double)w[k] * factor);
            param_touch(out[i]);
        }
    }
}

/* The tokenizer that is named, or the words of a generated task. */
static struct tokenizer *read_tokenizer(struct stage *st, const struct task *task)
{
    const struct options *o = st->options;
    struct tokenizer *tok = NULL, *cut = NULL;
    const char *path = st->input_path(st, "tokenizer");

    if (path)
        tokenizer_load(&tok, path, true, &st->err);
    else if (task->vocab)
        tokenizer_wordpiece(&tok, task->vocab, (int64_t)strlen(task->vocab), task->name,
                            true, &st->err);
    else
        stage_fail(st, ERR_INPUT,
                   "pretrain needs \"tokenizer\": the folder of one; %s brings no words",
                   task->name);
    if (!tok || o->vocab == 0)
        return tok;
    tokenizer_cut(&cut, tok, o->vocab, &st->err);
    tokenizer_free(tok);
    return cut;
}

/* Shape by the options, or by the config.json of the tokenizer's folder. */
static int read_shape(struct stage *st, struct hf_config *cfg)
{
    const struct options *o = st->options;
    const char *path = st->input_path(st, "tokenizer");
    struct hf_folder *folder = NULL;

    if (o->layers > 0) {
        shape_of_options(cfg, o);
        return 0;
    }
    if (!path)
        return stage_fail(st, ERR_INPUT,
                          "\"layers\" is 0: then \"tokenizer\" is a checkpoint, which "
                          "gives the shape");
    if (hf_open(&folder, path, &st->err))
        return -1;
    *cfg = *hf_folder_config(folder);
    cfg->architecture = cfg->problem = NULL;
    cfg->label_names = NULL;
    cfg->labels = 0;
    for (int64_t l = 0; l < cfg->layers; l++) { /* the full shape, nothing removed */
        cfg->heads_kept[l] = cfg->heads;
        cfg->head_ids[l] = NULL;
        cfg->ffn_kept[l] = cfg->ffn;
    }
    hf_close(folder);
    return 0;
}

static int draw_model(struct model **out, struct stage *st)
{
    const struct task *task = stage_task(st);
    struct tokenizer *tok;
    struct hf_config cfg;

    if (!task || read_shape(st, &cfg))
        return -1;
    if (task->kind != TASK_LM)
        return stage_fail(st, ERR_INPUT, "%s is no text for a language model",
                          task->name);
    tok = read_tokenizer(st, task);
    if (!tok)
        return -1;
    cfg.vocab = tokenizer_size(tok);
    cfg.lower_case = tokenizer_lower_case(tok);
    cfg.bos_id = tokenizer_special(tok).bos;
    cfg.eos_id = tokenizer_special(tok).eos;
    if (cfg.arch == HF_BERT)
        cfg.dropout = cfg.attention_dropout = 0.1;
    if (model_random(out, &cfg, NULL, 0, HEAD_LM, 0, st->seed, &st->err)) {
        tokenizer_free(tok);
        return -1;
    }
    (*out)->tok = tok;
    if (((const struct options *)st->options)->scaled_residual)
        scale_residual(*out);
    return 0;
}

static int run(struct stage *st)
{
    const struct options *o = st->options;
    const struct train_options *t = &o->train;
    struct dataset *data, *dev;
    struct model *m = NULL;

    if (draw_model(&m, st))
        return -1;
    data = stage_data(st, m, o->split, t->max_len, t->doc_stride);
    dev = stage_data(st, m, t->eval_split, t->max_len, t->doc_stride);
    train_loop(st, m, data, dev, t, NULL);
    stage_output_model(st, m);
    model_free(m);
    return stage_done(st);
}

const struct method method_pretrain = {
    .name = "pretrain",
    .summary = "a language model of a given shape, from drawn weights",
    .paper = "Radford et al. 2019; Devlin et al. 2019 (arXiv:1810.04805)",
    .version = 1,
    .options = options,
    .options_size = sizeof(struct options),
    .inputs = inputs,
    .outputs = KIND_MODEL,
    .records = RECORDS_TRAINING,
    .uses_seed = true,
    .check = check,
    .later = later,
    .run = run,
};
