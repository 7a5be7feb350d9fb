/*
 * Journals from strangers. Checksums would keep all changes from the readers behind
 * them, so they are made right first: a record may be anything, and is refused, or read
 * into a content that can be digested.
 */
#include "replay.h"

#include "../../runner/store/journal.h"
#include "small_dir.h"

/* Magic and checksum of each record, as far as the lengths fit. */
static void mend(uint8_t *data, size_t size)
{
    for (size_t at = 0; size - at >= RECORD_HEADER;) {
        uint32_t magic = RECORD_MAGIC, crc;
        int64_t length;
        memcpy(&length, data + at + 8, 8);
        if (length < 0 || length > (int64_t)(size - at - RECORD_HEADER))
            return;
        memcpy(data + at, &magic, 4);
        crc = crc32c(0, data + at + 4, 12);
        crc = crc32c(crc, data + at + RECORD_HEADER, (size_t)length);
        memcpy(data + at + 16, &crc, 4);
        at += RECORD_HEADER + (size_t)(length + (-length & 7));
        if (at > size)
            return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    struct journal_maps maps = {NULL, 0, 0};
    struct content *c = NULL;
    char path[96], digest[65];
    uint8_t *copy = malloc(size + 1);

    if (!copy)
        return 0;
    memcpy(copy, data, size);
    mend(copy, size);
    snprintf(path, sizeof path, "%s/journal.2", fuzz_dir());
    put_file(path, copy, size);
    free(copy);
    if (!journal_read(&c, &maps, fuzz_dir(), 2, -1, &err)) {
        if (content_digest(c, RECORD_RESULT, digest, &err))
            BUG("no digest: %s", err.text);
        content_free(c);
    } else if (!err_is_set(&err)) {
        BUG("refused without an error");
    }
    journal_maps_release(&maps);
    return 0;
}

FUZZ_MAIN("journal")
