/*
 * config.json of decoders. Each family names the same sizes in its own words: one row of
 * a table each.
 */
#include "hf_reader.h"

#include <string.h>

struct words {
    const char *layers, *width, *heads, *ffn, *positions, *eps, *activation;
    const char *dropout, *attention_dropout, *embed_dropout; /* NULL: it has none */
    const char *usual_activation;
    double usual_eps;
};

static const struct words words_of[] = {
    [HF_GPT2] = {"n_layer", "n_embd", "n_head", "n_inner", "n_positions",
                 "layer_norm_epsilon", "activation_function", "resid_pdrop", "attn_pdrop",
                 "embd_pdrop", "gelu_new", 1e-5},
    [HF_GPT_NEO] = {"num_layers", "hidden_size", "num_heads", "intermediate_size",
                    "max_position_embeddings", "layer_norm_epsilon",
                    "activation_function", "resid_dropout", "attention_dropout",
                    "embed_dropout", "gelu_new", 1e-5},
    [HF_LLAMA] = {"num_hidden_layers", "hidden_size", "num_attention_heads",
                  "intermediate_size", "max_position_embeddings", "rms_norm_eps",
                  "hidden_act", NULL, "attention_dropout", NULL, "silu", 1e-6},
};

static const char *const activations[] = {"gelu", "relu", "gelu_new", "silu", NULL};

static void read_sizes(struct reader *r, const struct words *w)
{
    struct hf_config *cfg = r->cfg;
    bool gpt = cfg->arch != HF_LLAMA;

    cfg->layers = hf_read_int(r, w->layers, HF_NEEDED, 1, HF_LAYERS_MAX);
    cfg->width = hf_read_int(r, w->width, HF_NEEDED, 1, 1 << 16);
    cfg->heads = hf_read_int(r, w->heads, HF_NEEDED, 1, HF_HEADS_MAX);
    cfg->ffn = hf_read_int(r, w->ffn, gpt ? 4 * cfg->width : HF_NEEDED, 1, 1 << 18);
    cfg->vocab = hf_read_int(r, "vocab_size", HF_NEEDED, 1, 1 << 24);
    cfg->positions = hf_read_int(r, w->positions, gpt ? HF_NEEDED : 2048, 1, 1 << 20);
    cfg->kv_heads = hf_read_int(r, "num_key_value_heads", cfg->heads, 1, cfg->heads);
    if (diags_count(r->diags) > 0)
        return;
    if (cfg->width % cfg->heads && !hf_member(r, "head_dim"))
        json_error(r->doc, json_get(r->root, w->width), r->diags,
                   "\"%s\" is %lld, not a multiple of the %lld heads", w->width,
                   (long long)cfg->width, (long long)cfg->heads);
    cfg->head_dim = hf_read_int(r, "head_dim", cfg->width / cfg->heads, 1, 1 << 12);
    if (cfg->heads % cfg->kv_heads)
        json_error(r->doc, json_get(r->root, "num_key_value_heads"), r->diags,
                   "%lld heads do not divide among %lld of keys and values",
                   (long long)cfg->heads, (long long)cfg->kv_heads);
    if (diags_count(r->diags) == 0 && gpt &&
        (cfg->kv_heads != cfg->heads || cfg->head_dim * cfg->heads != cfg->width))
        json_error(r->doc, r->root, r->diags,
                   "%s has no grouped keys and no other head_dim",
                   hf_arch_names[cfg->arch]);
    if (cfg->arch == HF_LLAMA && cfg->head_dim % 2)
        json_error(r->doc, r->root, r->diags,
                   "rotary positions need an even head_dim, not %lld",
                   (long long)cfg->head_dim);
}

/* "rope_theta", or in "rope_parameters" (transformers 5); scaled positions are another
 * model. */
static void read_rope(struct reader *r)
{
    static const char *const types[] = {"default", NULL};
    const struct json *scaling = hf_member(r, "rope_scaling");
    const struct json *nested = hf_member(r, "rope_parameters");
    struct reader in = *r;

    if (scaling)
        json_error(r->doc, scaling, r->diags, "\"rope_scaling\" is not supported");
    if (nested && json_kind(nested) != JSON_OBJECT) {
        json_error(r->doc, nested, r->diags, "\"rope_parameters\" should be an object");
        return;
    }
    in.root = nested ? nested : r->root;
    if (nested)
        hf_read_name(&in, "rope_type", "default", types);
    r->cfg->rope_theta = hf_read_real(&in, "rope_theta", 10000, 1, 1e12);
}

/* "attention_types": [[["global", "local"], 6]]: the names, so many times over. Or
 * "attention_layers". */
static void read_local(struct reader *r)
{
    static const char *const names[] = {"global", "local", NULL};
    struct hf_config *cfg = r->cfg;
    const struct json *types = hf_member(r, "attention_types"), *list, *times;
    int64_t n = 0;

    cfg->window = hf_read_int(r, "window_size", 256, 1, 1 << 20);
    for (int64_t i = 0; types && i < json_count(types); i++) {
        const struct json *pair = json_at(types, i);
        list = json_count(pair) == 2 ? json_at(pair, 0) : NULL;
        times = list ? json_at(pair, 1) : NULL;
        if (!list || json_kind(list) != JSON_ARRAY || !json_is_int(times) ||
            json_int(times) < 0 || json_int(times) * json_count(list) > cfg->layers - n) {
            json_error(r->doc, pair, r->diags,
                       "\"attention_types\" should be pairs of names and how often they "
                       "come, for %lld "
                       "layers in all",
                       (long long)cfg->layers);
            return;
        }
        for (int64_t k = 0; k < json_int(times); k++)
            for (const struct json *v = json_first(list); v; v = json_next(v)) {
                const char *name = json_string(v);
                if (!name ||
                    (strcmp(name, names[0]) != 0 && strcmp(name, names[1]) != 0)) {
                    json_error(r->doc, v, r->diags,
                               "an attention is \"global\" or \"local\"");
                    return;
                }
                cfg->local[n++] = !strcmp(name, names[1]);
            }
    }
    if (types && n != cfg->layers)
        json_error(r->doc, types, r->diags,
                   "\"attention_types\" speaks of %lld layers, not of %lld", (long long)n,
                   (long long)cfg->layers);
    for (int64_t i = 0; !types && i < cfg->layers; i++)
        cfg->local[i] = i % 2 == 1; /* transformers' default: global and local by turns */
}

void hf_read_decoder(struct reader *r)
{
    struct hf_config *cfg = r->cfg;
    const struct words *w = &words_of[cfg->arch];
    bool llama = cfg->arch == HF_LLAMA;

    hf_only_bool(r, "add_cross_attention", false);
    hf_only_bool(r, "scale_attn_weights", true);
    hf_only_bool(r, "scale_attn_by_inverse_layer_idx", false);
    hf_only_bool(r, "attention_bias", false);
    hf_only_bool(r, "mlp_bias", false);
    read_sizes(r, w);
    int act = hf_read_name(r, w->activation, w->usual_activation, activations);
    cfg->activation = act == 0   ? HF_GELU
                      : act == 1 ? HF_RELU
                      : act == 2 ? HF_GELU_NEW
                                 : HF_SILU;
    cfg->eps = hf_read_real(r, w->eps, w->usual_eps, 1e-30, 1);
    cfg->dropout =
        w->dropout ? hf_read_prob(r, w->dropout, cfg->arch == HF_GPT2 ? 0.1 : 0) : 0;
    cfg->embed_dropout = w->embed_dropout ? hf_read_prob(r, w->embed_dropout,
                                                         cfg->arch == HF_GPT2 ? 0.1 : 0)
                                          : 0;
    cfg->attention_dropout =
        hf_read_prob(r, w->attention_dropout, cfg->arch == HF_GPT2 ? 0.1 : 0);
    cfg->classifier_dropout = -1;
    cfg->init_range = hf_read_real(r, "initializer_range", 0.02, 0, 10);
    cfg->tied = hf_read_bool(r, "tie_word_embeddings", !llama);
    cfg->types = 1;
    cfg->lower_case = false;
    cfg->bos_id = (int32_t)hf_read_int(r, "bos_token_id", -1, -1, 1 << 24);
    const struct json *eos =
        hf_member(r, "eos_token_id"); /* a list of several: the first */
    struct reader in = *r;
    if (eos && json_kind(eos) == JSON_ARRAY)
        cfg->eos_id =
            json_is_int(json_at(eos, 0)) ? (int32_t)json_int(json_at(eos, 0)) : -1;
    else
        cfg->eos_id = (int32_t)hf_read_int(&in, "eos_token_id", -1, -1, 1 << 24);
    if (llama)
        read_rope(r);
    if (cfg->arch == HF_GPT_NEO && diags_count(r->diags) == 0)
        read_local(r);
    hf_read_head(r);
    if (diags_count(r->diags) > 0)
        return;
    hf_keep_all(cfg);
    hf_read_ffn_kept(r);
}

static void put_token(struct json_writer *w, const char *key, int32_t id)
{
    if (id >= 0) {
        hf_put_int(w, key, id);
    } else if (id == HF_NO_TOKEN) {
        json_member(w, key);
        json_raw(w, "null");
    }
}

static void put_local(struct json_writer *w, const struct hf_config *cfg)
{
    hf_put_int(w, "window_size", cfg->window);
    json_member(w, "attention_types");
    json_array(w);
    json_array(w);
    json_array(w);
    for (int64_t i = 0; i < cfg->layers; i++)
        json_str(w, cfg->local[i] ? "local" : "global");
    json_array_end(w);
    json_i64(w, 1);
    json_array_end(w);
    json_array_end(w);
}

void hf_write_decoder(struct json_writer *w, const struct hf_config *cfg)
{
    const struct words *t = &words_of[cfg->arch];

    hf_put_text(w, "model_type", hf_arch_names[cfg->arch]);
    hf_put_int(w, "vocab_size", cfg->vocab);
    hf_put_text(w, t->activation, activations[cfg->activation]);
    if (t->dropout)
        hf_put_real(w, t->dropout, cfg->dropout);
    if (t->embed_dropout)
        hf_put_real(w, t->embed_dropout, cfg->embed_dropout);
    hf_put_real(w, t->attention_dropout, cfg->attention_dropout);
    hf_put_int(w, t->width, cfg->width);
    hf_put_real(w, "initializer_range", cfg->init_range);
    hf_put_int(w, t->ffn, cfg->ffn);
    hf_put_real(w, t->eps, cfg->eps);
    hf_put_int(w, t->positions, cfg->positions);
    hf_put_int(w, t->heads, cfg->heads);
    hf_put_int(w, t->layers, cfg->layers);
    hf_put_flag(w, "tie_word_embeddings", cfg->tied);
    put_token(w, "bos_token_id", cfg->bos_id);
    put_token(w, "eos_token_id", cfg->eos_id);
    if (cfg->arch == HF_LLAMA) {
        hf_put_int(w, "num_key_value_heads", cfg->kv_heads);
        hf_put_int(w, "head_dim", cfg->head_dim);
        hf_put_real(w, "rope_theta", cfg->rope_theta);
    }
    if (cfg->arch == HF_GPT_NEO)
        put_local(w, cfg);
    hf_put_ffn_kept(w, cfg);
}
