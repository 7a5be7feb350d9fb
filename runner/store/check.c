/*
 * Looking at a store as a stranger would: nothing is believed because it was written, and
 * each byte that a checksum or a digest covers is read.
 *
 * A run is looked at twice where something is to be mended: first without a word, then
 * under its lease, telling what is found and done. So a store that is whole is not
 * written to.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "mend.h"

struct seen { /* a sealed run that is whole */
    char id[65], digest[65];
    int64_t size, mtime_ns;
};

struct checker {
    struct store *store;
    const struct check_options *opt;
    struct check_counts *out;
    bool silent, mend;
    int64_t hits; /* findings while silent */
    const char *id, *dir;
    struct seen *seen;
    int64_t n_seen, seen_capacity;
    struct map *ids; /* of seen */
};

static void found(struct checker *c, enum finding_kind kind, const char *path,
                  const char *text, bool mended, const char *deed)
{
    struct check_finding f = {kind,   c->id ? c->id : "", path, text,
                              mended, deed ? deed : ""};

    if (c->silent) {
        c->hits += kind != FOUND_NOTE;
        return;
    }
    c->out->leftovers += kind == FOUND_LEFTOVER;
    c->out->damages += kind == FOUND_DAMAGE;
    c->out->mended += mended;
    if (c->opt->tell)
        c->opt->tell(c->opt->ctx, &f);
}

/* A damage that the error tells, and how mending it ended. */
static void damaged(struct checker *c, const char *path, const struct err *why,
                    int mended, const struct err *trouble, const char *what,
                    const char *otherwise)
{
    const char *deed = !c->mend     ? "" /* nothing was tried */
                       : mended > 0 ? what
                       : mended < 0 ? trouble->text
                                    : otherwise;

    found(c, FOUND_DAMAGE, path, why->text, mended > 0, deed);
}

/* ---- what processes left ---- */

static void leftover(struct checker *c, const char *dir, const char *name,
                     const char *what)
{
    struct err err = ERR_INIT;
    char *path = path_join(dir, name, &err);
    bool gone = path && c->mend && !c->silent && !file_remove(path, &err);

    if (path)
        found(c, FOUND_LEFTOVER, path, what, gone,
              gone               ? "removed"
              : err_is_set(&err) ? err.text
                                 : "");
    free(path);
}

static bool begins(const char *name, const char *with)
{
    return !strncmp(name, with, strlen(with));
}

/* Somebody alive may be about to make it the lease. */
static void look_at_aside(struct checker *c, const char *dir, const char *name)
{
    struct err err = ERR_INIT;
    char *path = path_join(dir, name, &err);

    if (path && lease_is_dead(path))
        leftover(c, dir, name, "was to become a lease");
    free(path);
}

/* Files of a folder that a process which died was writing. */
static void look_for_leftovers(struct checker *c, const char *sub, bool sealed)
{
    struct err err = ERR_INIT;
    char *dir = sub ? path_join(c->dir, sub, &err) : mem_strdup(c->dir, &err);
    char **names = NULL;

    if (dir && file_is_dir(dir) && !file_list(&names, dir, &err))
        for (char **n = names; *n; n++) {
            if (begins(*n, "run.h5.new.") || begins(*n, "mended.") || begins(*n, "new."))
                leftover(c, dir, *n, "was being written when its process died");
            else if (begins(*n, "lease."))
                look_at_aside(c, dir, *n);
            else if (sealed && !sub && (begins(*n, "journal.") || !strcmp(*n, "ckpt")))
                leftover(c, dir, *n, "is of no more use: the run is sealed");
        }
    file_list_free(names);
    free(dir);
}

/* ---- a sealed run ---- */

/* Reads and agrees with itself. */
static int check_content(struct content *k, const char *id, const char *path,
                         struct err *err)
{
    char digest[65], extra[65], sum[65] = "";
    const char *resolved = k->heads[HEAD_RESOLVED];

    if (strcmp(k->info.id, id) != 0)
        return err_set(err, ERR_INPUT, "%s: holds run %.10s", path, k->info.id);
    if (resolved)
        sha256_text(sum, resolved, strlen(resolved));
    if (strcmp(sum, id) != 0)
        return err_set(err, ERR_INPUT,
                       "%s: /resolved is not what the run's id was made of", path);
    if (content_digest(k, RECORD_RESULT, digest, err) ||
        content_digest(k, RECORD_EXTRA, extra, err))
        return -1;
    if (strcmp(digest, k->info.digest) != 0)
        return err_set(err, ERR_INPUT,
                       "%s: result digest %.10s, but its contents give %.10s", path,
                       k->info.digest, digest);
    if (strcmp(extra, k->extra_digest) != 0)
        return err_set(err, ERR_INPUT,
                       "%s: its second digest is not that of its contents", path);
    return 0;
}

static int load_checked(struct content **out, struct file_map *map, const char *path,
                        const char *id, struct err *err)
{
    if (content_load(out, map, path, false, err))
        return -1;
    if (!check_content(*out, id, path, err))
        return 0;
    content_free(*out);
    file_unmap(map);
    return -1;
}

/*
 * In a process of its own: the byte that was guessed may be the wrong one (then the seal
 * fits a file that was never written), and HDF5 may crash on such. Nothing here has
 * threads, so a fork is safe.
 */
static bool run_reads_well(const char *path, void *ctx)
{
    int status = -1;
    pid_t pid = fork();

    if (!pid) {
        struct err err = ERR_INIT;
        struct file_map map;
        struct content *k;
        _exit(load_checked(&k, &map, path, ctx, &err) ? 1 : 0);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static bool part_has_sum(const char *path, void *ctx)
{
    struct err err = ERR_INIT;
    char sum[65];

    return !sha256_file(sum, path, &err) && !strcmp(sum, ctx);
}

static int check_part(const struct part *p, const char *path, struct err *err)
{
    char sum[65];
    int64_t size = file_size(path);

    if (size < 0)
        return err_set(err, ERR_MISSING, "%s: the snapshot of step %lld is not there",
                       path, (long long)p->step);
    if (size != p->bytes)
        return err_set(err, ERR_INPUT, "%s: has %lld bytes, was written with %lld", path,
                       (long long)size, (long long)p->bytes);
    if (sha256_file(sum, path, err))
        return -1;
    return strcmp(sum, p->sha256) ? err_set(err, ERR_INPUT,
                                            "%s: is damaged: its SHA-256 is not the one "
                                            "that the run names",
                                            path)
                                  : 0;
}

static void check_snapshots(struct checker *c, const struct content *k, bool sealed)
{
    for (int64_t i = 0; i < k->parts_n; i++) {
        struct err why = ERR_INIT, trouble = ERR_INIT;
        struct part p = k->parts[i];
        char what[128] = "";
        char *path = mem_printf(&why, "%s/parts/%s", c->dir, p.name);
        if (path && check_part(&p, path, &why)) {
            int rc = c->mend && !c->silent && why.code != ERR_MISSING
                         ? mend_sealed(path, part_has_sum, p.sha256, what, &trouble)
                         : 0;
            damaged(c, path, &why, rc, &trouble, what,
                    sealed ? "remove the run (retort rm), and retort run makes it again"
                           : "the run goes back to before it");
        } else if (path && !c->silent) {
            c->out->bytes += p.bytes;
        }
        free(path);
    }
}

/* What a journal beside the sealed run says of its results must be in it. */
static int compare_journal(const struct content *k, const struct content *j,
                           const char *path, struct err *err)
{
    if (strcmp(k->info.env_class, j->info.env_class) != 0)
        return 0;
    for (int64_t i = 0; i < j->series_n; i++) {
        const struct points *a = &j->series[i];
        int64_t at = a->cls == RECORD_RESULT ? map_get(k->names, a->name) : -1;
        const struct points *b = at < 0 ? NULL : &k->series[at];
        for (int64_t s = 0; b && s < a->n && s < b->n; s++)
            if (a->step[s] != b->step[s] ||
                memcmp(&a->value[s], &b->value[s], sizeof *a->value) != 0)
                return err_set(err, ERR_INPUT,
                               "%s: \"%s\" at step %lld is not what the journal says",
                               path, a->name, (long long)a->step[s]);
    }
    for (int64_t i = 0; i < j->items_n; i++) {
        const struct item *a = &j->items[i];
        const struct item *b = content_find(k, a->pub.path);
        if (!b || a->kind != ITEM_ARRAY || b->kind != ITEM_ARRAY ||
            a->pub.cls != RECORD_RESULT)
            continue;
        if (a->pub.bytes != b->pub.bytes ||
            (a->pub.bytes && memcmp(a->data, b->data, (size_t)a->pub.bytes) != 0))
            return err_set(err, ERR_INPUT, "%s: %s is not what the journal says", path,
                           a->pub.path);
    }
    return 0;
}

static void check_journal_beside(struct checker *c, const struct content *k,
                                 const char *path)
{
    struct err err = ERR_INIT;
    struct journal_maps maps = {NULL, 0, 0};
    struct content *j = NULL;
    int64_t g = 0;

    if (!journal_newest(&g, c->dir, &err) && g &&
        !journal_read(&j, &maps, c->dir, g, -1, &err) &&
        compare_journal(k, j, path, &err))
        found(c, FOUND_DAMAGE, path, err.text, false,
              "one of them is wrong: remove the run (retort rm), and make it again");
    content_free(j);
    journal_maps_release(&maps);
}

static void check_references(struct checker *c, const struct content *k, const char *path)
{
    struct err err = ERR_INIT;
    struct run *run = NULL;
    bool any = false;

    for (int64_t i = 0; i < k->items_n; i++)
        any |= k->items[i].kind == ITEM_REFERENCE;
    if (any &&
        (run_open(&run, c->store, c->id, false, &err) || run_check_references(run, &err)))
        found(c, FOUND_DAMAGE, path, err.text, false,
              "retort run makes again what is missing");
    run_close(run);
}

static void remember(struct checker *c, const struct content *k, const char *path)
{
    struct err err = ERR_INIT;

    if (c->silent ||
        mem_grow((void **)&c->seen, c->n_seen, &c->seen_capacity, sizeof *c->seen, &err))
        return;
    struct seen *s = &c->seen[c->n_seen];
    memcpy(s->id, k->info.id, sizeof s->id);
    memcpy(s->digest, k->info.digest, sizeof s->digest);
    s->size = file_size(path);
    s->mtime_ns = file_mtime_ns(path);
    if (!map_put(c->ids, s->id, c->n_seen, &err))
        c->n_seen++;
}

static void check_sealed(struct checker *c, const char *path)
{
    struct err why = ERR_INIT, trouble = ERR_INIT;
    struct file_map map = {NULL, 0};
    struct content *k = NULL;
    char what[128] = "", id[65];
    int rc = 0;

    memcpy(id, c->id, sizeof id);
    if (load_checked(&k, &map, path, id, &why)) {
        if (c->mend && !c->silent && !content_is_newer(path))
            rc = mend_sealed(path, run_reads_well, id, what, &trouble);
        damaged(c, path, &why, rc, &trouble, what,
                "more than a byte is wrong; retort run makes it again");
        if (rc < 1 || load_checked(&k, &map, path, id, &trouble))
            return;
    }
    c->out->bytes += c->silent ? 0 : map.len;
    check_journal_beside(c, k, path);
    check_snapshots(c, k, true);
    check_references(c, k, path);
    look_for_leftovers(c, NULL, true);
    look_for_leftovers(c, "parts", true);
    remember(c, k, path);
    content_free(k);
    file_unmap(&map);
}

/* ---- a run that is not sealed ---- */

/* Where the first record stands that is not as it was written; the file's length: none.
 * *torn: nothing whole comes behind it, as when a process died. */
static int64_t first_bad(const struct file_map *map, bool *torn)
{
    int64_t at = 0, size;

    while (at < map->len && (size = journal_record(map, at)) > 0)
        at += size;
    *torn = true;
    for (int64_t i = at + 8; *torn && i < map->len; i += 8)
        *torn = journal_record(map, i) == 0;
    return at;
}

static void check_journal(struct checker *c, const char *name)
{
    struct err why = ERR_INIT, trouble = ERR_INIT;
    struct file_map map = {NULL, 0};
    char what[128] = "";
    bool torn;
    char *path = path_join(c->dir, name, &why);

    if (!path || file_map(&map, path, &why)) {
        found(c, FOUND_DAMAGE, path ? path : c->dir, why.text, false, "");
        goto done;
    }
    c->out->bytes += c->silent ? 0 : map.len;
    int64_t at = first_bad(&map, &torn), len = map.len;
    file_unmap(&map);
    if (at == len)
        goto done;
    err_set(&why, ERR_INPUT,
            torn ? "%s: its last record, at byte %lld, is torn"
                 : "%s: is damaged at byte %lld",
            path, (long long)at);
    int rc = c->mend && !c->silent ? mend_journal(path, what, &trouble) : 0;
    if (torn && rc == 0)
        found(c, FOUND_LEFTOVER, path, why.text, false,
              c->mend ? "nothing is lost: the run goes on from a checkpoint" : "");
    else
        damaged(c, path, &why, rc, &trouble, what,
                "what comes behind it is computed again");
done:
    free(path);
}

static void check_checkpoint(struct checker *c, const char *dir, const char *name)
{
    struct err why = ERR_INIT, trouble = ERR_INIT;
    char what[128] = "";
    char *path = path_join(dir, name, &why);

    if (path && checkpoint_check(path, &why)) {
        int rc = c->mend && !c->silent ? mend_checkpoint(path, what, &trouble) : 0;
        if (!rc && c->mend && !c->silent && !checkpoint_aside(dir, name, &trouble)) {
            rc = 1;
            snprintf(what, sizeof what, "set aside; the one before it serves");
        }
        damaged(c, path, &why, rc, &trouble, what, "");
    } else if (path && !c->silent) {
        c->out->bytes += file_size(path);
    }
    free(path);
}

static void check_checkpoints(struct checker *c)
{
    struct err err = ERR_INIT;
    char **names = NULL, *dir = path_join(c->dir, "ckpt", &err);

    if (dir && !checkpoint_list(&names, dir, &err))
        for (char **n = names; *n; n++)
            check_checkpoint(c, dir, *n);
    else
        found(c, FOUND_DAMAGE, c->dir, err.text, false, "");
    file_list_free(names);
    free(dir);
}

static void check_partial(struct checker *c)
{
    struct err err = ERR_INIT;
    struct journal_maps maps = {NULL, 0, 0};
    struct content *k = NULL;
    char **names = NULL;
    int64_t g = 0;

    if (file_list(&names, c->dir, &err)) {
        found(c, FOUND_DAMAGE, c->dir, err.text, false, "");
        return;
    }
    for (char **n = names; *n; n++)
        if (begins(*n, "journal."))
            check_journal(c, *n);
    file_list_free(names);
    check_checkpoints(c);
    if (journal_newest(&g, c->dir, &err) ||
        (g && journal_read(&k, &maps, c->dir, g, -1, &err)))
        found(c, FOUND_DAMAGE, c->dir, err.text, false,
              "the run begins anew, or from an older checkpoint");
    if (k)
        check_snapshots(c, k, false);
    content_free(k);
    journal_maps_release(&maps);
    look_for_leftovers(c, NULL, false);
    look_for_leftovers(c, "ckpt", false);
    look_for_leftovers(c, "parts", false);
}

/* ---- one run ---- */

static void look(struct checker *c)
{
    struct err err = ERR_INIT;
    char *path = path_join(c->dir, "run.h5", &err);
    bool sealed = path && file_exists(path);

    if (!c->silent)
        *(sealed ? &c->out->sealed : &c->out->partial) += 1;
    if (sealed)
        check_sealed(c, path);
    else if (path)
        check_partial(c);
    free(path);
}

/* Under the lease: what was found without a word is found again, told and mended. */
static void look_and_mend(struct checker *c, bool dead_lease, bool bad_lease,
                          const char *path)
{
    struct err err = ERR_INIT;
    struct lease *lease = NULL;

    if (lease_take(&lease, c->dir, &err)) {
        c->out->skipped++;
        found(c, FOUND_NOTE, path, err.text, false, "not looked at");
        return;
    }
    if (dead_lease)
        found(c, bad_lease ? FOUND_DAMAGE : FOUND_LEFTOVER, path,
              bad_lease ? "is damaged" : "is the lease of a process that is gone", true,
              "removed");
    c->mend = true;
    look(c);
    c->mend = false;
    lease_give(lease);
}

static void check_run(struct checker *c, const char *lease)
{
    char who[512];
    bool there = file_exists(lease), bad = there && !lease_is_whole(lease);

    if (lease_alive(c->dir, who, sizeof who)) {
        c->out->skipped++;
        if (bad)
            found(c, FOUND_DAMAGE, lease, "is damaged", false,
                  "counts as somebody's until it is a minute old");
        else
            found(c, FOUND_NOTE, c->dir, who, false, "works on it: not looked at");
        return;
    }
    if (!c->opt->mend) {
        if (there)
            found(c, bad ? FOUND_DAMAGE : FOUND_LEFTOVER, lease,
                  bad ? "is damaged" : "is the lease of a process that is gone", false,
                  "");
        look(c);
        return;
    }
    c->silent = true;
    c->hits = there;
    look(c);
    c->silent = false;
    if (c->hits)
        look_and_mend(c, there, bad, lease);
    else
        look(c);
}

static int on_id(void *ctx, const char *id, struct err *err)
{
    struct checker *c = ctx;
    char *dir = store_run_dir(c->store, id, err);
    char *lease = dir ? path_join(dir, "lease", err) : NULL;

    if (lease) {
        c->id = id;
        c->dir = dir;
        check_run(c, lease);
        c->id = c->dir = NULL;
    }
    free(lease);
    free(dir);
    return lease ? 0 : -1;
}

/* ---- the store's own files ---- */

struct catalog_check {
    struct checker *c;
    int64_t wrong;
};

/* A whole line that says of a run what is not so; one of another size or time is only
 * old. */
static bool is_wrong(void *ctx, char *line)
{
    struct catalog_check *k = ctx;
    char *field[13];

    if (line_split(line, field, 13) < 13)
        return false;
    int64_t at = map_get(k->c->ids, field[0]);
    const struct seen *s = at < 0 ? NULL : &k->c->seen[at];
    bool wrong = s && strtoll(field[1], NULL, 10) == s->size &&
                 strtoll(field[2], NULL, 10) == s->mtime_ns &&
                 strcmp(field[12], s->digest) != 0;
    k->wrong += wrong;
    return wrong;
}

static void check_lines(struct checker *c, const char *name, bool is_catalog)
{
    struct err err = ERR_INIT;
    struct catalog_check k = {c, 0};
    struct lines_found n;
    char text[128], deed[128] = "";
    char *path = path_join(c->store->dir, name, &err);

    if (!path ||
        lines_check(&n, path, c->opt->mend, is_catalog ? is_wrong : NULL, &k, &err)) {
        found(c, FOUND_DAMAGE, path ? path : name, err.text, false, "");
        goto done;
    }
    snprintf(text, sizeof text, "%lld of its lines %s not as they were written",
             (long long)n.bad, n.bad == 1 ? "is" : "are");
    if (c->opt->mend && is_catalog)
        snprintf(deed, sizeof deed, "they are made again from the runs");
    else if (c->opt->mend)
        snprintf(deed, sizeof deed, "%lld mended; %lld could not be, and went to %s.lost",
                 (long long)n.mended, (long long)n.lost, name);
    if (n.bad)
        found(c, FOUND_DAMAGE, path, text, c->opt->mend && (is_catalog || !n.lost), deed);
    snprintf(text, sizeof text, "%lld of its lines say what the runs do not",
             (long long)k.wrong);
    if (k.wrong)
        found(c, FOUND_DAMAGE, path, text, c->opt->mend, deed);
done:
    free(path);
}

/* Somebody may be writing it now. */
static bool is_old(const char *dir, const char *name)
{
    struct err err = ERR_INIT;
    struct stat st;
    char *path = path_join(dir, name, &err);
    bool old = path && !stat(path, &st) && time(NULL) - st.st_mtime > LEASE_SECONDS;

    free(path);
    return old;
}

/* Files that were to replace another, by a process that died. */
static void look_for_own_leftovers(struct checker *c)
{
    struct err err = ERR_INIT;
    char **names;

    if (file_list(&names, c->store->dir, &err)) {
        found(c, FOUND_DAMAGE, c->store->dir, err.text, false, "");
        return;
    }
    for (char **n = names; *n; n++) {
        size_t len = strlen(*n);
        if ((begins(*n, "catalog.") || begins(*n, "labels.")) && len > 4 &&
            !strcmp(*n + len - 4, ".tmp") && is_old(c->store->dir, *n)) {
            c->mend = c->opt->mend;
            leftover(c, c->store->dir, *n, "was being written when its process died");
            c->mend = false;
        }
    }
    file_list_free(names);
}

int store_check(struct check_counts *out, struct store *store, const char *id,
                const struct check_options *opt, struct err *err)
{
    struct checker c = {.store = store, .opt = opt, .out = out};
    int rc = -1;

    memset(out, 0, sizeof *out);
    c.ids = map_new(err);
    if (!c.ids)
        goto done;
    if (id ? on_id(&c, id, err) : store_each_id(store, on_id, &c, err))
        goto done;
    if (!id) {
        check_lines(&c, "catalog", true);
        check_lines(&c, "labels", false);
        look_for_own_leftovers(&c);
    }
    rc = 0;
done:
    map_free(c.ids);
    free(c.seen);
    return rc;
}
