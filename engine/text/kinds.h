/*
 * The makers of tokenizers; private to engine/text.
 */
#ifndef RETORT_TEXT_KINDS_H
#define RETORT_TEXT_KINDS_H

#include "retort/tokenizer.h"

#define TOKENIZER_MAKER(name)                                                            \
    int name(struct tokenizer **out, const struct tokenizer_file *file, bool lower_case, \
             struct err *err)

TOKENIZER_MAKER(wordpiece_new);
TOKENIZER_MAKER(byte_bpe_from_json);
TOKENIZER_MAKER(byte_bpe_from_merges);
TOKENIZER_MAKER(sentencepiece_new);
TOKENIZER_MAKER(llama2c_new);

#endif
