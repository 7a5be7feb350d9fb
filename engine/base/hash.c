/*
 * SHA-256 by libcrypto, CRC-32C by the SSE4.2 instruction or a table. Nobody else
 * includes OpenSSL.
 *
 * Its low-level SHA-256, which OpenSSL 3 calls deprecated, allocates nothing and cannot
 * fail; EVP's can, and identities and random streams have nowhere to tell it.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "retort/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "retort/mem.h"

struct sha256 {
    SHA256_CTX ctx;
    bool ended;
};

struct sha256 *sha256_new(struct err *err)
{
    struct sha256 *h = mem_new(1, sizeof *h, err);

    if (h)
        SHA256_Init(&h->ctx);
    return h;
}

void sha256_add(struct sha256 *h, const void *data, int64_t len)
{
    if (len < 0)
        BUG("SHA-256 of %lld bytes", (long long)len);
    if (len && !h->ended)
        SHA256_Update(&h->ctx, data, (size_t)len);
}

static void to_hex(char out[SHA256_HEX], const unsigned char digest[32])
{
    static const char digits[] = "0123456789abcdef";

    for (int i = 0; i < 32; i++) {
        out[2 * i] = digits[digest[i] >> 4];
        out[2 * i + 1] = digits[digest[i] & 15];
    }
    out[64] = '\0';
}

int sha256_hex(struct sha256 *h, char out[SHA256_HEX], struct err *err)
{
    unsigned char digest[32];

    out[0] = '\0';
    if (h->ended)
        return err_set(err, ERR_IO, "a SHA-256 that has ended was asked for again");
    h->ended = true;
    SHA256_Final(digest, &h->ctx);
    to_hex(out, digest);
    return 0;
}

void sha256_free(struct sha256 *h)
{
    free(h);
}

void sha256_join(unsigned char out[32], const void *a, size_t a_len, const void *b,
                 size_t b_len)
{
    SHA256_CTX ctx;

    SHA256_Init(&ctx);
    SHA256_Update(&ctx, a_len ? a : "", a_len);
    SHA256_Update(&ctx, b_len ? b : "", b_len);
    SHA256_Final(out, &ctx);
}

void sha256_text(char out[SHA256_HEX], const void *data, size_t len)
{
    unsigned char digest[32];

    sha256_join(digest, data, len, NULL, 0);
    to_hex(out, digest);
}

static int add_fd(struct sha256 *h, int fd, char *buffer, size_t size, const char *path,
                  struct err *err)
{
    for (;;) {
        ssize_t n = read(fd, buffer, size);
        if (n == 0)
            return 0;
        if (n > 0)
            sha256_add(h, buffer, n);
        else if (errno != EINTR)
            return err_errno(err, "%s", path);
    }
}

int sha256_file(char out[SHA256_HEX], const char *path, struct err *err)
{
    const size_t size = 1 << 18;
    int rc = -1;
    struct stat st;
    char *buffer = NULL;
    struct sha256 *h = NULL;

    out[0] = '\0';
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hang us */
    if (fd < 0)
        return err_errno(err, "%s", path);
    if (fstat(fd, &st)) {
        err_errno(err, "%s", path);
        goto done;
    }
    if (!S_ISREG(st.st_mode)) {
        err_set(err, ERR_INPUT, "%s: is not a regular file", path);
        goto done;
    }
    buffer = mem_new((int64_t)size, 1, err);
    h = buffer ? sha256_new(err) : NULL;
    if (!h || add_fd(h, fd, buffer, size, path, err))
        goto done;
    rc = sha256_hex(h, out, err);
done:
    sha256_free(h);
    free(buffer);
    close(fd);
    return rc;
}

static uint32_t crc_table[8][256];
static pthread_once_t crc_once = PTHREAD_ONCE_INIT;

/* crc_table[k][b]: what byte b does to the register when k bytes follow it. */
static void crc_fill(void)
{
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t r = b;
        for (int i = 0; i < 8; i++)
            r = (r >> 1) ^ (r & 1 ? 0x82f63b78u : 0); /* the polynomial, reflected */
        crc_table[0][b] = r;
    }
    for (int k = 1; k < 8; k++)
        for (uint32_t b = 0; b < 256; b++)
            crc_table[k][b] =
                (crc_table[k - 1][b] >> 8) ^ crc_table[0][crc_table[k - 1][b] & 255];
}

static uint32_t crc_by_table(uint32_t r, const unsigned char *p, size_t len)
{
    pthread_once(&crc_once, crc_fill);
    for (; len >= 8; p += 8, len -= 8) {
        uint32_t a = r ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
                          (uint32_t)p[3] << 24);
        r = crc_table[7][a & 255] ^ crc_table[6][a >> 8 & 255] ^
            crc_table[5][a >> 16 & 255] ^ crc_table[4][a >> 24] ^ crc_table[3][p[4]] ^
            crc_table[2][p[5]] ^ crc_table[1][p[6]] ^ crc_table[0][p[7]];
    }
    while (len--)
        r = (r >> 8) ^ crc_table[0][(r ^ *p++) & 255];
    return r;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t
crc_by_sse42(uint32_t r, const unsigned char *p, size_t len)
{
    uint64_t wide = r;

    for (; len >= 8; p += 8, len -= 8) {
        unsigned long long word;
        memcpy(&word, p, 8);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    r = (uint32_t)wide;
    while (len--)
        r = __builtin_ia32_crc32qi(r, *p++);
    return r;
}
#endif

uint32_t crc32c(uint32_t crc, const void *data, size_t len)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("sse4.2"))
        return ~crc_by_sse42(~crc, data, len);
#endif
    return ~crc_by_table(~crc, data, len);
}
