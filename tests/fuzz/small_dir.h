/* A folder for a fuzz target that reads files by their names, in memory where there is
 * such a place. */
#ifndef RETORT_TESTS_SMALL_DIR_H
#define RETORT_TESTS_SMALL_DIR_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "retort/err.h"

static char small_dir[64];

static void small_dir_remove(void)
{
    char command[96];

    snprintf(command, sizeof command, "rm -rf '%s'", small_dir);
    if (system(command))
        fprintf(stderr, "%s is left\n", small_dir);
}

/* Made at the first call, removed at the end of the program. */
static inline const char *fuzz_dir(void)
{
    if (small_dir[0])
        return small_dir;
    snprintf(small_dir, sizeof small_dir, "%s/retort-fuzz-XXXXXX",
             access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    if (!mkdtemp(small_dir))
        BUG("no folder %s", small_dir);
    atexit(small_dir_remove);
    return small_dir;
}

static inline void put_file(const char *path, const void *data, size_t size)
{
    FILE *f = fopen(path, "wb");

    if (!f || (size && fwrite(data, 1, size, f) != size) || fclose(f))
        BUG("%s cannot be written", path);
}

#endif
