/* A checkpoint's folder: its configuration, where its tokenizer is, its weights. */
#include "llama2c.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "retort/file.h"
#include "retort/hash.h"
#include "retort/json.h"
#include "weights.h"

#define CONFIG_MAX ((int64_t)16 << 20)

struct hf_folder {
    char *dir;
    struct arena *arena;
    struct hf_config cfg;
    char *text; /* where its tokenizer is: the folder or a file; NULL: it has none */
    struct llama2c *bin;     /* a file of llama2.c in place of the folder; or NULL */
    struct weights *weights; /* of a folder */
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

/* ---- opening ---- */

static int by_name(const void *a, const void *b)
{
    const struct safetensors_entry *x = *(const struct safetensors_entry *const *)a;
    const struct safetensors_entry *y = *(const struct safetensors_entry *const *)b;
    return strcmp(x->name, y->name);
}

static void sort_entries(struct hf_folder *f)
{
    if (f->n > 0)
        memcpy(f->by_name, f->entry, (size_t)f->n * sizeof *f->entry);
    if (f->n > 1)
        qsort(f->by_name, (size_t)f->n, sizeof *f->by_name, by_name);
}

static int room_for_entries(struct hf_folder *f, int64_t n, struct err *err)
{
    f->entry = mem_new(n, sizeof *f->entry, err);
    f->by_name = mem_new(n, sizeof *f->by_name, err);
    return f->entry && f->by_name ? 0 : -1;
}

static int read_weights(struct hf_folder *f, struct err *err)
{
    if (weights_open(&f->weights, f->dir, err) ||
        room_for_entries(f, weights_count(f->weights), err))
        return -1;
    for (; f->n < weights_count(f->weights); f->n++)
        f->entry[f->n] = weights_at(f->weights, f->n);
    sort_entries(f);
    return 0;
}

/* A folder of llama2.c is no model, the file in it is: says so if there is one. */
static void tell_bin(const char *dir, struct err *err)
{
    struct err none = ERR_INIT;
    char **list = NULL;

    if (file_list(&list, dir, &none))
        return;
    for (char **name = list; *name; name++) {
        size_t n = strlen(*name);
        if (n < 4 || strcmp(*name + n - 4, ".bin") != 0 || !strncmp(*name, "tok", 3))
            continue;
        err_set(err, ERR_MISSING,
                "%s: there is no config.json; a model of llama2.c is named by its file, "
                "%s/%s",
                dir, dir, *name);
        break;
    }
    file_list_free(list);
}

static int read_config(struct hf_folder *f, struct err *err)
{
    char *path = path_join(f->dir, "config.json", err), *text = NULL;
    int64_t len;
    int rc = -1;

    if (path && !file_exists(path))
        tell_bin(f->dir, err);
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
        find_bin_text(&f->text, path, f->cfg.vocab, err) ||
        room_for_entries(f, llama2c_count(f->bin), err))
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
    weights_close(f->weights);
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

/* A folder that holds a tokenizer alone: neither config.json nor weights. */
static bool is_text_only(const char *dir)
{
    struct err none = ERR_INIT;
    char **files = NULL;
    bool text = false, more = weights_files(&files, dir, &none) == 0;

    file_list_free(files);
    for (int i = -1; i < 0 || text_files[i]; i++) {
        char *path =
            mem_printf(NULL, "%s/%s", dir, i < 0 ? "config.json" : text_files[i]);
        bool there = path && file_exists(path);
        more = more || (there && i < 0);
        text = text || (there && i >= 0);
        free(path);
    }
    return text && !more;
}

static int text_digest(char out[65], const char *dir, struct err *err)
{
    struct sha256 *sum = sha256_new(err);
    int rc = sum ? 0 : -1;

    for (int i = 0; rc == 0 && text_files[i]; i++)
        rc = add_file(sum, dir, text_files[i], false, err);
    if (rc == 0)
        rc = add_file(sum, dir, "tokenizer_config.json", false, err);
    if (rc == 0)
        rc = sha256_hex(sum, out, err);
    sha256_free(sum);
    return rc;
}

int hf_digest(char out[65], const char *dir, struct err *err)
{
    struct sha256 *sum = NULL;
    char **files = NULL, *vocab = NULL;
    int rc = -1;

    if (is_bin(dir))
        return bin_digest(out, dir, err);
    if (is_text_only(dir))
        return text_digest(out, dir, err);
    if (weights_files(&files, dir, err))
        goto done;
    sum = sha256_new(err);
    if (!sum || add_file(sum, dir, "config.json", true, err))
        goto done;
    for (char **file = files; *file; file++)
        if (add_file(sum, dir, *file, true, err))
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
    file_list_free(files);
    return rc;
}
