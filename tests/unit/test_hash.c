#include "check.h"

#include <unistd.h>

#include "retort/file.h"
#include "../../engine/base/hash.c" /* the table is private, and idle on a CPU with SSE4.2 */

#define SHA_EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SHA_ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define SHA_MILLION_A "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"

/* FIPS 180-4's examples. */
static void sha256_gives_the_published_digests(void **state)
{
    char hex[SHA256_HEX];

    (void)state;
    sha256_text(hex, NULL, 0);
    assert_string_equal(hex, SHA_EMPTY);
    sha256_text(hex, "abc", 3);
    assert_string_equal(hex, SHA_ABC);
}

static void pieces_give_the_digest_of_the_whole(void **state)
{
    struct err err = ERR_INIT;
    char hex[SHA256_HEX], a[1000];
    struct sha256 *h = sha256_new(&err);

    (void)state;
    memset(a, 'a', sizeof a);
    for (int i = 0; i < 1000; i++) {
        sha256_add(h, a, i % 1000);
        sha256_add(h, a, 1000 - i % 1000);
    }
    assert_ok(sha256_hex(h, hex, &err), &err);
    assert_string_equal(hex, SHA_MILLION_A);
    assert_fails(sha256_hex(h, hex, &err), &err, ERR_IO, "SHA-256"); /* it is ended */
    sha256_free(h);
    sha256_free(NULL);
}

static void a_file_has_the_digest_of_its_bytes(void **state)
{
    struct err err = ERR_INIT;
    char hex[SHA256_HEX], path[] = "/tmp/retort-hash-XXXXXX";
    static char a[1000000];
    int fd = mkstemp(path);

    (void)state;
    memset(a, 'a', sizeof a);
    assert_ok(file_write_fd(fd, a, sizeof a, path, &err), &err);
    close(fd);
    assert_ok(sha256_file(hex, path, &err), &err);
    assert_string_equal(hex, SHA_MILLION_A);
    unlink(path);
    assert_fails(sha256_file(hex, path, &err), &err, ERR_MISSING, path);
    assert_fails(sha256_file(hex, "/tmp", &err), &err, ERR_INPUT,
                 "/tmp: is not a regular file");
}

/* One bit at a time: the definition. */
static uint32_t crc_by_bits(const unsigned char *p, size_t n)
{
    uint32_t r = ~0u;

    while (n--) {
        r ^= *p++;
        for (int i = 0; i < 8; i++)
            r = (r >> 1) ^ (r & 1 ? 0x82f63b78u : 0);
    }
    return ~r;
}

/* RFC 3720, B.4, and the definition for every length and cut. */
static void crc32c_gives_the_published_sums_in_any_pieces(void **state)
{
    unsigned char bytes[100];

    (void)state;
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    memset(bytes, 0, 32);
    assert_int_equal(crc32c(0, bytes, 32), 0x8a9136aa);
    memset(bytes, 0xff, 32);
    assert_int_equal(crc32c(0, bytes, 32), 0x62a8ab43);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 37 + 11);
    for (size_t n = 0; n <= sizeof bytes; n++) {
        uint32_t whole = crc_by_bits(bytes, n);
        for (size_t cut = 0; cut <= n; cut++)
            assert_int_equal(crc32c(crc32c(0, bytes, cut), bytes + cut, n - cut), whole);
        assert_int_equal(~crc_by_table(~0u, bytes, n), whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_gives_the_published_digests),
        cmocka_unit_test(pieces_give_the_digest_of_the_whole),
        cmocka_unit_test(a_file_has_the_digest_of_its_bytes),
        cmocka_unit_test(crc32c_gives_the_published_sums_in_any_pieces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
