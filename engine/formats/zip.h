/*
 * Zip archives whose members are stored, not compressed: what torch.save writes. Zip64
 * too. Private to engine/formats.
 *
 * The central directory is believed and checked (in range, names unique, no encryption);
 * a member's CRC-32 is checked when it is first asked for, unless the archive has none
 * (torch.serialization.set_crc32_options(False) writes 0).
 */
#ifndef RETORT_ZIP_H
#define RETORT_ZIP_H

#include "retort/mem.h"

struct zip;

/* `data` stays the caller's and outlives the archive; `name` is what messages call it. */
int zip_open(struct zip **out, const unsigned char *data, int64_t len, const char *name,
             struct err *err);
void zip_close(struct zip *zip);
int64_t zip_count(const struct zip *zip);
const char *zip_name(const struct zip *zip, int64_t i); /* sorted by bytes */

/* A member's bytes. 1 and *data, 0: there is none of this name, -1: it is damaged. */
int zip_find(struct zip *zip, const char *member, const unsigned char **data,
             int64_t *len, struct err *err);

#endif
