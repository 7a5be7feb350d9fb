/*
 * Files and paths, with errors that name the path. Interrupted calls are repeated, short
 * writes completed. Names are bytes; nothing depends on the locale.
 */
#ifndef RETORT_FILE_H
#define RETORT_FILE_H

#include <stdint.h>

#include "retort/err.h"
#include "retort/mem.h"

/* Reads a whole regular file of at most `max` bytes; *out is NUL-terminated, the caller
 * frees it. `len` may be NULL. */
int file_read(char **out, int64_t *len, const char *path, int64_t max, struct err *err);

/* Writes beside `path`, syncs, renames over it, syncs the folder: old or
 * new, never half. What is no file (a device, a pipe) is written to. */
int file_write(const char *path, const void *data, int64_t len, struct err *err);

/* Writes all bytes to an open descriptor. */
int file_write_fd(int fd, const void *data, int64_t len, const char *name,
                  struct err *err);

/* fsync of a folder, so that a rename in it lasts. */
int file_sync_dir(const char *dir, struct err *err);

/* A read-only mapping of a regular file. An empty file gives data NULL, len 0. */
struct file_map {
    const unsigned char *data;
    int64_t len;
};
int file_map(struct file_map *map, const char *path, struct err *err);
void file_unmap(struct file_map *map);

bool file_exists(const char *path);
bool file_is_dir(const char *path);
int64_t file_size(const char *path); /* -1 if it is not there */

/* Makes a folder and its parents, each so that it lasts; fine if it is there. */
int file_mkdirs(const char *path, struct err *err);

/* Removes a file or a folder with all in it; fine if it is not there.
 * Follows no links. */
int file_remove(const char *path, struct err *err);

/* Entries of a folder except . and .., sorted by bytes. NULL-terminated; free with
 * file_list_free. */
int file_list(char ***out, const char *dir, struct err *err);
void file_list_free(char **list);

/* "dir/name", or name alone if it is absolute or dir is "" or ".". Heap memory. */
char *path_join(const char *dir, const char *name, struct err *err);
/* The folder part ("." if none) and the last part (a pointer into `path`). */
char *path_dir(const char *path, struct err *err);
const char *path_base(const char *path);

#endif
