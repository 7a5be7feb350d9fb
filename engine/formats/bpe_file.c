#include "retort/bpe_file.h"

#include <stdlib.h>
#include <string.h>

#include "retort/json.h"

struct reader {
    struct bpe_file *out;
    const struct json_doc *doc;
    struct arena *arena;
    struct diags *diags;
    const char *name;
    struct err *err;
};

static int by_id(const void *a, const void *b)
{
    const struct bpe_token *x = a, *y = b;

    return (x->id > y->id) - (x->id < y->id);
}

static const char *keep(struct reader *r, const char *s, size_t n)
{
    char *own = arena_alloc(r->arena, (int64_t)n + 1);

    if (own) {
        memcpy(own, s, n);
        own[n] = '\0';
    }
    return own;
}

static int read_vocab(struct reader *r, const struct json *vocab)
{
    struct bpe_file *f = r->out;
    struct bpe_token *sorted;
    int64_t bytes = json_count(vocab) * (int64_t)sizeof *f->token;

    f->token = arena_alloc(r->arena, bytes);
    sorted = arena_alloc(r->arena, bytes);
    for (const struct json *v = json_first(vocab); sorted && f->token && v;
         v = json_next(v)) {
        if (!json_is_int(v) || json_int(v) < 0 || json_int(v) >= BPE_ID_MAX) {
            json_error(r->doc, v, r->diags,
                       "the id of a token is a whole number from 0 to %d",
                       BPE_ID_MAX - 1);
            return -1;
        }
        f->token[f->n_tokens++] =
            (struct bpe_token){keep(r, json_key(v), strlen(json_key(v))), json_int(v)};
    }
    if (arena_failed(r->arena, r->err))
        return -1;
    if (f->n_tokens > 0)
        memcpy(sorted, f->token, (size_t)bytes);
    if (f->n_tokens > 1)
        qsort(sorted, (size_t)f->n_tokens, sizeof *sorted, by_id);
    for (int64_t i = 1; i < f->n_tokens; i++)
        if (sorted[i].id == sorted[i - 1].id) {
            json_error(r->doc, json_get(vocab, sorted[i].text), r->diags,
                       "id %lld is that of \"%s\" too", (long long)sorted[i].id,
                       sorted[i - 1].text);
            return -1;
        }
    return 0;
}

/* "a b" or ["a", "b"] */
static int read_merges(struct reader *r, const struct json *merges)
{
    struct bpe_file *f = r->out;

    f->merge = arena_alloc(r->arena, json_count(merges) * (int64_t)sizeof *f->merge);
    for (const struct json *v = json_first(merges); f->merge && v; v = json_next(v)) {
        bool pair = json_kind(v) == JSON_ARRAY && json_count(v) == 2;
        const char *a = pair ? json_string(json_at(v, 0)) : json_string(v);
        const char *b = pair ? json_string(json_at(v, 1)) : NULL;
        const char *gap = !pair && a ? strchr(a, ' ') : NULL;
        if (gap && !strchr(gap + 1, ' '))
            b = gap + 1;
        if (!a || !b) {
            json_error(r->doc, v, r->diags,
                       "a merge is two tokens, \"a b\" or [\"a\", \"b\"]");
            return -1;
        }
        f->merge[f->n_merges++] = (struct bpe_merge){
            keep(r, a, gap ? (size_t)(gap - a) : strlen(a)), keep(r, b, strlen(b))};
    }
    return arena_failed(r->arena, r->err);
}

/* True if object[key] is absent, null, false or "". */
static bool unset(const struct json *object, const char *key)
{
    const struct json *v = json_get(object, key);

    return !v || json_kind(v) == JSON_NULL ||
           (json_kind(v) == JSON_BOOL && !json_bool(v)) ||
           (json_kind(v) == JSON_STRING && !json_string(v)[0]);
}

/* {"id": 0, "content": "<|endoftext|>", "special": true, ...} */
static int read_added(struct reader *r, const struct json *added)
{
    struct bpe_file *f = r->out;

    f->added = arena_alloc(r->arena, json_count(added) * (int64_t)sizeof *f->added);
    for (const struct json *v = json_first(added); f->added && v; v = json_next(v)) {
        const struct json *id = json_get(v, "id");
        const char *s = json_string(json_get(v, "content"));
        if (!s || !s[0] || !json_is_int(id) || json_int(id) < 0 ||
            json_int(id) >= BPE_ID_MAX) {
            json_error(r->doc, v, r->diags,
                       "an added token has \"content\" and an \"id\"");
            return -1;
        }
        if (!unset(v, "lstrip") || !unset(v, "rstrip") || !unset(v, "single_word")) {
            json_error(r->doc, v, r->diags,
                       "lstrip, rstrip and single_word are not supported");
            return -1;
        }
        f->added[f->n_added++] =
            (struct bpe_added){keep(r, s, strlen(s)), json_int(id), !unset(v, "special")};
    }
    return arena_failed(r->arena, r->err);
}

static bool has_type(const struct json *object, const char *type)
{
    const char *s = json_string(json_get(object, "type"));

    return s && !strcmp(s, type);
}

/* One part of the cutting into words; false: one that we cannot honour. */
static bool read_cutter(struct bpe_file *f, const struct json *v)
{
    const struct json *regex = json_get(v, "use_regex");

    if (has_type(v, "Digits")) {
        f->digits = true;
        return json_bool(json_get(v, "individual_digits"));
    }
    return has_type(v, "ByteLevel") && unset(v, "add_prefix_space") &&
           (!regex || json_bool(regex));
}

/* ByteLevel, or a Sequence that it ends. */
static bool read_cutters(struct bpe_file *f, const struct json *v)
{
    const struct json *list = json_get(v, "pretokenizers");
    int64_t n = json_count(list);
    bool known = n > 0;

    if (!has_type(v, "Sequence"))
        return has_type(v, "ByteLevel") && read_cutter(f, v);
    for (int64_t i = 0; known && i < n; i++)
        known = read_cutter(f, json_at(list, i)) &&
                has_type(json_at(list, i), "ByteLevel") == (i + 1 == n);
    return known;
}

/* What we cannot honour, or NULL. */
static const char *foreign(struct bpe_file *f, const struct json *root)
{
    const struct json *model = json_get(root, "model");

    if (!has_type(model, "BPE"))
        return "the model's type is not \"BPE\"";
    if (!unset(model, "byte_fallback"))
        return "byte_fallback is SentencePiece's: give its tokenizer.model";
    if (!unset(model, "dropout") || !unset(model, "continuing_subword_prefix") ||
        !unset(model, "end_of_word_suffix") || !unset(model, "ignore_merges"))
        return "dropout, affixes and ignore_merges are not supported";
    if (!unset(root, "normalizer"))
        return "a normalizer is not supported";
    if (!read_cutters(f, json_get(root, "pre_tokenizer")))
        return "its pre_tokenizer is not ByteLevel as GPT-2's, nor Digits and ByteLevel";
    if (json_kind(json_get(model, "vocab")) != JSON_OBJECT ||
        json_kind(json_get(model, "merges")) != JSON_ARRAY)
        return "the model lacks \"vocab\" (an object) or \"merges\" (a list)";
    return NULL;
}

static int read_tokenizer(struct reader *r, const struct json *root)
{
    const struct json *model = json_get(root, "model");
    const char *why =
        json_kind(root) == JSON_OBJECT ? foreign(r->out, root) : "not an object";

    if (why)
        return err_set(r->err, ERR_INPUT, "%s: %s", r->name, why);
    if (read_vocab(r, json_get(model, "vocab")) ||
        read_merges(r, json_get(model, "merges")) ||
        read_added(r, json_get(root, "added_tokens")))
        return -1;
    return 0;
}

static int read_plain(struct reader *r, const struct json *root)
{
    if (json_kind(root) != JSON_OBJECT)
        return err_set(r->err, ERR_INPUT, "%s: not an object of tokens and their ids",
                       r->name);
    return read_vocab(r, root);
}

static int read_with(struct bpe_file *out, const char *json, int64_t len,
                     const char *name, struct arena *arena,
                     int (*read)(struct reader *, const struct json *), struct err *err)
{
    struct reader r = {.out = out, .arena = arena, .name = name, .err = err};
    struct json_doc *doc = NULL;
    int rc = -1;

    memset(out, 0, sizeof *out);
    r.diags = diags_new(err);
    if (r.diags)
        r.doc = doc = json_parse(json, len, name, r.diags);
    if (doc)
        rc = read(&r, json_root(doc));
    if (r.diags && diags_count(r.diags) > 0)
        rc = diags_first_to_err(r.diags, err);
    json_doc_free(doc);
    diags_free(r.diags);
    return rc;
}

int bpe_file_json(struct bpe_file *out, const char *json, int64_t len, const char *name,
                  struct arena *arena, struct err *err)
{
    return read_with(out, json, len, name, arena, read_tokenizer, err);
}

int bpe_file_vocab(struct bpe_file *out, const char *json, int64_t len, const char *name,
                   struct arena *arena, struct err *err)
{
    return read_with(out, json, len, name, arena, read_plain, err);
}
