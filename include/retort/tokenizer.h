/*
 * Tokenizers, three kinds behind one interface, each equal to its reference
 * implementation:
 *
 *   WordPiece (BERT; Devlin et al. 2019), as Hugging Face's fast tokenizer: clean up,
 * spaces around CJK, NFD and removal of accents and lower case (uncased), split at white
 * space and punctuation, greedy longest match, [UNK] for words of more than 100
 * characters or without a match. Invalid UTF-8: each maximal invalid part becomes U+FFFD
 * (which the clean up then removes), as Python's errors="replace" gives it to the
 * reference.
 *
 *   byte-level BPE (GPT-2; Radford et al. 2019), as Hugging Face's fast tokenizer: words
 * by GPT-2's pattern (contractions, letters, numbers, others, white space, each with one
 * space before it), the bytes of a word merged by rank. Where tokenizer.json says so,
 * each digit is cut off first. Any bytes can be encoded, and decoding gives them back;
 * invalid UTF-8 counts as "others" in the pattern.
 *
 *   SentencePiece BPE (LLaMA; Kudo & Richardson 2018), as the sentencepiece library: a
 * space before the text, spaces become U+2581, characters merged by score over the whole
 * text, what is no piece becomes its bytes <0x00> ... <0xFF> (or <unk> where the model
 * has none). Bytes that are not UTF-8 become theirs too.
 */
#ifndef RETORT_TOKENIZER_H
#define RETORT_TOKENIZER_H

#include <stdint.h>

#include "retort/err.h"
#include "retort/strbuf.h"

struct tokenizer;

struct tokens {
    int32_t *id;
    int64_t *begin, *end; /* bytes of the original text that the token came from */
    int64_t n, capacity;
};
void tokens_release(struct tokens *t);
void tokens_clear(struct tokens *t);

/* The files a tokenizer is made from, as a run stores them and a folder holds them. */
#define TOKENIZER_FILES_MAX 2
struct tokenizer_file {
    const char *name; /* its kind, by its usual name; one of
                         vocab.txt                       WordPiece
                         vocab.json with merges.txt      byte-level BPE (encoder.json with
                         vocab.bpe)
                         tokenizer.json                  byte-level BPE, or WordPiece,
                         which goes on as its vocab.txt
                         tokenizer.model, tokenizer.bin  SentencePiece, llama2.c */
    const char *text;
    int64_t len;
    const char *path; /* what messages call it; NULL: its name */
};

/*
 * From files in memory. WordPiece needs the special tokens [PAD], [UNK], [CLS], [SEP],
 * [MASK]; lower_case is for it alone. What we cannot honour (another normaliser, another
 * pattern, a unigram model) is an error that names it.
 */
int tokenizer_new(struct tokenizer **out, const struct tokenizer_file *file, int n_files,
                  bool lower_case, struct err *err);
/* From a folder, by the first of the above that is there, or from one file, named by its
 * ending. */
int tokenizer_load(struct tokenizer **out, const char *path, bool lower_case,
                   struct err *err);
/* From the text of a vocab.txt, called `name` in messages. */
int tokenizer_wordpiece(struct tokenizer **out, const char *vocab, int64_t len,
                        const char *name, bool lower_case, struct err *err);
/* A byte-level BPE of vocab.json and merges.txt cut to `size` tokens: the first size - 1
 * as they are and <|endoftext|>, whose id is then size - 1. */
int tokenizer_cut(struct tokenizer **out, const struct tokenizer *tok, int64_t size,
                  struct err *err);
/* One more owner; each frees it. It never changes, so it is shared rather than copied. */
struct tokenizer *tokenizer_hold(struct tokenizer *tok);
void tokenizer_free(struct tokenizer *tok); /* NULL is fine */

/* Appends the tokens of `text`, without any at its beginning or end ([CLS], <s>). Text
 * that spells a special token
 * ("[SEP]", "<|endoftext|>") is that token, as in the reference; not so for
 * SentencePiece, as there. Thread-safe. */
int tokenizer_encode(const struct tokenizer *tok, const char *text, int64_t len,
                     struct tokens *out, struct err *err);
/* Somebody who waits for a long text: asked at every megabyte or so, in words of any
 * length, how many bytes are behind us. If `go_on` returns false reading stops, as
 * ERR_STOPPED. */
struct encode_watch {
    bool (*go_on)(void *ctx, int64_t done);
    void *ctx;
};
int tokenizer_encode_watched(const struct tokenizer *tok, const char *text, int64_t len,
                             struct tokens *out, const struct encode_watch *watch,
                             struct err *err);
/* Appends the text of tokens (bytes: it need not be UTF-8). Control tokens (<s>) give
 * nothing; ids out of range nothing. WordPiece gives its words with single spaces. */
void tokenizer_decode(const struct tokenizer *tok, const int32_t *id, int64_t n,
                      struct strbuf *out);

int64_t tokenizer_size(const struct tokenizer *tok); /* the highest id + 1 */
/* As its file spells it; NULL if out of range. */
const char *tokenizer_token(const struct tokenizer *tok, int64_t id);
int32_t tokenizer_id(const struct tokenizer *tok, const char *token); /* -1 if unknown */
/* What it was made from; returns their number. */
int tokenizer_files(const struct tokenizer *tok, const struct tokenizer_file **file);
bool tokenizer_lower_case(const struct tokenizer *tok);

struct special_ids { /* -1: there is none */
    int32_t pad, unk, cls, sep, mask, bos, eos;
};
struct special_ids tokenizer_special(const struct tokenizer *tok);

#endif
