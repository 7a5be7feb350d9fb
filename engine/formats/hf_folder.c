/*
 * A checkpoint's folder. Several files of weights and one look the same from outside: the
 * entries are put into one list. Names of shards come from a file of strangers, so they
 * must lie in the folder.
 */
#include "llama2c.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "retort/file.h"
#include "retort/hash.h"
#include "retort/json.h"

#define CONFIG_MAX ((int64_t)16 << 20)
#define SHARDS_MAX 4096

struct hf_folder {
    char *dir;
    struct arena *arena;
    struct hf_config cfg;
    char *text; /* where its tokenizer is: the folder or a file; NULL: it has none */
    struct llama2c *bin; /* a file of llama2.c in place of the folder; or NULL */
    char **shard;        /* names of the weights' files */
    int64_t n_shards;
    struct safetensors **file; /* (n_shards) */
    const struct safetensors_entry **entry, **by_name;
    int64_t n;
};

/* The path of a file in the folder if it is there; *path NULL if not. */
static int path_if_there(char **path, const char *dir, const char *name, struct err *err)
{
    *path = path_join(dir, name, err);
    if (!*path)
        return -1;
    if (!file_exists(*path)) {
        free(*path);
        *path = NULL;
    }
    return 0;
}

/* ---- which files ---- */

/* Of tokenizers: the first alone decides where it is. */
static const char *const text_files[] = {
    "vocab.txt", "tokenizer.json",  "vocab.json",    "merges.txt", "encoder.json",
    "vocab.bpe", "tokenizer.model", "tokenizer.bin", NULL};

/* The folder if there is a tokenizer in it, else NULL. */
static int find_text(char **text, const char *dir, struct err *err)
{
    for (int i = 0; text_files[i]; i++) {
        char *path = NULL;
        if (path_if_there(&path, dir, text_files[i], err))
            return -1;
        free(path);
        if (path) {
            *text = mem_strdup(dir, err);
            return *text ? 0 : -1;
        }
    }
    return 0;
}

static void free_names(char **names, int64_t n)
{
    for (int64_t i = 0; names && i < n; i++)
        free(names[i]);
    free(names);
}

static bool is_plain_name(const char *name)
{
    return name[0] && name[0] != '.' && !strchr(name, '/');
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The distinct files of the index, sorted. */
static int shards_of_map(char ***out, int64_t *n, const struct json_doc *doc,
                         const struct json *map, struct err *err)
{
    struct diags *diags = diags_new(err);
    const char **all = mem_new(json_count(map), sizeof *all, err);
    int64_t k = 0;
    int rc = -1;

    if (!diags || !all)
        goto done;
    for (const struct json *v = json_first(map); v; v = json_next(v)) {
        all[k] = json_string(v);
        if (!all[k] || !is_plain_name(all[k])) {
            json_error(doc, v, diags,
                       "tensor \"%.200s\": its file should be a name in this folder",
                       json_key(v));
            diags_first_to_err(diags, err);
            goto done;
        }
        k++;
    }
    if (k > 1)
        qsort(all, (size_t)k, sizeof *all, by_text);
    *out = mem_new(k, sizeof **out, err);
    if (!*out)
        goto done;
    for (int64_t i = 0; i < k; i++) {
        if (i > 0 && strcmp(all[i], all[i - 1]) == 0)
            continue;
        (*out)[*n] = mem_strdup(all[i], err);
        if (!(*out)[*n])
            goto done;
        ++*n;
    }
    rc = 0;
    if (*n > SHARDS_MAX)
        rc = err_set(err, ERR_INPUT, "%" PRId64 " files of weights; at most %d", *n,
                     SHARDS_MAX);
done:
    free(all);
    diags_free(diags);
    return rc;
}

/* Opens the index; *map is its object from tensor to file. */
static struct json_doc *read_index(const char *path, const struct json **map,
                                   struct err *err)
{
    struct json_doc *doc = json_parse_file(path, err);

    if (!doc)
        return NULL;
    *map = json_get(json_root(doc), "weight_map");
    if (!*map || json_kind(*map) != JSON_OBJECT) {
        err_set(err, ERR_INPUT, "%s: \"weight_map\" is missing or no object", path);
        json_doc_free(doc);
        return NULL;
    }
    return doc;
}

static int no_weights(const char *dir, struct err *err)
{
    char *pickle;

    if (path_if_there(&pickle, dir, "pytorch_model.bin", err))
        return -1;
    if (pickle)
        err_set(err, ERR_INPUT,
                "%s: only pytorch_model.bin is here, a pickle, which is not read; save "
                "the model "
                "as model.safetensors",
                dir);
    else if (!file_is_dir(dir))
        err_set(err, ERR_INPUT,
                "%s: is a file; a checkpoint is a folder with config.json "
                "and model.safetensors",
                dir);
    else
        err_set(err, ERR_MISSING, "%s: holds no model.safetensors", dir);
    free(pickle);
    return -1;
}

/* The weights' files of a folder, and the index if there is one. */
static int find_weights(char ***shard, int64_t *n, struct json_doc **index,
                        const struct json **map, const char *dir, struct err *err)
{
    char *single = NULL, *path = NULL;
    int rc = -1;

    *shard = NULL;
    *n = 0;
    *index = NULL;
    *map = NULL;
    if (path_if_there(&single, dir, "model.safetensors", err) ||
        path_if_there(&path, dir, "model.safetensors.index.json", err))
        goto done;
    if (single) {
        *shard = mem_new(1, sizeof **shard, err);
        if (*shard && ((*shard)[0] = mem_strdup("model.safetensors", err))) {
            *n = 1;
            rc = 0;
        }
    } else if (path) {
        *index = read_index(path, map, err);
        if (*index)
            rc = shards_of_map(shard, n, *index, *map, err);
    } else {
        rc = no_weights(dir, err);
    }
done:
    free(path);
    free(single);
    return rc;
}

/* ---- opening ---- */

static int by_name(const void *a, const void *b)
{
    const struct safetensors_entry *x = *(const struct safetensors_entry *const *)a;
    const struct safetensors_entry *y = *(const struct safetensors_entry *const *)b;
    return strcmp(x->name, y->name);
}

static int open_shards(struct hf_folder *f, struct err *err)
{
    f->file = mem_new(f->n_shards, sizeof *f->file, err);
    if (!f->file)
        return -1;
    for (int64_t i = 0; i < f->n_shards; i++) {
        char *path = path_join(f->dir, f->shard[i], err);
        int rc = path ? safetensors_open(&f->file[i], path, err) : -1;
        free(path);
        if (rc)
            return -1;
    }
    return 0;
}

/* The tensor that the index places in a file. */
static const struct safetensors_entry *placed(const struct hf_folder *f,
                                              const struct json *v, struct err *err)
{
    const char *want = json_string(v);
    char **shard =
        bsearch(&want, f->shard, (size_t)f->n_shards, sizeof *f->shard, by_text);
    const struct safetensors_entry *e =
        shard ? safetensors_find(f->file[shard - f->shard], json_key(v)) : NULL;

    if (!e)
        err_set(err, ERR_INPUT,
                "%s/%s: tensor \"%.200s\" is not in it, though the index says so", f->dir,
                want, json_key(v));
    return e;
}

static void sort_entries(struct hf_folder *f)
{
    if (f->n > 0)
        memcpy(f->by_name, f->entry, (size_t)f->n * sizeof *f->entry);
    if (f->n > 1)
        qsort(f->by_name, (size_t)f->n, sizeof *f->by_name, by_name);
}

static int list_entries(struct hf_folder *f, const struct json *map, struct err *err)
{
    int64_t most = map ? json_count(map) : safetensors_count(f->file[0]);

    f->entry = mem_new(most, sizeof *f->entry, err);
    f->by_name = mem_new(most, sizeof *f->by_name, err);
    if (!f->entry || !f->by_name)
        return -1;
    if (map) {
        for (const struct json *v = json_first(map); v; v = json_next(v))
            if (!(f->entry[f->n++] = placed(f, v, err)))
                return -1;
    } else {
        for (; f->n < most; f->n++)
            f->entry[f->n] = safetensors_at(f->file[0], f->n);
    }
    sort_entries(f);
    return 0;
}

static int read_weights(struct hf_folder *f, struct err *err)
{
    struct json_doc *index;
    const struct json *map;
    int rc = find_weights(&f->shard, &f->n_shards, &index, &map, f->dir, err);

    if (rc == 0)
        rc = open_shards(f, err);
    if (rc == 0)
        rc = list_entries(f, map, err);
    json_doc_free(index);
    return rc;
}

static int read_config(struct hf_folder *f, struct err *err)
{
    char *path = path_join(f->dir, "config.json", err), *text = NULL;
    int64_t len;
    int rc = -1;

    if (path && file_read(&text, &len, path, CONFIG_MAX, err) == 0)
        rc = hf_config_parse(&f->cfg, text, len, path, f->arena, err);
    free(text);
    free(path);
    return rc;
}

/* Only do_lower_case matters to us; the file may be absent. */
static int read_tokenizer_config(struct hf_folder *f, struct err *err)
{
    struct json_doc *doc = NULL;
    const struct json *v;
    char *path;
    int rc = -1;

    if (path_if_there(&path, f->dir, "tokenizer_config.json", err))
        return -1;
    if (!path)
        return 0;
    doc = json_parse_file(path, err);
    if (!doc)
        goto done;
    v = json_get(json_root(doc), "do_lower_case");
    if (v && json_kind(v) != JSON_BOOL && json_kind(v) != JSON_NULL) {
        err_set(err, ERR_INPUT, "%s: \"do_lower_case\" should be true or false", path);
        goto done;
    }
    if (v && json_kind(v) == JSON_BOOL)
        f->cfg.lower_case = json_bool(v);
    rc = 0;
done:
    json_doc_free(doc);
    free(path);
    return rc;
}

/* The tokenizer that belongs to a file of llama2.c lies beside it: tok<vocabulary>.bin or
 * tokenizer.bin. */
static int find_bin_text(char **text, const char *path, int64_t vocab, struct err *err)
{
    char *dir = path_dir(path, err), name[48];
    int rc = -1;

    snprintf(name, sizeof name, "tok%" PRId64 ".bin", vocab);
    if (dir && path_if_there(text, dir, name, err) == 0)
        rc = *text ? 0 : path_if_there(text, dir, "tokenizer.bin", err);
    free(dir);
    return rc;
}

static int open_bin(struct hf_folder *f, const char *path, struct err *err)
{
    if (llama2c_open(&f->bin, &f->cfg, path, err) ||
        find_bin_text(&f->text, path, f->cfg.vocab, err))
        return -1;
    f->entry = mem_new(llama2c_count(f->bin), sizeof *f->entry, err);
    f->by_name = mem_new(llama2c_count(f->bin), sizeof *f->by_name, err);
    if (!f->entry || !f->by_name)
        return -1;
    for (; f->n < llama2c_count(f->bin); f->n++)
        f->entry[f->n] = llama2c_at(f->bin, f->n);
    sort_entries(f);
    return 0;
}

static bool is_bin(const char *path)
{
    const char *dot = strrchr(path_base(path), '.');

    return dot && !strcmp(dot, ".bin") && file_exists(path) && !file_is_dir(path);
}

int hf_open(struct hf_folder **out, const char *dir, struct err *err)
{
    struct hf_folder *f = mem_new(1, sizeof *f, err);
    int rc = -1;

    *out = NULL;
    if (!f)
        return -1;
    if (is_bin(dir)) {
        if (open_bin(f, dir, err))
            goto done;
        *out = f;
        return 0;
    }
    if (!file_is_dir(dir)) {
        err_set(err, file_exists(dir) ? ERR_INPUT : ERR_MISSING,
                file_exists(dir)
                    ? "%s: is no folder with config.json, nor a .bin of llama2.c"
                    : "%s: there is no such folder",
                dir);
        goto done;
    }
    f->dir = mem_strdup(dir, err);
    f->arena = arena_new(err);
    if (!f->dir || !f->arena || read_config(f, err) || read_tokenizer_config(f, err) ||
        find_text(&f->text, dir, err) || read_weights(f, err))
        goto done;
    *out = f;
    f = NULL;
    rc = 0;
done:
    hf_close(f);
    return rc;
}

void hf_close(struct hf_folder *f)
{
    if (!f)
        return;
    free(f->by_name);
    free(f->entry);
    llama2c_close(f->bin);
    free(f->text);
    for (int64_t i = 0; f->file && i < f->n_shards; i++)
        safetensors_close(f->file[i]);
    free(f->file);
    free_names(f->shard, f->n_shards);
    arena_free(f->arena);
    free(f->dir);
    free(f);
}

const struct hf_config *hf_folder_config(const struct hf_folder *folder)
{
    return &folder->cfg;
}

int64_t hf_folder_count(const struct hf_folder *folder)
{
    return folder->n;
}

const struct safetensors_entry *hf_folder_at(const struct hf_folder *folder, int64_t i)
{
    return i >= 0 && i < folder->n ? folder->entry[i] : NULL;
}

const struct safetensors_entry *hf_folder_find(const struct hf_folder *folder,
                                               const char *name)
{
    struct safetensors_entry wanted = {.name = name};
    const struct safetensors_entry *key = &wanted;
    const struct safetensors_entry **found;

    if (folder->n == 0)
        return NULL;
    found = bsearch(&key, folder->by_name, (size_t)folder->n, sizeof *folder->by_name,
                    by_name);
    return found ? *found : NULL;
}

const char *hf_folder_text(const struct hf_folder *folder)
{
    return folder->text;
}

/* ---- digest ---- */

/* "name digest" of a file joins the sum; one that may be absent adds nothing then. */
static int add_file(struct sha256 *sum, const char *dir, const char *name, bool needed,
                    struct err *err)
{
    char *path = path_join(dir, name, err), hex[SHA256_HEX];
    int rc = -1;

    if (!path)
        return -1;
    if (!needed && !file_exists(path)) {
        rc = 0;
    } else if (sha256_file(hex, path, err) == 0) {
        sha256_add(sum, name, (int64_t)strlen(name) + 1);
        sha256_add(sum, hex, (int64_t)strlen(hex) + 1);
        rc = 0;
    }
    free(path);
    return rc;
}

static int bin_digest(char out[65], const char *path, struct err *err)
{
    struct sha256 *sum = sha256_new(err);
    struct llama2c *m = NULL;
    struct hf_config cfg;
    char *text = NULL, *folder = path_dir(path, err);
    int rc = -1;

    if (!sum || !folder || llama2c_open(&m, &cfg, path, err) ||
        find_bin_text(&text, path, cfg.vocab, err) ||
        add_file(sum, folder, path_base(path), true, err) ||
        (text && add_file(sum, folder, path_base(text), true, err)))
        goto done;
    rc = sha256_hex(sum, out, err);
done:
    free(text);
    free(folder);
    llama2c_close(m);
    sha256_free(sum);
    return rc;
}

int hf_digest(char out[65], const char *dir, struct err *err)
{
    struct sha256 *sum = NULL;
    struct json_doc *index = NULL;
    const struct json *map;
    char **shard = NULL, *vocab = NULL;
    int64_t n = 0;
    int rc = -1;

    if (is_bin(dir))
        return bin_digest(out, dir, err);
    if (find_weights(&shard, &n, &index, &map, dir, err))
        goto done;
    sum = sha256_new(err);
    if (!sum || add_file(sum, dir, "config.json", true, err) ||
        (map && add_file(sum, dir, "model.safetensors.index.json", true, err)))
        goto done;
    for (int64_t i = 0; i < n; i++)
        if (add_file(sum, dir, shard[i], true, err))
            goto done;
    if (path_if_there(&vocab, dir, text_files[0], err))
        goto done;
    for (int i = 0; text_files[i] && (i == 0 || !vocab); i++)
        if (add_file(sum, dir, text_files[i], false, err))
            goto done;
    if (add_file(sum, dir, "tokenizer_config.json", false, err))
        goto done;
    rc = sha256_hex(sum, out, err);
done:
    free(vocab);
    sha256_free(sum);
    free_names(shard, n);
    json_doc_free(index);
    return rc;
}
