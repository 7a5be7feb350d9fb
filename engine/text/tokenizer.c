/*
 * WordPiece, in one pass over chunks between ASCII white space.
 *
 * A chunk becomes glyphs (code point and the bytes it came from), which are cleaned,
 * decomposed, stripped and lowered as the reference does it, alignment included; runs of
 * them are words, and a word is cut by walking a trie of the vocabulary. White space
 * never combines with anything, so chunks are independent. What the reference holds each
 * character to be stands in unicode.inc: asking the system's Unicode library would make
 * ids depend on its version. utf8proc gives decompositions alone.
 */
#include "retort/tokenizer.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "retort/file.h"
#include "retort/mem.h"

enum { CHAR_PLAIN, CHAR_DROP, CHAR_SPACE, CHAR_MARK, CHAR_PUNCT, CHAR_ALONE };

struct char_class {
    uint32_t from, to;
    uint8_t class;
};
struct char_lower { /* from, from + step, ... to: each becomes itself + delta */
    uint32_t from, to;
    int32_t delta;
    uint32_t step;
};
struct char_order { /* canonical combining class */
    uint32_t from, to;
    uint8_t order;
};
struct char_split { /* these decompose */
    uint32_t from, to;
};

#include "unicode.inc"

enum {
    WORD_MAX = 100,            /* characters; longer words are [UNK] */
    VOCAB_MAX = (1 << 24) - 1, /* bytes; keeps trie nodes below 2^24 */
    BMP = 0x10000,
    GLYPHS_ON_STACK = 512,
};

struct edge {
    uint32_t key; /* node << 8 | byte; 0 is free: the root has no edge for NUL */
    uint32_t child;
};

struct tokenizer {
    char *vocab;
    int64_t vocab_len;
    char *names; /* vocab with lines ended by NUL */
    const char **token;
    int64_t n;
    bool lower_case;
    struct special_ids special;
    struct edge *edge; /* open addressing */
    uint32_t mask;
    int32_t *node_id; /* -1: no token ends here */
    uint32_t n_nodes;
    uint32_t inner; /* node of "##", 0 if there is none */
    uint8_t class[BMP];
};

struct glyph {
    uint32_t cp;
    uint8_t order; /* canonical combining class, while decomposing */
    bool added;    /* further part of a decomposed character */
    bool alone;    /* a word of its own (CJK) */
    int64_t begin, end;
    int64_t seq; /* keeps sorting stable */
};

/* ---- characters ---- */

#define RANGE_FIND(table, cp)                                                            \
    range_find((table), sizeof(table) / sizeof((table)[0]), sizeof((table)[0]), (cp))

/* The row (which begins with from, to) that holds `cp`, or NULL. */
static const void *range_find(const void *table, size_t n, size_t size, uint32_t cp)
{
    const char *rows = table;
    size_t lo = 0, hi = n;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        uint32_t bounds[2];
        memcpy(bounds, rows + mid * size, sizeof bounds);
        if (cp < bounds[0])
            hi = mid;
        else if (cp > bounds[1])
            lo = mid + 1;
        else
            return rows + mid * size;
    }
    return NULL;
}

static int char_class(const struct tokenizer *tok, uint32_t cp)
{
    if (cp < BMP)
        return tok->class[cp];
    const struct char_class *row = RANGE_FIND(char_classes, cp);
    return row ? row->class : CHAR_PLAIN;
}

static uint32_t char_lower(uint32_t cp)
{
    if (cp < 128)
        return cp >= 'A' && cp <= 'Z' ? cp + 32 : cp;
    const struct char_lower *row = RANGE_FIND(char_lowers, cp);
    return row && (cp - row->from) % row->step == 0 ? (uint32_t)((int32_t)cp + row->delta)
                                                    : cp;
}

static uint8_t char_order(uint32_t cp)
{
    const struct char_order *row = cp < 0x300 ? NULL : RANGE_FIND(char_orders, cp);
    return row ? row->order : 0;
}

/*
 * Reads one character; returns its bytes. An invalid part gives U+FFFD and is as long as
 * it could be the beginning of a character (Unicode 15, section 3.9, "maximal subpart").
 */
static int64_t utf8_read(const char *text, int64_t len, uint32_t *cp)
{
    const unsigned char *s = (const unsigned char *)text;
    unsigned lo = 0x80, hi = 0xBF;
    int64_t more;

    *cp = s[0];
    if (s[0] < 0x80)
        return 1;
    more = s[0] >= 0xF0 ? 3 : s[0] >= 0xE0 ? 2 : 1;
    *cp = 0xFFFD;
    if (s[0] < 0xC2 || s[0] > 0xF4)
        return 1;
    if (s[0] == 0xE0)
        lo = 0xA0; /* shorter forms, surrogates and points past U+10FFFF are invalid */
    else if (s[0] == 0xED)
        hi = 0x9F;
    else if (s[0] == 0xF0)
        lo = 0x90;
    else if (s[0] == 0xF4)
        hi = 0x8F;
    uint32_t value = s[0] & (0x3Fu >> more);
    for (int64_t i = 1; i <= more; i++) {
        if (i >= len || s[i] < lo || s[i] > hi)
            return i;
        value = value << 6 | (s[i] & 0x3Fu);
        lo = 0x80;
        hi = 0xBF;
    }
    *cp = value;
    return more + 1;
}

static int utf8_write(unsigned char out[4], uint32_t cp)
{
    static const uint32_t lead[] = {0, 0xC0, 0xE0, 0xF0};

    if (cp < 0x80) {
        out[0] = (unsigned char)cp;
        return 1;
    }
    int more = cp < 0x800 ? 1 : cp < 0x10000 ? 2 : 3;
    for (int i = more; i > 0; i--) {
        out[i] = (unsigned char)(0x80 | (cp & 0x3F));
        cp >>= 6;
    }
    out[0] = (unsigned char)(lead[more] | cp);
    return more + 1;
}

/* ---- vocabulary ---- */

static uint32_t edge_slot(const struct tokenizer *tok, uint32_t key)
{
    uint32_t i = (key * 0x9E3779B1u) >> 7 & tok->mask;

    while (tok->edge[i].key && tok->edge[i].key != key)
        i = (i + 1) & tok->mask;
    return i;
}

/* The node after `byte`, or 0. */
static uint32_t trie_step(const struct tokenizer *tok, uint32_t node, unsigned char byte)
{
    return tok->edge[edge_slot(tok, node << 8 | byte)].child;
}

static void trie_add(struct tokenizer *tok, const char *token, int32_t id)
{
    uint32_t node = 0;

    for (const char *p = token; *p; p++) {
        uint32_t key = node << 8 | (unsigned char)*p;
        struct edge *e = &tok->edge[edge_slot(tok, key)];
        if (!e->key) {
            e->key = key;
            e->child = tok->n_nodes++;
            tok->node_id[e->child] = -1;
        }
        node = e->child;
    }
    if (node)
        tok->node_id[node] = id; /* of equal lines the last counts, as in the reference */
}

static uint32_t trie_find(const struct tokenizer *tok, const char *token)
{
    uint32_t node = 0;

    for (const char *p = token; *p; p++) {
        node = trie_step(tok, node, (unsigned char)*p);
        if (!node)
            return 0;
    }
    return node;
}

int32_t tokenizer_id(const struct tokenizer *tok, const char *token)
{
    uint32_t node = trie_find(tok, token);
    return node ? tok->node_id[node] : -1;
}

/* Ends each line of `names` by NUL and points `token` at it. */
static int split_lines(struct tokenizer *tok, const char *name, struct err *err)
{
    char *p = tok->names, *end = p + tok->vocab_len;

    for (int64_t i = 0; i < tok->n; i++) {
        char *stop = memchr(p, '\n', (size_t)(end - p));
        stop = stop ? stop : end;
        char *last = stop;
        while (last > p && strchr(" \t\r\v\f", last[-1]))
            last--;
        for (char *c = p; c < last;) {
            uint32_t cp;
            int64_t k = utf8_read(c, last - c, &cp);
            bool replaced = cp == 0xFFFD && !(k == 3 && (unsigned char)*c == 0xEF);
            if (cp == 0 || replaced)
                return err_set(err, ERR_INPUT, "%s:%lld:%lld: not UTF-8 text", name,
                               (long long)i + 1, (long long)(c - p) + 1);
            c += k;
        }
        *last = 0;
        tok->token[i] = p;
        p = stop + 1;
    }
    return 0;
}

static int find_special(struct tokenizer *tok, const char *name, struct err *err)
{
    static const char *const names[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    int32_t *const ids[] = {&tok->special.pad, &tok->special.unk, &tok->special.cls,
                            &tok->special.sep, &tok->special.mask};

    for (int i = 0; i < 5; i++) {
        *ids[i] = tokenizer_id(tok, names[i]);
        if (*ids[i] < 0)
            return err_set(err, ERR_INPUT,
                           "%s: lacks the token %s; a BERT vocabulary has it", name,
                           names[i]);
    }
    return 0;
}

static int read_vocab(struct tokenizer *tok, const char *vocab, int64_t len,
                      const char *name, struct err *err)
{
    int64_t slots = 16;

    if (len > VOCAB_MAX)
        return err_set(err, ERR_INPUT, "%s: %lld bytes; a vocabulary has at most %d",
                       name, (long long)len, VOCAB_MAX);
    for (int64_t i = 0; i < len; i++)
        tok->n += vocab[i] == '\n';
    tok->n += len > 0 && vocab[len - 1] != '\n';
    while (slots < 2 * len)
        slots *= 2;
    tok->mask = (uint32_t)slots - 1;
    tok->vocab_len = len;
    tok->vocab = mem_new(len + 1, 1, err);
    tok->names = mem_new(len + 1, 1, err);
    tok->token = mem_new(tok->n, sizeof *tok->token, err);
    tok->edge = mem_new(slots, sizeof *tok->edge, err);
    tok->node_id = mem_new(len + 1, sizeof *tok->node_id, err);
    if (!tok->vocab || !tok->names || !tok->token || !tok->edge || !tok->node_id)
        return -1;
    if (len > 0) {
        memcpy(tok->vocab, vocab, (size_t)len);
        memcpy(tok->names, vocab, (size_t)len);
    }
    if (split_lines(tok, name, err))
        return -1;
    tok->node_id[0] = -1;
    tok->n_nodes = 1;
    for (int64_t i = 0; i < tok->n; i++)
        trie_add(tok, tok->token[i], (int32_t)i);
    tok->inner = trie_find(tok, "##");
    return find_special(tok, name, err);
}

int tokenizer_new(struct tokenizer **out, const char *vocab, int64_t len,
                  const char *name, bool lower_case, struct err *err)
{
    struct tokenizer *tok = mem_new(1, sizeof *tok, err);

    if (!tok || read_vocab(tok, vocab, len, name, err)) {
        tokenizer_free(tok);
        return -1;
    }
    tok->lower_case = lower_case;
    for (size_t i = 0; i < sizeof char_classes / sizeof *char_classes; i++)
        for (uint32_t c = char_classes[i].from; c <= char_classes[i].to && c < BMP; c++)
            tok->class[c] = char_classes[i].class;
    *out = tok;
    return 0;
}

int tokenizer_load(struct tokenizer **out, const char *vocab_path, bool lower_case,
                   struct err *err)
{
    char *text = NULL;
    int64_t len = 0;

    if (file_read(&text, &len, vocab_path, VOCAB_MAX, err))
        return -1;
    int rc = tokenizer_new(out, text, len, vocab_path, lower_case, err);
    free(text);
    return rc;
}

void tokenizer_free(struct tokenizer *tok)
{
    if (!tok)
        return;
    free(tok->node_id);
    free(tok->edge);
    free(tok->token);
    free(tok->names);
    free(tok->vocab);
    free(tok);
}

int64_t tokenizer_size(const struct tokenizer *tok)
{
    return tok->n;
}

const char *tokenizer_token(const struct tokenizer *tok, int64_t id)
{
    return id >= 0 && id < tok->n ? tok->token[id] : NULL;
}

const char *tokenizer_vocab(const struct tokenizer *tok, int64_t *len)
{
    *len = tok->vocab_len;
    return tok->vocab;
}

bool tokenizer_lower_case(const struct tokenizer *tok)
{
    return tok->lower_case;
}

struct special_ids tokenizer_special(const struct tokenizer *tok)
{
    return tok->special;
}

/* ---- tokens ---- */

void tokens_release(struct tokens *t)
{
    free(t->id);
    free(t->begin);
    free(t->end);
    *t = (struct tokens){0};
}

void tokens_clear(struct tokens *t)
{
    t->n = 0;
}

/* Room for `more` tokens. */
static int tokens_reserve(struct tokens *t, int64_t more, struct err *err)
{
    if (t->n + more <= t->capacity)
        return 0;
    int64_t capacity = 2 * t->capacity > t->n + more ? 2 * t->capacity : t->n + more;
    int32_t *id = mem_resize(t->id, capacity, sizeof *id, err);
    t->id = id ? id : t->id;
    int64_t *begin = id ? mem_resize(t->begin, capacity, sizeof *begin, err) : NULL;
    t->begin = begin ? begin : t->begin;
    int64_t *end = begin ? mem_resize(t->end, capacity, sizeof *end, err) : NULL;
    t->end = end ? end : t->end;
    if (!end)
        return -1;
    t->capacity = capacity;
    return 0;
}

static void tokens_push(struct tokens *t, int32_t id, int64_t begin, int64_t end)
{
    t->id[t->n] = id;
    t->begin[t->n] = begin;
    t->end[t->n++] = end;
}

/* Longest match first; a word without one is [UNK] as a whole. */
static void push_word(const struct tokenizer *tok, const struct glyph *g, int64_t n,
                      struct tokens *out)
{
    int64_t first = out->n;

    for (int64_t at = 0; at < n;) {
        uint32_t node = at == 0 ? 0 : tok->inner;
        int64_t best = 0;
        int32_t id = -1;
        for (int64_t i = at; i < n && n <= WORD_MAX && (at == 0 || tok->inner); i++) {
            unsigned char bytes[4];
            int k = utf8_write(bytes, g[i].cp);
            for (int j = 0; j < k && (j == 0 || node); j++)
                node = trie_step(tok, node, bytes[j]);
            if (!node)
                break;
            if (tok->node_id[node] >= 0) {
                best = i + 1;
                id = tok->node_id[node];
            }
        }
        if (best == 0) {
            out->n = first;
            tokens_push(out, tok->special.unk, g[0].begin, g[n - 1].end);
            return;
        }
        tokens_push(out, id, g[at].begin, g[best - 1].end);
        at = best;
    }
}

/* Words of a chunk: punctuation and CJK stand alone, white space is dropped. */
static int push_words(const struct tokenizer *tok, const struct glyph *g, int64_t n,
                      struct tokens *out, struct err *err)
{
    int64_t begin = 0;

    if (tokens_reserve(out, n, err))
        return -1;
    for (int64_t i = 0; i < n; i++) {
        int class = char_class(tok, g[i].cp);
        if (!g[i].alone && class != CHAR_PUNCT && class != CHAR_SPACE)
            continue;
        if (begin < i)
            push_word(tok, g + begin, i - begin, out);
        if (class != CHAR_SPACE)
            push_word(tok, g + i, 1, out);
        begin = i + 1;
    }
    if (begin < n)
        push_word(tok, g + begin, n - begin, out);
    return 0;
}

/* ---- the clean up ---- */

/* Canonical decomposition of one character into `out` (room for 4). */
static int64_t decompose(const struct glyph *in, struct glyph *out)
{
    utf8proc_int32_t part[8];
    int boundary = 0;
    utf8proc_ssize_t n = 1;
    bool splits = in->cp >= 0xC0 && RANGE_FIND(char_splits, in->cp);

    if (splits)
        n = utf8proc_decompose_char((utf8proc_int32_t)in->cp, part, 8, UTF8PROC_DECOMPOSE,
                                    &boundary);
    if (!splits || n < 1 || n > 4) {
        part[0] = (utf8proc_int32_t)in->cp;
        n = 1;
    }
    for (utf8proc_ssize_t i = 0; i < n; i++) {
        out[i] = *in;
        out[i].cp = (uint32_t)part[i];
        out[i].added = i > 0;
        out[i].order = char_order(out[i].cp);
    }
    return n;
}

static int by_order(const void *a, const void *b)
{
    const struct glyph *x = a, *y = b;

    if (x->order != y->order)
        return x->order < y->order ? -1 : 1;
    return (x->seq > y->seq) - (x->seq < y->seq);
}

/* Canonical order: stable by class within each run of characters that combine. */
static void reorder(struct glyph *g, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        g[i].seq = i;
    for (int64_t i = 0; i < n;) {
        int64_t j = i;
        bool sorted = true;
        for (; j < n && g[j].order > 0; j++)
            sorted = sorted && (j == i || g[j - 1].order <= g[j].order);
        if (!sorted)
            qsort(g + i, (size_t)(j - i), sizeof *g, by_order);
        i = j > i ? j : i + 1;
    }
}

/*
 * Decomposes, removes accents, lowers. The reference tells where a character came from by
 * counting: one that was not added takes the place of the next original, an added one
 * that of the last; so after reordering a mark may carry its neighbour's place, and so it
 * does here.
 */
static int64_t strip_and_lower(const struct tokenizer *tok, const struct glyph *in,
                               int64_t n_in, struct glyph *out)
{
    int64_t n = 0, taken = 0, kept = 0;

    for (int64_t i = 0; i < n_in; i++)
        n += decompose(&in[i], out + n);
    reorder(out, n);
    for (int64_t i = 0; i < n; i++) {
        struct glyph g = out[i];
        taken += !g.added;
        g.begin = in[taken > 0 ? taken - 1 : 0].begin;
        g.end = in[taken > 0 ? taken - 1 : 0].end;
        if (char_class(tok, g.cp) == CHAR_MARK)
            continue;
        g.cp = char_lower(g.cp);
        out[kept++] = g;
    }
    return kept;
}

/* Glyphs of text[begin .. end - 1]; *plain: all are ASCII (and lowered). */
static int64_t read_glyphs(const struct tokenizer *tok, const char *text, int64_t begin,
                           int64_t end, struct glyph *out, bool *plain)
{
    int64_t n = 0;

    *plain = true;
    for (int64_t i = begin; i < end;) {
        struct glyph *g = &out[n];
        int64_t k = utf8_read(text + i, end - i, &g->cp);
        int class = char_class(tok, g->cp);
        *plain = *plain && g->cp < 128;
        if (class != CHAR_DROP) {
            g->cp = class == CHAR_SPACE ? ' ' : g->cp;
            if (tok->lower_case && g->cp < 128)
                g->cp = char_lower(g->cp);
            g->alone = class == CHAR_ALONE;
            g->begin = i;
            g->end = i + k;
            n++;
        }
        i += k;
    }
    return n;
}

/* A chunk without ASCII white space. A character of k bytes has at most 2 k parts. */
static int push_chunk(const struct tokenizer *tok, const char *text, int64_t begin,
                      int64_t end, struct tokens *out, struct err *err)
{
    struct glyph near[GLYPHS_ON_STACK], *heap = NULL, *g = near;
    int64_t len = end - begin;
    bool plain;
    int rc = -1;

    if (3 * len > GLYPHS_ON_STACK) {
        heap = mem_new(3 * len, sizeof *heap, err);
        if (!heap)
            goto done;
        g = heap;
    }
    int64_t n = read_glyphs(tok, text, begin, end, g, &plain);
    if (!plain && tok->lower_case) {
        n = strip_and_lower(tok, g, n, g + len);
        g += len;
    }
    rc = push_words(tok, g, n, out, err);
done:
    free(heap);
    return rc;
}

/* ---- whole texts ---- */

/* The special token that text begins with; returns its length or 0. */
static int64_t special_at(const struct tokenizer *tok, const char *text, int64_t len,
                          int32_t *id)
{
    const int32_t ids[] = {tok->special.pad, tok->special.unk, tok->special.cls,
                           tok->special.sep, tok->special.mask};

    for (int i = 0; i < 5; i++) {
        int64_t k = (int64_t)strlen(tok->token[ids[i]]);
        if (k <= len && memcmp(text, tok->token[ids[i]], (size_t)k) == 0) {
            *id = ids[i];
            return k;
        }
    }
    return 0;
}

static bool ascii_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

int tokenizer_encode(const struct tokenizer *tok, const char *text, int64_t len,
                     struct tokens *out, struct err *err)
{
    int64_t begin = 0, before = out->n;
    int32_t id = 0;

    for (int64_t i = 0; i <= len;) {
        int64_t k =
            i < len && text[i] == '[' ? special_at(tok, text + i, len - i, &id) : 0;
        if (i < len && k == 0 && !ascii_space(text[i])) {
            i++;
            continue;
        }
        if (begin < i && push_chunk(tok, text, begin, i, out, err))
            goto fail;
        if (k > 0) {
            if (tokens_reserve(out, 1, err))
                goto fail;
            tokens_push(out, id, i, i + k);
        }
        i += k > 0 ? k : 1;
        begin = i;
    }
    return 0;
fail:
    out->n = before;
    return -1;
}
