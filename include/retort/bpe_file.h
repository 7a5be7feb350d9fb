/*
 * The files of a byte-level BPE tokenizer, as far as its tokens depend on them:
 * tokenizer.json as Hugging Face writes it, or GPT-2's vocab.json. Checked, and read into
 * lists; what we cannot honour is an error that names it.
 */
#ifndef RETORT_BPE_FILE_H
#define RETORT_BPE_FILE_H

#include "retort/mem.h"

#define BPE_ID_MAX (1 << 24)

struct bpe_token { /* a spelling and its id, 0 .. BPE_ID_MAX - 1; no two have the same */
    const char *text;
    int64_t id;
};

struct bpe_merge { /* the i-th has rank i */
    const char *left, *right;
};

struct bpe_added { /* a token whose text is never split */
    const char *text;
    int64_t id;
    bool control; /* "special": it stands for no text */
};

struct bpe_file {
    struct bpe_token *token;
    struct bpe_merge *merge;
    struct bpe_added *added;
    int64_t n_tokens, n_merges, n_added;
    bool digits; /* each digit is cut off before the pattern */
};

/* Lists live in `arena`; `name` is what messages call the text. */
int bpe_file_json(struct bpe_file *out, const char *json, int64_t len, const char *name,
                  struct arena *arena, struct err *err);
/* {"token": id, ...}; no merges, nothing added. */
int bpe_file_vocab(struct bpe_file *out, const char *json, int64_t len, const char *name,
                   struct arena *arena, struct err *err);

#endif
