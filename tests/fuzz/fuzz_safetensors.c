/* safetensors from strangers: refused with an error, or every byte of every tensor can be
 * read. */
#include "replay.h"

#include <sys/mman.h>
#include <unistd.h>

#include "retort/safetensors.h"

static const int64_t sizes[DT_COUNT] = {
    [DT_F64] = 8, [DT_F32] = 4, [DT_BF16] = 2, [DT_F16] = 2,
    [DT_I64] = 8, [DT_I32] = 4, [DT_I8] = 1,   [DT_U8] = 1};

static int64_t read_all(const struct safetensors *st)
{
    int64_t sum = 0;

    for (int64_t i = 0; i < safetensors_count(st); i++) {
        const struct safetensors_entry *e = safetensors_at(st, i);
        const unsigned char *bytes = e->data;
        if (safetensors_find(st, e->name) != e)
            BUG("\"%s\" is not found", e->name);
        for (int64_t k = 0; k < e->count * sizes[e->dtype]; k++)
            sum += bytes[k];
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    struct safetensors *st;
    char path[40];
    int fd = memfd_create("fuzz", MFD_CLOEXEC);

    if (fd < 0)
        BUG("no memfd");
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (file_write_fd(fd, data, (int64_t)size, path, &err))
        BUG("%s", err.text);
    int rc = safetensors_open(&st, path, &err);
    if ((rc == 0) != (err.code == ERR_NONE) || (rc == 0) != (st != NULL))
        BUG("returned %d with \"%s\"", rc, err.text);
    if (rc == 0 && read_all(st) < 0)
        BUG("a sum of bytes below 0");
    safetensors_close(st);
    close(fd);
    return 0;
}

FUZZ_MAIN("safetensors")
