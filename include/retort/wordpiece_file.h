/*
 * tokenizer.json of a WordPiece tokenizer, as transformers 5 writes it in place of
 * vocab.txt. What we cannot honour is an error that names it.
 */
#ifndef RETORT_WORDPIECE_FILE_H
#define RETORT_WORDPIECE_FILE_H

#include <stdint.h>

#include "retort/strbuf.h"

/* Is it of this kind? A quick look, for a file that may be of another. */
bool wordpiece_file_is(const char *json, int64_t len);

/* Appends what vocab.txt would hold. `name` is what messages call the text. */
int wordpiece_file_json(struct strbuf *vocab, bool *lower_case, const char *json,
                        int64_t len, const char *name, struct err *err);

#endif
