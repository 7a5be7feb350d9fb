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
#include "kind.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "kinds.h"

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

struct wordpiece {
    struct tokenizer base;
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

static int char_class(const struct wordpiece *tok, uint32_t cp)
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

/* ---- vocabulary ---- */

static uint32_t edge_slot(const struct wordpiece *tok, uint32_t key)
{
    uint32_t i = (key * 0x9E3779B1u) >> 7 & tok->mask;

    while (tok->edge[i].key && tok->edge[i].key != key)
        i = (i + 1) & tok->mask;
    return i;
}

/* The node after `byte`, or 0. */
static uint32_t trie_step(const struct wordpiece *tok, uint32_t node, unsigned char byte)
{
    return tok->edge[edge_slot(tok, node << 8 | byte)].child;
}

static void trie_add(struct wordpiece *tok, const char *token, int32_t id)
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

static uint32_t trie_find(const struct wordpiece *tok, const char *token)
{
    uint32_t node = 0;

    for (const char *p = token; *p; p++) {
        node = trie_step(tok, node, (unsigned char)*p);
        if (!node)
            return 0;
    }
    return node;
}

/* The lines of a copy of the file become names. */
static int name_lines(struct wordpiece *tok, const struct tokenizer_file *file,
                      struct err *err)
{
    char *p = arena_alloc(tok->base.arena, file->len + 1), *end = p + file->len;

    if (!p)
        return arena_failed(tok->base.arena, err);
    memcpy(p, tok->base.file[0].text, (size_t)file->len + 1);
    for (int64_t i = 0; i < tok->base.n; i++) {
        char *stop = memchr(p, '\n', (size_t)(end - p));
        stop = stop ? stop : end;
        char *last = stop;
        while (last > p && strchr(" \t\r\v\f", last[-1]))
            last--;
        for (char *c = p; c < last;) {
            uint32_t cp;
            int64_t k = utf8_read(c, last - c, &cp);
            if (cp == 0 || !utf8_length(c, last - c))
                return err_set(err, ERR_INPUT, "%s:%lld:%lld: not UTF-8 text",
                               file_place(file), (long long)i + 1,
                               (long long)(c - p) + 1);
            c += k;
        }
        *last = 0;
        tokenizer_name(&tok->base, i, p);
        p = stop + 1;
    }
    return 0;
}

static int find_special(struct wordpiece *tok, const struct tokenizer_file *file,
                        struct err *err)
{
    static const char *const names[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    struct special_ids *s = &tok->base.special;
    int32_t *const ids[] = {&s->pad, &s->unk, &s->cls, &s->sep, &s->mask};

    for (int i = 0; i < 5; i++) {
        *ids[i] = tokenizer_id(&tok->base, names[i]);
        if (*ids[i] < 0)
            return err_set(err, ERR_INPUT,
                           "%s: lacks the token %s; a BERT vocabulary has it",
                           file_place(file), names[i]);
    }
    return 0;
}

static int read_vocab(struct wordpiece *tok, const struct tokenizer_file *file,
                      struct err *err)
{
    int64_t slots = 16, n = 0, len = file->len;

    if (len > VOCAB_MAX)
        return err_set(err, ERR_INPUT, "%s: %lld bytes; a vocabulary has at most %d",
                       file_place(file), (long long)len, VOCAB_MAX);
    for (int64_t i = 0; i < len; i++)
        n += file->text[i] == '\n';
    n += len > 0 && file->text[len - 1] != '\n';
    while (slots < 2 * len)
        slots *= 2;
    tok->mask = (uint32_t)slots - 1;
    tok->edge = mem_new(slots, sizeof *tok->edge, err);
    tok->node_id = mem_new(len + 1, sizeof *tok->node_id, err);
    if (!tok->edge || !tok->node_id || tokenizer_names(&tok->base, n, err) ||
        name_lines(tok, file, err))
        return -1;
    tok->node_id[0] = -1;
    tok->n_nodes = 1;
    for (int64_t i = 0; i < n; i++)
        trie_add(tok, tok->base.token[i], (int32_t)i);
    tok->inner = trie_find(tok, "##");
    return find_special(tok, file, err);
}

static void wordpiece_free(struct tokenizer *base)
{
    struct wordpiece *tok = (struct wordpiece *)base;

    free(tok->node_id);
    free(tok->edge);
}

/* Longest match first; a word without one is [UNK] as a whole. */
static void push_word(const struct wordpiece *tok, const struct glyph *g, int64_t n,
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
            tokens_push(out, tok->base.special.unk, g[0].begin, g[n - 1].end);
            return;
        }
        tokens_push(out, id, g[at].begin, g[best - 1].end);
        at = best;
    }
}

/* Words of a chunk: punctuation and CJK stand alone, white space is dropped. */
static int push_words(const struct wordpiece *tok, const struct glyph *g, int64_t n,
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
static int64_t strip_and_lower(const struct wordpiece *tok, const struct glyph *in,
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
static int64_t read_glyphs(const struct wordpiece *tok, const char *text, int64_t begin,
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
            if (tok->base.lower_case && g->cp < 128)
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
static int push_chunk(const struct wordpiece *tok, const char *text, int64_t begin,
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
    if (!plain && tok->base.lower_case) {
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
static int64_t special_at(const struct wordpiece *tok, const char *text, int64_t len,
                          int32_t *id)
{
    const int32_t ids[] = {tok->base.special.pad, tok->base.special.unk,
                           tok->base.special.cls, tok->base.special.sep,
                           tok->base.special.mask};

    for (int i = 0; i < 5; i++) {
        int64_t k = (int64_t)strlen(tok->base.token[ids[i]]);
        if (k <= len && memcmp(text, tok->base.token[ids[i]], (size_t)k) == 0) {
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

static int encode(const struct tokenizer *base, const char *text, int64_t len,
                  struct tokens *out, struct lookout *lookout, struct err *err)
{
    const struct wordpiece *tok = (const struct wordpiece *)base;
    int64_t begin = 0;
    int32_t id = 0;

    for (int64_t i = 0; i <= len;) {
        int64_t k =
            i < len && text[i] == '[' ? special_at(tok, text + i, len - i, &id) : 0;
        if (i < len && k == 0 && !ascii_space(text[i])) {
            i++;
            continue;
        }
        if (lookout_pass(lookout, i, err) ||
            (begin < i && push_chunk(tok, text, begin, i, out, err)))
            return -1;
        if (k > 0) {
            if (tokens_reserve(out, 1, err))
                return -1;
            tokens_push(out, id, i, i + k);
        }
        i += k > 0 ? k : 1;
        begin = i;
    }
    return 0;
}

/* Words with single spaces; special tokens are control tokens. */
static void decode(const struct tokenizer *tok, int64_t id, bool first,
                   struct strbuf *out)
{
    const struct special_ids *s = &tok->special;
    const char *name = tok->token[id];

    if (id == s->pad || id == s->cls || id == s->sep || id == s->mask)
        return;
    if (!strncmp(name, "##", 2) && !first)
        name += 2;
    else if (out->len > 0 && !first)
        strbuf_putc(out, ' ');
    strbuf_puts(out, name);
}

static const struct tokenizer_kind wordpiece = {"WordPiece", encode, decode,
                                                wordpiece_free};

int wordpiece_new(struct tokenizer **out, const struct tokenizer_file *file,
                  bool lower_case, struct err *err)
{
    struct tokenizer *base =
        tokenizer_alloc(&wordpiece, sizeof(struct wordpiece), file, 1, err);
    struct wordpiece *tok = (struct wordpiece *)base;

    if (!base || read_vocab(tok, file, err)) {
        tokenizer_free(base);
        return -1;
    }
    base->lower_case = lower_case;
    for (size_t i = 0; i < sizeof char_classes / sizeof *char_classes; i++)
        for (uint32_t c = char_classes[i].from; c <= char_classes[i].to && c < BMP; c++)
            tok->class[c] = char_classes[i].class;
    *out = base;
    return 0;
}
