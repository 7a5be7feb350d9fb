/*
 * The store as a whole: what runs there are, their states, names and notes.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

bool id_is_valid(const char *id)
{
    return id && strlen(id) == 64 && strspn(id, "0123456789abcdef") == 64;
}

double store_now(void)
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    struct timespec t;

    if (epoch && *epoch)
        return (double)strtoll(epoch, NULL, 10);
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int64_t file_mtime_ns(const char *path)
{
    struct stat st;

    return stat(path, &st) ? -1
                           : (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
}

int store_open(struct store **out, const char *dir, bool create, struct err *err)
{
    struct store *s;

    if (create ? file_mkdirs(dir, err) : 0)
        return -1;
    if (!file_is_dir(dir))
        return err_set(err, ERR_MISSING, "%s: %s", dir,
                       file_exists(dir) ? "is no folder, so no store"
                                        : "there is no store here");
    s = mem_new(1, sizeof *s, err);
    if (!s)
        return -1;
    s->dir = mem_strdup(dir, err);
    s->catalog = catalog_new(dir, err);
    if (!s->dir || !s->catalog) {
        store_close(s);
        return -1;
    }
    *out = s;
    return 0;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    catalog_free(s->catalog);
    free(s->dir);
    free(s);
}

const char *store_dir(const struct store *s)
{
    return s->dir;
}

char *store_run_dir(const struct store *s, const char *id, struct err *err)
{
    if (!id_is_valid(id)) {
        err_set(err, ERR_INPUT, "run id \"%.80s\": 64 hexadecimal digits", id ? id : "");
        return NULL;
    }
    return mem_printf(err, "%s/%.2s/%s", s->dir, id, id);
}

char *store_origins(struct store *s, const char *id, struct err *err)
{
    return catalog_origins(s->catalog, id, err);
}

/* ---- one run ---- */

static void set_damaged(struct run_info *out, const char *id, int64_t size,
                        const struct err *why)
{
    memset(out, 0, sizeof *out);
    field_set(out->id, sizeof out->id, id);
    out->state = RUN_DAMAGED;
    out->bytes = size;
    field_set(out->failure, sizeof out->failure, why->text);
}

static void stat_sealed(struct store *s, const char *id, const char *path,
                        struct run_info *out)
{
    struct err err = ERR_INIT;
    struct file_map map;
    struct content *c;
    int64_t size = file_size(path), mtime = file_mtime_ns(path);

    if (catalog_find(s->catalog, id, size, mtime, out))
        return;
    if (!content_load(&c, &map, path, false, &err)) {
        if (!strcmp(c->info.id, id)) {
            *out = c->info;
            out->state = RUN_SEALED;
            catalog_add(s->catalog, c, size, mtime);
        } else {
            err_set(&err, ERR_INPUT, "%s: holds run %.10s", path, c->info.id);
        }
        content_free(c);
        file_unmap(&map);
    }
    if (err_is_set(&err))
        set_damaged(out, id, size, &err);
}

/* Step of the newest checkpoint that can be read. */
static int64_t checkpoint_step(const char *dir)
{
    struct err err = ERR_INIT;
    struct checkpoint_head head;
    char **names;
    int64_t step = 0, n = 0;
    char *ckpt = path_join(dir, "ckpt", &err);

    if (ckpt && !checkpoint_list(&names, ckpt, &err)) {
        while (names[n])
            n++;
        while (n-- > 0)
            if (!checkpoint_peek(&head, ckpt, names[n], &err)) {
                step = head.step;
                break;
            } else {
                err_clear(&err);
            }
        file_list_free(names);
    }
    free(ckpt);
    return step;
}

static int stat_partial(const char *id, const char *dir, struct run_info *out,
                        struct err *err)
{
    struct err local = ERR_INIT;
    struct journal_maps maps = {NULL, 0, 0};
    struct content *c = NULL;
    int64_t g;

    if (journal_newest(&g, dir, &local)) { /* a folder without the right to look */
        if (local.code == ERR_MEMORY)
            return err_set(err, local.code, "%s", local.text);
        set_damaged(out, id, 0, &local);
        return 0;
    }
    char who[sizeof out->holder] = "";
    out->state = lease_alive(dir, who, sizeof who) ? RUN_ACTIVE : RUN_PARTIAL;
    field_set(out->id, sizeof out->id, id);
    if (!g) {
        if (out->state != RUN_ACTIVE)
            out->state = RUN_ABSENT; /* a folder that nothing came into */
        return 0;
    }
    enum run_state state = out->state;
    if (journal_read(&c, &maps, dir, g, -1, &local)) {
        field_set(out->failure, sizeof out->failure, local.text);
    } else {
        *out = c->info;
        field_set(out->id, sizeof out->id, id);
        for (int64_t i = 0; i < maps.n; i++)
            out->bytes += maps.map[i].len;
        out->bytes += content_part_bytes(c);
    }
    out->state = state;
    field_set(out->holder, sizeof out->holder, who);
    if (state == RUN_ACTIVE)
        out->failure[0] = 0;
    out->step = checkpoint_step(dir);
    out->seconds = journal_seconds(dir);
    content_free(c);
    journal_maps_release(&maps);
    return 0;
}

struct label_search {
    const char *id;
    char *field;
    size_t size;
};

/* A label names one run: given to another, it moves. */
static void on_label(void *ctx, char kind, const char *id, const char *text)
{
    struct label_search *s = ctx;

    if (kind != 'L')
        return;
    if (!strcmp(id, s->id))
        field_set(s->field, s->size, text);
    else if (!strcmp(s->field, text))
        s->field[0] = 0;
}

static int stat_run(struct store *s, const char *id, struct run_info *out,
                    struct err *err)
{
    int rc = 0;
    char *dir = store_run_dir(s, id, err);
    char *path = dir ? path_join(dir, "run.h5", err) : NULL;

    memset(out, 0, sizeof *out);
    if (!path) {
        rc = -1;
    } else if (file_exists(path)) {
        stat_sealed(s, id, path, out);
    } else if (file_is_dir(dir)) {
        rc = stat_partial(id, dir, out, err);
    } else {
        field_set(out->id, sizeof out->id, id);
        out->state = RUN_ABSENT;
    }
    free(path);
    free(dir);
    return rc;
}

int store_stat(struct store *s, const char *id, struct run_info *out, struct err *err)
{
    if (stat_run(s, id, out, err))
        return -1;
    struct label_search ls = {id, out->label, sizeof out->label};
    out->label[0] = 0;
    return labels_read(s->dir, on_label, &ls, err);
}

/* ---- all runs ---- */

int store_each_id(struct store *s, int (*fn)(void *ctx, const char *id, struct err *err),
                  void *ctx, struct err *err)
{
    char **outer, **inner;
    int rc = 0;

    if (file_list(&outer, s->dir, err))
        return -1;
    for (char **o = outer; !rc && *o; o++) {
        if (strlen(*o) != 2 || strspn(*o, "0123456789abcdef") != 2)
            continue;
        char *sub = path_join(s->dir, *o, err);
        if (!sub)
            rc = -1;
        else if (file_is_dir(sub) && !(rc = file_list(&inner, sub, err))) {
            for (char **i = inner; !rc && *i; i++)
                if (id_is_valid(*i) && !strncmp(*i, *o, 2))
                    rc = fn(ctx, *i, err);
            file_list_free(inner);
        }
        free(sub);
    }
    file_list_free(outer);
    return rc;
}

struct listing {
    struct store *store;
    struct run_info *run;
    int64_t n, capacity;
};

static int on_run(void *ctx, const char *id, struct err *err)
{
    struct listing *l = ctx;

    if (mem_grow((void **)&l->run, l->n, &l->capacity, sizeof *l->run, err) ||
        stat_run(l->store, id, &l->run[l->n], err))
        return -1;
    if (l->run[l->n].state != RUN_ABSENT)
        l->n++;
    return 0;
}

static int by_start(const void *pa, const void *pb)
{
    const struct run_info *a = pa, *b = pb;

    if (a->started < b->started || a->started > b->started)
        return a->started < b->started ? -1 : 1;
    return strcmp(a->id, b->id);
}

static int by_id(const void *pa, const void *pb)
{
    const struct run_info *a = pa, *b = pb;
    return strcmp(a->id, b->id);
}

/* While the list is sorted by id. */
static void on_list_label(void *ctx, char kind, const char *id, const char *text)
{
    struct listing *l = ctx;
    struct run_info key;

    if (kind != 'L')
        return;
    for (int64_t i = 0; i < l->n; i++)
        if (!strcmp(l->run[i].label, text))
            l->run[i].label[0] = 0;
    field_set(key.id, sizeof key.id, id);
    struct run_info *r = bsearch(&key, l->run, (size_t)l->n, sizeof key, by_id);
    if (r)
        field_set(r->label, sizeof r->label, text);
}

int store_list(struct store *s, struct run_info **out, int64_t *n, struct err *err)
{
    struct listing l = {s, NULL, 0, 0};

    l.run = mem_new(1, sizeof *l.run, err);
    l.capacity = 1;
    if (!l.run || store_each_id(s, on_run, &l, err)) {
        free(l.run);
        return -1;
    }
    qsort(l.run, (size_t)l.n, sizeof *l.run, by_id);
    if (labels_read(s->dir, on_list_label, &l, err)) {
        free(l.run);
        return -1;
    }
    qsort(l.run, (size_t)l.n, sizeof *l.run, by_start);
    *out = l.run;
    *n = l.n;
    return 0;
}

/* ---- names and notes ---- */

struct resolve {
    const char *name;
    char label_id[65]; /* the run of that label */
    char id[65];
    int found;
};

static void on_resolve_label(void *ctx, char kind, const char *id, const char *text)
{
    struct resolve *r = ctx;

    if (kind != 'L')
        return;
    if (!strcmp(text, r->name))
        field_set(r->label_id, sizeof r->label_id, id);
    else if (!strcmp(id, r->label_id))
        r->label_id[0] = 0; /* it has another label now */
}

static int on_prefix(void *ctx, const char *id, struct err *err)
{
    struct resolve *r = ctx;

    (void)err;
    if (!strncmp(id, r->name, strlen(r->name))) {
        field_set(r->id, sizeof r->id, id);
        r->found++;
    }
    return 0;
}

int store_resolve(struct store *s, const char *name, char id[65], struct err *err)
{
    struct resolve r = {.name = name};
    size_t len = strlen(name);

    if (labels_read(s->dir, on_resolve_label, &r, err))
        return -1;
    if (len >= 4 && len <= 64 && strspn(name, "0123456789abcdef") == len &&
        store_each_id(s, on_prefix, &r, err))
        return -1;
    if (r.label_id[0] && r.found && strcmp(r.label_id, r.id) != 0)
        return err_set(err, ERR_INPUT,
                       "\"%s\" is a label and the start of a run's id; give more digits",
                       name);
    if (r.label_id[0]) {
        memcpy(id, r.label_id, 65);
        return 0;
    }
    if (r.found > 1)
        return err_set(err, ERR_INPUT,
                       "\"%s\" is the start of %d runs' ids; give more digits", name,
                       r.found);
    if (!r.found)
        return err_set(
            err, ERR_MISSING,
            "%s: no run is called \"%s\" (4 digits of its id or more, or a label)",
            s->dir, name);
    memcpy(id, r.id, 65);
    return 0;
}

static int must_be_there(struct store *s, const char *id, struct err *err)
{
    char *dir = store_run_dir(s, id, err);
    int rc = dir ? 0 : -1;

    if (dir && !file_is_dir(dir))
        rc = err_set(err, ERR_MISSING, "%s: there is no run %s", s->dir, id);
    free(dir);
    return rc;
}

int store_label(struct store *s, const char *id, const char *label, struct err *err)
{
    struct run_info info;

    if (strlen(label) >= sizeof info.label)
        return err_set(err, ERR_INPUT, "label \"%.40s...\": at most %d bytes", label,
                       (int)sizeof info.label - 1);
    return must_be_there(s, id, err) ? -1 : labels_add(s->dir, 'L', id, label, err);
}

int store_note(struct store *s, const char *id, const char *text, struct err *err)
{
    return must_be_there(s, id, err) ? -1 : labels_add(s->dir, 'N', id, text, err);
}

struct notes {
    const char *id;
    struct strbuf text;
};

static void on_note(void *ctx, char kind, const char *id, const char *text)
{
    struct notes *n = ctx;

    if (kind != 'N' || strcmp(id, n->id) != 0)
        return;
    strbuf_puts(&n->text, text);
    strbuf_putc(&n->text, '\n');
}

/* One a line, in the order given; "" if there are none. */
int store_notes(struct store *s, const char *id, char **out, struct err *err)
{
    struct notes n = {id, STRBUF_INIT};

    strbuf_puts(&n.text, "");
    if (labels_read(s->dir, on_note, &n, err)) {
        strbuf_release(&n.text);
        return -1;
    }
    *out = n.text.text ? strbuf_take(&n.text, err) : mem_strdup("", err);
    return *out ? 0 : -1;
}

int store_remove(struct store *s, const char *id, struct err *err)
{
    char who[512];
    char *dir = store_run_dir(s, id, err);
    int rc = dir ? must_be_there(s, id, err) : -1;

    if (!rc && lease_alive(dir, who, sizeof who))
        rc = err_set(err, ERR_LOCKED, "%s: the run is worked on by %s", dir, who);
    if (!rc)
        rc = file_remove(dir, err);
    free(dir);
    return rc;
}

static int on_rebuild(void *ctx, const char *id, struct err *err)
{
    struct run_info info;
    return stat_run(ctx, id, &info, err); /* reads the file and adds the line */
}

int store_rebuild_catalog(struct store *s, struct err *err)
{
    return catalog_reset(s->catalog, err) ? -1 : store_each_id(s, on_rebuild, s, err);
}
