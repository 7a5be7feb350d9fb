/*
 * Tokenizers' files from strangers: the first byte says of which kind; vocab.json and
 * merges.txt are parted by a zero byte. What is accepted encodes any text into its own
 * tokens and decodes any of them.
 */
#include "replay.h"

#include "retort/tokenizer.h"

static const char TEXT[] =
    "a ab  \xe4\xb8\xad\n\tLow lower's \xF0\x9F\x98\x80 12 \x80\xFF";

static void use(const struct tokenizer *tok)
{
    struct err err = ERR_INIT;
    struct tokens t = {0};
    struct strbuf back = STRBUF_INIT;

    if (tokenizer_encode(tok, TEXT, sizeof TEXT - 1, &t, &err) && err.code != ERR_INPUT)
        BUG("%s", err.text);
    for (int64_t i = 0; i < t.n; i++)
        if (t.id[i] < 0 || t.id[i] >= tokenizer_size(tok))
            BUG("token %d of %lld", t.id[i], (long long)tokenizer_size(tok));
    tokenizer_decode(tok, t.id, t.n, &back);
    for (int64_t i = -1; i <= tokenizer_size(tok) && i < 300; i++)
        tokenizer_decode(tok, &(int32_t){(int32_t)i}, 1, &back);
    strbuf_release(&back);
    tokens_release(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const kinds[] = {"vocab.json", "tokenizer.json", "tokenizer.model",
                                        "tokenizer.bin"};
    struct err err = ERR_INIT;
    struct tokenizer *tok = NULL;
    unsigned kind = size ? data[0] % 4 : 0;
    int64_t len = size ? (int64_t)size - 1 : 0;
    char *text = malloc(size + 1); /* of its own size: what reads past it is seen */

    if (!text)
        BUG("no memory");
    memcpy(text, size ? data + 1 : data, (size_t)len);
    text[len] = '\0';
    const char *end = memchr(text, 0, (size_t)len);
    struct tokenizer_file file[2] = {{kinds[kind], text, len, NULL}};
    if (kind == 0 && end) {
        file[0].len = end - text;
        file[1] =
            (struct tokenizer_file){"merges.txt", end + 1, text + len - end - 1, NULL};
    }
    if (!tokenizer_new(&tok, file, kind == 0 && end ? 2 : 1, false, &err))
        use(tok);
    else if (err.code != ERR_INPUT && err.code != ERR_MISSING)
        BUG("refused as %d: %s", (int)err.code, err.text);
    tokenizer_free(tok);
    free(text);
    return 0;
}

FUZZ_MAIN("tokenizer_file")
