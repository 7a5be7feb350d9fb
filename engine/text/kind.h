/*
 * What the kinds of tokenizers share; private to engine/text. A kind's struct begins with
 * its struct tokenizer.
 */
#ifndef RETORT_TEXT_KIND_H
#define RETORT_TEXT_KIND_H

#include <stdatomic.h>

#include "retort/mem.h"
#include "retort/tokenizer.h"
#include "retort/utf8.h"

/* A struct encode_watch, and what it was told last. */
struct lookout {
    const struct encode_watch *watch; /* NULL: nobody waits */
    int64_t told;
};
/* To be called often, `done` bytes of the text being behind us: 0, or -1 to stop. */
int lookout_pass(struct lookout *l, int64_t done, struct err *err);

struct tokenizer_kind {
    const char *name;
    int (*encode)(const struct tokenizer *tok, const char *text, int64_t len,
                  struct tokens *out, struct lookout *lookout, struct err *err);
    /* Appends the bytes of a token; `first`: it begins the text. */
    void (*decode)(const struct tokenizer *tok, int64_t id, bool first,
                   struct strbuf *out);
    void (*free)(struct tokenizer *tok); /* what the kind added to the struct */
};

struct names_slot {
    uint32_t hash;
    int32_t id; /* of the token, plus 1; 0: free */
};

struct tokenizer {
    const struct tokenizer_kind *kind;
    struct arena *arena; /* lives as long as the tokenizer */
    const char **token;  /* (n) as the file spells them; NULL: no token has that id */
    int64_t n;
    struct names_slot *slot; /* spelling -> id, open addressing */
    uint32_t mask;
    struct special_ids special;
    bool lower_case;
    atomic_int owners;
    struct tokenizer_file file[TOKENIZER_FILES_MAX];
    int n_files;
};

/* A zeroed struct of a kind, with its arena and the copies of the files it is made from.
 */
struct tokenizer *tokenizer_alloc(const struct tokenizer_kind *kind, size_t size,
                                  const struct tokenizer_file *file, int n_files,
                                  struct err *err);
/* Makes room for n spellings (all token[] NULL). */
int tokenizer_names(struct tokenizer *tok, int64_t n, struct err *err);
/* Spells a token; of equal spellings the last one's is found by tokenizer_id. */
void tokenizer_name(struct tokenizer *tok, int64_t id, const char *spelling);

/* What messages call a file. */
static inline const char *file_place(const struct tokenizer_file *file)
{
    return file->path ? file->path : file->name;
}

int tokens_reserve(struct tokens *t, int64_t more, struct err *err);
/* There must be room. */
void tokens_push(struct tokens *t, int32_t id, int64_t begin, int64_t end);

#endif
