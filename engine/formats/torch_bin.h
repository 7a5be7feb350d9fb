/*
 * pytorch_model.bin: a dictionary of tensors as torch.save writes it, in its archive
 * (since 1.6) and in its older form of pickles one after another. Behind the same entries
 * as model.safetensors. Private to engine/formats.
 *
 * The pickle inside is read as data (pickle.h): nothing is imported or called, and a file
 * that holds or asks for anything but tensors is refused, with what and where.
 */
#ifndef RETORT_TORCH_BIN_H
#define RETORT_TORCH_BIN_H

#include "retort/safetensors.h"

struct torch_bin;

int torch_bin_open(struct torch_bin **out, const char *path, struct err *err);
void torch_bin_close(struct torch_bin *bin);
int64_t torch_bin_count(const struct torch_bin *bin);
/* In the order of the dictionary. */
const struct safetensors_entry *torch_bin_at(const struct torch_bin *bin, int64_t i);
const struct safetensors_entry *torch_bin_find(const struct torch_bin *bin,
                                               const char *name);

#endif
