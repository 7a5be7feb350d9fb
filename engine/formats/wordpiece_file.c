#include "retort/wordpiece_file.h"

#include <stdlib.h>
#include <string.h>

#include "retort/json.h"
#include "retort/mem.h"

bool wordpiece_file_is(const char *json, int64_t len)
{
    static const char word[] = "\"WordPiece\"";

    return memmem(json, (size_t)len, word, sizeof word - 1) != NULL;
}

static bool is_text(const struct json *v, const char *key, const char *want)
{
    const char *s = json_string(json_get(v, key));

    return s && !strcmp(s, want);
}

static bool is_true(const struct json *v, const char *key)
{
    return json_bool(json_get(v, key));
}

/* Absent and null are what is usual. */
static bool is_flag(const struct json *v, const char *key, bool want)
{
    const struct json *f = json_get(v, key);

    return json_kind(f) == JSON_NULL ||
           (json_kind(f) == JSON_BOOL && json_bool(f) == want);
}

/* Text that spells one of these is that token in every tokenizer of this kind. */
static bool is_special(const char *token)
{
    static const char *const special[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};

    for (size_t i = 0; i < sizeof special / sizeof *special; i++)
        if (token && !strcmp(token, special[i]))
            return true;
    return false;
}

static bool knows_added(const struct json *root)
{
    const struct json *vocab = json_get(json_get(root, "model"), "vocab");

    for (const struct json *v = json_first(json_get(root, "added_tokens")); v;
         v = json_next(v)) {
        const char *token = json_string(json_get(v, "content"));
        const struct json *id = json_get(v, "id");
        if (!is_special(token) || !json_is_int(id) ||
            !json_is_int(json_get(vocab, token)) ||
            json_int(json_get(vocab, token)) != json_int(id))
            return false;
    }
    return true;
}

/* What we cannot honour, or NULL. */
static const char *foreign(const struct json *root)
{
    const struct json *model = json_get(root, "model"),
                      *norm = json_get(root, "normalizer"),
                      *limit = json_get(model, "max_input_chars_per_word");

    if (!is_text(model, "type", "WordPiece") ||
        json_kind(json_get(model, "vocab")) != JSON_OBJECT)
        return "its model is no WordPiece with a \"vocab\"";
    if (!is_text(model, "unk_token", "[UNK]") ||
        !is_text(model, "continuing_subword_prefix", "##") ||
        (limit && json_int(limit) != 100))
        return "only [UNK], ## and words of at most 100 characters are supported";
    if (!is_text(norm, "type", "BertNormalizer") || !is_flag(norm, "clean_text", true) ||
        !is_flag(norm, "handle_chinese_chars", true) ||
        !is_flag(norm, "strip_accents", is_true(norm, "lowercase")))
        return "its normalizer is not that of BERT";
    if (!is_text(json_get(root, "pre_tokenizer"), "type", "BertPreTokenizer"))
        return "its pre_tokenizer is not that of BERT";
    if (!knows_added(root))
        return "its added tokens are others than [PAD], [UNK], [CLS], [SEP] and [MASK]";
    return NULL;
}

/* Ids from 0 without gaps, as the lines of vocab.txt have them. */
static int list_tokens(struct strbuf *out, const struct json *vocab, const char *name,
                       struct err *err)
{
    int64_t n = json_count(vocab);
    const char **token = mem_new(n, sizeof *token, err);
    int rc = token ? 0 : -1;

    for (const struct json *v = rc == 0 ? json_first(vocab) : NULL; v && rc == 0;
         v = json_next(v)) {
        if (!json_is_int(v) || json_int(v) < 0 || json_int(v) >= n || token[json_int(v)])
            rc =
                err_set(err, ERR_INPUT,
                        "%s: token \"%.100s\": its id is not one of 0 to %lld, each once",
                        name, json_key(v), (long long)n - 1);
        else if (strpbrk(json_key(v), "\r\n"))
            rc = err_set(err, ERR_INPUT, "%s: a token holds the end of a line", name);
        else
            token[json_int(v)] = json_key(v);
    }
    for (int64_t i = 0; rc == 0 && i < n; i++) {
        strbuf_puts(out, token[i]);
        strbuf_putc(out, '\n');
    }
    free(token);
    return rc ? rc : strbuf_failed(out, err);
}

int wordpiece_file_json(struct strbuf *vocab, bool *lower_case, const char *json,
                        int64_t len, const char *name, struct err *err)
{
    struct diags *diags = diags_new(err);
    struct json_doc *doc = diags ? json_parse(json, len, name, diags) : NULL;
    const struct json *root = doc ? json_root(doc) : NULL;
    int rc = -1;

    if (doc && foreign(root))
        err_set(err, ERR_INPUT, "%s: %s", name, foreign(root));
    else if (doc)
        rc = list_tokens(vocab, json_get(json_get(root, "model"), "vocab"), name, err);
    else if (diags)
        diags_first_to_err(diags, err);
    *lower_case = doc && is_true(json_get(root, "normalizer"), "lowercase");
    json_doc_free(doc);
    diags_free(diags);
    return rc;
}
