/*
 * SentencePiece BPE (LLaMA), from tokenizer.model (a protocol buffer:
 * sentencepiece_model.proto of the library) or llama2.c's tokenizer.bin (the longest
 * piece's length, then for each token: score, length, bytes).
 *
 * Merging goes over the whole text in the reference. Where no piece has U+2581 (the
 * space) after something else, no merge crosses the beginning of a run of spaces, so the
 * text is cut there first: the same tokens, in memory that does not grow with the text.
 */
#include "kind.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bpe.h"
#include "kinds.h"

enum { CODE_POINTS = 0x110000, NO_SYMBOL = -2, SPACE = 0x2581, BOS = 1, EOS = 2 };
enum piece_type {
    PIECE_NORMAL = 1,
    PIECE_UNKNOWN,
    PIECE_CONTROL,
    PIECE_USER,
    PIECE_UNUSED,
    PIECE_BYTE
};

struct piece {
    const char *text; /* in the arena */
    float score;
    enum piece_type type;
};

struct sentencepiece {
    struct tokenizer base;
    struct piece *piece; /* (base.n) */
    int64_t n, capacity;
    struct bpe *pairs;
    int32_t *symbol; /* of a character: its piece, or n and up for one that is in pieces
                        alone */
    int32_t byte_id[256];   /* -1: no such piece */
    bool has_bytes, prefix; /* a space goes before the text */
    bool cut;               /* at spaces, as above */
};

/* ---- symbols of characters ---- */

/* Characters of all pieces get symbols: their own piece's id, else one past the pieces.
 */
static int learn_characters(struct sentencepiece *tok, struct err *err)
{
    int32_t next = (int32_t)tok->n;

    tok->symbol = mem_new(CODE_POINTS, sizeof *tok->symbol, err);
    if (!tok->symbol)
        return -1;
    for (int64_t i = 0; i < CODE_POINTS; i++)
        tok->symbol[i] = NO_SYMBOL;
    for (int pass = 0; pass < 2;
         pass++) { /* single characters first: their pieces are known then */
        for (int64_t i = 0; i < tok->n; i++) {
            const char *s = tok->piece[i].text;
            int64_t len = (int64_t)strlen(s), k;
            uint32_t cp;
            if (tok->piece[i].type != PIECE_NORMAL || len == 0)
                continue;
            k = utf8_read(s, len, &cp);
            if ((pass == 0) != (k == len))
                continue;
            for (int64_t at = 0; at < len; at += k) {
                k = utf8_read(s + at, len - at, &cp);
                if (tok->symbol[cp] == NO_SYMBOL)
                    tok->symbol[cp] = pass == 0 ? (int32_t)i : next++;
            }
        }
    }
    return 0;
}

/* ---- pairs ---- */

/* The symbol that the n bytes at s are, or NO_SYMBOL: a normal piece or a single
 * character. */
static int32_t symbol_of_part(const struct sentencepiece *tok, const char *s, size_t n,
                              char *room)
{
    uint32_t cp;
    int32_t id;

    if (utf8_read(s, (int64_t)n, &cp) == (int64_t)n)
        return tok->symbol[cp];
    memcpy(room, s, n);
    room[n] = '\0';
    id = tokenizer_id(&tok->base, room);
    return id >= 0 && tok->piece[id].type == PIECE_NORMAL ? id : NO_SYMBOL;
}

static int by_score(const void *a, const void *b)
{
    const struct piece *x = *(const struct piece *const *)a,
                       *y = *(const struct piece *const *)b;

    return (x->score < y->score) - (x->score > y->score);
}

/* Any two neighbours merge whose texts together are a piece; higher scores first. */
static int learn_pairs(struct sentencepiece *tok, struct err *err)
{
    const struct piece **order = mem_new(tok->n, sizeof *order, err);
    char *room = NULL;
    int64_t n = 0, longest = 0, total = 0, rank = 0;
    int rc = -1;

    for (int64_t i = 0; order && i < tok->n; i++) {
        int64_t len = (int64_t)strlen(tok->piece[i].text);
        if (tok->piece[i].type != PIECE_NORMAL)
            continue;
        order[n++] = &tok->piece[i];
        longest = len > longest ? len : longest;
        total += len;
    }
    room = mem_new(longest + 1, 1, err);
    if (!order || !room || bpe_new(&tok->pairs, total, err))
        goto done;
    qsort(order, (size_t)n, sizeof *order, by_score);
    for (int64_t i = 0; i < n; i++) {
        const char *s = order[i]->text;
        int64_t len = (int64_t)strlen(s), k;
        uint32_t cp;
        rank += i > 0 && order[i]->score < order[i - 1]->score;
        for (int64_t at = utf8_read(s, len, &cp); at < len; at += k) {
            int32_t left = symbol_of_part(tok, s, (size_t)at, room);
            int32_t right = symbol_of_part(tok, s + at, (size_t)(len - at), room);
            k = utf8_read(s + at, len - at, &cp);
            if (left != NO_SYMBOL && right != NO_SYMBOL)
                bpe_add(tok->pairs, left, right, (int32_t)rank,
                        (int32_t)(order[i] - tok->piece));
        }
    }
    rc = 0;
done:
    free(room);
    free(order);
    return rc;
}

/* ---- making ---- */

/* True if a space follows something else in a piece, so that cutting at spaces could lose
 * merges. */
static bool space_inside(const char *s)
{
    static const char space[] = "\xE2\x96\x81";

    while (!strncmp(s, space, 3))
        s += 3;
    return strstr(s, space) != NULL;
}

static int byte_of(const char *s)
{
    static const char hex[] = "0123456789ABCDEF";
    const char *hi, *lo;

    if (strlen(s) != 6 || strncmp(s, "<0x", 3) != 0 || s[5] != '>')
        return -1;
    hi = strchr(hex, s[3]);
    lo = strchr(hex, s[4]);
    return hi && lo ? (int)(16 * (hi - hex) + (lo - hex)) : -1;
}

/* From the pieces read. */
static int finish(struct sentencepiece *tok, const char *place, struct err *err)
{
    tok->cut = true;
    for (int b = 0; b < 256; b++)
        tok->byte_id[b] = -1;
    if (tokenizer_names(&tok->base, tok->n, err))
        return -1;
    for (int64_t i = 0; i < tok->n; i++) {
        const struct piece *p = &tok->piece[i];
        int b = p->type == PIECE_BYTE ? byte_of(p->text) : -1;
        if (p->type == PIECE_NORMAL && tokenizer_id(&tok->base, p->text) >= 0)
            return err_set(err, ERR_INPUT, "%s: piece %lld, \"%s\", is there twice",
                           place, (long long)i, p->text);
        tokenizer_name(&tok->base, i, p->text);
        if (p->type == PIECE_BYTE && b < 0)
            return err_set(err, ERR_INPUT,
                           "%s: piece %lld, \"%s\", is no byte <0x00> to <0xFF>", place,
                           (long long)i, p->text);
        if (b >= 0) {
            tok->byte_id[b] = (int32_t)i;
            tok->has_bytes = true;
        }
        if (p->type == PIECE_UNKNOWN)
            tok->base.special.unk = (int32_t)i;
        tok->cut = tok->cut && !(p->type == PIECE_NORMAL && space_inside(p->text));
    }
    for (int b = 0; tok->has_bytes && b < 256; b++)
        if (tok->byte_id[b] < 0)
            return err_set(err, ERR_INPUT,
                           "%s: there is no piece <0x%02X>, but others are", place, b);
    if (!tok->has_bytes && tok->base.special.unk < 0)
        return err_set(err, ERR_INPUT, "%s: neither bytes nor an unknown piece", place);
    return learn_characters(tok, err) || learn_pairs(tok, err) ? -1 : 0;
}

static int add_piece(struct sentencepiece *tok, const char *text, int64_t len,
                     float score, enum piece_type type, struct err *err)
{
    char *own = arena_alloc(tok->base.arena, len + 1);

    if (!own)
        return arena_failed(tok->base.arena, err);
    if (mem_grow((void **)&tok->piece, tok->n, &tok->capacity, sizeof *tok->piece, err))
        return -1;
    memcpy(own, text, (size_t)len);
    own[len] = '\0';
    tok->piece[tok->n++] = (struct piece){own, score, type};
    return 0;
}

static void sentencepiece_free(struct tokenizer *base)
{
    struct sentencepiece *tok = (struct sentencepiece *)base;

    free(tok->piece);
    free(tok->symbol);
    bpe_free(tok->pairs);
}

/* ---- encoding ---- */

struct reader {
    const struct sentencepiece *tok;
    struct tokens *out;
    struct bpe_work work;
    const char *text;
    int32_t *symbol, *first;
    int64_t *begin; /* of each symbol */
    int64_t n, room;
    struct err *err;
};

static int reader_push(struct reader *r, int32_t symbol, int64_t begin)
{
    if (r->n + 1 >= r->room) { /* begin[] has one more */
        int64_t room = r->room ? 2 * r->room : 64;
        int32_t *s = mem_resize(r->symbol, room, sizeof *s, r->err);
        r->symbol = s ? s : r->symbol;
        int32_t *f = s ? mem_resize(r->first, room, sizeof *f, r->err) : NULL;
        r->first = f ? f : r->first;
        int64_t *b = f ? mem_resize(r->begin, room, sizeof *b, r->err) : NULL;
        if (!b)
            return -1;
        r->begin = b;
        r->room = room;
    }
    r->begin[r->n] = begin;
    r->symbol[r->n++] = symbol;
    return 0;
}

/* What no piece is: its bytes, or one unknown piece for a run of such. */
static int push_foreign(struct reader *r, int64_t begin, int64_t end)
{
    const struct sentencepiece *tok = r->tok;
    int32_t unk = tok->base.special.unk;
    static const char space[] = "\xE2\x96\x81";

    if (!tok->has_bytes) {
        if (r->out->n > 0 && r->out->id[r->out->n - 1] == unk &&
            r->out->end[r->out->n - 1] == begin)
            r->out->end[r->out->n - 1] = end;
        else if (tokens_reserve(r->out, 1, r->err))
            return -1;
        else
            tokens_push(r->out, unk, begin, end);
        return 0;
    }
    bool is_space = begin == end || (end == begin + 1 && r->text[begin] == ' ');
    const char *bytes = is_space ? space : r->text + begin;
    int64_t n = is_space ? 3 : end - begin;
    if (tokens_reserve(r->out, n, r->err))
        return -1;
    for (int64_t i = 0; i < n; i++)
        tokens_push(r->out, tok->byte_id[(unsigned char)bytes[i]],
                    is_space ? begin : begin + i, is_space ? end : begin + i + 1);
    return 0;
}

/* Merges what was collected, which ends before byte `end`, into tokens. */
static int flush(struct reader *r, int64_t end)
{
    int64_t n = r->n;

    if (n == 0)
        return 0;
    r->begin[n] = end;
    r->work.at = r->begin[0];
    if (bpe_merge(r->tok->pairs, r->symbol, r->first, &n, &r->work, r->err) ||
        tokens_reserve(r->out, n, r->err))
        return -1;
    for (int64_t i = 0; i < n; i++) {
        int64_t b = r->begin[r->first[i]],
                e = i + 1 < n ? r->begin[r->first[i + 1]] : end;
        if (r->symbol[i] < 0 || r->symbol[i] >= r->tok->n) {
            if (push_foreign(r, b, e))
                return -1;
        } else if (tokens_reserve(r->out, 1, r->err)) {
            return -1;
        } else {
            tokens_push(r->out, r->symbol[i], b, e);
        }
    }
    r->n = 0;
    return 0;
}

static int encode(const struct tokenizer *base, const char *text, int64_t len,
                  struct tokens *out, struct lookout *lookout, struct err *err)
{
    const struct sentencepiece *tok = (const struct sentencepiece *)base;
    struct reader r = {
        .tok = tok, .out = out, .work = {.lookout = lookout}, .text = text, .err = err};
    bool after_space = true;
    int rc = -1;

    if (len > 0 && tok->prefix && reader_push(&r, tok->symbol[SPACE], 0))
        goto done;
    for (int64_t i = 0; i < len;) {
        uint32_t cp;
        int64_t k = utf8_read(text + i, len - i, &cp);
        bool broken = cp == 0xFFFD && !utf8_length(text + i, len - i);
        bool space = cp == ' ' || cp == SPACE;
        if (tok->cut && space && !after_space &&
            (flush(&r, i) || lookout_pass(lookout, i, err)))
            goto done;
        if (reader_push(&r, broken ? NO_SYMBOL : tok->symbol[space ? SPACE : cp], i))
            goto done;
        after_space = space;
        i += k;
    }
    rc = flush(&r, len);
done:
    bpe_work_release(&r.work);
    free(r.symbol);
    free(r.first);
    free(r.begin);
    return rc;
}

static void decode(const struct tokenizer *base, int64_t id, bool first,
                   struct strbuf *out)
{
    const struct sentencepiece *tok = (const struct sentencepiece *)base;
    const struct piece *p = &tok->piece[id];
    const char *s = p->text, *gap;

    if (p->type == PIECE_CONTROL)
        return;
    if (p->type == PIECE_UNKNOWN)
        s = " \xE2\x81\x87 "; /* as the reference shows it */
    if (p->type == PIECE_BYTE) {
        strbuf_putc(out, (char)byte_of(s));
        return;
    }
    if (first && tok->prefix && !strncmp(s, "\xE2\x96\x81", 3))
        s += 3;
    while ((gap = strstr(s, "\xE2\x96\x81"))) {
        strbuf_add(out, s, (size_t)(gap - s));
        strbuf_putc(out, ' ');
        s = gap + 3;
    }
    strbuf_puts(out, s);
}

static const struct tokenizer_kind sentencepiece = {"SentencePiece BPE", encode, decode,
                                                    sentencepiece_free};

/* ---- tokenizer.model ---- */

struct wire { /* what is left of a message */
    const unsigned char *p, *end;
};

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

static bool read_varint(struct wire *w, uint64_t *out)
{
    *out = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        if (w->p >= w->end)
            return false;
        *out |= (uint64_t)(*w->p & 0x7F) << shift;
        if (!(*w->p++ & 0x80))
            return true;
    }
    return false;
}

struct field {
    uint64_t number;
    int type;
    uint64_t value;    /* varint */
    struct wire bytes; /* bytes; the four or eight of a fixed one */
};

/* The next field; false at the end, or where the message is broken (*bad). */
static bool read_field(struct wire *w, struct field *f, bool *bad)
{
    uint64_t key, n = 0;

    if (w->p >= w->end)
        return false;
    *bad = true;
    if (!read_varint(w, &key))
        return false;
    f->number = key >> 3;
    f->type = (int)(key & 7);
    if (f->type == WIRE_VARINT) {
        if (!read_varint(w, &f->value))
            return false;
    } else {
        if (f->type == WIRE_BYTES && !read_varint(w, &n))
            return false;
        n = f->type == WIRE_64 ? 8 : f->type == WIRE_32 ? 4 : n;
        if ((f->type != WIRE_BYTES && f->type != WIRE_64 && f->type != WIRE_32) ||
            n > (uint64_t)(w->end - w->p))
            return false;
        f->bytes = (struct wire){w->p, w->p + n};
        w->p += n;
    }
    *bad = false;
    return true;
}

/* SentencePiece: 1 piece, 2 score, 3 type. */
static int read_piece(struct sentencepiece *tok, struct wire w, bool *bad,
                      const char *place, struct err *err)
{
    struct field f;
    struct wire text = {NULL, NULL};
    float score = 0;
    uint64_t type = PIECE_NORMAL;

    while (read_field(&w, &f, bad)) {
        if (f.number == 1 && f.type == WIRE_BYTES)
            text = f.bytes;
        else if (f.number == 2 && f.type == WIRE_32)
            memcpy(&score, f.bytes.p, sizeof score);
        else if (f.number == 3 && f.type == WIRE_VARINT)
            type = f.value;
    }
    if (*bad)
        return 0;
    if (!text.p || text.p == text.end || memchr(text.p, 0, (size_t)(text.end - text.p)) ||
        !isfinite(score))
        return err_set(err, ERR_INPUT, "%s: piece %lld has no text, or no score", place,
                       (long long)tok->n);
    if (type < PIECE_NORMAL || type > PIECE_BYTE || type == PIECE_USER ||
        type == PIECE_UNUSED)
        return err_set(err, ERR_INPUT,
                       "%s: piece %lld is of a type (%llu) that is not supported", place,
                       (long long)tok->n, (unsigned long long)type);
    return add_piece(tok, (const char *)text.p, text.end - text.p, score,
                     (enum piece_type)type, err);
}

/* TrainerSpec: 3 model type (2: BPE), 41 and 42 ids of <s> and </s>. */
static int read_trainer(struct sentencepiece *tok, struct wire w, bool *bad,
                        const char *place, struct err *err)
{
    struct field f;
    uint64_t type = 1, bos = BOS, eos = EOS;

    while (read_field(&w, &f, bad)) {
        if (f.type != WIRE_VARINT)
            continue;
        type = f.number == 3 ? f.value : type;
        bos = f.number == 41 ? f.value : bos;
        eos = f.number == 42 ? f.value : eos;
    }
    if (!*bad && type != 2)
        return err_set(err, ERR_INPUT, "%s: model type %llu; 2 (BPE) is supported", place,
                       (unsigned long long)type);
    tok->base.special.bos = bos < INT32_MAX ? (int32_t)bos : -1;
    tok->base.special.eos = eos < INT32_MAX ? (int32_t)eos : -1;
    return 0;
}

/* NormalizerSpec: 2 map of characters, 3 add_dummy_prefix, 4 remove_extra_whitespaces, 5
 * escape_whitespaces. */
static int read_normalizer(struct sentencepiece *tok, struct wire w, bool *bad,
                           const char *place, struct err *err)
{
    struct field f;
    bool map = false, squeeze = true, escape = true;

    tok->prefix = true;
    while (read_field(&w, &f, bad)) {
        map = map || (f.number == 2 && f.type == WIRE_BYTES && f.bytes.p < f.bytes.end);
        if (f.type != WIRE_VARINT)
            continue;
        tok->prefix = f.number == 3 ? f.value != 0 : tok->prefix;
        squeeze = f.number == 4 ? f.value != 0 : squeeze;
        escape = f.number == 5 ? f.value != 0 : escape;
    }
    if (!*bad && (map || squeeze || !escape))
        return err_set(err, ERR_INPUT,
                       "%s: only the normalisation of LLaMA is supported: none", place);
    return 0;
}

int sentencepiece_new(struct tokenizer **out, const struct tokenizer_file *file,
                      bool lower_case, struct err *err)
{
    struct tokenizer *base =
        tokenizer_alloc(&sentencepiece, sizeof(struct sentencepiece), file, 1, err);
    struct sentencepiece *tok = (struct sentencepiece *)base;
    const char *place = file_place(file);
    struct wire w;
    struct field f;
    bool bad = false, trained = false, normal = false;
    int rc = 0;

    (void)lower_case;
    if (!base)
        return -1;
    w.p = (const unsigned char *)base->file[0].text;
    w.end = w.p + file->len;
    while (rc == 0 && !bad && read_field(&w, &f, &bad)) {
        if (f.type != WIRE_BYTES)
            continue;
        if (f.number == 1)
            rc = read_piece(tok, f.bytes, &bad, place, err);
        else if (f.number == 2)
            rc = (trained = true, read_trainer(tok, f.bytes, &bad, place, err));
        else if (f.number == 3)
            rc = (normal = true, read_normalizer(tok, f.bytes, &bad, place, err));
    }
    if (rc == 0 && (bad || !trained || !normal || tok->n == 0))
        rc = err_set(err, ERR_INPUT, "%s: not a SentencePiece model, or cut off", place);
    if (rc || finish(tok, place, err)) {
        tokenizer_free(base);
        return -1;
    }
    *out = base;
    return 0;
}

/* ---- tokenizer.bin ---- */

/* llama2.c writes spaces for U+2581; tokens 3 to 258 are the bytes, however it spells
 * them. */
static int read_bin_piece(struct sentencepiece *tok, const char *s, int64_t len,
                          float score, struct err *err)
{
    struct strbuf sb = STRBUF_INIT;
    enum piece_type type = PIECE_NORMAL;
    int rc;

    if (tok->n > EOS && tok->n <= EOS + 256) {
        type = PIECE_BYTE;
        strbuf_printf(&sb, "<0x%02X>", (unsigned)(tok->n - EOS - 1));
    } else {
        type = tok->n == 0 ? PIECE_UNKNOWN : tok->n <= EOS ? PIECE_CONTROL : PIECE_NORMAL;
        for (int64_t i = 0; i < len; i++) {
            if (s[i] == ' ')
                strbuf_puts(&sb, "\xE2\x96\x81");
            else
                strbuf_putc(&sb, s[i]);
        }
    }
    rc = strbuf_failed(&sb, err) ||
         add_piece(tok, strbuf_text(&sb), (int64_t)sb.len, score, type, err);
    strbuf_release(&sb);
    return rc ? -1 : 0;
}

int llama2c_new(struct tokenizer **out, const struct tokenizer_file *file,
                bool lower_case, struct err *err)
{
    struct tokenizer *base =
        tokenizer_alloc(&sentencepiece, sizeof(struct sentencepiece), file, 1, err);
    struct sentencepiece *tok = (struct sentencepiece *)base;
    const char *place = file_place(file), *p, *end;

    (void)lower_case;
    if (!base)
        return -1;
    p = base->file[0].text + 4; /* past the longest piece's length */
    end = base->file[0].text + file->len;
    tok->prefix = true;
    while (file->len > 4 && p < end) {
        float score;
        int32_t len = -1;
        if (end - p >= 8) {
            memcpy(&score, p, sizeof score);
            memcpy(&len, p + 4, sizeof len);
            p += 8;
        }
        bool byte = tok->n > EOS && tok->n <= EOS + 256;
        if (len < 1 || len > end - p || !isfinite(score) ||
            (!byte && memchr(p, 0, (size_t)len))) {
            err_set(err, ERR_INPUT,
                    "%s: token %lld: not llama2.c's tokenizer.bin, or cut off", place,
                    (long long)tok->n);
            goto fail;
        }
        if (read_bin_piece(tok, p, len, score, err))
            goto fail;
        p += len;
    }
    if (tok->n <= EOS + 256) {
        err_set(err, ERR_INPUT, "%s: no tokens after <s>, </s> and the bytes", place);
        goto fail;
    }
    base->special.bos = BOS;
    base->special.eos = EOS;
    if (finish(tok, place, err))
        goto fail;
    *out = base;
    return 0;
fail:
    tokenizer_free(base);
    return -1;
}
