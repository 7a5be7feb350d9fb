/* Archives by libarchive, which archive.c alone knows; private to runner/fetch. */
#ifndef RETORT_FETCH_ARCHIVE_H
#define RETORT_FETCH_ARCHIVE_H

#include "retort/mem.h"

struct archive_limits {
    int64_t bytes;   /* of all files together, unpacked */
    int64_t entries; /* files and folders */
};

/* Unpacks a zip or a tar (gzip, bzip2, xz, zstd) below `dir`, which is made, is empty
 * before and written by nobody else. Nothing is ever written elsewhere: a member with an
 * absolute path, "..", a link, a device, a name that comes twice, or more bytes than the
 * limits refuses the whole archive (ERR_INPUT), and what was unpacked by then is left for
 * the caller to remove. Modes, owners and times of the archive are not taken. */
int archive_unpack(const char *archive, const char *dir,
                   const struct archive_limits *limits, struct err *err);

#endif
