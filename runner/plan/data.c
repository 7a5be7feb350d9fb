/* Where data lies, and its digests: each file and folder is read once for a plan. */
#include "plan.h"

#include <stdlib.h>
#include <string.h>

#include "retort/fetch.h"
#include "retort/file.h"
#include "retort/hash.h"
#include "retort/hf.h"

/* "$XDG_DATA_HOME/retort/data" or "~/.local/share/retort/data"; kept for the process's
 * life. */
const char *task_data_dir(void)
{
    static char dir[4096];
    const char *given = getenv("RETORT_DATA"), *xdg = getenv("XDG_DATA_HOME"),
               *home = getenv("HOME");

    if (given && *given)
        return given;
    if (xdg && *xdg == '/')
        snprintf(dir, sizeof(dir), "%s/retort/data", xdg);
    else
        snprintf(dir, sizeof(dir), "%s/.local/share/retort/data",
                 home && *home ? home : ".");
    return dir;
}

static bool has_file(const char *dir, const char *name)
{
    char *path = path_join(dir, name, NULL);
    bool yes = path && file_exists(path);

    free(path);
    return yes;
}

static bool has_any(const char *dir, const struct task *task, const char *split)
{
    const char *const *files = task->files(task, split);

    for (; files && *files; files++)
        if (has_file(dir, *files))
            return true;
    return false;
}

/* The official folders lie right in the data folder, or in one of the family's name:
 * DIR/glue/MRPC. */
int task_find_dir(char **out, const struct task *task, const char *data_dir,
                  struct err *err)
{
    const char *slash = strchr(task->name, '/');
    char *family =
        slash ? mem_strndup(task->name, (size_t)(slash - task->name), err) : NULL;
    char *below = family ? path_join(data_dir, family, err) : NULL;
    const char *found = NULL;

    *out = NULL;
    if (!task->files) {
        free(family);
        free(below);
        return 0;
    }
    for (const char *const *s = task->splits; *s && !found; s++) {
        if (has_any(data_dir, task, *s))
            found = data_dir;
        else if (below && has_any(below, task, *s))
            found = below;
    }
    if (found)
        *out = mem_strdup(found, err);
    else if (*task->files(task, task->splits[0])[0] == '/') /* declared */
        err_set(err, ERR_MISSING, "%s: there is no file %s", task->name,
                task->files(task, task->splits[0])[0]);
    else
        err_set(err, ERR_MISSING,
                "the files of %s are not below %s; set RETORT_DATA to their folder",
                task->name, data_dir);
    free(family);
    free(below);
    return *out ? 0 : -1;
}

/* Keeps what was found out of a file, a folder or a model's name. */
static const char *remember(struct planner *pl, const char *name, const char *value,
                            struct err *err)
{
    char *key = arena_strdup(pl->plan->arena, name);
    char *copy = arena_strdup(pl->plan->arena, value);

    if (!key || !copy ||
        mem_grow((void **)&pl->digest, pl->n_digests, &pl->cap_digests,
                 sizeof(*pl->digest), err))
        return NULL;
    pl->digest[pl->n_digests] = copy;
    if (map_at(&pl->digests, key, pl->n_digests++) == -2)
        return NULL;
    return copy;
}

/* Of a folder of data (RACE has a file for each article): names and digests of all files
 * in it, in the order of their names. */
static int digest_files(char hex[SHA256_HEX], const char *dir, struct err *err)
{
    struct strbuf all = STRBUF_INIT;
    char **list = NULL;
    int rc = file_list(&list, dir, err);

    for (char **name = list; rc == 0 && *name; name++) {
        char *path = path_join(dir, *name, err), one[SHA256_HEX];
        rc = path ? sha256_file(one, path, err) : -1;
        if (rc == 0)
            strbuf_printf(&all, "%s %s\n", one, *name);
        free(path);
    }
    if (rc == 0 && (rc = strbuf_failed(&all, err)) == 0)
        sha256_text(hex, strbuf_text(&all), all.len);
    strbuf_release(&all);
    file_list_free(list);
    return rc;
}

/* What a path is: a file alone, files or a folder of them, a checkpoint's folder. */
enum whose { OF_FILE, OF_DATA, OF_MODEL };

static const char *remembered(struct planner *pl, const char *path, enum whose whose,
                              struct err *err)
{
    char hex[SHA256_HEX];
    int64_t at = map_at(&pl->digests, path, -1);

    if (at >= 0)
        return pl->digest[at];
    if (whose == OF_MODEL                       ? hf_digest(hex, path, err)
        : whose == OF_DATA && file_is_dir(path) ? digest_files(hex, path, err)
                                                : sha256_file(hex, path, err))
        return NULL;
    return remember(pl, path, hex, err);
}

/* Once for a plan: the network is asked at most once for a name, whatever comes of it,
 * and not again after it failed. */
int hub_folder(struct planner *pl, char **path, const char *name, struct err *err)
{
    const struct hub_options opt = {pl->opt->download, pl->opt->progress};
    int64_t at = map_at(&pl->digests, name, -1);
    bool failed =
        pl->no_hub.code == ERR_IO || (pl->no_hub_name && !strcmp(pl->no_hub_name, name));

    *path = NULL;
    if (at >= 0)
        return (*path = mem_strdup(pl->digest[at], err)) ? 0 : -1;
    if (!failed) {
        err_clear(&pl->no_hub);
        pl->no_hub_name = arena_strdup(pl->plan->arena, name);
        if (hub_find(path, name, &opt, &pl->no_hub) == 0) {
            pl->no_hub_name = NULL;
            if (remember(pl, name, *path, err))
                return 0;
            free(*path);
            *path = NULL;
            return -1;
        }
    }
    return err_set(err, pl->no_hub.code, "%s", pl->no_hub.text);
}

const char *digest_folder(struct planner *pl, const char *path, struct err *err)
{
    if (!file_exists(path)) {
        err_set(err, ERR_MISSING, "there is no folder %s", path);
        return NULL;
    }
    return remembered(pl, path, OF_MODEL, err);
}

/* One digest of all files of a split, or of the first that is there. */
static const char *digest_all(struct planner *pl, const char *dir,
                              const char *const *files, struct err *err)
{
    struct strbuf all = STRBUF_INIT;
    char hex[SHA256_HEX];
    const char *one = NULL;

    for (int i = 0; files[i]; i++) {
        char *path = path_join(dir, files[i], err);
        one = path ? remembered(pl, path, OF_DATA, err) : NULL;
        free(path);
        if (!one)
            goto done;
        strbuf_puts(&all, one);
    }
    if (!files[1] || strbuf_failed(&all, err))
        goto done; /* a single file's own digest */
    sha256_text(hex, strbuf_text(&all), all.len);
    one = arena_strdup(pl->plan->arena, hex);
done:
    strbuf_release(&all);
    return one;
}

/* The first candidate of a split that is there. */
static const char *digest_split(struct planner *pl, const char *dir,
                                const struct task *task, const char *split,
                                struct err *err)
{
    const char *const *files = task->files(task, split);
    const char *digest = NULL;

    if (task->every_file && files)
        return digest_all(pl, dir, files, err);
    for (; files && *files; files++) {
        if (!has_file(dir, *files))
            continue;
        char *path = path_join(dir, *files, err);
        digest = path ? remembered(pl, path, OF_FILE, err) : NULL;
        free(path);
        return digest;
    }
    err_set(err, ERR_MISSING, "%s: there is no file of its split \"%s\" below %s",
            task->name, split, dir);
    return NULL;
}

/* The same for whoever has no plan: of "dev[0:100]" the whole split's. */
int task_digest(char hex[SHA256_HEX], const struct task *task, const char *split,
                struct err *err)
{
    struct plan plan = {.arena = arena_new(err)};
    struct planner pl = {.plan = &plan};
    size_t n = strcspn(split, "[");
    char *whole = mem_strndup(split, n, err), *dir = NULL;
    const char *digest = NULL;

    if (plan.arena && whole && !task_find_dir(&dir, task, task_data_dir(), err) &&
        (digest = digest_split(&pl, dir, task, whole, err)))
        memcpy(hex, digest, SHA256_HEX);
    free(dir);
    free(whole);
    free(pl.digest);
    map_release(&pl.digests);
    arena_free(plan.arena);
    return digest ? 0 : -1;
}

static bool split_used(const struct stage_decl *st, const char *split, bool *any)
{
    for (const struct option *o = st->method->options; o && o->name; o++) {
        const char *value;
        if (!option_is_split(o))
            continue;
        *any = true;
        value = *(const char *const *)((const char *)st->options + o->offset);
        size_t n = strcspn(value, "[");
        if (strlen(split) == n && !strncmp(split, value, n))
            return true;
    }
    return false;
}

/*
 * {"task": name, "version": v, "files": {"train": digest}}: the splits that the stage's
 * options name; a method without such options has all splits that are there.
 */
int task_identity(struct planner *pl, const struct stage_decl *st,
                  const struct task *task, struct json_writer *w, const char **digest,
                  struct err *err)
{
    char *dir = NULL;
    bool any = false;
    int rc = 0;

    *digest = NULL;
    if (task_find_dir(&dir, task, pl->data_dir, err))
        return -1;
    json_object(w);
    json_member(w, "task");
    json_str(w, task->name);
    json_member(w, "version");
    json_i64(w, task->version);
    if (task_declared_text(pl->sp, task)) {
        json_member(w, "declared");
        json_raw(w, task_declared_text(pl->sp, task));
    }
    json_member(w, "files");
    json_object(w);
    for (const char *const *s = task->splits; *s; s++)
        (void)split_used(st, *s, &any);
    for (const char *const *s = task->files ? task->splits : NULL; s && *s; s++) {
        bool used = split_used(st, *s, &any);
        const char *hex;
        if (any ? !used : !has_any(dir, task, *s))
            continue;
        if (!(hex = digest_split(pl, dir, task, *s, err))) {
            rc = -1; /* the writer's objects are closed all the same */
            continue;
        }
        json_member(w, *s);
        json_str(w, hex);
        *digest = hex;
    }
    json_object_end(w);
    json_object_end(w);
    free(dir);
    return rc;
}
