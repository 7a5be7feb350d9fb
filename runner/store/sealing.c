/*
 * The end of a run: run.h5 is made of the journals, read back, put in place; what it was
 * made of is removed.
 */
#include "writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fill_summary(struct run_writer *w, struct content *c, struct err *err)
{
    c->info.ended = store_now();
    c->info.seconds = journal_seconds(w->dir);
    c->info.failure[0] = 0;
    c->generations = w->generation;
    return content_write_parts(c, err) ||
                   content_digest(c, RECORD_RESULT, c->info.digest, err) ||
                   content_digest(c, RECORD_EXTRA, c->extra_digest, err)
               ? -1
               : 0;
}

/* What was written reads back as what was meant. */
static int verify(const char *path, const struct content *c, struct err *err)
{
    int rc = -1;
    struct err why = ERR_INIT;
    struct file_map map;
    struct content *back;
    char digest[65], extra[65];

    if (content_load(&back, &map, path, false, &why))
        return err_set(err, ERR_IO, "what was just written cannot be read: %s", why.text);
    if (content_digest(back, RECORD_RESULT, digest, err) ||
        content_digest(back, RECORD_EXTRA, extra, err))
        goto done;
    if (strcmp(digest, c->info.digest) != 0 || strcmp(extra, c->extra_digest) != 0)
        err_set(err, ERR_IO,
                "%s: does not read back as it was written; is the disk sound?", path);
    else
        rc = 0;
done:
    content_free(back);
    file_unmap(&map);
    return rc;
}

/* A run that is made again (for a fuller record) must come out the same, in the same
 * environment. */
static int agree_with_old(const char *path, const struct content *c, struct err *err)
{
    int rc = 0;
    struct err local = ERR_INIT; /* a damaged old one is simply replaced */
    struct file_map map;
    struct content *old;

    if (!file_exists(path) || content_load(&old, &map, path, false, &local))
        return 0;
    if (!strcmp(old->info.env_class, c->info.env_class) &&
        strcmp(old->info.digest, c->info.digest) != 0)
        rc = err_set(err, ERR_NEGATIVE,
                     "%s: made again, the run came out differently: result digest %.10s, "
                     "before %.10s",
                     path, c->info.digest, old->info.digest);
    content_free(old);
    file_unmap(&map);
    return rc;
}

static int remove_work(struct run_writer *w, struct err *err)
{
    char **names;
    int rc = file_remove(w->ckpt, err);

    if (rc || file_list(&names, w->dir, err))
        return -1;
    for (char **n = names; !rc && *n; n++)
        if (!strncmp(*n, "journal.", 8) || !strncmp(*n, "run.h5.new.", 11) ||
            !strncmp(*n, "mended.", 7)) {
            char *path = path_join(w->dir, *n, err);
            rc = path ? file_remove(path, err) : -1;
            free(path);
        }
    file_list_free(names);
    return rc;
}

static int place(struct run_writer *w, const char *part, const char *path,
                 struct err *err)
{
    if (lease_beat(w->lease, err))
        return -1;
    if (chmod(part, 0444) || rename(part, path))
        return err_errno(err, "%s", path);
    return file_sync_dir(w->dir, err);
}

int run_seal(struct run_writer *w, struct err *err)
{
    int rc = -1;
    struct journal_maps maps = {NULL, 0, 0};
    struct content *c = NULL;
    char *path = path_join(w->dir, "run.h5", err);
    char *part = mem_printf(err, "%s/run.h5.new.%lld", w->dir, (long long)w->generation);

    pthread_mutex_lock(&w->lock);
    if (!path || !part || journal_sync(w->journal, err) ||
        journal_read(&c, &maps, w->dir, w->generation, journal_position(w->journal),
                     err) ||
        fill_summary(w, c, err) || check_parts(w->dir, c, err) ||
        agree_with_old(path, c, err) || content_save(part, c, err) ||
        verify(part, c, err) || place(w, part, path, err))
        goto done;
    w->sealed = true;
    c->info.bytes = file_size(path) + content_part_bytes(c);
    catalog_add(w->store->catalog, c, file_size(path), file_mtime_ns(path));
    rc = parts_remove_unlisted(w, c, err) || remove_work(w, err) ? -1 : 0;
done:
    if (rc && part)
        unlink(part);
    content_free(c);
    journal_maps_release(&maps);
    free(part);
    free(path);
    pthread_mutex_unlock(&w->lock);
    return rc;
}
