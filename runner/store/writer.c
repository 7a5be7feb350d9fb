/*
 * Writing a run: the recorder and checkpoints.
 */
#include "writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The folder's lease is ours: nobody else makes a journal, but one who came back from the
 * dead. */
static int open_journal(struct run_writer *w, struct err *err)
{
    int64_t newest;

    if (journal_newest(&newest, w->dir, err))
        return -1;
    w->generation = newest + 1;
    return journal_create(&w->journal, w->dir, w->generation, err);
}

static void writer_free(struct run_writer *w)
{
    if (!w)
        return;
    journal_close(w->journal);
    lease_give(w->lease);
    content_free(w->index);
    strbuf_release(&w->notes);
    free(w->ckpt);
    free(w->dir);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

static bool is_sealed(const char *dir)
{
    char *path = path_join(dir, "run.h5", NULL);
    bool yes = path && file_exists(path);

    free(path);
    return yes;
}

/* A run that this program cannot read is made again, but not one of a program that can do
 * more. */
static int check_older(const char *dir, struct err *err)
{
    char *path = path_join(dir, "run.h5", err);
    int rc = path ? 0 : -1;

    if (path && file_exists(path) && content_is_newer(path))
        rc = err_set(err, ERR_INPUT,
                     "%s: a newer Retort made this run, so it is left as it is; use that "
                     "program, or another --store",
                     path);
    free(path);
    return rc;
}

int run_begin(struct run_writer **out, struct store *store, const struct run_head *head,
              struct err *err)
{
    const char *record = head->record ? head->record : "";
    struct run_writer *w = mem_new(1, sizeof *w, err);

    if (!w)
        return -1;
    pthread_mutex_init(&w->lock, NULL);
    w->store = store;
    w->dir = store_run_dir(store, head->id, err);
    w->ckpt = w->dir ? path_join(w->dir, "ckpt", err) : NULL;
    w->index = content_new(err);
    if (!w->ckpt || !w->index)
        goto fail;
    field_set(w->id, sizeof w->id, head->id);
    field_set(w->env_class, sizeof w->env_class, head->env_class);
    sha256_text(w->record, record, strlen(record));
    if (file_mkdirs(w->dir, err) || lease_take(&w->lease, w->dir, err))
        goto fail;
    /* Asked under the lease: nobody can seal it between the question and the work. */
    if (head->unless_sealed && is_sealed(w->dir)) {
        writer_free(w);
        *out = NULL;
        return 1;
    }
    if (check_older(w->dir, err) || open_journal(w, err) ||
        journal_begin(w->journal, head, store_now(), err) ||
        journal_sync(w->journal, err))
        goto fail;
    *out = w;
    return 0;
fail:
    writer_free(w);
    return -1;
}

int64_t run_generation(const struct run_writer *w)
{
    return w->generation;
}

const char *run_notes(const struct run_writer *w)
{
    return strbuf_text(&w->notes);
}

int run_heartbeat(struct run_writer *w, struct err *err)
{
    return lease_beat(w->lease, err);
}

/* ---- the recorder ---- */

static int rec_metric(void *ctx, enum record_class c, const char *name, int64_t step,
                      double value, struct err *err)
{
    struct run_writer *w = ctx;

    pthread_mutex_lock(&w->lock);
    int rc = content_check_point(w->index, c, name, step, err) ||
                     journal_metric(w->journal, c, name, step, value, err) ||
                     content_point(w->index, c, name, step, value, err)
                 ? -1
                 : 0;
    pthread_mutex_unlock(&w->lock);
    return rc;
}

/* Keeps the path, so that a clash is told when it is made. */
static int index_path(struct run_writer *w, enum item_kind kind, const char *path,
                      struct err *err)
{
    struct item it = {.kind = kind};

    it.pub.path = mem_strdup(path, err);
    return it.pub.path ? content_item(w->index, &it, err) : -1;
}

static int rec_array(void *ctx, enum record_class c, const char *path,
                     const struct array *a, struct err *err)
{
    struct run_writer *w = ctx;

    for (int i = 0; i < a->shape.rank && i < RANK_MAX; i++)
        if (a->dim[i] && (strlen(a->dim[i]) > 100 || strchr(a->dim[i], ',')))
            return err_set(err, ERR_INPUT,
                           "%s: dimension \"%.100s\": at most 100 bytes, no comma", path,
                           a->dim[i]);
    pthread_mutex_lock(&w->lock);
    int rc = content_check_path(w->index, path, err) ||
                     journal_array(w->journal, c, path, a, err) ||
                     index_path(w, ITEM_ARRAY, path, err)
                 ? -1
                 : 0;
    pthread_mutex_unlock(&w->lock);
    return rc;
}

static int rec_text(void *ctx, enum record_class c, const char *path,
                    const char *const *texts, int64_t n, struct err *err)
{
    struct run_writer *w = ctx;

    pthread_mutex_lock(&w->lock);
    int rc = content_check_path(w->index, path, err) ||
                     journal_text(w->journal, c, path, texts, n, err) ||
                     index_path(w, ITEM_TEXT, path, err)
                 ? -1
                 : 0;
    pthread_mutex_unlock(&w->lock);
    return rc;
}

static int rec_reference(void *ctx, const char *path, const char *origin, struct err *err)
{
    struct run_writer *w = ctx;
    char id[65] = "";

    if (origin && strlen(origin) > 66)
        memcpy(id, origin, 64);
    if (!id_is_valid(id) || origin[64] != ':' || origin[65] != '/')
        return err_set(err, ERR_INPUT,
                       "%s: origin \"%.100s\": <64 digits of a run>:/<path>", path,
                       origin ? origin : "");
    pthread_mutex_lock(&w->lock);
    int rc = content_check_path(w->index, path, err) ||
                     journal_reference(w->journal, path, origin, err) ||
                     index_path(w, ITEM_REFERENCE, path, err)
                 ? -1
                 : 0;
    pthread_mutex_unlock(&w->lock);
    return rc;
}

/* The item is written anew with one string more: a later one at a path replaces the
 * earlier. */
int run_remark(struct run_writer *w, const char *text, struct err *err)
{
    struct item it = {.kind = ITEM_TEXT};
    int rc = -1;

    pthread_mutex_lock(&w->lock);
    const struct item *old = content_find(w->index, "/notes");
    int64_t n = old ? old->texts_n : 0;
    if (n >= NOTES_MAX) {
        rc = 0;
        goto done;
    }
    it.pub.path = mem_strdup("/notes", err);
    it.texts = mem_new(n + 1, sizeof *it.texts, err);
    if (!it.pub.path || !it.texts)
        goto done;
    for (; it.texts_n <= n; it.texts_n++) {
        it.texts[it.texts_n] =
            mem_strdup(it.texts_n < n ? old->texts[it.texts_n] : text, err);
        if (!it.texts[it.texts_n])
            goto done;
    }
    rc = journal_text(w->journal, RECORD_ENV, "/notes", (const char *const *)it.texts,
                      it.texts_n, err);
    if (!rc) {
        rc = content_item(w->index, &it, err);
        memset(&it, 0, sizeof it); /* taken over */
    }
done:
    item_clear(&it);
    pthread_mutex_unlock(&w->lock);
    return rc;
}

static int rec_snapshot(void *ctx, int64_t step, const struct recorded *list, int64_t n,
                        struct err *err)
{
    struct run_writer *w = ctx;
    struct part part = {.step = step};
    int rc = -1;

    pthread_mutex_lock(&w->lock);
    if (!part_write(w, list, n, &part, err) && !content_part(w->index, &part, err))
        rc = journal_part(w->journal, &part, err);
    pthread_mutex_unlock(&w->lock);
    return rc;
}

struct recorder run_recorder(struct run_writer *w)
{
    return (struct recorder){w,        rec_metric,    rec_array,
                             rec_text, rec_reference, rec_snapshot};
}

/* ---- checkpoints ---- */

int run_checkpoint(struct run_writer *w, int64_t step, const struct region *r, int64_t n,
                   struct err *err)
{
    int rc = -1;
    struct checkpoint_head head = {.generation = w->generation, .step = step};

    memcpy(head.env_class, w->env_class, sizeof head.env_class);
    memcpy(head.record, w->record, sizeof head.record);
    pthread_mutex_lock(&w->lock);
    if (lease_beat(w->lease, err) || journal_checkpoint(w->journal, step, err) ||
        journal_sync(w->journal, err))
        goto done;
    head.position = journal_position(w->journal);
    if (checkpoint_write(w->ckpt, ++w->checkpoints, &head, r, n, err) ||
        checkpoint_prune(w->ckpt, 2, err))
        goto done;
    rc = 0;
done:
    pthread_mutex_unlock(&w->lock);
    return rc;
}

/* Is it of our kind, and are the journals and snapshots it counts on whole? Then the
 * index becomes that of its content. */
static int adopt(struct run_writer *w, const struct checkpoint_head *head,
                 struct err *err)
{
    struct journal_maps maps = {NULL, 0, 0};
    struct content *c;

    if (strcmp(head->env_class, w->env_class) != 0)
        return err_set(err, ERR_INPUT, "it was made in environment %.10s, this is %.10s",
                       head->env_class, w->env_class);
    if (strcmp(head->record, w->record) != 0)
        return err_set(err, ERR_INPUT, "another \"record\" was asked for then");
    if (head->generation < 1 || head->generation >= w->generation)
        return err_set(err, ERR_INPUT, "it is of generation %lld",
                       (long long)head->generation);
    if (journal_read(&c, &maps, w->dir, head->generation, head->position, err)) {
        journal_maps_release(&maps);
        return -1;
    }
    if (check_parts(w->dir, c, err)) {
        content_free(c);
        journal_maps_release(&maps);
        return -1;
    }
    for (int64_t i = 0; i < c->items_n; i++)
        c->items[i].data = NULL; /* the index needs no data, and the maps go */
    content_free(w->index);
    w->index = c;
    journal_maps_release(&maps);
    return 0;
}

/* 1 if this one was taken, 0 if it was set aside with a note, -1. */
static int try_restore(struct run_writer *w, const char *name, int64_t *step,
                       const struct region *r, int64_t n, struct err *err)
{
    struct err why = ERR_INIT;
    struct checkpoint_head head;

    if (!checkpoint_peek(&head, w->ckpt, name, &why) && !adopt(w, &head, &why) &&
        !checkpoint_read(&head, w->ckpt, name, r, n, &why)) {
        if (journal_resume(w->journal, head.generation, head.position, head.step, err) ||
            journal_sync(w->journal, err))
            return -1;
        *step = head.step;
        return 1;
    }
    if (why.code == ERR_MEMORY)
        return err_set(err, why.code, "%s", why.text);
    strbuf_printf(&w->notes, "checkpoint %s is set aside: %s\n", name, why.text);
    return checkpoint_aside(w->ckpt, name, err);
}

int run_restore(struct run_writer *w, int64_t *step, const struct region *r, int64_t n,
                struct err *err)
{
    char **names;
    int64_t at = 0;
    int rc = 0;

    pthread_mutex_lock(&w->lock);
    if (checkpoint_list(&names, w->ckpt, err)) {
        pthread_mutex_unlock(&w->lock);
        return -1;
    }
    while (names[at])
        at++;
    while (!rc && at-- > 0)
        rc = try_restore(w, names[at], step, r, n, err);
    file_list_free(names);
    pthread_mutex_unlock(&w->lock);
    return rc;
}

void run_end(struct run_writer *w, const char *why)
{
    struct err err = ERR_INIT; /* on the way out; what is whole stays whole */

    if (!w)
        return;
    if (!w->sealed && !journal_end(w->journal, why, store_now(), &err))
        journal_sync(w->journal, &err);
    writer_free(w);
}

int run_died(struct store *store, const char *id, const char *why, struct err *err)
{
    struct lease *lease = NULL;
    struct journal *j = NULL;
    char *dir = store_run_dir(store, id, err);
    int64_t newest;
    int rc = -1;

    if (!dir || journal_newest(&newest, dir, err))
        goto done;
    if (!newest || is_sealed(dir)) {
        rc = 0;
        goto done;
    }
    if (lease_take(&lease, dir, err) || journal_reopen(&j, dir, newest, err))
        goto done;
    rc = journal_end(j, why, store_now(), err) || journal_sync(j, err) ? -1 : 0;
done:
    journal_close(j);
    lease_give(lease);
    free(dir);
    return rc;
}
