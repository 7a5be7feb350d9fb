/*
 * config.json: what all architectures have, and BERT. What transformers would take from
 * its defaults when a member is absent, we take too, except for the sizes that every real
 * file names. A member that changes the numbers in a way this engine does not follow is
 * an error, never ignored.
 */
#include "hf_reader.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const hf_arch_names[] = {"bert", "gpt2", "gpt_neo", "llama", NULL};

void hf_config_defaults(struct hf_config *cfg)
{
    memset(cfg, 0, sizeof *cfg);
    cfg->activation = HF_GELU;
    cfg->lower_case = true;
    cfg->bos_id = cfg->eos_id = -1;
    for (int i = 0; i < HF_LAYERS_MAX; i++)
        cfg->heads_kept[i] = cfg->ffn_kept[i] = HF_ALL;
}

const struct json *hf_member(const struct reader *r, const char *key)
{
    const struct json *v = json_get(r->root, key);
    return v && json_kind(v) != JSON_NULL ? v : NULL;
}

static bool in_range(const struct json *v, int64_t low, int64_t high)
{
    return json_is_int(v) && json_int(v) >= low && json_int(v) <= high;
}

int64_t hf_read_int(struct reader *r, const char *key, int64_t absent, int64_t low,
                    int64_t high)
{
    const struct json *v = hf_member(r, key);

    if (!v && absent != HF_NEEDED)
        return absent;
    if (!v)
        json_error(r->doc, r->root, r->diags, "\"%s\" is missing", key);
    else if (!in_range(v, low, high))
        json_error(r->doc, v, r->diags,
                   "\"%s\" should be a whole number from %" PRId64 " to %" PRId64, key,
                   low, high);
    else
        return json_int(v);
    return low;
}

double hf_read_real(struct reader *r, const char *key, double absent, double low,
                    double high)
{
    const struct json *v = hf_member(r, key);

    if (!v)
        return absent;
    if (json_kind(v) == JSON_NUMBER && json_number(v) >= low && json_number(v) <= high)
        return json_number(v);
    json_error(r->doc, v, r->diags, "\"%s\" should be a number from %g to %g", key, low,
               high);
    return absent;
}

double hf_read_prob(struct reader *r, const char *key, double absent)
{
    return hf_read_real(r, key, absent, 0, 0.999);
}

void hf_only_text(struct reader *r, const char *key, const char *wanted)
{
    const struct json *v = hf_member(r, key);
    const char *text = v ? json_string(v) : NULL;

    if (v && (!text || strcmp(text, wanted) != 0))
        json_error(r->doc, v, r->diags, "\"%s\" is %s; only \"%s\" is supported", key,
                   text ? text : json_kind_name(json_kind(v)), wanted);
}

bool hf_read_bool(struct reader *r, const char *key, bool absent)
{
    const struct json *v = hf_member(r, key);

    if (v && json_kind(v) != JSON_BOOL)
        json_error(r->doc, v, r->diags, "\"%s\" should be true or false", key);
    return v ? json_bool(v) : absent;
}

void hf_only_bool(struct reader *r, const char *key, bool wanted)
{
    const struct json *v = hf_member(r, key);

    if (v && (json_kind(v) != JSON_BOOL || json_bool(v) != wanted))
        json_error(r->doc, v, r->diags, "\"%s\" is not %s, which alone is supported", key,
                   wanted ? "true" : "false");
}

int hf_read_name(struct reader *r, const char *key, const char *absent,
                 const char *const *names)
{
    const struct json *v = hf_member(r, key);
    const char *text = v ? json_string(v) : absent;
    char known[256] = "";

    for (int i = 0; names[i]; i++) {
        if (text && !strcmp(text, names[i]))
            return i;
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s\"%s\"",
                 i == 0         ? ""
                 : names[i + 1] ? ", "
                                : " and ",
                 names[i]);
    }
    json_error(r->doc, v ? v : r->root, r->diags, "\"%s\" is %s; %s %s supported", key,
               text ? text : json_kind_name(json_kind(v)), known,
               names[1] ? "are" : "is");
    return 0;
}

static void read_sizes(struct reader *r)
{
    struct hf_config *cfg = r->cfg;

    cfg->layers = hf_read_int(r, "num_hidden_layers", HF_NEEDED, 1, HF_LAYERS_MAX);
    cfg->width = hf_read_int(r, "hidden_size", HF_NEEDED, 1, 1 << 16);
    cfg->heads = hf_read_int(r, "num_attention_heads", HF_NEEDED, 1, HF_HEADS_MAX);
    cfg->ffn = hf_read_int(r, "intermediate_size", HF_NEEDED, 1, 1 << 18);
    cfg->vocab = hf_read_int(r, "vocab_size", HF_NEEDED, 1, 1 << 24);
    cfg->positions = hf_read_int(r, "max_position_embeddings", 512, 1, 1 << 20);
    cfg->types = hf_read_int(r, "type_vocab_size", 2, 1, 1024);
    cfg->pad_id = hf_read_int(r, "pad_token_id", 0, 0, cfg->vocab - 1);
    if (diags_count(r->diags) == 0 && cfg->width % cfg->heads != 0)
        json_error(r->doc, json_get(r->root, "hidden_size"), r->diags,
                   "\"hidden_size\" is %" PRId64 ", not a multiple of the %" PRId64
                   " heads",
                   cfg->width, cfg->heads);
}

/* "12" as 12; -1 if it is no plain number below `limit`. */
static int64_t key_number(const char *key, int64_t limit)
{
    int64_t n = 0;

    if (!*key || (key[0] == '0' && key[1]))
        return -1;
    for (const char *c = key; *c; c++) {
        if (*c < '0' || *c > '9')
            return -1;
        n = n * 10 + (*c - '0');
        if (n >= limit)
            return -1;
    }
    return n;
}

/* One layer's removed heads: `ids` are those that are left. */
static void read_pruned_layer(struct reader *r, const struct json *v)
{
    struct hf_config *cfg = r->cfg;
    int64_t layer = key_number(json_key(v), cfg->layers);
    bool removed[HF_HEADS_MAX] = {false};
    int64_t kept = cfg->heads;

    if (layer < 0) {
        json_key_error(r->doc, v, r->diags, "\"%s\" is no layer from 0 to %" PRId64,
                       json_key(v), cfg->layers - 1);
        return;
    }
    if (json_kind(v) != JSON_ARRAY) {
        json_error(r->doc, v, r->diags,
                   "removed heads should be an array of their numbers");
        return;
    }
    for (const struct json *h = json_first(v); h; h = json_next(h)) {
        if (!in_range(h, 0, cfg->heads - 1)) {
            json_error(r->doc, h, r->diags,
                       "a removed head is no number from 0 to %" PRId64, cfg->heads - 1);
            return;
        }
        kept -= !removed[json_int(h)];
        removed[json_int(h)] = true;
    }
    if (kept == cfg->heads)
        return;
    int32_t *ids = arena_alloc(r->arena, (kept + 1) * (int64_t)sizeof *ids);
    if (!ids)
        return;
    cfg->heads_kept[layer] = 0;
    cfg->head_ids[layer] = ids;
    for (int32_t h = 0; h < cfg->heads; h++)
        if (!removed[h])
            ids[cfg->heads_kept[layer]++] = h;
}

void hf_keep_all(struct hf_config *cfg)
{
    for (int64_t i = 0; i < cfg->layers; i++) {
        cfg->heads_kept[i] = cfg->heads;
        cfg->ffn_kept[i] = cfg->ffn;
    }
}

static void read_pruned_heads(struct reader *r)
{
    const struct json *heads = hf_member(r, "pruned_heads");

    if (heads && json_kind(heads) != JSON_OBJECT)
        json_error(r->doc, heads, r->diags,
                   "\"pruned_heads\" should be an object: layer to heads");
    else if (heads)
        for (const struct json *v = json_first(heads); v; v = json_next(v))
            read_pruned_layer(r, v);
}

void hf_read_ffn_kept(struct reader *r)
{
    struct hf_config *cfg = r->cfg;
    const struct json *ffn = hf_member(r, "retort_ffn");

    if (!ffn)
        return;
    if (json_kind(ffn) != JSON_ARRAY || json_count(ffn) != cfg->layers) {
        json_error(r->doc, ffn, r->diags,
                   "\"retort_ffn\" should be an array of %" PRId64 " sizes", cfg->layers);
        return;
    }
    for (int64_t i = 0; i < cfg->layers; i++) {
        const struct json *v = json_at(ffn, i);
        if (in_range(v, 0, cfg->ffn))
            cfg->ffn_kept[i] = json_int(v);
        else
            json_error(r->doc, v, r->diags,
                       "a size is no whole number from 0 to %" PRId64, cfg->ffn);
    }
}

static const char *keep_text(struct reader *r, const char *text)
{
    return arena_strdup(r->arena, text);
}

static void read_label_names(struct reader *r, const struct json *names)
{
    struct hf_config *cfg = r->cfg;
    int64_t n = json_count(names);

    if (json_kind(names) != JSON_OBJECT || n > HF_LABELS_MAX) {
        json_error(r->doc, names, r->diags,
                   "\"id2label\" should be an object of at most %d labels",
                   HF_LABELS_MAX);
        return;
    }
    cfg->labels = n;
    cfg->label_names =
        arena_zalloc(r->arena, (n + 1) * (int64_t)sizeof *cfg->label_names);
    if (!cfg->label_names)
        return;
    for (const struct json *v = json_first(names); v; v = json_next(v)) {
        int64_t id = key_number(json_key(v), n);
        if (id < 0)
            json_key_error(r->doc, v, r->diags, "\"%s\" is no label from 0 to %" PRId64,
                           json_key(v), n - 1);
        else if (!json_string(v))
            json_error(r->doc, v, r->diags, "the name of a label should be a string");
        else
            cfg->label_names[id] = keep_text(r, json_string(v));
    }
}

/* transformers leaves its two default labels out of the file. */
static bool has_default_labels(const char *architecture)
{
    return architecture && (strcmp(architecture, "BertForSequenceClassification") == 0 ||
                            strcmp(architecture, "BertForTokenClassification") == 0 ||
                            strcmp(architecture, "BertForQuestionAnswering") == 0);
}

void hf_read_head(struct reader *r)
{
    struct hf_config *cfg = r->cfg;
    const struct json *list = hf_member(r, "architectures"),
                      *names = hf_member(r, "id2label");
    const struct json *problem = hf_member(r, "problem_type");
    const struct json *first = list ? json_at(list, 0) : NULL;

    if (list && (json_kind(list) != JSON_ARRAY || (first && !json_string(first))))
        json_error(r->doc, list, r->diags,
                   "\"architectures\" should be an array of names");
    else if (first)
        cfg->architecture = keep_text(r, json_string(first));
    if (names)
        read_label_names(r, names);
    else
        cfg->labels =
            hf_read_int(r, "num_labels", has_default_labels(cfg->architecture) ? 2 : 0, 1,
                        HF_LABELS_MAX);
    if (problem && !json_string(problem))
        json_error(r->doc, problem, r->diags, "\"problem_type\" should be a string");
    else if (problem)
        cfg->problem = keep_text(r, json_string(problem));
}

static void read_bert(struct reader *r)
{
    static const char *const activations[] = {"gelu", "relu", NULL};
    struct hf_config *cfg = r->cfg;

    hf_only_text(r, "position_embedding_type", "absolute");
    hf_only_bool(r, "is_decoder", false);
    hf_only_bool(r, "add_cross_attention", false);
    cfg->activation =
        hf_read_name(r, "hidden_act", "gelu", activations) == 1 ? HF_RELU : HF_GELU;
    read_sizes(r);
    cfg->kv_heads = cfg->heads;
    cfg->head_dim = cfg->width / cfg->heads;
    cfg->eps = hf_read_real(r, "layer_norm_eps", 1e-12, 1e-30, 1);
    cfg->dropout = hf_read_prob(r, "hidden_dropout_prob", 0.1);
    cfg->embed_dropout = cfg->dropout;
    cfg->attention_dropout = hf_read_prob(r, "attention_probs_dropout_prob", 0.1);
    cfg->classifier_dropout = hf_read_prob(r, "classifier_dropout", -1);
    cfg->init_range = hf_read_real(r, "initializer_range", 0.02, 0, 10);
    hf_read_head(r);
    if (diags_count(r->diags) > 0)
        return;
    hf_keep_all(cfg);
    read_pruned_heads(r);
    hf_read_ffn_kept(r);
}

static void read_members(struct reader *r)
{
    r->cfg->arch = (enum hf_arch)hf_read_name(r, "model_type", "bert", hf_arch_names);
    if (diags_count(r->diags) > 0)
        return; /* the rest would be judged by rules of another model */
    if (r->cfg->arch == HF_BERT)
        read_bert(r);
    else
        hf_read_decoder(r);
}

int hf_config_parse(struct hf_config *cfg, const char *json, int64_t len,
                    const char *name, struct arena *arena, struct err *err)
{
    struct reader r = {.cfg = cfg, .arena = arena, .diags = diags_new(err)};
    struct json_doc *doc = NULL;
    int rc = -1;

    hf_config_defaults(cfg);
    if (!r.diags)
        goto done;
    r.doc = doc = json_parse(json, len, name, r.diags);
    if (doc) {
        r.root = json_root(doc);
        if (json_kind(r.root) == JSON_OBJECT)
            read_members(&r);
        else
            json_error(doc, r.root, r.diags, "a configuration is an object, not %s",
                       json_kind_name(json_kind(r.root)));
    }
    rc = diags_first_to_err(r.diags, err);
    if (rc == 0)
        rc = arena_failed(arena, err);
done:
    json_doc_free(doc);
    diags_free(r.diags);
    return rc;
}

/* ---- writing ---- */

static bool any_pruned_heads(const struct hf_config *cfg)
{
    for (int64_t i = 0; i < cfg->layers; i++)
        if (cfg->head_ids[i] && cfg->heads_kept[i] < cfg->heads)
            return true;
    return false;
}

static bool any_pruned_ffn(const struct hf_config *cfg)
{
    for (int64_t i = 0; i < cfg->layers; i++)
        if (cfg->ffn_kept[i] != HF_ALL && cfg->ffn_kept[i] != cfg->ffn)
            return true;
    return false;
}

static void put_pruned_heads(struct json_writer *w, const struct hf_config *cfg)
{
    char key[24];

    json_member(w, "pruned_heads");
    json_object(w);
    for (int64_t i = 0; i < cfg->layers; i++) {
        if (!cfg->head_ids[i] || cfg->heads_kept[i] >= cfg->heads)
            continue;
        snprintf(key, sizeof key, "%" PRId64, i);
        json_member(w, key);
        json_array(w);
        for (int64_t h = 0, k = 0; h < cfg->heads; h++) {
            if (k < cfg->heads_kept[i] && cfg->head_ids[i][k] == h)
                k++;
            else
                json_i64(w, h);
        }
        json_array_end(w);
    }
    json_object_end(w);
}

static bool named_before(const struct hf_config *cfg, int64_t i)
{
    for (int64_t k = 0; k < i; k++)
        if (strcmp(cfg->label_names[k], cfg->label_names[i]) == 0)
            return true;
    return false;
}

/* transformers calls labels without names LABEL_0, LABEL_1 ... */
static const char *label_name(const struct hf_config *cfg, int64_t i, char buf[32])
{
    if (cfg->label_names)
        return cfg->label_names[i];
    snprintf(buf, 32, "LABEL_%" PRId64, i);
    return buf;
}

void hf_put_flag(struct json_writer *w, const char *key, bool x)
{
    json_member(w, key);
    json_flag(w, x);
}

void hf_put_ffn_kept(struct json_writer *w, const struct hf_config *cfg)
{
    if (!any_pruned_ffn(cfg))
        return;
    json_member(w, "retort_ffn");
    json_array(w);
    for (int64_t i = 0; i < cfg->layers; i++)
        json_i64(w, hf_ffn(cfg, i));
    json_array_end(w);
}

static void put_id2label(struct json_writer *w, const struct hf_config *cfg)
{
    char key[32], name[32];

    json_member(w, "id2label");
    json_object(w);
    for (int64_t i = 0; i < cfg->labels; i++) {
        snprintf(key, sizeof key, "%" PRId64, i);
        json_member(w, key);
        json_str(w, label_name(cfg, i, name));
    }
    json_object_end(w);
}

static void put_label2id(struct json_writer *w, const struct hf_config *cfg)
{
    char name[32];

    json_member(w, "label2id");
    json_object(w);
    for (int64_t i = 0; i < cfg->labels; i++) {
        if (cfg->label_names && named_before(cfg, i))
            continue;
        json_member(w, label_name(cfg, i, name));
        json_i64(w, i);
    }
    json_object_end(w);
}

void hf_put_int(struct json_writer *w, const char *key, int64_t x)
{
    json_member(w, key);
    json_i64(w, x);
}

void hf_put_real(struct json_writer *w, const char *key, double x)
{
    json_member(w, key);
    json_num(w, x);
}

void hf_put_text(struct json_writer *w, const char *key, const char *text)
{
    json_member(w, key);
    json_str(w, text);
}

/* In the order of the alphabet, as transformers writes it. */
static void write_bert(struct json_writer *w, const struct hf_config *cfg)
{
    hf_put_real(w, "attention_probs_dropout_prob", cfg->attention_dropout);
    json_member(w, "classifier_dropout");
    if (cfg->classifier_dropout < 0)
        json_str(w, NULL);
    else
        json_num(w, cfg->classifier_dropout);
    hf_put_text(w, "hidden_act", cfg->activation == HF_RELU ? "relu" : "gelu");
    hf_put_real(w, "hidden_dropout_prob", cfg->dropout);
    hf_put_int(w, "hidden_size", cfg->width);
    if (cfg->labels > 0)
        put_id2label(w, cfg);
    hf_put_real(w, "initializer_range", cfg->init_range);
    hf_put_int(w, "intermediate_size", cfg->ffn);
    if (cfg->labels > 0)
        put_label2id(w, cfg);
    hf_put_real(w, "layer_norm_eps", cfg->eps);
    hf_put_int(w, "max_position_embeddings", cfg->positions);
    hf_put_text(w, "model_type", "bert");
    hf_put_int(w, "num_attention_heads", cfg->heads);
    hf_put_int(w, "num_hidden_layers", cfg->layers);
    hf_put_int(w, "pad_token_id", cfg->pad_id);
    hf_put_text(w, "position_embedding_type", "absolute");
    if (cfg->problem)
        hf_put_text(w, "problem_type", cfg->problem);
    if (any_pruned_heads(cfg))
        put_pruned_heads(w, cfg);
    hf_put_ffn_kept(w, cfg);
    hf_put_int(w, "type_vocab_size", cfg->types);
    hf_put_int(w, "vocab_size", cfg->vocab);
}

int hf_config_write(const struct hf_config *cfg, struct strbuf *out, struct err *err)
{
    struct json_writer w;

    json_begin(&w, out, true);
    json_object(&w);
    if (cfg->architecture) {
        json_member(&w, "architectures");
        json_array(&w);
        json_str(&w, cfg->architecture);
        json_array_end(&w);
    }
    if (cfg->arch == HF_BERT)
        write_bert(&w, cfg);
    else
        hf_write_decoder(&w, cfg);
    json_object_end(&w);
    strbuf_putc(out, '\n');
    return strbuf_failed(out, err);
}
