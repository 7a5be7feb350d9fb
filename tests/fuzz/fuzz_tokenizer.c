/* Texts and vocabularies from strangers: tokens stay inside the text, in order. */
#include "replay.h"

#include "retort/tokenizer.h"

static const char VOCAB[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##a\ne\nab\n##b\n,\n-"
                            "\n0\n##9\n\xe4\xb8\xad\n";

static void encode(const struct tokenizer *tok, const char *text, int64_t len)
{
    struct err err = ERR_INIT;
    struct tokens t = {0};
    int64_t last = 0;

    if (tokenizer_encode(tok, text, len, &t, &err))
        BUG("%s", err.text);
    for (int64_t i = 0; i < t.n; i++) {
        if (t.id[i] < 0 || t.id[i] >= tokenizer_size(tok))
            BUG("token %d of %lld", t.id[i], (long long)tokenizer_size(tok));
        if (t.begin[i] < last || t.end[i] <= t.begin[i] || t.end[i] > len)
            BUG("token %lld is bytes %lld to %lld of %lld", (long long)i,
                (long long)t.begin[i], (long long)t.end[i], (long long)len);
        last = t.begin[i];
    }
    tokens_release(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    const char *text = (const char *)data;

    for (int lower = 0; lower < 2; lower++) {
        struct tokenizer *tok = NULL;
        if (tokenizer_wordpiece(&tok, VOCAB, sizeof VOCAB - 1, "fuzz", lower, &err))
            BUG("%s", err.text);
        encode(tok, text, (int64_t)size);
        tokenizer_free(tok);
        tok = NULL;
        if (tokenizer_wordpiece(&tok, text, (int64_t)size, "fuzz", lower, &err) == 0)
            encode(tok, text, (int64_t)size);
        else if (err.code != ERR_INPUT)
            BUG("refused without an error");
        err_clear(&err);
        tokenizer_free(tok);
    }
    return 0;
}

FUZZ_MAIN("tokenizer")
