/*
 * The seal: 32 bytes behind the end of an HDF5 file, which its readers ignore: mark,
 * length, CRC-32C of all before. HDF5 1.10 crashes on some damaged files, so it is shown
 * none that the seal does not fit.
 */
#include "internal.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define SEAL_MARK "retort seal 1\n\n\n"

void seal_make(unsigned char seal[SEAL_BYTES], const unsigned char *data, int64_t len)
{
    uint32_t crc = crc32c(0, data, (size_t)len);

    memset(seal, 0, SEAL_BYTES);
    memcpy(seal, SEAL_MARK, 16);
    memcpy(seal + 16, &len, 8);
    memcpy(seal + SEAL_CRC, &crc, 4);
}

int seal_check(const struct file_map *map, const char *path, struct err *err)
{
    unsigned char want[SEAL_BYTES];
    int64_t len = map->len - SEAL_BYTES;

    if (len < 0 || memcmp(map->data + len, SEAL_MARK, 16) != 0)
        return err_set(err, ERR_INPUT,
                       "%s: is damaged: its end is missing, or it is no run", path);
    seal_make(want, map->data, len);
    if (memcmp(map->data + len, want, SEAL_BYTES) != 0)
        return err_set(err, ERR_INPUT, "%s: is damaged: its checksum is wrong", path);
    return 0;
}

int seal_put(const char *path, struct err *err)
{
    int rc = -1;
    unsigned char seal[SEAL_BYTES];
    struct file_map map = {NULL, 0};
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

    if (fd < 0) {
        err_errno(err, "%s", path);
        goto done;
    }
    if (file_map(&map, path, err))
        goto done;
    seal_make(seal, map.data, map.len);
    if (file_write_fd(fd, seal, SEAL_BYTES, path, err))
        goto done;
    rc = fsync(fd) ? err_errno(err, "%s", path) : 0;
done:
    file_unmap(&map);
    if (fd >= 0)
        close(fd);
    return rc;
}
