/* A byte-level BPE with its later tokens left out, as files that other programs read. */
#include "kind.h"

#include <stdlib.h>
#include <string.h>

static const char end_of_text[] = "<|endoftext|>";

/* As a JSON string. Spellings of byte-level BPE hold no control characters. */
static void put_name(struct strbuf *out, const char *s)
{
    strbuf_putc(out, '"');
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            strbuf_putc(out, '\\');
        strbuf_putc(out, *s);
    }
    strbuf_putc(out, '"');
}

static int put_vocab(struct strbuf *out, const struct tokenizer *tok, int64_t size,
                     struct err *err)
{
    strbuf_putc(out, '{');
    for (int64_t i = 0; i < size; i++) {
        const char *name = i < size - 1 ? tokenizer_token(tok, i) : end_of_text;
        if (!name || (i < size - 1 && !strcmp(name, end_of_text)))
            return err_set(err, ERR_INPUT,
                           "the vocabulary cannot be cut to %lld: its token %lld is not "
                           "a piece of text",
                           (long long)size, (long long)i);
        strbuf_puts(out, i ? ", " : "");
        put_name(out, name);
        strbuf_printf(out, ": %lld", (long long)i);
    }
    strbuf_puts(out, "}\n");
    return strbuf_failed(out, err);
}

/* Is s[0 .. n-1] one of the first `most` tokens? */
static bool is_kept(const struct tokenizer *tok, struct strbuf *name, const char *s,
                    size_t n, int64_t most)
{
    int32_t id;

    strbuf_clear(name);
    strbuf_add(name, s, n);
    id = name->failed ? -1 : tokenizer_id(tok, strbuf_text(name));
    return id >= 0 && id < most;
}

/* "left right": all three tokens are kept. */
static bool merge_is_kept(const struct tokenizer *tok, struct strbuf *name,
                          const char *line, size_t n, int64_t most)
{
    const char *gap = memchr(line, ' ', n);
    size_t left = gap ? (size_t)(gap - line) : 0, right = gap ? n - left - 1 : 0;
    char both[512];

    if (!left || !right || left + right >= sizeof both)
        return false;
    memcpy(both, line, left);
    memcpy(both + left, gap + 1, right);
    return is_kept(tok, name, line, left, most) &&
           is_kept(tok, name, gap + 1, right, most) &&
           is_kept(tok, name, both, left + right, most);
}

static int put_merges(struct strbuf *out, const struct tokenizer *tok,
                      const struct tokenizer_file *file, int64_t most, struct err *err)
{
    const char *end = file->text + file->len, *next;
    struct strbuf name = STRBUF_INIT;

    for (const char *line = file->text; line < end; line = next) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        size_t n = (size_t)((stop ? stop : end) - line);
        bool version = line == file->text && n >= 8 && !memcmp(line, "#version", 8);
        next = stop ? stop + 1 : end;
        n -= n && line[n - 1] == '\r';
        if (!version && !merge_is_kept(tok, &name, line, n, most))
            continue;
        strbuf_add(out, line, n);
        strbuf_putc(out, '\n');
    }
    strbuf_release(&name);
    return strbuf_failed(out, err);
}

int tokenizer_cut(struct tokenizer **out, const struct tokenizer *tok, int64_t size,
                  struct err *err)
{
    const struct tokenizer_file *file;
    struct strbuf vocab = STRBUF_INIT, merges = STRBUF_INIT;
    int rc = -1;

    if (tokenizer_files(tok, &file) != 2) {
        err_set(err, ERR_INPUT,
                "a vocabulary is cut where it comes as vocab.json with merges.txt, "
                "this one is %s",
                file[0].name);
        goto done;
    }
    if (size < 257 || size > tokenizer_size(tok)) {
        err_set(err, ERR_INPUT, "a vocabulary of %lld is cut to 257 and more, not %lld",
                (long long)tokenizer_size(tok), (long long)size);
        goto done;
    }
    if (put_vocab(&vocab, tok, size, err) ||
        put_merges(&merges, tok, &file[1], size - 1, err))
        goto done;
    struct tokenizer_file made[2] = {
        {"vocab.json", strbuf_text(&vocab), (int64_t)vocab.len, "the cut vocabulary"},
        {"merges.txt", strbuf_text(&merges), (int64_t)merges.len, "its merges"}};
    rc = tokenizer_new(out, made, 2, false, err);
done:
    strbuf_release(&vocab);
    strbuf_release(&merges);
    return rc;
}
