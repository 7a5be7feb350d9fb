/*
 * Byte-level BPE (GPT-2): words by a pattern, their bytes merged by rank.
 *
 * The pattern is
 *
 *     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *
 * (Radford et al. 2019, encoder.py), followed by hand: what the reference holds each
 * character to be stands in letters.inc, since asking a library would make ids depend on
 * its version of Unicode. Names of tokens spell bytes: those that print stand for
 * themselves, the others for U+0100 and on.
 */
#include "kind.h"

#include <stdlib.h>
#include <string.h>

#include "bpe.h"
#include "kinds.h"
#include "retort/bpe_file.h"

enum letter { LETTER_OTHER, LETTER_LETTER, LETTER_NUMBER, LETTER_SPACE };

struct letter_class {
    uint32_t from, to;
    enum letter class;
};
struct digit_range {
    uint32_t from, to;
};

#include "letters.inc"

enum { BMP = 0x10000, SPELLINGS = 256 + 68, NO_ID = -1 };

struct added { /* a token whose text is never split */
    const char *text;
    int64_t len;
    int32_t id;
    bool control; /* decodes to nothing */
};

struct byte_bpe {
    struct tokenizer base;
    struct bpe *pairs;
    int32_t byte_id[256]; /* NO_ID: the vocabulary lacks it */
    struct added *added;
    int64_t n_added, added_capacity;
    bool added_first[256];      /* bytes that an added token begins with */
    bool digits;                /* each digit is cut off before the pattern */
    int16_t byte_of[SPELLINGS]; /* the byte that a character spells; -1: none */
    uint8_t class[BMP];
    bool digit[BMP];
};

/* ---- bytes and their spelling ---- */

static void learn_spelling(struct byte_bpe *tok)
{
    int16_t next = 256;

    for (int i = 0; i < SPELLINGS; i++)
        tok->byte_of[i] = -1;
    for (int16_t b = 0; b < 256; b++) {
        bool prints = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
        tok->byte_of[prints ? b : next++] = b;
    }
}

/* ---- making ---- */

/* Where the name of a byte is a token, it is that byte's. */
static void find_bytes(struct byte_bpe *tok)
{
    for (int b = 0; b < 256; b++)
        tok->byte_id[b] = NO_ID;
    for (uint32_t cp = 0; cp < SPELLINGS; cp++) {
        unsigned char name[5] = {0};
        if (tok->byte_of[cp] < 0)
            continue;
        utf8_write(name, cp);
        tok->byte_id[tok->byte_of[cp]] = tokenizer_id(&tok->base, (const char *)name);
    }
}

static int add_added(struct byte_bpe *tok, int64_t id, const char *text, bool control,
                     struct err *err)
{
    if (mem_grow((void **)&tok->added, tok->n_added, &tok->added_capacity,
                 sizeof *tok->added, err))
        return -1;
    tok->added[tok->n_added++] =
        (struct added){text, (int64_t)strlen(text), (int32_t)id, control};
    tok->added_first[(unsigned char)text[0]] = true;
    return 0;
}

/* Ids and spellings of all tokens, those that were added too. */
static int read_tokens(struct byte_bpe *tok, const struct bpe_file *f,
                       const struct tokenizer_file *file, struct err *err)
{
    int64_t n = 0;

    for (int64_t i = 0; i < f->n_tokens; i++)
        n = f->token[i].id >= n ? f->token[i].id + 1 : n;
    for (int64_t i = 0; i < f->n_added; i++)
        n = f->added[i].id >= n ? f->added[i].id + 1 : n;
    if (tokenizer_names(&tok->base, n, err))
        return -1;
    for (int64_t i = 0; i < f->n_tokens; i++)
        tokenizer_name(&tok->base, f->token[i].id, f->token[i].text);
    for (int64_t i = 0; i < f->n_added; i++) {
        const struct bpe_added *a = &f->added[i];
        const char *old = tok->base.token[a->id];
        if (old && strcmp(old, a->text) != 0)
            return err_set(err, ERR_INPUT,
                           "%s: the added token \"%s\" has id %lld, that of \"%s\"",
                           file_place(file), a->text, (long long)a->id, old);
        if (!old)
            tokenizer_name(&tok->base, a->id, a->text);
        if (add_added(tok, a->id, a->text, a->control, err))
            return -1;
    }
    find_bytes(tok);
    return 0;
}

/* The pair `left` `right`. Both and what they become are tokens, as the reference wants
 * it. */
static int add_merge(struct byte_bpe *tok, const char *left, const char *right,
                     int64_t rank, struct err *err)
{
    char *both = mem_printf(err, "%s%s", left, right);
    const char *name[3] = {left, right, both};
    int32_t id[3];
    int rc = both ? 0 : -1;

    for (int i = 0; i < 3 && rc == 0; i++) {
        id[i] = tokenizer_id(&tok->base, name[i]);
        if (id[i] < 0)
            rc = err_set(err, ERR_INPUT,
                         "\"%s %s\" cannot be merged: \"%s\" is no token of the "
                         "vocabulary",
                         left, right, name[i]);
    }
    if (rc == 0)
        bpe_add(tok->pairs, id[0], id[1], (int32_t)rank, id[2]);
    free(both);
    return rc;
}

/* "left right" on a line of its own; the first line may be "#version: ...". */
static int read_merges(struct byte_bpe *tok, const struct tokenizer_file *file,
                       struct err *err)
{
    char *text = arena_alloc(tok->base.arena, file->len + 1), *p = text;
    int64_t lines = 1, rank = 0;

    if (!text)
        return arena_failed(tok->base.arena, err);
    memcpy(text, file->text, (size_t)file->len);
    text[file->len] = '\0';
    for (int64_t i = 0; i < file->len; i++)
        lines += text[i] == '\n';
    if (bpe_new(&tok->pairs, lines, err))
        return -1;
    for (int64_t line = 1; p < text + file->len; line++) {
        char *end = memchr(p, '\n', (size_t)(text + file->len - p));
        end = end ? end : text + file->len;
        *end = '\0';
        int64_t n = end - p - (end > p && end[-1] == '\r');
        p[n] = '\0';
        char *gap = strchr(p, ' ');
        bool version = line == 1 && !strncmp(p, "#version", strlen("#version"));
        if (n > 0 && !version) {
            if (!gap || gap == p || !gap[1] || strchr(gap + 1, ' ') ||
                (int64_t)strlen(p) != n) /* a NUL in it */
                return err_set(err, ERR_INPUT,
                               "%s:%lld: not two tokens with a space between them",
                               file_place(file), (long long)line);
            *gap = '\0';
            if (add_merge(tok, p, gap + 1, rank++, err)) {
                err_prefix(err, "%s:%lld", file_place(file), (long long)line);
                return -1;
            }
        }
        p = end + 1;
    }
    return 0;
}

static void byte_bpe_free(struct tokenizer *base)
{
    struct byte_bpe *tok = (struct byte_bpe *)base;

    free(tok->added);
    bpe_free(tok->pairs);
}

/* ---- words ---- */

struct reader {
    const struct byte_bpe *tok;
    struct tokens *out;
    struct bpe_work work;
    int32_t *symbol, *first; /* of the word at hand */
    int64_t room;
    struct err *err;
};

static enum letter class_at(const struct byte_bpe *tok, const char *text, int64_t len,
                            int64_t *bytes)
{
    uint32_t cp;

    *bytes = utf8_read(text, len, &cp);
    if (cp < BMP)
        return tok->class[cp];
    for (size_t i = 0; i < sizeof letter_classes / sizeof *letter_classes; i++)
        if (cp >= letter_classes[i].from && cp <= letter_classes[i].to)
            return letter_classes[i].class;
    return LETTER_OTHER;
}

/* Bytes of the contraction that text begins with ('s 't 're 've 'm 'll 'd), or 0. */
static int64_t contraction(const char *text, int64_t len)
{
    static const char *const ends[] = {"s", "t", "re", "ve", "m", "ll", "d"};

    for (int i = 0; i < 7; i++) {
        int64_t k = (int64_t)strlen(ends[i]);
        if (len > k && text[0] == '\'' && !memcmp(text + 1, ends[i], (size_t)k))
            return k + 1;
    }
    return 0;
}

/* White space up to the next other character, whose own space it leaves to it. */
static int64_t space_run(const struct byte_bpe *tok, const char *text, int64_t len)
{
    int64_t at = 0, last = 0, k = 0;

    while (at < len && class_at(tok, text + at, len - at, &k) == LETTER_SPACE) {
        last = at;
        at += k;
    }
    return at < len && last > 0 ? last : at;
}

/* Bytes of the word that text (not empty) begins with. */
static int64_t word_length(const struct byte_bpe *tok, const char *text, int64_t len)
{
    int64_t k, at = contraction(text, len);
    enum letter class;

    if (at > 0)
        return at;
    class = class_at(tok, text, len, &at);
    if (text[0] == ' ' && len > 1 &&
        class_at(tok, text + 1, len - 1, &k) != LETTER_SPACE) {
        class = class_at(tok, text + 1, len - 1, &k);
        at = 1 + k;
    }
    if (class == LETTER_SPACE)
        return space_run(tok, text, len);
    while (at < len && class_at(tok, text + at, len - at, &k) == class)
        at += k;
    return at;
}

static int push_word(struct reader *r, const char *text, int64_t begin, int64_t end)
{
    const struct byte_bpe *tok = r->tok;
    int64_t n = end - begin;

    if (n > r->room) {
        int32_t *symbol = mem_resize(r->symbol, n, sizeof *symbol, r->err);
        r->symbol = symbol ? symbol : r->symbol;
        int32_t *first = symbol ? mem_resize(r->first, n, sizeof *first, r->err) : NULL;
        if (!first)
            return -1;
        r->first = first;
        r->room = n;
    }
    for (int64_t i = 0; i < n; i++) {
        r->symbol[i] = tok->byte_id[(unsigned char)text[begin + i]];
        if (r->symbol[i] == NO_ID)
            return err_set(
                r->err, ERR_INPUT, "byte 0x%02x at %lld is in no token of the vocabulary",
                (unsigned)(unsigned char)text[begin + i], (long long)(begin + i));
    }
    r->work.at = begin;
    if (bpe_merge(tok->pairs, r->symbol, r->first, &n, &r->work, r->err) ||
        tokens_reserve(r->out, n, r->err))
        return -1;
    for (int64_t i = 0; i < n; i++)
        tokens_push(r->out, r->symbol[i], begin + r->first[i],
                    i + 1 < n ? begin + r->first[i + 1] : end);
    return 0;
}

static int push_words(struct reader *r, const char *text, int64_t begin, int64_t end)
{
    while (begin < end) {
        int64_t k = word_length(r->tok, text + begin, end - begin);
        if (push_word(r, text, begin, begin + k) ||
            lookout_pass(r->work.lookout, begin + k, r->err))
            return -1;
        begin += k;
    }
    return 0;
}

static bool is_digit(const struct byte_bpe *tok, uint32_t cp)
{
    if (cp < BMP)
        return tok->digit[cp];
    for (size_t i = 0; i < sizeof digit_ranges / sizeof *digit_ranges; i++)
        if (cp >= digit_ranges[i].from && cp <= digit_ranges[i].to)
            return true;
    return false;
}

/* A stretch without added tokens. */
static int push_stretch(struct reader *r, const char *text, int64_t begin, int64_t end)
{
    int64_t from = begin;

    for (int64_t i = begin; r->tok->digits && i < end;) {
        uint32_t cp;
        int64_t k = utf8_read(text + i, end - i, &cp);
        if (is_digit(r->tok, cp)) {
            if (push_words(r, text, from, i) || push_words(r, text, i, i + k))
                return -1;
            from = i + k;
        }
        i += k;
    }
    return push_words(r, text, from, end);
}

/* The longest added token that text begins with, or NULL. */
static const struct added *added_at(const struct byte_bpe *tok, const char *text,
                                    int64_t len)
{
    const struct added *best = NULL;

    if (!tok->added_first[(unsigned char)text[0]])
        return NULL;
    for (int64_t i = 0; i < tok->n_added; i++) {
        const struct added *a = &tok->added[i];
        if (a->len <= len && (!best || a->len > best->len) &&
            !memcmp(text, a->text, (size_t)a->len))
            best = a;
    }
    return best;
}

static int encode(const struct tokenizer *base, const char *text, int64_t len,
                  struct tokens *out, struct lookout *lookout, struct err *err)
{
    struct reader r = {.tok = (const struct byte_bpe *)base,
                       .out = out,
                       .work = {.lookout = lookout},
                       .err = err};
    int64_t begin = 0;
    int rc = -1;

    for (int64_t i = 0; i < len;) {
        const struct added *a = added_at(r.tok, text + i, len - i);
        if (!a) {
            i++;
            continue;
        }
        if (push_stretch(&r, text, begin, i) || tokens_reserve(out, 1, err))
            goto done;
        tokens_push(out, a->id, i, i + a->len);
        i += a->len;
        begin = i;
    }
    rc = push_stretch(&r, text, begin, len);
done:
    bpe_work_release(&r.work);
    free(r.symbol);
    free(r.first);
    return rc;
}

static void decode(const struct tokenizer *base, int64_t id, bool first,
                   struct strbuf *out)
{
    const struct byte_bpe *tok = (const struct byte_bpe *)base;
    const char *name = base->token[id];
    int64_t len = (int64_t)strlen(name);

    (void)first;
    for (int64_t i = 0; i < tok->n_added; i++) {
        if (tok->added[i].id != id)
            continue;
        if (!tok->added[i].control)
            strbuf_puts(out, name);
        return;
    }
    for (int64_t i = 0; i < len;) {
        uint32_t cp;
        i += utf8_read(name + i, len - i, &cp);
        if (cp < SPELLINGS && tok->byte_of[cp] >= 0)
            strbuf_putc(out, (char)tok->byte_of[cp]);
    }
}

static const struct tokenizer_kind byte_bpe = {"byte-level BPE", encode, decode,
                                               byte_bpe_free};

static struct byte_bpe *alloc(const struct tokenizer_file *file, int n_files,
                              struct err *err)
{
    struct byte_bpe *tok =
        (struct byte_bpe *)tokenizer_alloc(&byte_bpe, sizeof *tok, file, n_files, err);

    if (!tok)
        return NULL;
    learn_spelling(tok);
    for (size_t i = 0; i < sizeof letter_classes / sizeof *letter_classes; i++)
        for (uint32_t c = letter_classes[i].from; c <= letter_classes[i].to && c < BMP;
             c++)
            tok->class[c] = (uint8_t)letter_classes[i].class;
    for (size_t i = 0; i < sizeof digit_ranges / sizeof *digit_ranges; i++)
        for (uint32_t c = digit_ranges[i].from; c <= digit_ranges[i].to && c < BMP; c++)
            tok->digit[c] = true;
    return tok;
}

/* ---- the two forms of files ---- */

int byte_bpe_from_merges(struct tokenizer **out, const struct tokenizer_file *file,
                         bool lower_case, struct err *err)
{
    static const char end[] = "<|endoftext|>";
    struct byte_bpe *tok = alloc(file, 2, err);
    struct bpe_file f;
    int32_t id;

    (void)lower_case;
    if (!tok)
        return -1;
    if (bpe_file_vocab(&f, file[0].text, file[0].len, file_place(&file[0]),
                       tok->base.arena, err) ||
        read_tokens(tok, &f, &file[0], err) || read_merges(tok, &file[1], err))
        goto fail;
    id = tokenizer_id(&tok->base, end);
    if (id >= 0 && add_added(tok, id, tok->base.token[id], true, err))
        goto fail;
    tok->base.special.bos = tok->base.special.eos = id;
    *out = &tok->base;
    return 0;
fail:
    tokenizer_free(&tok->base);
    return -1;
}

int byte_bpe_from_json(struct tokenizer **out, const struct tokenizer_file *file,
                       bool lower_case, struct err *err)
{
    struct byte_bpe *tok = alloc(file, 1, err);
    struct bpe_file f;

    (void)lower_case;
    if (!tok)
        return -1;
    if (bpe_file_json(&f, file->text, file->len, file_place(file), tok->base.arena,
                      err) ||
        read_tokens(tok, &f, file, err) || bpe_new(&tok->pairs, f.n_merges, err))
        goto fail;
    for (int64_t i = 0; i < f.n_merges; i++)
        if (add_merge(tok, f.merge[i].left, f.merge[i].right, i, err)) {
            err_prefix(err, "%s: merge %lld", file_place(file), (long long)i + 1);
            goto fail;
        }
    tok->digits = f.digits;
    tok->base.special.bos = tok->base.special.eos =
        tokenizer_id(&tok->base, "<|endoftext|>");
    *out = &tok->base;
    return 0;
fail:
    tokenizer_free(&tok->base);
    return -1;
}
