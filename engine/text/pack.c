/*
 * Documents as one stream of tokens, cut into contexts; see "language models" in
 * retort/task.h.
 *
 * The stream is one array, and the sequences point into it: windows that overlap share
 * their tokens, targets are the same array one token further on. For each token of the
 * stream the bytes and words that begin in it are kept until the contexts have summed
 * theirs.
 */
#include "pack.h"

#include <stdlib.h>
#include <string.h>

#include "kind.h"

struct stream {
    int32_t *id;
    uint32_t *bytes, *words; /* of the text that each token spells; 0 of beginnings */
    int64_t n, capacity;
};

struct packer {
    struct dataset *data;
    const struct tokenizer *tok;
    const struct encoding *how;
    int32_t begin; /* beginning token, -1: none */
    struct stream stream;
    struct tokens tokens;                /* of a document */
    int64_t bytes_read, bytes;           /* of the documents before it, of all */
    struct encode_watch within, between; /* documents, if anyone wants to know */
    struct lookout lookout;
    int64_t capacity;     /* of data->seq */
    const int32_t *types; /* zeros */
};

/* ---- the stream ---- */

static int grow(void **v, int64_t capacity, struct err *err)
{
    void *grown = mem_resize(*v, capacity, 4, err);

    if (!grown)
        return -1;
    *v = grown;
    return 0;
}

static int reserve(struct stream *s, int64_t more, struct err *err)
{
    int64_t capacity = s->capacity ? s->capacity : 4096;

    while (capacity < s->n + more)
        capacity += capacity / 2;
    if (capacity == s->capacity)
        return 0;
    if (grow((void **)&s->id, capacity, err) || grow((void **)&s->bytes, capacity, err) ||
        grow((void **)&s->words, capacity, err))
        return -1;
    s->capacity = capacity;
    return 0;
}

static void put(struct stream *s, int32_t id, int64_t bytes, int64_t words)
{
    s->id[s->n] = id;
    s->bytes[s->n] = (uint32_t)bytes;
    s->words[s->n++] = (uint32_t)words;
}

/* As Python's str.split takes it (Unicode's White_Space and the separators 1c to 1f). */
static bool is_space(uint32_t cp)
{
    return (cp >= 9 && cp <= 13) || (cp >= 0x1c && cp <= 0x20) || cp == 0x85 ||
           cp == 0xa0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200a) || cp == 0x2028 ||
           cp == 0x2029 || cp == 0x202f || cp == 0x205f || cp == 0x3000;
}

/* Words that begin in text[from .. to-1]; *in_word goes on over calls. */
static int64_t count_words(const char *text, int64_t len, int64_t from, int64_t to,
                           bool *in_word)
{
    int64_t n = 0;

    for (int64_t i = from; i < to;) {
        uint32_t cp = (unsigned char)text[i];
        bool space;
        if (cp >= 0x80 && (cp & 0xc0) == 0x80) { /* inside of a character */
            i++;
            continue;
        }
        i += cp < 0x80 ? 1 : utf8_read(text + i, len - i, &cp);
        space = is_space(cp);
        n += !space && !*in_word;
        *in_word = !space;
    }
    return n;
}

static bool tell_within(void *ctx, int64_t done)
{
    const struct packer *p = ctx;

    return p->how->progress(p->how->progress_ctx, p->bytes_read + done, p->bytes);
}

static bool tell_between(void *ctx, int64_t done)
{
    const struct packer *p = ctx;

    return p->how->progress(p->how->progress_ctx, done, p->bytes);
}

/* Each token has the bytes from its beginning to that of the next; the first those before
 * it too. */
static int put_document(struct packer *p, const char *text, struct err *err)
{
    const struct tokens *t = &p->tokens;
    int64_t len = (int64_t)strlen(text), at = 0;
    bool in_word = false;

    tokens_clear(&p->tokens);
    if (tokenizer_encode_watched(p->tok, text, len, &p->tokens,
                                 p->how->progress ? &p->within : NULL, err) ||
        reserve(&p->stream, t->n + 2, err))
        return -1;
    if (p->begin >= 0)
        put(&p->stream, p->begin, 0, 0);
    for (int64_t k = 0; k < t->n; k++) {
        int64_t to = k + 1 < t->n ? t->begin[k + 1] : len;
        to = to > at ? to : at;
        put(&p->stream, t->id[k], to - at, count_words(text, len, at, to, &in_word));
        at = to;
    }
    p->bytes_read += len;
    return lookout_pass(&p->lookout, p->bytes_read, err);
}

/* ---- contexts ---- */

static struct sequence *add_sequence(struct packer *p, struct err *err)
{
    struct dataset *d = p->data;
    void *v = d->seq;

    if (mem_grow(&v, d->n_seq, &p->capacity, sizeof *d->seq, err))
        return NULL;
    d->seq = v;
    if (d->n_seq == INT32_MAX) {
        err_set(err, ERR_INPUT, "more than 2^31 - 1 contexts");
        return NULL;
    }
    struct sequence *s = &d->seq[d->n_seq];
    *s = (struct sequence){.example = (int32_t)d->n_seq, .label = -1};
    d->n_seq++;
    return s;
}

/* The window of the stream's tokens from .. from + n - 1, of which the targets at
 * positions score_from .. score_to - 1 of the stream's are to count. */
static int add_window(struct packer *p, int32_t *stream, int64_t from, int64_t n,
                      int64_t first_target, int64_t end_target, struct err *err)
{
    struct sequence *s = add_sequence(p, err);

    if (!s)
        return -1;
    s->id = stream + from;
    s->n = (int32_t)n;
    s->target = stream + from + 1;
    s->score_from = (int32_t)(first_target - from - 1);
    s->score_to = (int32_t)(end_target - from - 1);
    for (int64_t t = first_target; t < end_target; t++) {
        s->bytes += p->stream.bytes[t];
        s->words += p->stream.words[t];
    }
    p->data->n_tokens += n;
    return 0;
}

/* Windows over the tokens from .. to - 1 of the stream. */
static int cut_causal(struct packer *p, int32_t *stream, int64_t from, int64_t to,
                      struct err *err)
{
    const struct encoding *how = p->how;
    int64_t step = how->step > 0 ? how->step : how->max_len;
    bool all = how->windows == LM_WINDOWS_ALL;
    int64_t told = from + 1; /* targets before this one were told */

    for (int64_t at = from; told < to; at += step) {
        /* tokens whose follower is there, or tokens at all */
        int64_t left = all ? to - 1 - at : to - at;
        int64_t n = left < how->max_len ? left : how->max_len;
        int64_t end = at + n + (all ? 1 : 0);
        int64_t first = !all && at + 1 > told ? at + 1 : told;
        if (first < end && add_window(p, stream, at, n, first, end, err))
            return -1;
        told = end;
    }
    return 0;
}

/* [CLS] and [SEP] around max_len - 2 tokens at a time. */
static int cut_masked(struct packer *p, struct err *err)
{
    const struct special_ids *sp = &p->data->special;
    int64_t room = p->how->max_len - 2;

    for (int64_t at = 0; at < p->stream.n; at += room) {
        int64_t left = p->stream.n - at, n = left < room ? left : room;
        struct sequence *s = add_sequence(p, err);
        if (!s)
            return -1;
        s->id = arena_alloc(p->data->arena, (n + 2) * (int64_t)sizeof *s->id);
        if (!s->id)
            return arena_failed(p->data->arena, err);
        s->n = (int32_t)(n + 2);
        s->id[0] = sp->cls;
        memcpy(s->id + 1, p->stream.id + at, (size_t)n * sizeof *s->id);
        s->id[n + 1] = sp->sep;
        p->data->n_tokens += s->n;
    }
    return 0;
}

/* Contexts of the documents that the stream holds, from `from` on. */
static int cut(struct packer *p, int32_t *stream, const int64_t *begin, int64_t n,
               struct err *err)
{
    if (!p->how->causal)
        return cut_masked(p, err);
    if (!p->how->apart)
        return cut_causal(p, stream, 0, p->stream.n, err);
    for (int64_t i = 0; i < n; i++)
        if (cut_causal(p, stream, begin[i], begin[i + 1], err))
            return -1;
    return 0;
}

/* ---- the whole ---- */

static int32_t beginning(const struct special_ids *sp)
{
    return sp->bos >= 0 ? sp->bos : sp->eos >= 0 ? sp->eos : sp->cls;
}

/* begin[i]: where document i begins in the stream; begin[n]: its end. */
static int fill_stream(struct packer *p, int64_t *begin, struct err *err)
{
    struct examples *raw = p->data->raw;

    p->within = (struct encode_watch){tell_within, p};
    p->between = (struct encode_watch){tell_between, p};
    p->lookout.watch = p->how->progress ? &p->between : NULL;
    for (int64_t i = 0; i < raw->n; i++) {
        if (!raw->v[i].a)
            return err_set(err, ERR_INPUT, "document %s has no text",
                           raw->v[i].id ? raw->v[i].id : "without id");
        p->bytes += (int64_t)strlen(raw->v[i].a);
    }
    for (int64_t i = 0; i < raw->n; i++) {
        begin[i] = p->stream.n;
        if (put_document(p, raw->v[i].a, err))
            return -1;
    }
    begin[raw->n] = p->stream.n;
    return 0;
}

/* The documents make place for examples that stand for contexts. */
static int name_contexts(struct dataset *d, struct err *err)
{
    struct examples *named = examples_new(err);

    if (!named)
        return -1;
    for (int64_t i = 0; i < d->n_seq; i++) {
        struct example *e = examples_add(named, err);
        if (!e || !(e->id = arena_printf(named->arena, "%lld", (long long)i))) {
            arena_failed(named->arena, err);
            examples_free(named);
            return -1;
        }
        e->a = "";
        d->first[i] = d->index[i] = i;
    }
    d->first[d->n_seq] = d->n_seq;
    named->left_out = d->raw->left_out;
    named->first_left_out = d->raw->first_left_out;
    examples_free(d->raw);
    d->raw = named;
    d->n = d->n_seq;
    return 0;
}

static int give_types(struct packer *p, struct err *err)
{
    struct dataset *d = p->data;
    int32_t *zeros =
        arena_zalloc(d->arena, (p->how->max_len + 1) * (int64_t)sizeof *zeros);

    for (int64_t i = 0; zeros && i < d->n_seq; i++)
        d->seq[i].type = zeros;
    return zeros ? 0 : arena_failed(d->arena, err);
}

static int check(const struct packer *p, struct err *err)
{
    const struct special_ids *sp = &p->data->special;

    if (!p->how->causal && (sp->cls < 0 || sp->sep < 0 || sp->mask < 0))
        return err_set(err, ERR_INPUT,
                       "masked language modelling needs [CLS], [SEP] and [MASK], which "
                       "this tokenizer has not");
    if (p->how->step < 0 || p->how->step > p->how->max_len)
        return err_set(err, ERR_INPUT,
                       "stride is %lld; use 0 to the length of a window, %lld",
                       (long long)p->how->step, (long long)p->how->max_len);
    return 0;
}

/* What the arrays of contexts need; the stream moves into the dataset's arena. */
static int pack(struct packer *p, int64_t *begin, struct err *err)
{
    struct dataset *d = p->data;
    int32_t *stream;

    if (fill_stream(p, begin, err))
        return -1;
    tokens_release(&p->tokens);
    stream = arena_alloc(d->arena, (p->stream.n + 1) * (int64_t)sizeof *stream);
    if (!stream)
        return arena_failed(d->arena, err);
    if (p->stream.n)
        memcpy(stream, p->stream.id, (size_t)p->stream.n * sizeof *stream);
    if (cut(p, stream, begin, d->raw->n, err))
        return -1;
    if (d->n_seq == 0)
        return err_set(err, ERR_INPUT,
                       "the text has %lld token%s: nothing to predict in it",
                       (long long)p->stream.n, p->stream.n == 1 ? "" : "s");
    d->first = mem_new(d->n_seq + 1, sizeof *d->first, err);
    d->index = mem_new(d->n_seq, sizeof *d->index, err);
    if (!d->first || !d->index)
        return -1;
    return give_types(p, err) || name_contexts(d, err) ? -1 : 0;
}

int pack_documents(struct dataset *data, const struct tokenizer *tok,
                   const struct encoding *how, struct err *err)
{
    struct packer p = {.data = data, .tok = tok, .how = how};
    int64_t *begin = mem_new(data->raw->n + 1, sizeof *begin, err);
    int rc = -1;

    if (!begin || check(&p, err))
        goto done;
    p.begin = how->begin == BEGIN_NO ? -1
              : how->causal          ? beginning(&data->special)
                                     : data->special.sep;
    rc = pack(&p, begin, err);
done:
    tokens_release(&p.tokens);
    free(p.stream.id);
    free(p.stream.bytes);
    free(p.stream.words);
    free(begin);
    return rc;
}

/* ---- choices ---- */

struct scored {
    struct dataset *data;
    const struct tokenizer *tok;
    const struct encoding *how;
    const struct example *ex;
    struct strbuf text;
    struct tokens prompt, whole;
};

/* Bytes of text[0 .. len-1] without the white space at its end. */
static int64_t stripped(const char *text, int64_t len)
{
    int64_t end = 0;

    for (int64_t i = 0; i < len;) {
        uint32_t cp;
        i += utf8_read(text + i, len - i, &cp);
        if (!is_space(cp))
            end = i;
    }
    return end;
}

/* The tokens of the prompt alone, and with its ending. White space at the prompt's end
 * counts as the ending's, as lm-eval has it. */
static int encode_choice(struct scored *s, int64_t c, struct err *err)
{
    const struct example *ex = s->ex;
    const char *ending = ex->endings ? ex->endings[c] : ex->choices[c];
    int64_t len;

    strbuf_clear(&s->text);
    strbuf_puts(&s->text, ex->prompts ? ex->prompts[c] : ex->a);
    if (!ex->prompts && ex->b)
        strbuf_printf(&s->text, " %s", ex->b);
    len = stripped(strbuf_text(&s->text), (int64_t)s->text.len);
    strbuf_printf(&s->text, " %s", ending);
    tokens_clear(&s->prompt);
    tokens_clear(&s->whole);
    if (strbuf_failed(&s->text, err) ||
        tokenizer_encode(s->tok, strbuf_text(&s->text), len, &s->prompt, err) ||
        tokenizer_encode(s->tok, strbuf_text(&s->text), (int64_t)s->text.len, &s->whole,
                         err))
        return -1;
    if (s->whole.n <= s->prompt.n)
        return err_set(err, ERR_INPUT, "example %s: choice %lld has no token of its own",
                       ex->id ? ex->id : "without id", (long long)c);
    return 0;
}

/* The last max_len + 1 tokens: all but the last go in, all that the ending has are
 * told. */
static int add_choice(struct scored *s, int64_t c, int64_t *capacity, struct err *err)
{
    struct dataset *d = s->data;
    int32_t begin = beginning(&d->special), *id;
    bool first = s->how->begin == BEGIN_YES || s->prompt.n == 0;
    int64_t head = first && begin >= 0, all = head + s->whole.n;
    int64_t skip = all - 1 > s->how->max_len ? all - 1 - s->how->max_len : 0;
    int64_t from = head + s->prompt.n - 1 - skip;
    void *v = d->seq;

    if (mem_grow(&v, d->n_seq, capacity, sizeof *d->seq, err))
        return -1;
    d->seq = v;
    id = arena_alloc(d->arena, all * (int64_t)sizeof *id);
    struct sequence *q = &d->seq[d->n_seq];
    *q = (struct sequence){.label = -1, .part = (int32_t)c, .cut = skip > 0};
    q->type = arena_zalloc(d->arena, all * (int64_t)sizeof *q->type);
    if (arena_failed(d->arena, err))
        return -1;
    if (head)
        id[0] = begin;
    memcpy(id + head, s->whole.id, (size_t)s->whole.n * sizeof *id);
    q->id = id + skip;
    q->n = (int32_t)(all - 1 - skip);
    q->target = q->id + 1;
    q->score_from = (int32_t)(from > 0 ? from : 0);
    q->score_to = q->n;
    d->n_seq++;
    d->n_tokens += q->n;
    d->n_cut += q->cut;
    return 0;
}

int pack_choices(struct dataset *data, int64_t i, const struct tokenizer *tok,
                 const struct encoding *how, int64_t *capacity, struct err *err)
{
    struct scored s = {.data = data,
                       .tok = tok,
                       .how = how,
                       .ex = &data->raw->v[i],
                       .text = STRBUF_INIT};
    int rc = 0;

    for (int64_t c = 0; rc == 0 && c < s.ex->n_choices; c++) {
        rc = encode_choice(&s, c, err) || add_choice(&s, c, capacity, err) ? -1 : 0;
        if (rc == 0)
            data->seq[data->n_seq - 1].example = (int32_t)i;
    }
    strbuf_release(&s.text);
    tokens_release(&s.prompt);
    tokens_release(&s.whole);
    return rc;
}
