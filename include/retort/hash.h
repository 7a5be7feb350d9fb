/*
 * SHA-256 (libcrypto) for identities, CRC-32C for journals.
 */
#ifndef RETORT_HASH_H
#define RETORT_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "retort/err.h"

#define SHA256_HEX 65 /* 64 digits and the NUL */
#define ID_SHORT 10   /* digits shown */

struct sha256;

/* Incremental. sha256_hex ends it: asked again, it fails. */
struct sha256 *sha256_new(struct err *err);
void sha256_add(struct sha256 *h, const void *data, int64_t len);
int sha256_hex(struct sha256 *h, char out[SHA256_HEX], struct err *err);
void sha256_free(struct sha256 *h);

/* At one go: of two pieces one after the other, and of one as hexadecimal text. */
void sha256_join(unsigned char out[32], const void *a, size_t a_len, const void *b,
                 size_t b_len);
void sha256_text(char out[SHA256_HEX], const void *data, size_t len);
int sha256_file(char out[SHA256_HEX], const char *path, struct err *err);

/* CRC-32C (Castagnoli) of `data`, going on from `crc` (0 to begin). */
uint32_t crc32c(uint32_t crc, const void *data, size_t len);

#endif
