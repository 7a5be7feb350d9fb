/*
 * Byte-pair encoding (Sennrich et al. 2016; Gage 1994): the merging, common to byte-level
 * BPE and SentencePiece.
 *
 * A word is a row of symbols. As long as two neighbours are a known pair, the pair of the
 * lowest rank, of equals the leftmost, becomes one symbol.
 */
#ifndef RETORT_TEXT_BPE_H
#define RETORT_TEXT_BPE_H

#include <stdint.h>

#include "retort/err.h"

struct bpe; /* pairs of symbols: what they become, and in which order */

/* Room for n pairs. */
int bpe_new(struct bpe **out, int64_t n, struct err *err);
void bpe_free(struct bpe *bpe);
/* Of equal pairs the first counts; ranks are at least 0. At most as many as there is room
 * for. */
void bpe_add(struct bpe *bpe, int32_t left, int32_t right, int32_t rank, int32_t id);

struct lookout; /* kind.h */

/* What merging needs besides the word; grows, and is reused from word to word. */
struct bpe_work {
    struct lookout
        *lookout; /* of a long word too: asked while it is merged; NULL: none */
    int64_t at;   /* bytes before the word, for it */
    int32_t *next, *prev;
    uint64_t *heap;
    int64_t room, n_heap;
};
void bpe_work_release(struct bpe_work *work);

/*
 * Merges symbol[0 .. *n - 1] in place; first[i] is set to where among the given symbols
 * the i-th of those left begins. Takes n log n steps, whatever the word.
 */
int bpe_merge(const struct bpe *bpe, int32_t *symbol, int32_t *first, int64_t *n,
              struct bpe_work *work, struct err *err);

#endif
