/*
 * Snapshots: a file for each, and the list of them in the run (docs/store.md).
 */
#include "writer.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the list ---- */

int content_part(struct content *c, const struct part *part, struct err *err)
{
    if (part->step < 0 || (c->parts_n && part->step <= c->parts[c->parts_n - 1].step))
        return err_set(err, ERR_INPUT,
                       "a snapshot of step %lld comes after that of step %lld",
                       (long long)part->step,
                       c->parts_n ? (long long)c->parts[c->parts_n - 1].step : -1LL);
    if (mem_grow((void **)&c->parts, c->parts_n, &c->parts_capacity, sizeof *c->parts,
                 err))
        return -1;
    c->parts[c->parts_n++] = *part;
    return 0;
}

int64_t content_part_bytes(const struct content *c)
{
    int64_t sum = 0;

    for (int64_t i = 0; i < c->parts_n; i++)
        sum += c->parts[i].bytes;
    return sum;
}

int check_parts(const char *dir, const struct content *c, struct err *err)
{
    for (int64_t i = 0; i < c->parts_n; i++) {
        const struct part *p = &c->parts[i];
        char *path = mem_printf(err, "%s/parts/%s", dir, p->name);
        int64_t size = path ? file_size(path) : 0;
        int rc = path ? 0 : -1;
        if (path && size != p->bytes)
            rc = err_set(err, size < 0 ? ERR_MISSING : ERR_INPUT,
                         "%s: the snapshot of step %lld is %s", path, (long long)p->step,
                         size < 0 ? "not there" : "damaged: its size is wrong");
        free(path);
        if (rc)
            return -1;
    }
    return 0;
}

static int numbers_item(struct content *c, const char *path, size_t offset,
                        struct err *err)
{
    struct item it = {.kind = ITEM_ARRAY};
    int64_t *v = mem_new(c->parts_n, sizeof *v, err);

    it.owned = v;
    it.data = v;
    it.pub.path = mem_strdup(path, err);
    it.pub.cls = RECORD_EXTRA;
    it.pub.dtype = DT_I64;
    it.pub.shape = SHAPE(c->parts_n);
    it.pub.bytes = c->parts_n * 8;
    for (int64_t i = 0; v && i < c->parts_n; i++)
        memcpy(&v[i], (const char *)&c->parts[i] + offset, sizeof *v);
    if (v && it.pub.path)
        return content_item(c, &it, err);
    item_clear(&it);
    return -1;
}

static int texts_item(struct content *c, const char *path, size_t offset, struct err *err)
{
    struct item it = {.kind = ITEM_TEXT, .texts_n = c->parts_n};
    int rc = -1;

    it.pub.path = mem_strdup(path, err);
    it.pub.cls = RECORD_EXTRA;
    it.pub.is_text = true;
    it.pub.shape = SHAPE(c->parts_n);
    it.texts = mem_new(c->parts_n + 1, sizeof *it.texts, err);
    if (!it.pub.path || !it.texts)
        goto done;
    for (int64_t i = 0; i < c->parts_n; i++) {
        it.texts[i] = mem_strdup((const char *)&c->parts[i] + offset, err);
        if (!it.texts[i])
            goto done;
        it.pub.bytes += (int64_t)strlen(it.texts[i]);
    }
    rc = content_item(c, &it, err);
done:
    item_clear(&it);
    return rc;
}

int content_write_parts(struct content *c, struct err *err)
{
    if (!c->parts_n)
        return 0;
    return numbers_item(c, "/parts/step", offsetof(struct part, step), err) ||
                   texts_item(c, "/parts/file", offsetof(struct part, name), err) ||
                   numbers_item(c, "/parts/bytes", offsetof(struct part, bytes), err) ||
                   texts_item(c, "/parts/sha256", offsetof(struct part, sha256), err)
               ? -1
               : 0;
}

static const struct item *column(const struct content *c, const char *path, bool text,
                                 int64_t n)
{
    const struct item *it = content_find(c, path);
    bool fits = it && it->pub.shape.rank == 1 && it->pub.shape.dim[0] == n &&
                (text ? it->kind == ITEM_TEXT
                      : it->kind == ITEM_ARRAY && it->pub.dtype == DT_I64);
    return fits ? it : NULL;
}

int content_read_parts(struct content *c, struct err *err)
{
    const struct item *step = content_find(c, "/parts/step");
    int64_t n = step ? step->pub.shape.dim[0] : 0;
    const struct item *bytes = column(c, "/parts/bytes", false, n);
    const struct item *name = column(c, "/parts/file", true, n);
    const struct item *sum = column(c, "/parts/sha256", true, n);

    if (!step)
        return 0;
    if (!column(c, "/parts/step", false, n) || !bytes || !name || !sum)
        return err_set(err, ERR_INPUT,
                       "/parts: step, file, bytes and sha256 do not match");
    for (int64_t i = 0; i < n; i++) {
        struct part p = {((const int64_t *)step->data)[i],
                         ((const int64_t *)bytes->data)[i], "", ""};
        field_set(p.name, sizeof p.name, name->texts[i]);
        field_set(p.sha256, sizeof p.sha256, sum->texts[i]);
        if (strchr(p.name, '/') || p.name[0] == '.' || !id_is_valid(p.sha256))
            return err_set(err, ERR_INPUT, "/parts: \"%s\" is no name of a part", p.name);
        if (content_part(c, &p, err))
            return -1;
    }
    return 0;
}

/* ---- the files ---- */

/* A content that points at the arrays given. */
static struct content *part_content(const struct run_writer *w, int64_t step,
                                    const struct recorded *list, int64_t n,
                                    struct err *err)
{
    struct content *c = content_new(err);

    if (!c)
        return NULL;
    c->is_part = true;
    c->info.step = step;
    memcpy(c->info.id, w->id, sizeof c->info.id);
    for (int64_t i = 0; i < n; i++) {
        const struct array *a = &list[i].array;
        struct item it = {.kind = ITEM_ARRAY, .data = a->data};
        it.pub.cls = RECORD_EXTRA;
        it.pub.dtype = a->dtype;
        it.pub.shape = a->shape;
        it.pub.path = mem_printf(err, "/%s", list[i].path);
        bool ok = it.pub.path && !item_bytes(&it.pub.bytes, a->shape, a->dtype, err);
        for (int k = 0; ok && k < a->shape.rank; k++)
            ok = !a->dim[k] || (it.dim[k] = mem_strdup(a->dim[k], err));
        if (!ok)
            item_clear(&it);
        if (!ok || content_item(c, &it, err)) {
            content_free(c);
            return NULL;
        }
    }
    return c;
}

/*
 * Written aside, synced, renamed to a name made of its own checksum: a job that is killed
 * and makes the step again finds the same name, and the parts of a run that is made again
 * for a fuller record do not touch those of the sealed one.
 */
static int write_file(struct run_writer *w, const struct content *c, struct part *part,
                      struct err *err)
{
    int rc = -1;
    char *dir = path_join(w->dir, "parts", err), *path = NULL;
    char *aside =
        dir ? mem_printf(err, "%s/new.%lld", dir, (long long)w->generation) : NULL;

    if (!aside || file_mkdirs(dir, err) || content_save(aside, c, err) ||
        sha256_file(part->sha256, aside, err))
        goto done;
    part->bytes = file_size(aside);
    snprintf(part->name, sizeof part->name, "%010lld-%.16s.h5", (long long)part->step,
             part->sha256);
    path = path_join(dir, part->name, err);
    if (!path)
        goto done;
    if (chmod(aside, 0444) || rename(aside, path)) {
        err_errno(err, "%s", path);
        goto done;
    }
    rc = file_sync_dir(dir, err);
done:
    if (rc && aside)
        unlink(aside);
    free(path);
    free(aside);
    free(dir);
    return rc;
}

int part_write(struct run_writer *w, const struct recorded *list, int64_t n,
               struct part *part, struct err *err)
{
    struct content *c = part_content(w, part->step, list, n, err);
    int rc = c ? write_file(w, c, part, err) : -1;

    content_free(c);
    return rc;
}

static bool is_listed(const struct content *c, const char *name)
{
    for (int64_t i = 0; i < c->parts_n; i++)
        if (!strcmp(c->parts[i].name, name))
            return true;
    return false;
}

int parts_remove_unlisted(struct run_writer *w, const struct content *c, struct err *err)
{
    char **names, *dir = path_join(w->dir, "parts", err);
    int rc = dir ? 0 : -1;

    if (!rc && !c->parts_n) {
        rc = file_remove(dir, err);
    } else if (!rc && !(rc = file_list(&names, dir, err))) {
        for (char **n = names; !rc && *n; n++) {
            char *path = is_listed(c, *n) ? NULL : path_join(dir, *n, err);
            rc = path ? file_remove(path, err) : err_is_set(err) ? -1 : 0;
            free(path);
        }
        file_list_free(names);
    }
    free(dir);
    return rc;
}
