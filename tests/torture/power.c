/*
 * Loss of power, played from the seam's log: what had been synced is there, and of the
 * rest as little as a file system may leave.
 *
 * Bytes of a file last once it was synced, names in a folder once the folder was. What
 * came later is lost, or kept, or both, each by its own coin: no order is promised.
 */
#include "torture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "retort/file.h"
#include "retort/rng.h"

enum policy { LOSE_ALL, LOSE_DATA, LOSE_SOME, POLICIES };
static const char *const policy_names[] = {"all that was not synced is lost",
                                           "names last, bytes do not",
                                           "each is lost by a coin"};

struct op {
    struct seam_entry e;
    char *path, *data; /* data: bytes, or a second path */
    int64_t node;      /* which file, over the inode's reuse; -1: none */
    char dir[300];     /* the folder whose names it changes */
    int64_t safe_at;   /* the sync that makes it last; INT64_MAX: none */
};

struct history {
    struct op *op;
    int64_t n, nodes;
    char *text;
};

static void read_log(struct history *h, struct bench *b)
{
    struct err err = ERR_INIT;
    char path[200];
    int64_t len, capacity = 0;

    snprintf(path, sizeof path, "%s.log", b->page);
    if (file_read(&h->text, &len, path, INT64_C(1) << 30, &err))
        BUG("%s", err.text);
    for (int64_t at = 0; at < len;) {
        if (mem_grow((void **)&h->op, h->n, &capacity, sizeof *h->op, &err))
            BUG("%s", err.text);
        struct op *o = &h->op[h->n++];
        memset(o, 0, sizeof *o);
        memcpy(&o->e, h->text + at, sizeof o->e);
        at += (int64_t)sizeof o->e;
        o->path = mem_strndup(h->text + at, o->e.path_len, &err);
        at += o->e.path_len;
        o->data = h->text + at;
        if (o->e.op == LOG_RENAME || o->e.op == LOG_LINK)
            o->data = mem_strndup(o->data, o->e.data_len, &err);
        at += o->e.data_len;
    }
}

static bool is_data(const struct op *o)
{
    return o->e.op == LOG_WRITE || o->e.op == LOG_TRUNCATE;
}

static bool is_name(const struct op *o)
{
    return o->e.op != LOG_SYNC && o->e.op != LOG_SYNC_DIR && !is_data(o);
}

/* ---- names ---- */

struct name {
    char *path;
    int64_t node; /* -1: a folder */
};
struct names {
    struct name v[4096];
    int64_t n;
};

static int64_t name_at(const struct names *s, const char *path)
{
    for (int64_t i = 0; i < s->n; i++)
        if (!strcmp(s->v[i].path, path))
            return i;
    return -1;
}

static void name_drop(struct names *s, const char *path)
{
    int64_t i = name_at(s, path);

    if (i >= 0)
        s->v[i] = s->v[--s->n];
}

static void name_put(struct names *s, char *path, int64_t node)
{
    name_drop(s, path);
    if (s->n == 4096)
        BUG("more than %d names", 4096);
    s->v[s->n++] = (struct name){path, node};
}

/* `node`: what the op's first path stood for when it was made. */
static void apply_name(struct names *s, const struct op *o)
{
    switch (o->e.op) {
    case LOG_CREATE:
        name_put(s, o->path, o->node);
        break;
    case LOG_MKDIR:
        name_put(s, o->path, -1);
        break;
    case LOG_RENAME:
        name_drop(s, o->path);
        name_put(s, o->data, o->node);
        break;
    case LOG_LINK:
        name_put(s, o->data, o->node);
        break;
    default:
        name_drop(s, o->path);
    }
}

/* Which file each op is about: an inode's number is used again. */
static void find_nodes(struct history *h)
{
    static struct names now;
    int64_t *node_of = NULL, n_inodes = 0;
    uint64_t *inode = calloc((size_t)h->n + 1, sizeof *inode);

    now.n = 0;
    node_of = calloc((size_t)h->n + 1, sizeof *node_of);
    for (int64_t i = 0; i < h->n; i++) {
        struct op *o = &h->op[i];
        int64_t k = 0;
        while (k < n_inodes && inode[k] != o->e.file)
            k++;
        o->node = -1;
        if (o->e.op == LOG_CREATE) {
            inode[k] = o->e.file;
            node_of[k] = o->node = h->nodes++;
            n_inodes += k == n_inodes;
        } else if (is_data(o) || o->e.op == LOG_SYNC) {
            o->node = k < n_inodes ? node_of[k] : -1;
        } else if (o->e.op == LOG_RENAME || o->e.op == LOG_LINK) {
            int64_t at = name_at(&now, o->path);
            o->node = at < 0 ? -1 : now.v[at].node;
        }
        if (is_name(o))
            apply_name(&now, o);
        if (is_name(o)) {
            snprintf(o->dir, sizeof o->dir, "%.299s", o->path);
            char *slash = strrchr(o->dir, '/');
            *(slash ? slash : o->dir) = 0;
        }
    }
    free(inode);
    free(node_of);
}

static void find_syncs(struct history *h)
{
    for (int64_t i = 0; i < h->n; i++) {
        struct op *o = &h->op[i];
        o->safe_at = INT64_MAX;
        for (int64_t k = i + 1; k < h->n && o->safe_at == INT64_MAX; k++) {
            const struct op *s = &h->op[k];
            if ((is_data(o) && s->e.op == LOG_SYNC && s->node == o->node) ||
                (is_name(o) && s->e.op == LOG_SYNC_DIR && !strcmp(s->path, o->dir)))
                o->safe_at = k;
        }
    }
}

/* ---- what is left ---- */

struct bytes {
    char *v;
    int64_t n;
};

static void apply_data(struct bytes *f, const struct op *o)
{
    int64_t end = o->e.op == LOG_WRITE ? o->e.offset + o->e.data_len : o->e.offset;

    if (end > f->n || o->e.op == LOG_TRUNCATE) {
        f->v = realloc(f->v, (size_t)end + 1);
        if (!f->v)
            BUG("no memory");
        if (end > f->n)
            memset(f->v + f->n, 0, (size_t)(end - f->n));
        f->n = end;
    }
    if (o->e.op == LOG_WRITE)
        memcpy(f->v + o->e.offset, o->data, o->e.data_len);
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct name *)a)->path, ((const struct name *)b)->path);
}

/* A folder goes before what is in it; what is in none is out of reach. */
static void put_on_disk(struct names *s, const struct bytes *file)
{
    qsort(s->v, (size_t)s->n, sizeof *s->v, by_path);
    for (int64_t i = 0; i < s->n; i++) {
        if (s->v[i].node < 0) {
            mkdir(s->v[i].path, 0755);
            continue;
        }
        FILE *f = fopen(s->v[i].path, "wb");
        if (!f)
            continue;
        fwrite(file[s->v[i].node].v, 1, (size_t)file[s->v[i].node].n, f);
        fclose(f);
    }
}

static void play(struct history *h, int64_t until, enum policy policy, struct rng *r)
{
    static struct names names;
    struct bytes *file = calloc((size_t)h->nodes + 1, sizeof *file);

    names.n = 0;
    for (int64_t i = 0; i < until; i++) {
        struct op *o = &h->op[i];
        bool lucky = policy == LOSE_SOME ? rng_uniform(r) < 0.5
                                         : policy == LOSE_DATA && is_name(o);
        if (o->safe_at >= until && !lucky)
            continue;
        if (is_name(o))
            apply_name(&names, o);
        else if (is_data(o) && o->node >= 0)
            apply_data(&file[o->node], o);
    }
    put_on_disk(&names, file);
    for (int64_t i = 0; i < h->nodes; i++)
        free(file[i].v);
    free(file);
}

static void history_free(struct history *h)
{
    for (int64_t i = 0; i < h->n; i++) {
        free(h->op[i].path);
        if (h->op[i].e.op == LOG_RENAME || h->op[i].e.op == LOG_LINK)
            free(h->op[i].data);
    }
    free(h->op);
    free(h->text);
}

static void record(struct history *h, struct bench *b)
{
    bench_clear(b);
    b->seam->logs = 1;
    bench_seam(b, SEAM_COUNT, 0, 0, 0);
    if (bench_wait(b, bench_start(b, true)))
        BUG("%s", bench_log(b));
    b->seam->logs = 0;
    read_log(h, b);
    find_nodes(h);
    find_syncs(h);
}

void torture_power(struct bench *b, int64_t every)
{
    struct history h = {NULL, 0, 0, NULL};
    struct rng r;

    record(&h, b);
    r = rng_stream(3, "torture/power");
    for (int p = 0; p < POLICIES; p++) {
        int64_t tried = 0, lost = b->lost;
        for (int64_t n = 1 + every * p / 3; n < h.n; n += every, tried++) {
            bench_clear(b);
            play(&h, n, (enum policy)p, &r);
            bench_goes_on(b, policy_names[p], n);
        }
        /* After the last word of a sweep that said "done": nothing of it may be lost. */
        bench_clear(b);
        play(&h, h.n, (enum policy)p, &r);
        bench_equals(b, policy_names[p], h.n);
        printf("no power: %-34s %5lld times, %lld lost\n", policy_names[p],
               (long long)++tried, (long long)(b->lost - lost));
        fflush(stdout);
        b->tried += tried;
    }
    history_free(&h);
}
