/*
 * Hugging Face's cache. Names that come from outside (of models, revisions, commits,
 * digests, shards) become parts of paths, so each has its own narrow form, and anything
 * else is refused before it is used.
 */
#include "retort/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "http.h"
#include "retort/file.h"
#include "retort/hash.h"
#include "retort/hf.h"
#include "retort/json.h"
#include "retort/pins.h"

#define PREFIX "hf:"
#define FILES_MAX 4200
#define SMALL_MAX ((int64_t)64 << 20) /* of a file whose size nobody says */

struct hub_file {
    char *name, etag[65];
    int64_t size;
    bool there; /* in the snapshot, or its blob in the cache */
};

struct hub {
    const struct hub_options *opt;
    const char *given; /* the name as the user wrote it */
    char *repo, *revision;
    char *root, *dir; /* the cache, and the model's folder in it */
    char *snapshot;   /* of its commit, once that is known */
    char commit[41];
    struct http *http;
    struct hub_file *file;
    int64_t n, capacity;
    int64_t done, total; /* bytes, for the bar */
    int64_t told;
};

bool hub_is_name(const char *text)
{
    return !strncmp(text, PREFIX, strlen(PREFIX));
}

/* ---- names ---- */

static bool is_hex(const char *s, size_t n)
{
    return strlen(s) == n && strspn(s, "0123456789abcdef") == n;
}

/* A part of a path that can be no other: no "..", no option, no hidden file. */
static bool is_part(const char *s, size_t n)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789._-";
    bool good = n > 0 && n <= 96 && s[0] != '.' && s[0] != '-' && s[n - 1] != '.';

    for (size_t i = 0; good && i < n; i++)
        good = strchr(letters, s[i]) && !(s[i] == '.' && i + 1 < n && s[i + 1] == '.');
    return good;
}

/* "org/name", or "name" as some old models have it. */
static bool is_repo(const char *s)
{
    size_t n = strcspn(s, "/");

    return is_part(s, n) && (!s[n] || is_part(s + n + 1, strlen(s + n + 1)));
}

/* A branch or tag (refs/pr/1 too) or a commit. */
static bool is_revision(const char *s)
{
    for (size_t n; (n = strcspn(s, "/")) > 0 && is_part(s, n); s += n + 1)
        if (!s[n])
            return true;
    return false;
}

static int read_name(struct hub *h, struct err *err)
{
    const char *name = h->given + strlen(PREFIX), *at = strchr(name, '@');

    h->repo = mem_strndup(name, at ? (size_t)(at - name) : strlen(name), err);
    h->revision = mem_strdup(at ? at + 1 : "main", err);
    if (!h->repo || !h->revision)
        return -1;
    if (!is_repo(h->repo) || !is_revision(h->revision))
        return err_set(err, ERR_INPUT,
                       "\"%.200s\" names no model; write hf:org/name or "
                       "hf:org/name@revision",
                       h->given);
    return 0;
}

/* ---- where the cache is ---- */

static const char *set_env(const char *name)
{
    const char *v = getenv(name);
    return v && *v ? v : NULL;
}

static bool is_on(const char *name)
{
    const char *v = set_env(name);
    return v && strcmp(v, "0") != 0 && strcasecmp(v, "false") != 0 &&
           strcasecmp(v, "no") != 0 && strcasecmp(v, "off") != 0;
}

static char *hf_home(struct err *err)
{
    if (set_env("HF_HOME"))
        return mem_strdup(set_env("HF_HOME"), err);
    if (set_env("XDG_CACHE_HOME"))
        return path_join(set_env("XDG_CACHE_HOME"), "huggingface", err);
    return path_join(set_env("HOME") ? set_env("HOME") : "/tmp", ".cache/huggingface",
                     err);
}

static int find_cache(struct hub *h, struct err *err)
{
    struct strbuf sb = STRBUF_INIT;
    char *home = hf_home(err);

    if (!home)
        return -1;
    h->root = set_env("HF_HUB_CACHE") ? mem_strdup(set_env("HF_HUB_CACHE"), err)
                                      : path_join(home, "hub", err);
    free(home);
    strbuf_puts(&sb, "models--");
    for (const char *c = h->repo; *c; c++)
        strbuf_puts(&sb, *c == '/' ? "--" : (char[]){*c, '\0'});
    if (h->root && !strbuf_failed(&sb, err))
        h->dir = path_join(h->root, strbuf_text(&sb), err);
    strbuf_release(&sb);
    return h->dir ? 0 : -1;
}

static int set_commit(struct hub *h, const char *commit, struct err *err)
{
    memcpy(h->commit, commit, sizeof h->commit);
    free(h->snapshot);
    h->snapshot = mem_printf(err, "%s/snapshots/%s", h->dir, h->commit);
    return h->snapshot ? 0 : -1;
}

/* The commit that the cache knows for the revision. 1, 0: none, -1. */
static int cached_commit(struct hub *h, struct err *err)
{
    char *path, *text = NULL;
    int rc = 0;

    if (is_hex(h->revision, 40))
        return set_commit(h, h->revision, err) ? -1 : 1;
    path = mem_printf(err, "%s/refs/%s", h->dir, h->revision);
    if (!path)
        return -1;
    if (file_exists(path) && file_read(&text, NULL, path, 4096, NULL) == 0) {
        text[strcspn(text, " \r\n")] = '\0';
        if (is_hex(text, 40))
            rc = set_commit(h, text, err) ? -1 : 1;
    }
    free(text);
    free(path);
    return rc;
}

/* Is all that a model needs in the snapshot? What is there and broken is for who opens
 * it to tell. */
static bool is_whole(const struct hub *h)
{
    struct err err = ERR_INIT;
    struct hf_folder *f = NULL;
    int rc = file_is_dir(h->snapshot) ? hf_open(&f, h->snapshot, &err) : -1;
    bool whole = rc == 0 || (err.code != ERR_MISSING && err.code != ERR_NONE);

    hf_close(f);
    return whole;
}

/* ---- what the server has ---- */

static char *url_of(const struct hub *h, const char *file, struct err *err)
{
    const char *end =
        set_env("HF_ENDPOINT") ? set_env("HF_ENDPOINT") : "https://huggingface.co";
    size_t n = strlen(end);
    struct strbuf sb = STRBUF_INIT;

    while (n > 0 && end[n - 1] == '/')
        n--;
    strbuf_printf(&sb, "%.*s/%s/resolve/", (int)n, end, h->repo);
    for (const char *c = h->commit[0] ? h->commit : h->revision; *c; c++)
        strbuf_puts(&sb, *c == '/' ? "%2F" : (char[]){*c, '\0'});
    strbuf_printf(&sb, "/%s", file);
    return strbuf_take(&sb, err);
}

static int no_answer(const struct hub *h, const char *file, const struct http_reply *r,
                     struct err *err)
{
    if (r->status == 401 || r->status == 403)
        return err_set(err, ERR_MISSING,
                       "%s: the server answers %ld: there is no such model, or it is not "
                       "open to everyone; then set HF_TOKEN to a token that may read it",
                       h->given, r->status);
    if (r->status == 404)
        return err_set(err, ERR_MISSING,
                       "%s: the server has no such model, revision or %s", h->given,
                       file);
    return err_set(err, ERR_IO, "%s: the server answers %ld for %s", h->given, r->status,
                   file);
}

/* Asks for a file; *has says whether the server has it. */
static int ask(struct hub *h, const char *name, bool *has, struct err *err)
{
    struct http_reply r;
    char *url = url_of(h, name, err);
    int rc = url ? http_head(h->http, url, &r, err) : -1;
    const char *tag;
    void *array = h->file;

    free(url);
    *has = false;
    if (rc)
        return -1;
    if (r.status == 404 && h->commit[0])
        return 0;
    if (r.status < 200 || r.status >= 400)
        return no_answer(h, name, &r, err);
    if (!is_hex(r.commit, 40) || (h->commit[0] && strcmp(h->commit, r.commit) != 0))
        return err_set(err, ERR_IO,
                       "%s: the server does not say of which commit %s is; HF_ENDPOINT "
                       "should be a Hugging Face hub or a mirror of one",
                       h->given, name);
    if (!h->commit[0] && set_commit(h, r.commit, err))
        return -1;
    tag = r.linked_etag[0] ? r.linked_etag : r.etag;
    if (!is_hex(tag, 40) && !is_hex(tag, 64))
        return err_set(err, ERR_IO,
                       "%s: the server gives no digest of %s, so it could not be checked",
                       h->given, name);
    if (h->n >= FILES_MAX)
        return err_set(err, ERR_INPUT, "%s: more than %d files", h->given, FILES_MAX);
    if (mem_grow(&array, h->n, &h->capacity, sizeof *h->file, err))
        return -1;
    h->file = array;
    struct hub_file *f = &h->file[h->n];
    *f = (struct hub_file){.name = mem_strdup(name, err), .size = r.size};
    if (!f->name)
        return -1;
    memcpy(f->etag, tag, strlen(tag) + 1);
    h->n++;
    *has = true;
    return 0;
}

/* ---- downloading ---- */

static void show_bar(struct hub *h, int64_t now)
{
    char bar[3 * 24 + 1] = "";
    double total = h->total > 0 ? (double)h->total : 1;
    int full = (int)(24 * (double)now / total);

    if (!h->opt->progress || !isatty(STDERR_FILENO))
        return;
    if (now < h->total && now - h->told < h->total / 200)
        return;
    h->told = now;
    for (int i = 0; i < 24; i++)
        snprintf(bar + strlen(bar), sizeof bar - strlen(bar), "%s",
                 i < full ? "\u2588" : "\u2591");
    fprintf(stderr, "\r%s  %s  %.1f of %.1f MB%s", h->given, bar, (double)now / 1e6,
            (double)h->total / 1e6, now >= h->total ? "\n" : " ");
}

static void tell_bytes(void *ctx, int64_t done, int64_t total)
{
    struct hub *h = ctx;
    (void)total;
    show_bar(h, h->done + done);
}

/* 0: as its digest says; 1: other bytes; -1. */
static int check_blob(const struct hub_file *f, const char *path, struct err *err)
{
    char hex[SHA256_HEX];
    int rc = strlen(f->etag) == 64 ? sha256_file(hex, path, err)
                                   : git_blob_digest(hex, path, err);

    return rc ? -1 : strcmp(hex, f->etag) != 0;
}

/* Fetches, checks and names one blob, while its lock is held. */
static int get_blob(struct hub *h, struct hub_file *f, const char *blob, struct err *err)
{
    const struct http_progress progress = {tell_bytes, h};
    char *part = mem_printf(err, "%s.incomplete", blob), *url = url_of(h, f->name, err);
    int rc = -1, same = 1;

    /* A part of an earlier file of other bytes spoils the whole: then once more. */
    for (int tries = 0; part && url && same == 1 && tries < 2; tries++) {
        rc = http_get(h->http, url, part, f->size, SMALL_MAX, &progress, err);
        same = rc ? -1 : check_blob(f, part, err);
        if (same == 1 && (rc = file_remove(part, err)))
            break;
    }
    if (rc == 0 && same == 1)
        rc = err_set(err, ERR_IO,
                     "%s: %s came twice with other bytes than its digest says; nothing "
                     "of it is kept",
                     h->given, f->name);
    if (rc == 0)
        rc = same;
    if (rc == 0 && rename(part, blob))
        rc = err_errno(err, "%s", blob);
    free(url);
    free(part);
    return rc;
}

/* Waits for whoever downloads it now. Returns a descriptor to close. */
static int lock_blob(struct hub *h, const char *etag, struct err *err)
{
    struct timespec tenth = {0, 100000000L};
    char *dir = mem_printf(err, "%s/.locks/%s", h->root, path_base(h->dir));
    char *path = dir ? mem_printf(err, "%s/%s.lock", dir, etag) : NULL;
    int fd = -1, rc = path ? file_mkdirs(dir, err) : -1;

    if (rc == 0) {
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (fd < 0)
            err_errno(err, "%s", path);
    }
    while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB)) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            err_errno(err, "%s", path);
            close(fd);
            fd = -1;
        } else {
            nanosleep(&tenth, NULL);
        }
    }
    free(path);
    free(dir);
    return fd;
}

/* snapshots/COMMIT/name -> ../../blobs/ETAG; the one that is there may be right. */
static int link_file(struct hub *h, const struct hub_file *f, struct err *err)
{
    char *at = path_join(h->snapshot, f->name, err);
    char *to = mem_printf(err, "../../blobs/%s", f->etag);
    int rc = at && to ? file_mkdirs(h->snapshot, err) : -1;

    if (rc == 0 && !file_exists(at)) {
        if (unlink(at) && errno != ENOENT)
            rc = err_errno(err, "%s", at);
        else if (symlink(to, at) && errno != EEXIST)
            rc = err_errno(err, "%s", at);
    }
    free(to);
    free(at);
    return rc;
}

static int get_file(struct hub *h, struct hub_file *f, struct err *err)
{
    char *blobs = path_join(h->dir, "blobs", err);
    char *blob = blobs ? path_join(blobs, f->etag, err) : NULL;
    int rc = blob ? file_mkdirs(blobs, err) : -1;

    if (rc == 0 && !file_exists(blob)) {
        int fd = lock_blob(h, f->etag, err);
        rc = fd < 0 ? -1 : 0;
        if (rc == 0 && !file_exists(blob)) /* another may have been faster */
            rc = get_blob(h, f, blob, err);
        if (fd >= 0)
            close(fd);
    }
    if (rc == 0)
        rc = link_file(h, f, err);
    h->done += f->size > 0 ? f->size : 0;
    free(blob);
    free(blobs);
    return rc;
}

/* ---- which files ---- */

/* Of them, those that the server has. */
static const char *const small_files[] = {"vocab.txt",
                                          "tokenizer.json",
                                          "tokenizer_config.json",
                                          "vocab.json",
                                          "merges.txt",
                                          "tokenizer.model",
                                          "special_tokens_map.json",
                                          "added_tokens.json",
                                          "generation_config.json",
                                          NULL};

static const char *const weight_files[] = {
    "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
    "pytorch_model.bin.index.json", NULL};

static bool is_index(const char *name)
{
    return strstr(name, ".index.json") != NULL;
}

static bool asked(const struct hub *h, const char *name)
{
    for (int64_t i = 0; i < h->n; i++)
        if (!strcmp(h->file[i].name, name))
            return true;
    return false;
}

/* The shards that an index names; it lies in the snapshot by now. */
static int ask_shards(struct hub *h, const char *index, struct err *err)
{
    char *path = path_join(h->snapshot, index, err);
    struct json_doc *doc = path ? json_parse_file(path, err) : NULL;
    int rc = doc ? 0 : -1;

    for (const struct json *v = json_first(json_get(json_root(doc), "weight_map"));
         rc == 0 && v; v = json_next(v)) {
        const char *name = json_string(v);
        bool has = false;
        if (!name || !is_part(name, strlen(name))) {
            rc = err_set(err, ERR_INPUT, "%s: %s: \"%.100s\" is no name of a shard",
                         h->given, index, name ? name : "");
        } else if (!asked(h, name)) {
            rc = ask(h, name, &has, err);
            if (rc == 0 && !has)
                rc = err_set(err, ERR_MISSING, "%s: %s names %s, which is not there",
                             h->given, index, name);
        }
    }
    json_doc_free(doc);
    free(path);
    return rc;
}

/* Asks for everything; an index has to be fetched for it, which is small. */
static int ask_all(struct hub *h, struct err *err)
{
    bool has = false;

    if (ask(h, "config.json", &has, err))
        return -1;
    for (int i = 0; small_files[i]; i++)
        if (ask(h, small_files[i], &has, err))
            return -1;
    has = false;
    for (int i = 0; weight_files[i] && !has; i++) {
        if (ask(h, weight_files[i], &has, err))
            return -1;
        if (has && is_index(weight_files[i]) &&
            (get_file(h, &h->file[h->n - 1], err) || ask_shards(h, weight_files[i], err)))
            return -1;
    }
    if (!has)
        return err_set(err, ERR_MISSING,
                       "%s: has no model.safetensors and no pytorch_model.bin", h->given);
    return 0;
}

static int count_missing(struct hub *h, int64_t *files, struct err *err)
{
    *files = 0;
    h->total = h->done = h->told = 0;
    for (int64_t i = 0; i < h->n; i++) {
        char *blob = mem_printf(err, "%s/blobs/%s", h->dir, h->file[i].etag);
        if (!blob)
            return -1;
        if (!file_exists(blob)) {
            ++*files;
            h->total += h->file[i].size > 0 ? h->file[i].size : 0;
        } else {
            h->file[i].there = true;
        }
        free(blob);
    }
    return 0;
}

/* refs/main: from now on the revision means this commit here. */
static int write_ref(struct hub *h, struct err *err)
{
    char *path = mem_printf(err, "%s/refs/%s", h->dir, h->revision);
    char *dir = path ? path_dir(path, err) : NULL;
    int rc = dir ? file_mkdirs(dir, err) : -1;

    if (rc == 0 && !is_hex(h->revision, 40))
        rc = file_write(path, h->commit, 40, err);
    free(dir);
    free(path);
    return rc;
}

static char *read_token(struct err *err)
{
    char *home, *path, *text = NULL;

    if (set_env("HF_TOKEN"))
        return mem_strdup(set_env("HF_TOKEN"), err);
    home = hf_home(err);
    path = home ? path_join(home, "token", err) : NULL;
    if (path && file_exists(path) && file_read(&text, NULL, path, 4096, NULL) == 0)
        text[strcspn(text, " \r\n")] = '\0';
    free(path);
    free(home);
    if (text && !*text) {
        free(text);
        text = NULL;
    }
    return text;
}

static int connect_hub(struct hub *h, struct err *err)
{
    char *token = read_token(err);
    int rc = err_is_set(err) ? -1 : http_new(&h->http, token, err);

    free(token);
    return rc;
}

static int download(struct hub *h, struct err *err)
{
    int64_t files;

    h->commit[0] = '\0';
    if (is_hex(h->revision, 40) && set_commit(h, h->revision, err))
        return -1;
    if (connect_hub(h, err))
        return -1;
    if (ask_all(h, err) || count_missing(h, &files, err)) {
        if (err->code == ERR_IO)
            err_prefix(err,
                       "%s is not in the cache %s, and cannot be fetched; where there is "
                       "no network, name a folder",
                       h->given, h->root);
        return -1;
    }
    if (!h->opt->download && files > 0)
        return err_set(err, ERR_MISSING,
                       "%s is not in the cache %s; retort run will download %" PRId64
                       " files, %.1f MB (commit %.10s)",
                       h->given, h->root, files, (double)h->total / 1e6, h->commit);
    for (int64_t i = 0; i < h->n; i++) {
        bool there = h->file[i].there;
        if (get_file(h, &h->file[i], err))
            return -1;
        if (there)
            h->done -= h->file[i].size > 0 ? h->file[i].size : 0;
    }
    if (files > 0)
        show_bar(h, h->total);
    return write_ref(h, err);
}

static int offline(const struct hub *h, struct err *err)
{
    return err_set(err, ERR_MISSING,
                   "%s is not in the cache %s, and HF_HUB_OFFLINE forbids fetching it; "
                   "unset it, or name a folder",
                   h->given, h->root);
}

static void hub_release(struct hub *h)
{
    for (int64_t i = 0; i < h->n; i++)
        free(h->file[i].name);
    free(h->file);
    http_free(h->http);
    free(h->snapshot);
    free(h->dir);
    free(h->root);
    free(h->revision);
    free(h->repo);
}

int hub_find(char **dir, const char *name, const struct hub_options *opt, struct err *err)
{
    struct err own = ERR_INIT;
    struct hub h = {.opt = opt, .given = name};
    int rc = -1, known;

    if (!err)
        err = &own;
    *dir = NULL;
    if (read_name(&h, err) || find_cache(&h, err) || (known = cached_commit(&h, err)) < 0)
        goto done;
    if (!known || !is_whole(&h)) {
        if (is_on("HF_HUB_OFFLINE") ? offline(&h, err) : download(&h, err))
            goto done;
    }
    *dir = h.snapshot;
    h.snapshot = NULL;
    rc = 0;
done:
    hub_release(&h);
    return rc;
}
