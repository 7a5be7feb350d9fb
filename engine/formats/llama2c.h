/*
 * llama2.c's models (Karpathy 2023; export.py, "legacy" version 0): seven int32 (width,
 * feed-forward, layers, heads, heads of keys and values, vocabulary, positions; a
 * vocabulary below 0: the logits have weights of their own), then f32: embeddings, each
 * kind of weight for all layers, the last norm, rotary angles (not read), the logits'
 * weights. Private to engine/formats.
 *
 * Tensors come out under Hugging Face's names and in its form: there a rotary pair is (i,
 * i + D/2) of a head, here (2i, 2i + 1), so rows of queries and keys change places.
 */
#ifndef RETORT_LLAMA2C_H
#define RETORT_LLAMA2C_H

#include "retort/hf.h"

struct llama2c;

/* Sizes are checked against the file's length before anything is read. */
int llama2c_open(struct llama2c **out, struct hf_config *cfg, const char *path,
                 struct err *err);
void llama2c_close(struct llama2c *m);
int64_t llama2c_count(const struct llama2c *m);
const struct safetensors_entry *llama2c_at(const struct llama2c *m, int64_t i);

#endif
