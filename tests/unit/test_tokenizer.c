/* The tokenizer against committed answers of the reference, whole files of real text, and
 * hostile input. */
#include "check.h"

#include "retort/file.h"
#include "retort/hash.h"
#include "retort/json.h"
#include "retort/strbuf.h"
#include "retort/tokenizer.h"

#define FIXTURES "tests/parity/fixtures/"

static const char SMALL[] =
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nun\n##able\n##a\nhello\n,\nel\n";

static struct tokenizer *small(bool lower)
{
    struct err err = ERR_INIT;
    struct tokenizer *tok = NULL;
    assert_ok(tokenizer_wordpiece(&tok, SMALL, sizeof SMALL - 1, "small", lower, &err),
              &err);
    return tok;
}

/* "id:begin:end id:begin:end ..." */
static char *encoded(const struct tokenizer *tok, const char *text, int64_t len)
{
    struct err err = ERR_INIT;
    struct tokens t = {0};
    struct strbuf sb = STRBUF_INIT;

    assert_ok(tokenizer_encode(tok, text, len, &t, &err), &err);
    strbuf_puts(&sb, "");
    for (int64_t i = 0; i < t.n; i++)
        strbuf_printf(&sb, "%s%d:%lld:%lld", i ? " " : "", t.id[i], (long long)t.begin[i],
                      (long long)t.end[i]);
    tokens_release(&t);
    char *s = mem_strdup(strbuf_text(&sb), &err);
    strbuf_release(&sb);
    return s;
}

static void expect(const struct tokenizer *tok, const char *text, const char *want)
{
    char *got = encoded(tok, text, (int64_t)strlen(text));
    assert_string_equal(got, want);
    free(got);
}

static void words_are_cut_at_the_longest_match(void **state)
{
    (void)state;
    struct tokenizer *tok = small(true);
    expect(tok, "Hello, unable", "8:0:5 9:5:6 5:7:9 6:9:13");
    expect(tok, "una unx", "5:0:2 7:2:3 1:4:7");
    tokenizer_free(tok);
}

static void offsets_count_bytes_of_the_original(void **state)
{
    (void)state;
    struct tokenizer *tok = small(true);
    expect(tok, "\xc3\x89L h\xc3\xa9llo", "10:0:3 8:4:10");
    tokenizer_free(tok);
}

static void special_tokens_in_the_text_are_themselves(void **state)
{
    (void)state;
    struct tokenizer *tok = small(true);
    expect(tok, "el[SEP]el [MASK]", "10:0:2 3:2:7 10:7:9 4:10:16");
    tokenizer_free(tok);
}

static void cased_keeps_capitals_and_accents(void **state)
{
    (void)state;
    struct tokenizer *tok = small(false);
    expect(tok, "hello Hello h\xc3\xa9llo", "8:0:5 1:6:11 1:12:18");
    tokenizer_free(tok);
}

static void names_and_numbers_of_tokens_agree(void **state)
{
    (void)state;
    struct tokenizer *tok = small(true);
    const struct tokenizer_file *file;
    assert_int_equal(tokenizer_size(tok), 11);
    for (int64_t i = 0; i < 11; i++)
        assert_int_equal(tokenizer_id(tok, tokenizer_token(tok, i)), i);
    assert_null(tokenizer_token(tok, 11));
    assert_null(tokenizer_token(tok, -1));
    assert_int_equal(tokenizer_id(tok, "nothing"), -1);
    assert_int_equal(tokenizer_files(tok, &file), 1);
    assert_string_equal(file->name, "vocab.txt");
    assert_string_equal(file->text, SMALL);
    assert_int_equal(file->len, sizeof SMALL - 1);
    assert_int_equal(tokenizer_special(tok).mask, 4);
    tokenizer_free(tok);
}

static void vocabulary_without_special_tokens_is_refused(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct tokenizer *tok = NULL;
    assert_fails(tokenizer_wordpiece(&tok, "", 0, "v.txt", true, &err), &err, ERR_INPUT,
                 "v.txt: lacks the token [PAD]");
    assert_fails(tokenizer_wordpiece(&tok, "[PAD]\na\xffz\n", 10, "v.txt", true, &err),
                 &err, ERR_INPUT, "v.txt:2:2: not UTF-8");
    assert_fails(tokenizer_load(&tok, "no/such/vocab.txt", true, &err), &err, ERR_MISSING,
                 "no/such/vocab.txt");
    assert_null(tok);
}

#define WORDPIECE(norm, model)                                                           \
    "{\"added_tokens\": [{\"id\": 0, \"content\": \"[PAD]\"}], \"normalizer\": "         \
    "{\"type\": \"BertNormalizer\", " norm                                               \
    "}, \"pre_tokenizer\": {\"type\": \"BertPreTokenizer\"}, \"model\": {\"type\": "     \
    "\"WordPiece\", \"unk_token\": \"[UNK]\", \"continuing_subword_prefix\": \"##\", "   \
    "\"vocab\": {\"[PAD]\": 0, \"[UNK]\": 1, \"[CLS]\": 2, \"[SEP]\": 3, \"[MASK]\": "   \
    "4" model "}}}"

static int from_json(struct tokenizer **tok, const char *json, struct err *err)
{
    const struct tokenizer_file file = {"tokenizer.json", json, (int64_t)strlen(json),
                                        NULL};
    return tokenizer_new(tok, &file, 1, true, err);
}

static void tokenizer_json_of_a_wordpiece_is_its_vocab_txt(void **state)
{
    const struct tokenizer_file *file;
    struct err err = ERR_INIT;
    struct tokenizer *tok;

    (void)state;
    assert_ok(from_json(&tok, WORDPIECE("\"lowercase\": false", ", \"Ab\": 5"), &err),
              &err);
    expect(tok, "Ab ab", "5:0:2 1:3:5");
    assert_false(tokenizer_lower_case(tok));
    assert_int_equal(tokenizer_files(tok, &file), 1);
    assert_string_equal(file[0].name, "vocab.txt");
    assert_string_equal(file[0].text, "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nAb\n");
    tokenizer_free(tok);
    assert_fails(from_json(&tok, WORDPIECE("\"clean_text\": false", ""), &err), &err,
                 ERR_INPUT, "its normalizer is not that of BERT");
    assert_fails(from_json(&tok, WORDPIECE("\"lowercase\": true", ", \"x\": 9"), &err),
                 &err, ERR_INPUT, "token \"x\": its id is not one of 0 to 5");
    assert_fails(from_json(&tok, WORDPIECE("\"lowercase\": true", ", \"x\": 4"), &err),
                 &err, ERR_INPUT, "each once");
}

static void very_long_words_and_runs_of_marks_end_quickly(void **state)
{
    (void)state;
    enum { N = 400000 };
    struct tokenizer *tok = small(true);
    char *text = malloc(N);
    memset(text, 'a', N);
    char *got = encoded(tok, text, N);
    assert_string_equal(got, "1:0:400000");
    free(got);
    for (int i = 0; i < N; i += 4)
        memcpy(text + i, i % 8 ? "\xcc\x81\xcc\x96" : "\xcc\x96\xcc\x81", 4);
    got = encoded(tok, text, N);
    assert_string_equal(got, "");
    free(got);
    free(text);
    tokenizer_free(tok);
}

/* ---- the reference ---- */

static int from_hex(char *hex)
{
    int n = 0;
    for (; hex[2 * n]; n++) {
        const char pair[3] = {hex[2 * n], hex[2 * n + 1], 0};
        hex[n] = (char)strtol(pair, NULL, 16);
    }
    return n;
}

static void hard_texts_equal_the_reference(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct tokenizer *tok[2] = {0};
    char *text = NULL;
    int64_t len = 0, line = 0;

    for (int i = 0; i < 2; i++)
        assert_ok(tokenizer_load(&tok[i], FIXTURES "wordpiece.vocab.txt", i == 0, &err),
                  &err);
    assert_ok(file_read(&text, &len, FIXTURES "wordpiece.tsv", 1 << 20, &err), &err);
    for (char *p = text; *p; line++) {
        char *hex = strchr(p, '\t') + 1, *want = strchr(hex, '\t'),
             *next = strchr(want, '\n');
        *want++ = 0;
        *next = 0;
        char *shown = mem_strdup(hex, &err);
        int n = from_hex(hex);
        char *got = encoded(tok[p[0] == 'c'], hex, n);
        if (strcmp(got, want) != 0)
            fail_msg("row %lld %.5s %s: %s; the reference: %s", (long long)line + 1, p,
                     shown, got, want);
        free(got);
        free(shown);
        p = next + 1;
    }
    assert_true(line > 1000);
    free(text);
    tokenizer_free(tok[0]);
    tokenizer_free(tok[1]);
}

struct digest {
    const struct tokenizer *tok;
    struct sha256 *sha;
    struct tokens tokens;
    int64_t n;
};

static void digest_line(struct digest *d, const char *text, int64_t len)
{
    struct err err = ERR_INIT;
    struct strbuf sb = STRBUF_INIT;

    tokens_clear(&d->tokens);
    assert_ok(tokenizer_encode(d->tok, text, len, &d->tokens, &err), &err);
    for (int64_t i = 0; i < d->tokens.n; i++)
        strbuf_printf(&sb, "%d %lld %lld\n", d->tokens.id[i],
                      (long long)d->tokens.begin[i], (long long)d->tokens.end[i]);
    strbuf_puts(&sb, "--\n");
    sha256_add(d->sha, sb.text, (int64_t)sb.len);
    d->n += d->tokens.n;
    strbuf_release(&sb);
}

/* A text of SQuAD as a line: newlines become spaces. */
static void digest_text(struct digest *d, const struct json *v)
{
    struct err err = ERR_INIT;
    char *text = mem_strdup(json_string(v), &err);
    assert_non_null(text);
    for (char *p = text; *p; p++)
        *p = *p == '\n' ? ' ' : *p;
    digest_line(d, text, (int64_t)strlen(text));
    free(text);
}

static void digest_squad(struct digest *d, const char *path)
{
    struct err err = ERR_INIT;
    struct json_doc *doc = json_parse_file(path, &err);

    if (!doc)
        fail_msg("%s", err.text);
    for (const struct json *a = json_first(json_get(json_root(doc), "data")); a;
         a = json_next(a))
        for (const struct json *p = json_first(json_get(a, "paragraphs")); p;
             p = json_next(p)) {
            digest_text(d, json_get(p, "context"));
            for (const struct json *q = json_first(json_get(p, "qas")); q;
                 q = json_next(q))
                digest_text(d, json_get(q, "question"));
        }
    json_doc_free(doc);
}

static void digest_lines(struct digest *d, const char *path)
{
    struct err err = ERR_INIT;
    char *text = NULL;
    int64_t len = 0;

    assert_ok(file_read(&text, &len, path, 1 << 30, &err), &err);
    for (char *p = text; p;) {
        char *stop = memchr(p, '\n', (size_t)(text + len - p));
        digest_line(d, p, (stop ? stop : text + len) - p);
        p = stop ? stop + 1 : NULL;
    }
    free(text);
}

static void digest_file(char out[SHA256_HEX], const struct tokenizer *tok,
                        const char *path)
{
    struct err err = ERR_INIT;
    struct digest d = {.tok = tok, .sha = sha256_new(&err)};

    if (strstr(path, ".json") && !strstr(path, ".jsonl"))
        digest_squad(&d, path);
    else
        digest_lines(&d, path);
    assert_ok(sha256_hex(d.sha, out, &err), &err);
    sha256_free(d.sha);
    tokens_release(&d.tokens);
}

static void whole_files_equal_the_reference(void **state)
{
    (void)state;
    static const char *const files[] = {
        "data/glue/CoLA/train.tsv",         "data/glue/CoLA/dev.tsv",
        "data/glue/MNLI/dev_matched.jsonl", "data/glue/MRPC/train.tsv",
        "data/glue/MRPC/dev.tsv",           "data/glue/QNLI/dev.tsv",
        "data/glue/RTE/train.tsv",          "data/glue/RTE/dev.tsv",
        "data/glue/SST-2/train.tsv",        "data/glue/SST-2/dev.tsv",
        "data/glue/STS-B/train.tsv",        "data/glue/STS-B/dev.tsv",
        "data/glue/WNLI/train.tsv",         "data/glue/WNLI/dev.tsv",
        "data/lm/wikitext-2-raw/valid.txt", "data/squad/dev-v1.1.json",
        "data/squad/dev-v2.0.json",         "data/squad/train-part-v1.1.json"};
    const char *python = getenv("RETORT_PYTHON");
    struct err err = ERR_INIT;
    struct tokenizer *tok = NULL;
    struct strbuf cmd = STRBUF_INIT;
    char vocab[4096];

    skip_without_shared();
    if (!python) {
        print_message("RETORT_PYTHON is not set\n");
        skip();
    }
    snprintf(vocab, sizeof vocab, "%s/data/tokenizers/bert-base-uncased/vocab.txt",
             shared_dir());
    assert_ok(tokenizer_load(&tok, vocab, true, &err), &err);
    strbuf_printf(&cmd, "'%s' tests/parity/make_wordpiece.py digest '%s'", python, vocab);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        strbuf_printf(&cmd, " '%s/%s'", shared_dir(), files[i]);
    FILE *reference = popen(cmd.text, "r");
    assert_non_null(reference);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[4096], want[128] = "", got[SHA256_HEX];
        snprintf(path, sizeof path, "%s/%s", shared_dir(), files[i]);
        assert_int_equal(fscanf(reference, "%127s", want), 1);
        digest_file(got, tok, path);
        if (strcmp(got, want) != 0)
            fail_msg("%s: digest %s; the reference: %s", files[i], got, want);
    }
    assert_int_equal(pclose(reference), 0);
    strbuf_release(&cmd);
    tokenizer_free(tok);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_cut_at_the_longest_match),
        cmocka_unit_test(offsets_count_bytes_of_the_original),
        cmocka_unit_test(special_tokens_in_the_text_are_themselves),
        cmocka_unit_test(cased_keeps_capitals_and_accents),
        cmocka_unit_test(names_and_numbers_of_tokens_agree),
        cmocka_unit_test(vocabulary_without_special_tokens_is_refused),
        cmocka_unit_test(tokenizer_json_of_a_wordpiece_is_its_vocab_txt),
        cmocka_unit_test(very_long_words_and_runs_of_marks_end_quickly),
        cmocka_unit_test(hard_texts_equal_the_reference),
        cmocka_unit_test(whole_files_equal_the_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
