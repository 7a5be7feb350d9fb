/*
 * Several files of weights and one look the same from outside: the entries are put into
 * one list. Names of shards come from a file of strangers, so they must lie in the
 * folder.
 */
#include "weights.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "retort/file.h"
#include "retort/json.h"
#include "torch_bin.h"

#define SHARDS_MAX 4096

static const struct form {
    const char *single, *index;
    bool pickled;
} forms[] = {
    {"model.safetensors", "model.safetensors.index.json", false},
    {"pytorch_model.bin", "pytorch_model.bin.index.json", true},
};

#define N_FORMS ((int)(sizeof forms / sizeof forms[0]))

/* One file; one of the two is set. */
struct shard {
    struct safetensors *st;
    struct torch_bin *bin;
};

struct weights {
    char *dir;
    const struct form *form;
    struct json_doc *index; /* NULL: a single file */
    const struct json *map; /* its object from tensor to file */
    char **name;            /* (n_shards), sorted, and a NULL */
    struct shard *shard;
    int64_t n_shards;
    const struct safetensors_entry **entry;
    int64_t n;
};

/* ---- which files ---- */

static int is_there(const char *dir, const char *name, bool *yes, struct err *err)
{
    char *path = path_join(dir, name, err);

    if (!path)
        return -1;
    *yes = file_exists(path);
    free(path);
    return 0;
}

static bool is_plain_name(const char *name)
{
    return name[0] && name[0] != '.' && !strchr(name, '/');
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The file of every tensor, sorted; *out points into the index. */
static int files_of_map(const char ***out, const struct weights *w, struct err *err)
{
    struct diags *diags = diags_new(err);
    int64_t k = 0;
    int rc = -1;

    *out = mem_new(json_count(w->map), sizeof **out, err);
    if (!diags || !*out)
        goto done;
    for (const struct json *v = json_first(w->map); v; v = json_next(v)) {
        const char *file = json_string(v);
        if (!file || !is_plain_name(file)) {
            json_error(w->index, v, diags,
                       "tensor \"%.200s\": its file should be a name in this folder",
                       json_key(v));
            diags_first_to_err(diags, err);
            goto done;
        }
        (*out)[k++] = file;
    }
    if (k > 1)
        qsort(*out, (size_t)k, sizeof **out, by_text);
    rc = 0;
done:
    diags_free(diags);
    return rc;
}

/* The distinct files of the index. */
static int name_shards(struct weights *w, struct err *err)
{
    int64_t all = json_count(w->map);
    const char **file = NULL;
    int rc = files_of_map(&file, w, err);

    if (rc == 0 && !(w->name = mem_new(all + 1, sizeof *w->name, err)))
        rc = -1;
    for (int64_t i = 0; rc == 0 && i < all; i++) {
        if (i > 0 && strcmp(file[i], file[i - 1]) == 0)
            continue;
        if (!(w->name[w->n_shards++] = mem_strdup(file[i], err)))
            rc = -1;
    }
    if (rc == 0 && w->n_shards > SHARDS_MAX)
        rc = err_set(err, ERR_INPUT, "%s: %" PRId64 " files of weights; at most %d",
                     w->dir, w->n_shards, SHARDS_MAX);
    free(file);
    return rc;
}

static int read_index(struct weights *w, struct err *err)
{
    char *path = path_join(w->dir, w->form->index, err);
    int rc = -1;

    if (!path || !(w->index = json_parse_file(path, err)))
        goto done;
    w->map = json_get(json_root(w->index), "weight_map");
    if (!w->map || json_kind(w->map) != JSON_OBJECT)
        err_set(err, ERR_INPUT, "%s: \"weight_map\" is missing or no object", path);
    else
        rc = name_shards(w, err);
done:
    free(path);
    return rc;
}

static int name_single(struct weights *w, struct err *err)
{
    w->name = mem_new(2, sizeof *w->name, err);
    if (!w->name || !(w->name[0] = mem_strdup(w->form->single, err)))
        return -1;
    w->n_shards = 1;
    return 0;
}

static int find_files(struct weights *w, struct err *err)
{
    for (int i = 0; i < N_FORMS; i++) {
        bool single, index;
        w->form = &forms[i];
        if (is_there(w->dir, forms[i].single, &single, err) ||
            is_there(w->dir, forms[i].index, &index, err))
            return -1;
        if (single)
            return name_single(w, err);
        if (index)
            return read_index(w, err);
    }
    if (!file_is_dir(w->dir))
        return err_set(err, ERR_INPUT,
                       "%s: is a file; a checkpoint is a folder with config.json and "
                       "model.safetensors",
                       w->dir);
    return err_set(err, ERR_MISSING,
                   "%s: holds no model.safetensors and no pytorch_model.bin", w->dir);
}

static struct weights *found(const char *dir, struct err *err)
{
    struct weights *w = mem_new(1, sizeof *w, err);

    if (w && (!(w->dir = mem_strdup(dir, err)) || find_files(w, err))) {
        weights_close(w);
        return NULL;
    }
    return w;
}

int weights_files(char ***out, const char *dir, struct err *err)
{
    struct weights *w = found(dir, err);
    int64_t n = 0;
    int rc = -1;

    *out = NULL;
    if (!w || !(*out = mem_new(w->n_shards + 2, sizeof **out, err)))
        goto done;
    if (w->index && !((*out)[n++] = mem_strdup(w->form->index, err)))
        goto done;
    for (int64_t i = 0; i < w->n_shards; i++)
        if (!((*out)[n++] = mem_strdup(w->name[i], err)))
            goto done;
    rc = 0;
done:
    if (rc) {
        file_list_free(*out);
        *out = NULL;
    }
    weights_close(w);
    return rc;
}

/* ---- opening ---- */

static int64_t shard_count(const struct shard *s)
{
    return s->st ? safetensors_count(s->st) : torch_bin_count(s->bin);
}

static const struct safetensors_entry *shard_at(const struct shard *s, int64_t i)
{
    return s->st ? safetensors_at(s->st, i) : torch_bin_at(s->bin, i);
}

static const struct safetensors_entry *shard_find(const struct shard *s, const char *name)
{
    return s->st ? safetensors_find(s->st, name) : torch_bin_find(s->bin, name);
}

static int open_shards(struct weights *w, struct err *err)
{
    w->shard = mem_new(w->n_shards, sizeof *w->shard, err);
    if (!w->shard)
        return -1;
    for (int64_t i = 0; i < w->n_shards; i++) {
        struct shard *s = &w->shard[i];
        char *path = path_join(w->dir, w->name[i], err);
        int rc = !path              ? -1
                 : w->form->pickled ? torch_bin_open(&s->bin, path, err)
                                    : safetensors_open(&s->st, path, err);
        free(path);
        if (rc)
            return -1;
    }
    return 0;
}

/* The tensor that the index places in a file. */
static const struct safetensors_entry *placed(const struct weights *w,
                                              const struct json *v, struct err *err)
{
    const char *want = json_string(v);
    char **name = bsearch(&want, w->name, (size_t)w->n_shards, sizeof *w->name, by_text);
    const struct safetensors_entry *e =
        name ? shard_find(&w->shard[name - w->name], json_key(v)) : NULL;

    if (!e)
        err_set(err, ERR_INPUT,
                "%s/%s: tensor \"%.200s\" is not in it, though the index says so", w->dir,
                want, json_key(v));
    return e;
}

static int list_entries(struct weights *w, struct err *err)
{
    int64_t most = w->map ? json_count(w->map) : shard_count(&w->shard[0]);

    w->entry = mem_new(most, sizeof *w->entry, err);
    if (!w->entry)
        return -1;
    for (const struct json *v = json_first(w->map); v; v = json_next(v))
        if (!(w->entry[w->n++] = placed(w, v, err)))
            return -1;
    for (; !w->map && w->n < most; w->n++)
        w->entry[w->n] = shard_at(&w->shard[0], w->n);
    return 0;
}

int weights_open(struct weights **out, const char *dir, struct err *err)
{
    struct weights *w = found(dir, err);

    *out = NULL;
    if (!w || open_shards(w, err) || list_entries(w, err)) {
        weights_close(w);
        return -1;
    }
    *out = w;
    return 0;
}

void weights_close(struct weights *w)
{
    if (!w)
        return;
    free(w->entry);
    for (int64_t i = 0; w->shard && i < w->n_shards; i++) {
        safetensors_close(w->shard[i].st);
        torch_bin_close(w->shard[i].bin);
    }
    free(w->shard);
    file_list_free(w->name);
    json_doc_free(w->index);
    free(w->dir);
    free(w);
}

int64_t weights_count(const struct weights *w)
{
    return w->n;
}

const struct safetensors_entry *weights_at(const struct weights *w, int64_t i)
{
    return w->entry[i];
}
