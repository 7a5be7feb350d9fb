/*
 * The repository that holds the spec, by libgit2 (seen here alone).
 *
 * Changes are kept as a tree in an object database that belongs to the store: nested
 * folders are trees as git has them, so `git --git-dir=<store>/objects.git ls-tree -r
 * TREE` reads it. Nothing in an odd repository fails a run: what went wrong becomes
 * "warnings".
 */
#include <fcntl.h>
#include <fnmatch.h>
#include <git2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "retort/file.h"
#include "retort/json.h"
#include "retort/pins.h"

#define FILE_MOST (8LL << 20)
#define ALL_MOST (64LL << 20)
#define FILES_MOST 4000

struct work {
    git_repository *repo, *kept;
    git_index *index;                /* in memory: becomes the tree */
    struct strbuf warnings, skipped; /* JSON strings with commas */
    const char *root;
    struct strbuf names; /* of the first changes */
    int64_t changed, untracked, bytes, files;
    char commit[GIT_OID_HEXSZ + 1], tree[GIT_OID_HEXSZ + 1];
};

bool pins_denied(const char *path)
{
    static const char *const globs[] = {
        ".env",    ".env.*",  "*.pem",           "*.key",         "*.p12",    "*.pfx",
        "id_rsa*", "id_dsa*", "id_ecdsa*",       "id_ed25519*",   ".netrc",   ".npmrc",
        ".pypirc", "*.kdbx",  "credentials",     "credentials.*", "*secret*", "*.token",
        "*_token", "token",   ".git-credentials"};
    const char *base = path_base(path);
    for (size_t i = 0; i < sizeof(globs) / sizeof(globs[0]); i++) {
        if (fnmatch(globs[i], base, FNM_CASEFOLD) == 0)
            return true;
    }
    /* Folders whose business is secrets. */
    return strstr(path, ".ssh/") || strstr(path, ".gnupg/") || strstr(path, ".aws/");
}

static void add_text(struct strbuf *list, const char *a, const char *b)
{
    struct strbuf sb = STRBUF_INIT;
    strbuf_printf(&sb, "%s%s%s", a, b ? ": " : "", b ? b : "");
    if (list->len)
        strbuf_putc(list, ',');
    json_put_string(list, strbuf_text(&sb));
    strbuf_release(&sb);
}

static void warn(struct work *w, const char *what)
{
    const git_error *e = git_error_last();
    add_text(&w->warnings, what, e && e->message ? e->message : "unknown");
}

/* One file as it is on disk into the store's database; symbolic links as links. */
static void keep(struct work *w, const char *path)
{
    git_index_entry entry = {0};
    char *full = path_join(w->root, path, NULL), *text = NULL, link[4096];
    int64_t len = 0;
    struct stat st;
    ssize_t n;

    if (!full || lstat(full, &st))
        goto done; /* deleted: it is in the tree by its absence */
    entry.path = path;
    if (S_ISLNK(st.st_mode)) {
        n = readlink(full, link, sizeof(link));
        entry.mode = GIT_FILEMODE_LINK;
        if (n < 0 || git_blob_create_from_buffer(&entry.id, w->kept, link, (size_t)n))
            add_text(&w->skipped, path, "cannot be read");
        else if (git_index_add(w->index, &entry))
            warn(w, path);
        goto done;
    }
    if (!S_ISREG(st.st_mode)) {
        add_text(&w->skipped, path, "not a plain file");
        goto done;
    }
    if (pins_denied(path)) {
        add_text(&w->skipped, path, "named like a secret");
        goto done;
    }
    if (st.st_size > FILE_MOST || w->bytes + st.st_size > ALL_MOST ||
        w->files >= FILES_MOST) {
        add_text(&w->skipped, path, "too large");
        goto done;
    }
    if (file_read(&text, &len, full, FILE_MOST, NULL)) {
        add_text(&w->skipped, path, "cannot be read");
        goto done;
    }
    entry.mode = st.st_mode & S_IXUSR ? GIT_FILEMODE_BLOB_EXECUTABLE : GIT_FILEMODE_BLOB;
    if (git_blob_create_from_buffer(&entry.id, w->kept, text, (size_t)len) ||
        git_index_add(w->index, &entry)) {
        warn(w, path);
        goto done;
    }
    w->bytes += len;
    w->files++;
done:
    free(text);
    free(full);
}

/* Opens <store>/objects.git, or makes it. */
static bool open_kept(struct work *w, const char *store_dir)
{
    char *path = path_join(store_dir, "objects.git", NULL);
    bool ok = path && (git_repository_open_bare(&w->kept, path) == 0 ||
                       git_repository_init(&w->kept, path, 1) == 0);
    if (ok)
        ok = git_index_new(&w->index) == 0;
    if (!ok)
        warn(w, "changes are not kept");
    free(path);
    return ok;
}

static int is_inside(const char *path, const char *root, const char *dir)
{
    char full[4096], *real = dir ? realpath(dir, NULL) : NULL;
    int yes = 0;
    if (real && snprintf(full, sizeof(full), "%s%s", root, path) < (int)sizeof(full)) {
        size_t n = strlen(real);
        yes = strncmp(full, real, n) == 0 && (full[n] == '/' || full[n] == '\0');
    }
    free(real);
    return yes;
}

#define NAMES_MOST 3

static void name_change(struct work *w, const char *path)
{
    int64_t n = w->changed + w->untracked;

    if (n <= NAMES_MOST)
        strbuf_printf(&w->names, "%s%s", n > 1 ? ", " : "", path);
    else if (n == NAMES_MOST + 1)
        strbuf_puts(&w->names, " ...");
}

/* Of all but the store's own files; with `store` they are kept in its database. */
static void read_changes(struct work *w, const char *store_dir, bool store)
{
    git_status_options opt;
    git_status_list *list = NULL;
    git_oid tree;

    git_status_options_init(&opt, GIT_STATUS_OPTIONS_VERSION);
    opt.show = GIT_STATUS_SHOW_INDEX_AND_WORKDIR;
    /* NO_REFRESH by default: the repository's own index is never written. */
    opt.flags = GIT_STATUS_OPT_INCLUDE_UNTRACKED | GIT_STATUS_OPT_RECURSE_UNTRACKED_DIRS |
                GIT_STATUS_OPT_EXCLUDE_SUBMODULES;
    if (git_status_list_new(&list, w->repo, &opt)) {
        warn(w, "its state cannot be read");
        return;
    }
    for (size_t i = 0; i < git_status_list_entrycount(list); i++) {
        const git_status_entry *e = git_status_byindex(list, i);
        const git_diff_delta *d =
            e->index_to_workdir ? e->index_to_workdir : e->head_to_index;
        const char *path = d ? d->new_file.path : NULL;
        if (!path || e->status == GIT_STATUS_CURRENT ||
            is_inside(path, w->root, store_dir))
            continue;
        if (e->status & GIT_STATUS_WT_NEW)
            w->untracked++;
        else
            w->changed++;
        name_change(w, path);
        if (!w->kept && store && !open_kept(w, store_dir))
            store = false;
        if (w->kept && w->index)
            keep(w, path);
    }
    git_status_list_free(list);
    if (!w->index)
        return;
    if (git_index_write_tree_to(&tree, w->index, w->kept))
        warn(w, "the changes' tree cannot be written");
    else
        git_oid_tostr(w->tree, sizeof(w->tree), &tree);
}

static void put_head(struct work *w, struct json_writer *j)
{
    git_reference *head = NULL;
    git_oid oid;

    json_member(j, "commit");
    if (git_reference_name_to_id(&oid, w->repo, "HEAD") == 0)
        git_oid_tostr(w->commit, sizeof(w->commit), &oid);
    else
        warn(w, "no commit");
    json_str(j, w->commit[0] ? w->commit : NULL);
    json_member(j, "branch");
    if (git_repository_head(&head, w->repo) == 0 && git_reference_is_branch(head))
        json_str(j, git_reference_shorthand(head));
    else
        json_str(j, NULL);
    git_reference_free(head);
}

static void open_repository(struct work *w, const char *dir)
{
    if (git_repository_open_ext(&w->repo, dir && *dir ? dir : ".", 0, NULL)) {
        warn(w, "no revision");
        w->repo = NULL;
        return;
    }
    w->root = git_repository_workdir(w->repo);
    if (!w->root)
        add_text(&w->warnings, "the repository is bare", NULL);
}

static void work_release(struct work *w)
{
    git_index_free(w->index);
    git_repository_free(w->kept);
    git_repository_free(w->repo);
    strbuf_release(&w->warnings);
    strbuf_release(&w->skipped);
    strbuf_release(&w->names);
}

static void put_list(struct json_writer *j, const char *key, const struct strbuf *items)
{
    struct strbuf sb = STRBUF_INIT;
    strbuf_printf(&sb, "[%s]", strbuf_text(items));
    json_member(j, key);
    json_raw(j, strbuf_text(&sb));
    strbuf_release(&sb);
}

int git_blob_digest(char out[GIT_DIGEST_HEX], const char *path, struct err *err)
{
    git_oid id;
    int rc;

    git_libgit2_init();
    rc = git_odb_hashfile(&id, path, GIT_OBJECT_BLOB);
    if (rc)
        err_set(err, ERR_IO, "%s: %s", path,
                git_error_last() ? git_error_last()->message : "cannot be read");
    else
        git_oid_tostr(out, GIT_DIGEST_HEX, &id);
    git_libgit2_shutdown();
    return rc ? -1 : 0;
}

int git_collect(struct strbuf *json, const char *spec_dir, const char *store_dir,
                struct err *err)
{
    struct work w = {0};
    struct json_writer j;
    int rc;

    git_libgit2_init();
    open_repository(&w, spec_dir);
    json_begin(&j, json, false);
    json_object(&j);
    if (w.repo) {
        json_member(&j, "path");
        json_str(&j, w.root ? w.root : git_repository_path(w.repo));
        put_head(&w, &j);
        if (w.root)
            read_changes(&w, store_dir, store_dir != NULL);
        json_member(&j, "dirty");
        json_flag(&j, w.changed + w.untracked > 0);
        json_member(&j, "changed");
        json_i64(&j, w.changed);
        json_member(&j, "untracked");
        json_i64(&j, w.untracked);
        json_member(&j, "tree");
        json_str(&j, w.tree[0] ? w.tree : NULL);
        put_list(&j, "skipped", &w.skipped);
    }
    put_list(&j, "warnings", &w.warnings);
    json_object_end(&j);
    rc = strbuf_failed(&w.warnings, err) || strbuf_failed(&w.skipped, err)
             ? -1
             : strbuf_failed(json, err);
    work_release(&w);
    git_libgit2_shutdown();
    return rc;
}

/* Is HEAD the commit that `revision` names: by its digits, a tag, a branch? */
static int require_revision(struct work *w, const char *dir, const char *revision,
                            struct err *err)
{
    git_object *named = NULL, *commit = NULL;
    char wanted[GIT_OID_HEXSZ + 1] = "";
    int rc = 0;

    /* Fewer digits than 7 could name another commit tomorrow. */
    bool digits = strspn(revision, "0123456789abcdef") == strlen(revision);
    if (!(digits && strlen(revision) < 7) &&
        !git_revparse_single(&named, w->repo, revision) &&
        !git_object_peel(&commit, named, GIT_OBJECT_COMMIT))
        git_oid_tostr(wanted, sizeof(wanted), git_object_id(commit));
    if (!wanted[0])
        rc = err_set(err, ERR_NEGATIVE,
                     "the spec demands revision \"%s\", which names no commit of the "
                     "repository of %s (7 digits or more, a tag or a branch); it is at "
                     "commit %.12s",
                     revision, dir, w->commit);
    else if (strcmp(wanted, w->commit) != 0)
        rc =
            err_set(err, ERR_NEGATIVE,
                    "the spec demands revision \"%s\" (commit %.12s), but the repository "
                    "of %s is at commit %.12s; check that out, or change \"revision\"",
                    revision, wanted, dir, w->commit);
    git_object_free(commit);
    git_object_free(named);
    return rc;
}

static int require_clean(struct work *w, const char *dir, const char *store_dir,
                         struct err *err)
{
    if (w->root)
        read_changes(w, store_dir, false);
    if (w->warnings.len)
        return err_set(err, ERR_IO, "%s: it cannot be told whether it is clean: %s", dir,
                       strbuf_text(&w->warnings));
    if (!w->changed && !w->untracked)
        return 0;
    return err_set(err, ERR_NEGATIVE,
                   "the repository of %s has %lld changed and %lld untracked files (%s); "
                   "commit them first, or leave --require-clean away",
                   dir, (long long)w->changed, (long long)w->untracked,
                   strbuf_text(&w->names));
}

int pins_require(const char *dir, const char *store_dir, const char *revision, bool clean,
                 struct err *err)
{
    struct work w = {0};
    git_oid oid;
    int rc = -1;

    git_libgit2_init();
    open_repository(&w, dir);
    if (!w.repo || git_reference_name_to_id(&oid, w.repo, "HEAD")) {
        err_set(err, ERR_IO, "%s: the revision cannot be told: %s", dir,
                git_error_last() ? git_error_last()->message : "no commit");
        goto done;
    }
    git_oid_tostr(w.commit, sizeof(w.commit), &oid);
    if ((revision && require_revision(&w, dir, revision, err)) ||
        (clean && require_clean(&w, dir, store_dir, err)))
        goto done;
    rc = 0;
done:
    work_release(&w);
    git_libgit2_shutdown();
    return rc;
}
