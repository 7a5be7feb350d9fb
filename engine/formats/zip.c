/*
 * Only what the central directory lists is looked at; the headers before the members
 * must agree on their names. Offsets are 64 bits wide and untrusted: each range is
 * checked against the file before it is read.
 */
#include "zip.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    END_BYTES = 22,
    END64_BYTES = 56,
    LOCATOR_BYTES = 20,
    ENTRY_BYTES = 46,
    LOCAL_BYTES = 30,
    COMMENT_MAX = 65535,
};

#define END_MARK 0x06054b50u
#define END64_MARK 0x06064b50u
#define LOCATOR_MARK 0x07064b50u
#define ENTRY_MARK 0x02014b50u
#define LOCAL_MARK 0x04034b50u
#define ABSENT32 0xFFFFFFFFu /* the value stands in the zip64 field */

struct member {
    const char *name;
    uint64_t at, size; /* `at` of its local header */
    uint32_t crc;
    const unsigned char *data; /* once it was checked */
};

struct zip {
    const unsigned char *data;
    uint64_t len;
    const char *name;
    struct arena *arena;
    struct member *member;
    int64_t n;
    uint32_t table[8][256]; /* of the CRC, for eight bytes at a time */
};

static uint64_t number(const unsigned char *p, int bytes)
{
    uint64_t n = 0;

    for (int i = bytes - 1; i >= 0; i--)
        n = n << 8 | p[i];
    return n;
}

static uint32_t u32(const unsigned char *p)
{
    return (uint32_t)number(p, 4);
}

static uint32_t u16(const unsigned char *p)
{
    return (uint32_t)number(p, 2);
}

static int damaged(const struct zip *zip, struct err *err, const char *what)
{
    return err_set(err, ERR_INPUT, "%s: the archive is cut or damaged: %s", zip->name,
                   what);
}

/* The bytes [at, at + n) if the archive has them, else NULL. */
static const unsigned char *range(const struct zip *zip, uint64_t at, uint64_t n)
{
    return n <= zip->len && at <= zip->len - n ? zip->data + at : NULL;
}

/* ---- CRC-32 (IEEE 802.3), eight bytes at a time ---- */

static void make_table(struct zip *zip)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++)
            c = c & 1 ? 0xEDB88320u ^ c >> 1 : c >> 1;
        zip->table[0][i] = c;
    }
    for (int t = 1; t < 8; t++)
        for (int i = 0; i < 256; i++) {
            uint32_t c = zip->table[t - 1][i];
            zip->table[t][i] = zip->table[0][c & 0xFF] ^ c >> 8;
        }
}

static uint32_t crc32_of(const struct zip *zip, const unsigned char *p, uint64_t n)
{
    uint32_t c = 0xFFFFFFFFu;

    for (; n >= 8; n -= 8, p += 8) {
        uint32_t low = c ^ u32(p), high = u32(p + 4), next = 0;
        for (int i = 0; i < 4; i++) {
            next ^= zip->table[7 - i][low >> 8 * i & 0xFF];
            next ^= zip->table[3 - i][high >> 8 * i & 0xFF];
        }
        c = next;
    }
    for (; n > 0; n--, p++)
        c = zip->table[0][(c ^ *p) & 0xFF] ^ c >> 8;
    return ~c;
}

/* ---- the directory ---- */

struct directory {
    uint64_t at, size, count;
};

static const unsigned char *find_end(const struct zip *zip)
{
    uint64_t last = zip->len - END_BYTES;

    if (zip->len < END_BYTES)
        return NULL;
    for (uint64_t back = 0; back <= COMMENT_MAX && back <= last; back++) {
        const unsigned char *p = zip->data + last - back;
        if (u32(p) == END_MARK && u16(p + 20) == back)
            return p;
    }
    return NULL;
}

static int find_directory(const struct zip *zip, struct directory *dir, struct err *err)
{
    const unsigned char *end = find_end(zip), *locator, *wide = NULL;

    if (!end)
        return damaged(zip, err, "its directory is missing");
    uint64_t at = (uint64_t)(end - zip->data);
    *dir = (struct directory){u32(end + 16), u32(end + 12), u16(end + 10)};
    locator = at >= LOCATOR_BYTES ? end - LOCATOR_BYTES : NULL;
    if (locator && u32(locator) == LOCATOR_MARK) {
        wide = range(zip, number(locator + 8, 8), END64_BYTES);
        if (!wide || u32(wide) != END64_MARK)
            return damaged(zip, err, "its zip64 directory is missing");
        *dir = (struct directory){number(wide + 48, 8), number(wide + 40, 8),
                                  number(wide + 32, 8)};
    }
    if (!range(zip, dir->at, dir->size) || dir->count > dir->size / ENTRY_BYTES)
        return damaged(zip, err, "its directory lies outside of the file");
    return 0;
}

/* The 64-bit values of an entry whose 32-bit ones are full, from its extra field 1. */
static int widen(const struct zip *zip, struct member *m, uint64_t *packed,
                 const unsigned char *extra, uint64_t len, struct err *err)
{
    uint64_t *const value[] = {&m->size, packed, &m->at};

    for (uint64_t i = 0; len - i >= 4; i += 4 + u16(extra + i + 2)) {
        uint64_t bytes = u16(extra + i + 2), used = 0;
        if (bytes > len - i - 4)
            break;
        for (int k = 0; u16(extra + i) == 1 && k < 3; k++) {
            if (*value[k] != ABSENT32)
                continue;
            if (bytes - used < 8)
                return damaged(zip, err, "a zip64 field is too short");
            *value[k] = number(extra + i + 4 + used, 8);
            used += 8;
        }
    }
    return 0;
}

static int read_entry(struct zip *zip, const unsigned char *p, uint64_t left,
                      uint64_t *used, struct err *err)
{
    struct member *m = &zip->member[zip->n];
    uint64_t packed, name_len, extra_len;
    char *name;

    if (left < ENTRY_BYTES || u32(p) != ENTRY_MARK)
        return damaged(zip, err, "its directory is cut");
    name_len = u16(p + 28);
    extra_len = u16(p + 30);
    *used = ENTRY_BYTES + name_len + extra_len + u16(p + 32);
    if (*used > left)
        return damaged(zip, err, "its directory is cut");
    if (memchr(p + ENTRY_BYTES, 0, name_len))
        return damaged(zip, err, "a member's name holds a zero byte");
    name = arena_alloc(zip->arena, (int64_t)name_len + 1);
    if (!name)
        return arena_failed(zip->arena, err);
    memcpy(name, p + ENTRY_BYTES, name_len);
    name[name_len] = '\0';
    *m = (struct member){name, u32(p + 42), u32(p + 24), u32(p + 16), NULL};
    packed = u32(p + 20);
    if (widen(zip, m, &packed, p + ENTRY_BYTES + name_len, extra_len, err))
        return -1;
    if (u16(p + 8) & 1)
        return err_set(err, ERR_INPUT, "%s: member \"%.200s\" is encrypted", zip->name,
                       name);
    if (u16(p + 10) != 0 || packed != m->size)
        return err_set(err, ERR_INPUT,
                       "%s: member \"%.200s\" is compressed; torch.save stores members "
                       "as they are",
                       zip->name, name);
    zip->n++;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct member *)a)->name, ((const struct member *)b)->name);
}

static int read_directory(struct zip *zip, struct err *err)
{
    struct directory dir = {0, 0, 0};
    uint64_t at = 0, used = 0;

    if (find_directory(zip, &dir, err))
        return -1;
    zip->member = mem_new((int64_t)dir.count, sizeof *zip->member, err);
    if (!zip->member)
        return -1;
    for (uint64_t i = 0; i < dir.count; i++, at += used)
        if (read_entry(zip, zip->data + dir.at + at, dir.size - at, &used, err))
            return -1;
    if (zip->n > 1)
        qsort(zip->member, (size_t)zip->n, sizeof *zip->member, by_name);
    for (int64_t i = 1; i < zip->n; i++)
        if (strcmp(zip->member[i - 1].name, zip->member[i].name) == 0)
            return err_set(err, ERR_INPUT, "%s: member \"%.200s\" is there twice",
                           zip->name, zip->member[i].name);
    return 0;
}

int zip_open(struct zip **out, const unsigned char *data, int64_t len, const char *name,
             struct err *err)
{
    struct zip *zip = mem_new(1, sizeof *zip, err);

    *out = NULL;
    if (!zip)
        return -1;
    *zip = (struct zip){.data = data, .len = (uint64_t)len, .name = name};
    make_table(zip);
    if (!(zip->arena = arena_new(err)) || read_directory(zip, err)) {
        zip_close(zip);
        return -1;
    }
    *out = zip;
    return 0;
}

void zip_close(struct zip *zip)
{
    if (!zip)
        return;
    free(zip->member);
    arena_free(zip->arena);
    free(zip);
}

int64_t zip_count(const struct zip *zip)
{
    return zip->n;
}

const char *zip_name(const struct zip *zip, int64_t i)
{
    return zip->member[i].name;
}

/* Where the member's bytes begin: behind its local header. */
static int check_member(const struct zip *zip, struct member *m, struct err *err)
{
    const unsigned char *local = range(zip, m->at, LOCAL_BYTES), *data;
    size_t name_len = strlen(m->name);

    if (!local || u32(local) != LOCAL_MARK || u16(local + 26) != name_len ||
        !range(zip, m->at + LOCAL_BYTES, name_len) ||
        memcmp(local + LOCAL_BYTES, m->name, name_len) != 0)
        return err_set(err, ERR_INPUT,
                       "%s: member \"%.200s\" is not where the directory says", zip->name,
                       m->name);
    data = range(zip, m->at + LOCAL_BYTES + name_len + u16(local + 28), m->size);
    if (!data)
        return err_set(err, ERR_INPUT,
                       "%s: member \"%.200s\" has %" PRIu64 " bytes by the directory, "
                       "more than follow; the file is cut",
                       zip->name, m->name, m->size);
    if (m->crc != 0 && crc32_of(zip, data, m->size) != m->crc)
        return err_set(err, ERR_INPUT,
                       "%s: member \"%.200s\" is damaged: its CRC-32 is not the "
                       "directory's",
                       zip->name, m->name);
    m->data = data;
    return 0;
}

int zip_find(struct zip *zip, const char *member, const unsigned char **data,
             int64_t *len, struct err *err)
{
    struct member key = {.name = member};
    struct member *m =
        zip->n ? bsearch(&key, zip->member, (size_t)zip->n, sizeof *zip->member, by_name)
               : NULL;

    if (!m)
        return 0;
    if (!m->data && check_member(zip, m, err))
        return -1;
    *data = m->data;
    *len = (int64_t)m->size;
    return 1;
}
