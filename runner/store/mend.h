/*
 * Files in which one byte is wrong, put right by copying. A CRC-32C tells which byte of
 * what it covers was changed, and to what: the difference of the two checksums, taken
 * back byte by byte from the end, becomes that of a single byte where it was.
 *
 * A copy is written aside, synced, judged, and renamed over the old one; nothing is ever
 * changed in place.
 */
#ifndef RETORT_STORE_MEND_H
#define RETORT_STORE_MEND_H

#include "internal.h"

/* Is the copy what it should be? */
typedef bool mend_judge(const char *path, void *ctx);

/* 1: mended, *what tells how; 0: more than a byte is wrong, and the file is as it was;
 * -1 with err. */
int mend_sealed(const char *path, mend_judge *good, void *ctx, char what[128],
                struct err *err);
int mend_journal(const char *path, char what[128], struct err *err);
int mend_checkpoint(const char *path, char what[128], struct err *err);

/* Looks for a byte of `data` that, changed, gives this checksum: the last one before
 * `before`. */
bool crc_find(const unsigned char *data, int64_t len, uint32_t wanted, int64_t before,
              int64_t *at, unsigned char *byte);

struct lines_found {
    int64_t whole, bad, mended, lost;
};
/*
 * Counts the lines of a file. With `mend`, bad ones are put right where one byte of them
 * is wrong (a newline, too); what is beyond that goes to <path>.lost, for a person to
 * read. `drop`, if not NULL, leaves a whole line out (it is cut in place).
 */
int lines_check(struct lines_found *out, const char *path, bool mend,
                bool (*drop)(void *ctx, char *line), void *ctx, struct err *err);

#endif
