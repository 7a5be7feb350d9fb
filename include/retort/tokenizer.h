/*
 * WordPiece as in BERT (Devlin et al. 2019), equal to Hugging Face's fast tokenizer:
 * clean up, spaces around CJK, NFD and removal of accents and lower case (uncased), split
 * at white space and punctuation, greedy longest match, [UNK] for words of more than 100
 * characters or without a match.
 *
 * Invalid UTF-8: each maximal invalid part becomes U+FFFD (which the clean up then
 * removes), as Python's errors="replace" gives it to the reference.
 */
#ifndef RETORT_TOKENIZER_H
#define RETORT_TOKENIZER_H

#include <stdint.h>

#include "retort/err.h"

struct tokenizer;

struct tokens {
    int32_t *id;
    int64_t *begin, *end; /* bytes of the original text that the token came from */
    int64_t n, capacity;
};
void tokens_release(struct tokens *t);
void tokens_clear(struct tokens *t);

/* From the text of a vocab.txt (one token a line; the id is the line's number from 0).
 * The special tokens [PAD], [UNK], [CLS], [SEP], [MASK] must be there. */
int tokenizer_new(struct tokenizer **out, const char *vocab, int64_t len,
                  const char *name, bool lower_case, struct err *err);
int tokenizer_load(struct tokenizer **out, const char *vocab_path, bool lower_case,
                   struct err *err);
void tokenizer_free(struct tokenizer *tok);

/* Appends the tokens of `text`, without [CLS] and [SEP]. Text that spells a special token
 * ("[SEP]") is that token, as in the reference. Thread-safe. */
int tokenizer_encode(const struct tokenizer *tok, const char *text, int64_t len,
                     struct tokens *out, struct err *err);

int64_t tokenizer_size(const struct tokenizer *tok);
const char *tokenizer_token(const struct tokenizer *tok,
                            int64_t id); /* NULL if out of range */
int32_t tokenizer_id(const struct tokenizer *tok, const char *token); /* -1 if unknown */
/* The vocab.txt it was made from. */
const char *tokenizer_vocab(const struct tokenizer *tok, int64_t *len);
bool tokenizer_lower_case(const struct tokenizer *tok);

struct special_ids {
    int32_t pad, unk, cls, sep, mask;
};
struct special_ids tokenizer_special(const struct tokenizer *tok);

#endif
