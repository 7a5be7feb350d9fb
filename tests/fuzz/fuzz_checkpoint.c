/* Checkpoints from strangers, the checksum of the head made right: refused with an error,
 * or restored whole. */
#include "replay.h"

#include "../../runner/store/internal.h"
#include "small_dir.h"

static void mend(uint8_t *data, size_t size)
{
    int64_t length;
    uint32_t crc;

    if (size < 24)
        return;
    memcpy(data, "RTCKPT1\n", 8);
    memcpy(&length, data + 8, 8);
    if (length < 0 || length > (int64_t)size - 24)
        return;
    crc = crc32c(0, data + 24, (size_t)length);
    memcpy(data + 16, &crc, 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char before[] = "as before";
    struct err err = ERR_INIT;
    struct checkpoint_head head;
    char path[96], one[16] = "as before", two[16] = "as before";
    const struct region r[] = {{"weight/x", one, sizeof one}, {"m", two, sizeof two}};
    uint8_t *copy = malloc(size + 1);

    if (!copy)
        return 0;
    memcpy(copy, data, size);
    mend(copy, size);
    snprintf(path, sizeof path, "%s/x", fuzz_dir());
    put_file(path, copy, size);
    free(copy);
    if (checkpoint_read(&head, fuzz_dir(), "x", r, 2, &err)) {
        if (!err_is_set(&err))
            BUG("refused without an error");
        if (memcmp(one, before, sizeof before) || memcmp(two, before, sizeof before))
            BUG("refused, and yet something was restored");
    }
    return 0;
}

FUZZ_MAIN("checkpoint")
