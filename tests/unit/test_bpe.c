/* Byte-level and SentencePiece BPE: the reference's ids, offsets, round trips, broken
 * files. */
#include "check.h"

#include <unistd.h>

#include "retort/file.h"
#include "retort/hash.h"
#include "retort/mem.h"
#include "retort/rng.h"
#include "retort/tokenizer.h"

#define FIXTURES "tests/parity/fixtures/"

static const char *const files[] = {"bytes.json", "digits.json", "sp.model"};
enum { KINDS = 3 };

static struct tokenizer *load(const char *path)
{
    struct err err = ERR_INIT;
    struct tokenizer *tok = NULL;

    assert_ok(tokenizer_load(&tok, path, true, &err), &err);
    return tok;
}

static struct tokenizer *fixture(int kind)
{
    char path[256];

    snprintf(path, sizeof path, FIXTURES "%s", files[kind]);
    return load(path);
}

/* Ids with spaces between; offsets must go on from token to token, and cover the text. */
static char *encoded(const struct tokenizer *tok, const char *text, int64_t len)
{
    struct err err = ERR_INIT;
    struct tokens t = {0};
    struct strbuf sb = STRBUF_INIT;

    assert_ok(tokenizer_encode(tok, text, len, &t, &err), &err);
    for (int64_t i = 0; i < t.n; i++) {
        strbuf_printf(&sb, "%s%d", i > 0 ? " " : "", t.id[i]);
        assert_true(t.begin[i] <= t.end[i]);
        assert_true(i == 0 ? t.begin[i] == 0
                           : t.begin[i] == t.end[i - 1] || t.begin[i] == t.begin[i - 1]);
    }
    if (t.n > 0)
        assert_int_equal(t.end[t.n - 1], len);
    tokens_release(&t);
    char *out = strbuf_take(&sb, &err);
    return out ? out : mem_strdup("", &err);
}

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
    struct tokenizer *tok[KINDS];
    char *text = NULL;
    int64_t len = 0, line = 0;

    for (int i = 0; i < KINDS; i++)
        tok[i] = fixture(i);
    assert_ok(file_read(&text, &len, FIXTURES "bpe.tsv", 1 << 20, &err), &err);
    for (char *p = text; *p; line++) {
        char *hex = strchr(p, '\t'), *want = strchr(hex + 1, '\t'),
             *next = strchr(want, '\n');
        int kind = p[0] == 'b' ? 0 : p[0] == 'd' ? 1 : 2;
        *hex++ = *want++ = *next = 0;
        char *shown = mem_strdup(hex, &err);
        int n = from_hex(hex);
        char *got = encoded(tok[kind], hex, n);
        if (strcmp(got, want) != 0)
            fail_msg("row %lld %s %s: %s; the reference: %s", (long long)line + 1, p,
                     shown, got, want);
        free(got);
        free(shown);
        p = next + 1;
    }
    assert_true(line > 1000);
    free(text);
    for (int i = 0; i < KINDS; i++)
        tokenizer_free(tok[i]);
}

/* Any bytes, not UTF-8 alone. (In SentencePiece U+2581 is a space, so it cannot come
 * back.) */
static void decoding_gives_back_the_bytes(void **state)
{
    (void)state;
    struct rng rng = rng_stream(7, "test/bytes");
    struct err err = ERR_INIT;
    struct tokens t = {0};
    struct strbuf sb = STRBUF_INIT;

    for (int i = 0; i < KINDS; i++) {
        struct tokenizer *tok = fixture(i);
        for (int round = 0; round < 400; round++) {
            static const char pool[] = "ab the\xc3\xa9\xe4\xbd\xa0 1\xff\x80\xf0\x9f\n";
            char text[60];
            int64_t n = (int64_t)rng_below(&rng, sizeof text);
            for (int64_t k = 0; k < n; k++)
                text[k] = round % 2 ? (char)rng_below(&rng, 256)
                                    : pool[rng_below(&rng, sizeof pool - 1)];
            tokens_clear(&t);
            strbuf_clear(&sb);
            assert_ok(tokenizer_encode(tok, text, n, &t, &err), &err);
            tokenizer_decode(tok, t.id, t.n, &sb);
            bool space = n > 2 && memmem(text, (size_t)n, "\xe2\x96\x81", 3);
            if (!space) {
                assert_int_equal(sb.len, n);
                assert_memory_equal(strbuf_text(&sb), text, (size_t)n);
            }
        }
        tokenizer_free(tok);
    }
    tokens_release(&t);
    strbuf_release(&sb);
}

static void a_word_of_a_million_bytes_ends_quickly(void **state)
{
    (void)state;
    enum { N = 1000000 };
    struct err err = ERR_INIT;
    char *text = malloc(N);

    for (int i = 0; i < N; i++)
        text[i] = "aab"[i % 3];
    for (int i = 0; i < KINDS; i++) {
        struct tokenizer *tok = fixture(i);
        struct tokens t = {0};
        struct strbuf sb = STRBUF_INIT;
        assert_ok(tokenizer_encode(tok, text, N, &t, &err), &err);
        assert_true(t.n > 0 && t.n <= N + 1);
        tokenizer_decode(tok, t.id, t.n, &sb);
        assert_int_equal(sb.len, N);
        assert_memory_equal(strbuf_text(&sb), text, N);
        strbuf_release(&sb);
        tokens_release(&t);
        tokenizer_free(tok);
    }
    free(text);
}

/* Counts what it is told, and stops after `most`. */
struct patience {
    int64_t told, last, most;
};

static bool be_patient(void *ctx, int64_t done)
{
    struct patience *p = ctx;

    assert_true(done > p->last);
    p->last = done;
    return ++p->told < p->most;
}

static void reading_stops_inside_a_long_word(void **state)
{
    enum { LEN = 3 << 20 };
    struct err err = ERR_INIT;
    char *text = malloc(LEN);

    (void)state;
    for (int i = 0; i < LEN; i++)
        text[i] = "aab"[i % 3];
    for (int kind = 0; kind < 3; kind++) {
        struct tokenizer *tok = fixture(kind);
        struct patience all = {.most = 100}, none = {.most = 1};
        struct encode_watch watch = {be_patient, &all};
        struct tokens out = {0};
        assert_ok(tokenizer_encode_watched(tok, text, LEN, &out, &watch, &err), &err);
        assert_true(all.told >= 1 && all.last <= LEN && out.n > 0);
        watch.ctx = &none;
        out.n = 1;
        assert_fails(tokenizer_encode_watched(tok, text, LEN, &out, &watch, &err), &err,
                     ERR_STOPPED, "stopped");
        assert_int_equal(none.told, 1);
        assert_int_equal(out.n, 1);
        tokens_release(&out);
        tokenizer_free(tok);
    }
    free(text);
}

static void names_and_files(void **state)
{
    (void)state;
    for (int i = 0; i < KINDS; i++) {
        struct tokenizer *tok = fixture(i), *copy = NULL;
        struct err err = ERR_INIT;
        const struct tokenizer_file *file;
        assert_int_equal(tokenizer_files(tok, &file), 1);
        assert_string_equal(file->name, i < 2 ? "tokenizer.json" : "tokenizer.model");
        assert_ok(tokenizer_new(&copy, file, 1, true, &err), &err);
        assert_int_equal(tokenizer_size(copy), tokenizer_size(tok));
        for (int64_t id = 0; id < tokenizer_size(tok); id++) {
            assert_string_equal(tokenizer_token(copy, id), tokenizer_token(tok, id));
            assert_int_equal(tokenizer_id(tok, tokenizer_token(tok, id)), id);
        }
        assert_int_equal(tokenizer_special(tok).bos, i < 2 ? 0 : 1);
        tokenizer_free(copy);
        tokenizer_free(tok);
    }
}

static void refused(const char *name, const char *text, int64_t len, const char *part)
{
    struct err err = ERR_INIT;
    struct tokenizer *tok = NULL;
    struct tokenizer_file file = {name, text, len, NULL};

    assert_fails(tokenizer_new(&tok, &file, 1, true, &err), &err, ERR_INPUT, part);
    assert_null(tok);
}

static void refused_json(const char *text, const char *part)
{
    refused("tokenizer.json", text, (int64_t)strlen(text), part);
}

#define CUT "\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false}"

static void broken_files_are_refused(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    char *text = NULL;
    int64_t len = 0;

    refused_json("[]", "tokenizer.json: not an object");
    refused_json("{", "tokenizer.json:1:2");
    refused_json("{\"model\": {\"type\": \"Unigram\"}}", "not \"BPE\"");
    refused_json(
        "{\"model\": {\"type\": \"BPE\"}, \"pre_tokenizer\": {\"type\": \"Whitespace\"}}",
        "pre_tokenizer");
    refused_json(
        "{\"model\": {\"type\": \"BPE\"}, \"normalizer\": {\"type\": \"NFC\"}, " CUT "}",
        "normalizer");
    refused_json("{\"model\": {\"type\": \"BPE\", \"byte_fallback\": true}, " CUT "}",
                 "tokenizer.model");
    refused_json("{\"model\": {\"type\": \"BPE\", \"vocab\": {}}, " CUT "}", "merges");
    refused_json(
        "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": -1}, \"merges\": []}, " CUT
        "}",
        "tokenizer.json:1:42: the id of a token");
    refused_json(
        "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 1e300}, \"merges\": []}, " CUT
        "}",
        "the id of a token");
    refused_json("{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 0}, "
                 "\"merges\": []}, " CUT "}",
                 "id 0 is that of \"a\" too");
    refused_json("{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": "
                 "[\"a\"]}, " CUT "}",
                 "a merge is two tokens");
    refused_json("{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"aa\": 1}, "
                 "\"merges\": [\"a a\", [\"aa\", \"b\"]]}, " CUT "}",
                 "tokenizer.json: merge 2: \"aa b\" cannot be merged: \"b\" is no token");
    refused_json(
        "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": []}, "
        "\"added_tokens\": [{\"id\": 0, \"content\": \"b\"}], " CUT "}",
        "has id 0, that of \"a\"");
    refused("tokenizer.bin", "\1\0\0\0\0\0\0\0\5\0\0\0ab", 14, "cut off");
    refused("tokenizer.bin", "", 0, "no tokens after");
    refused("tokenizer.model", "", 0, "not a SentencePiece model");
    refused("words.txt", "", 0, "no tokenizer is made from this");
    /* A real model, cut anywhere, is refused or (at a border of its parts) whole in
     * itself. */
    assert_ok(file_read(&text, &len, FIXTURES "sp.model", 1 << 20, &err), &err);
    for (int64_t n = 0; n < len; n += 7) {
        struct tokenizer *tok = NULL;
        struct tokenizer_file file = {"tokenizer.model", text, n, NULL};
        if (tokenizer_new(&tok, &file, 1, true, &err) == 0)
            free(encoded(tok, "the cat", 7));
        else
            assert_int_equal(err.code, ERR_INPUT);
        err_clear(&err);
        tokenizer_free(tok);
    }
    free(text);
}

/* A vocabulary without some byte says so when the byte comes. */
static void a_byte_without_token_is_told(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct tokenizer *tok = NULL;
    struct tokens t = {0};
    struct tokenizer_file file[] = {
        {"vocab.json", "{\"a\": 0, \"b\": 1, \"ab\": 2}", 26, NULL},
        {"merges.txt", "#version: 0.2\na b\n", 18, NULL}};

    file[0].len = (int64_t)strlen(file[0].text);
    assert_ok(tokenizer_new(&tok, file, 2, true, &err), &err);
    assert_ok(tokenizer_encode(tok, "abab", 4, &t, &err), &err);
    assert_int_equal(t.n, 2);
    assert_fails(tokenizer_encode(tok, "abc", 3, &t, &err), &err, ERR_INPUT,
                 "byte 0x63 at 2 is in no token");
    assert_int_equal(t.n, 2);
    tokens_release(&t);
    tokenizer_free(tok);
    file[1].text = "a b\nab\n";
    file[1].len = 7;
    assert_fails(tokenizer_new(&tok, file, 2, true, &err), &err, ERR_INPUT,
                 "merges.txt:2: not two tokens");
    file[1].text = "a b\n\0 a\n";
    file[1].len = 8;
    assert_fails(tokenizer_new(&tok, file, 2, true, &err), &err, ERR_INPUT,
                 "merges.txt:2: not two tokens");
    file[1].text = "a b\nab a\n";
    file[1].len = 9;
    assert_fails(tokenizer_new(&tok, file, 2, true, &err), &err, ERR_INPUT,
                 "merges.txt:2: \"ab a\" cannot be merged: \"aba\" is no token");
}

/* ---- real tokenizers, whole files ---- */

enum {
    WHOLE_MAX = 1500000
}; /* bytes of a file that is read as one text too: the reference is slow */

static void digest_text(struct sha256 *sha, const struct tokenizer *tok, const char *text,
                        int64_t len)
{
    struct err err = ERR_INIT;
    struct tokens t = {0};
    struct strbuf sb = STRBUF_INIT;

    assert_ok(tokenizer_encode(tok, text, len, &t, &err), &err);
    for (int64_t i = 0; i < t.n; i++)
        strbuf_printf(&sb, "%d\n", t.id[i]);
    sha256_add(sha, strbuf_text(&sb), (int64_t)sb.len);
    strbuf_release(&sb);
    tokens_release(&t);
}

static void digest_file(char out[SHA256_HEX], const struct tokenizer *tok,
                        const char *path)
{
    struct err err = ERR_INIT;
    struct sha256 *sha = sha256_new(&err);
    char *text = NULL;
    int64_t len = 0;

    assert_ok(file_read(&text, &len, path, 1 << 30, &err), &err);
    if (len < WHOLE_MAX)
        digest_text(sha, tok, text, len);
    for (char *p = text; p;) {
        char *stop = memchr(p, '\n', (size_t)(text + len - p));
        digest_text(sha, tok, p, (stop ? stop : text + len) - p);
        sha256_add(sha, "--\n", 3);
        p = stop ? stop + 1 : NULL;
    }
    assert_ok(sha256_hex(sha, out, &err), &err);
    sha256_free(sha);
    free(text);
}

static void whole_files_equal(const char *tokenizer)
{
    static const char *const texts[] = {"wikitext-2-raw/train.txt",
                                        "wikitext-2-raw/valid.txt",
                                        "wikitext-2-raw/test.txt",
                                        "wikitext-2/valid.txt",
                                        "wikitext-2/test.txt",
                                        "ptb/ptb.valid.txt",
                                        "ptb/ptb.test.txt",
                                        "wikitext-103/wiki.valid.tokens",
                                        "wikitext-103/wiki.test.tokens",
                                        "tinystories/sample.txt",
                                        "prose/tinyshakespeare.txt",
                                        "prose/warandpeace.txt",
                                        "c4/sample.json"};
    const char *python = getenv("RETORT_PYTHON");
    struct tokenizer *tok;
    struct strbuf cmd = STRBUF_INIT;
    char path[4096];

    skip_without_shared();
    if (!python) {
        print_message("RETORT_PYTHON is not set\n");
        skip();
    }
    snprintf(path, sizeof path, "%s/data/tokenizers/%s", shared_dir(), tokenizer);
    tok = load(path);
    strbuf_printf(&cmd, "'%s' tests/parity/make_bpe.py digest '%s'", python, path);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        strbuf_printf(&cmd, " '%s/data/lm/%s'", shared_dir(), texts[i]);
    FILE *reference = popen(cmd.text, "r");
    assert_non_null(reference);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char want[128] = "", got[SHA256_HEX];
        snprintf(path, sizeof path, "%s/data/lm/%s", shared_dir(), texts[i]);
        assert_int_equal(fscanf(reference, "%127s", want), 1);
        digest_file(got, tok, path);
        if (strcmp(got, want) != 0)
            fail_msg("%s: digest %s; the reference: %s", texts[i], got, want);
    }
    assert_int_equal(pclose(reference), 0);
    strbuf_release(&cmd);
    tokenizer_free(tok);
}

static void gpt2_equals_the_reference(void **state)
{
    (void)state;
    whole_files_equal("gpt2");
}

static void llama_equals_the_reference(void **state)
{
    (void)state;
    whole_files_equal("llama/tokenizer.model");
}

/* llama2.c's file of the same tokenizer gives the same ids. */
static void llama2c_file_equals_the_model(void **state)
{
    (void)state;
    struct tokenizer *a, *b;
    struct err err = ERR_INIT;
    char path[4096], *text = NULL;
    int64_t len = 0;
    struct tokens x = {0}, y = {0};

    skip_without_shared();
    snprintf(path, sizeof path, "%s/data/tokenizers/llama/tokenizer.model", shared_dir());
    a = load(path);
    snprintf(path, sizeof path, "%s/data/tokenizers/llama/tokenizer.bin", shared_dir());
    b = load(path);
    snprintf(path, sizeof path, "%s/data/lm/tinystories/sample.txt", shared_dir());
    assert_ok(file_read(&text, &len, path, 1 << 30, &err), &err);
    assert_ok(tokenizer_encode(a, text, len, &x, &err), &err);
    assert_ok(tokenizer_encode(b, text, len, &y, &err), &err);
    assert_int_equal(x.n, y.n);
    assert_memory_equal(x.id, y.id, (size_t)x.n * sizeof *x.id);
    free(text);
    tokens_release(&x);
    tokens_release(&y);
    tokenizer_free(a);
    tokenizer_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hard_texts_equal_the_reference),
        cmocka_unit_test(decoding_gives_back_the_bytes),
        cmocka_unit_test(a_word_of_a_million_bytes_ends_quickly),
        cmocka_unit_test(reading_stops_inside_a_long_word),
        cmocka_unit_test(names_and_files),
        cmocka_unit_test(broken_files_are_refused),
        cmocka_unit_test(a_byte_without_token_is_told),
        cmocka_unit_test(gpt2_equals_the_reference),
        cmocka_unit_test(llama_equals_the_reference),
        cmocka_unit_test(llama2c_file_equals_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
