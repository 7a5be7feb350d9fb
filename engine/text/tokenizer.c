/*
 * What all kinds of tokenizers have: files, names of tokens, lists of tokens.
 */
#include "kind.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kinds.h"
#include "retort/file.h"
#include "retort/wordpiece_file.h"

enum {
    FILE_MAX = 1 << 28,  /* bytes of a tokenizer's file */
    NAMES_MAX = 1 << 24, /* tokens */
    LOOKOUT_BYTES = 1 << 20,
};

/* ---- tokens ---- */

void tokens_release(struct tokens *t)
{
    free(t->id);
    free(t->begin);
    free(t->end);
    *t = (struct tokens){0};
}

void tokens_clear(struct tokens *t)
{
    t->n = 0;
}

int tokens_reserve(struct tokens *t, int64_t more, struct err *err)
{
    if (t->n + more <= t->capacity)
        return 0;
    int64_t capacity = 2 * t->capacity > t->n + more ? 2 * t->capacity : t->n + more;
    int32_t *id = mem_resize(t->id, capacity, sizeof *id, err);
    t->id = id ? id : t->id;
    int64_t *begin = id ? mem_resize(t->begin, capacity, sizeof *begin, err) : NULL;
    t->begin = begin ? begin : t->begin;
    int64_t *end = begin ? mem_resize(t->end, capacity, sizeof *end, err) : NULL;
    t->end = end ? end : t->end;
    if (!end)
        return -1;
    t->capacity = capacity;
    return 0;
}

void tokens_push(struct tokens *t, int32_t id, int64_t begin, int64_t end)
{
    t->id[t->n] = id;
    t->begin[t->n] = begin;
    t->end[t->n++] = end;
}

/* ---- names ---- */

static uint32_t hash_of(const char *s)
{
    uint32_t h = 2166136261u; /* FNV-1a */

    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 16777619u;
    return h;
}

/* The slot of a spelling, or the free one where it belongs. */
static struct names_slot *name_slot(const struct tokenizer *tok, const char *spelling)
{
    uint32_t h = hash_of(spelling), i = (h * 0x9E3779B1u) >> 3 & tok->mask;

    while (tok->slot[i].id > 0 &&
           (tok->slot[i].hash != h ||
            strcmp(tok->token[tok->slot[i].id - 1], spelling) != 0))
        i = (i + 1) & tok->mask;
    return &tok->slot[i];
}

int tokenizer_names(struct tokenizer *tok, int64_t n, struct err *err)
{
    int64_t slots = 16;

    if (n > NAMES_MAX)
        return err_set(err, ERR_INPUT, "%lld tokens; a vocabulary has at most %d",
                       (long long)n, NAMES_MAX);
    while (slots < 2 * n)
        slots *= 2;
    tok->n = n;
    tok->mask = (uint32_t)slots - 1;
    tok->token = mem_new(n, sizeof *tok->token, err);
    tok->slot = mem_new(slots, sizeof *tok->slot, err);
    return tok->token && tok->slot ? 0 : -1;
}

void tokenizer_name(struct tokenizer *tok, int64_t id, const char *spelling)
{
    tok->token[id] = spelling;
    *name_slot(tok, spelling) = (struct names_slot){hash_of(spelling), (int32_t)id + 1};
}

int64_t tokenizer_size(const struct tokenizer *tok)
{
    return tok->n;
}

const char *tokenizer_token(const struct tokenizer *tok, int64_t id)
{
    return id >= 0 && id < tok->n ? tok->token[id] : NULL;
}

int32_t tokenizer_id(const struct tokenizer *tok, const char *token)
{
    return name_slot(tok, token)->id - 1;
}

struct special_ids tokenizer_special(const struct tokenizer *tok)
{
    return tok->special;
}

bool tokenizer_lower_case(const struct tokenizer *tok)
{
    return tok->lower_case;
}

/* ---- encoding, decoding ---- */

int lookout_pass(struct lookout *l, int64_t done, struct err *err)
{
    if (!l->watch || done - l->told < LOOKOUT_BYTES)
        return 0;
    l->told = done;
    if (l->watch->go_on(l->watch->ctx, done))
        return 0;
    return err_set(err, ERR_STOPPED, "stopped; run again to go on");
}

int tokenizer_encode_watched(const struct tokenizer *tok, const char *text, int64_t len,
                             struct tokens *out, const struct encode_watch *watch,
                             struct err *err)
{
    struct lookout lookout = {watch, 0};
    int64_t before = out->n;

    if (tok->kind->encode(tok, text, len, out, &lookout, err)) {
        out->n = before;
        return -1;
    }
    return 0;
}

int tokenizer_encode(const struct tokenizer *tok, const char *text, int64_t len,
                     struct tokens *out, struct err *err)
{
    return tokenizer_encode_watched(tok, text, len, out, NULL, err);
}

void tokenizer_decode(const struct tokenizer *tok, const int32_t *id, int64_t n,
                      struct strbuf *out)
{
    for (int64_t i = 0; i < n; i++)
        if (tokenizer_token(tok, id[i]))
            tok->kind->decode(tok, id[i], i == 0, out);
}

/* ---- making ---- */

struct tokenizer *tokenizer_alloc(const struct tokenizer_kind *kind, size_t size,
                                  const struct tokenizer_file *file, int n_files,
                                  struct err *err)
{
    struct tokenizer *tok = mem_new(1, size, err);

    if (!tok)
        return NULL;
    tok->kind = kind;
    atomic_init(&tok->owners, 1);
    tok->special = (struct special_ids){-1, -1, -1, -1, -1, -1, -1};
    tok->arena = arena_new(err);
    for (int i = 0; tok->arena && i < n_files; i++) {
        char *text = arena_alloc(tok->arena, file[i].len + 1);
        if (!text)
            break;
        if (file[i].len > 0)
            memcpy(text, file[i].text, (size_t)file[i].len);
        text[file[i].len] = '\0';
        tok->file[i] = (struct tokenizer_file){arena_strdup(tok->arena, file[i].name),
                                               text, file[i].len, NULL};
        tok->n_files++;
    }
    if (!tok->arena || arena_failed(tok->arena, err)) {
        tokenizer_free(tok);
        return NULL;
    }
    return tok;
}

void tokenizer_free(struct tokenizer *tok)
{
    if (!tok || atomic_fetch_sub(&tok->owners, 1) > 1)
        return;
    if (tok->kind->free)
        tok->kind->free(tok);
    free(tok->slot);
    free(tok->token);
    arena_free(tok->arena);
    free(tok);
}

struct tokenizer *tokenizer_hold(struct tokenizer *tok)
{
    if (tok)
        atomic_fetch_add(&tok->owners, 1);
    return tok;
}

int tokenizer_files(const struct tokenizer *tok, const struct tokenizer_file **file)
{
    *file = tok->file;
    return tok->n_files;
}

/* tokenizer.json holds one of two kinds. A WordPiece goes on as its vocab.txt: so runs
 * and folders that are written have one form of it. */
static int from_json(struct tokenizer **out, const struct tokenizer_file *file,
                     bool lower_case, struct err *err)
{
    struct strbuf vocab = STRBUF_INIT;
    const char *place = file->path ? file->path : file->name;
    int rc;

    if (!wordpiece_file_is(file->text, file->len))
        return byte_bpe_from_json(out, file, lower_case, err);
    rc = wordpiece_file_json(&vocab, &lower_case, file->text, file->len, place, err);
    if (rc == 0)
        rc = tokenizer_wordpiece(out, strbuf_text(&vocab), (int64_t)vocab.len, place,
                                 lower_case, err);
    strbuf_release(&vocab);
    return rc;
}

/* The forms in which a tokenizer comes: names of its files, and who reads them. */
static const struct form {
    const char *file[TOKENIZER_FILES_MAX];
    int (*read)(struct tokenizer **out, const struct tokenizer_file *file,
                bool lower_case, struct err *err);
} forms[] = {
    {{"vocab.txt", NULL}, wordpiece_new},
    {{"tokenizer.json", NULL}, from_json},
    {{"vocab.json", "merges.txt"}, byte_bpe_from_merges},
    {{"encoder.json", "vocab.bpe"}, byte_bpe_from_merges},
    {{"tokenizer.model", NULL}, sentencepiece_new},
    {{"tokenizer.bin", NULL}, llama2c_new},
};

enum { FORMS = sizeof forms / sizeof *forms };

static int files_of(const struct form *f)
{
    return f->file[1] ? 2 : 1;
}

int tokenizer_new(struct tokenizer **out, const struct tokenizer_file *file, int n_files,
                  bool lower_case, struct err *err)
{
    for (int i = 0; i < FORMS; i++) {
        const struct form *f = &forms[i];
        bool same = n_files == files_of(f);
        for (int k = 0; same && k < n_files; k++)
            same = !strcmp(file[k].name, f->file[k]);
        if (same)
            return f->read(out, file, lower_case, err);
    }
    return err_set(err, ERR_INPUT, "%s: no tokenizer is made from this",
                   n_files > 0 ? file[0].name : "no file");
}

int tokenizer_wordpiece(struct tokenizer **out, const char *vocab, int64_t len,
                        const char *name, bool lower_case, struct err *err)
{
    struct tokenizer_file file = {"vocab.txt", vocab, len, name};

    return wordpiece_new(out, &file, lower_case, err);
}

/* Reads and makes the form `f`; the paths are dir/name, or `only` for a form of one file.
 */
static int load_form(struct tokenizer **out, const struct form *f, const char *dir,
                     const char *only, bool lower_case, struct err *err)
{
    struct tokenizer_file file[TOKENIZER_FILES_MAX] = {{NULL, NULL, 0, NULL}};
    char *text[TOKENIZER_FILES_MAX] = {NULL}, *path[TOKENIZER_FILES_MAX] = {NULL};
    int rc = -1;

    for (int i = 0; i < files_of(f); i++) {
        path[i] =
            only ? mem_strdup(only, err) : mem_printf(err, "%s/%s", dir, f->file[i]);
        if (!path[i] || file_read(&text[i], &file[i].len, path[i], FILE_MAX, err))
            goto done;
        file[i].name = f->file[i];
        file[i].text = text[i];
        file[i].path = path[i];
    }
    rc = f->read(out, file, lower_case, err);
done:
    for (int i = 0; i < TOKENIZER_FILES_MAX; i++) {
        free(text[i]);
        free(path[i]);
    }
    return rc;
}

static bool has_files(const struct form *f, const char *dir)
{
    for (int i = 0; i < files_of(f); i++) {
        char *path = mem_printf(NULL, "%s/%s", dir, f->file[i]);
        bool there = path && file_exists(path);
        free(path);
        if (!there)
            return false;
    }
    return true;
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);

    return n >= k && !strcmp(s + n - k, end);
}

int tokenizer_load(struct tokenizer **out, const char *path, bool lower_case,
                   struct err *err)
{
    for (int i = 0; i < FORMS; i++)
        if (has_files(&forms[i], path))
            return load_form(out, &forms[i], path, NULL, lower_case, err);
    for (int i = 0; i < FORMS; i++) {
        const char *dot = strrchr(forms[i].file[0], '.');
        if (files_of(&forms[i]) == 1 && ends_with(path, dot) && file_exists(path))
            return load_form(out, &forms[i], NULL, path, lower_case, err);
    }
    return err_set(
        err, ERR_MISSING,
        "%s: no tokenizer here: it needs vocab.txt, tokenizer.json, vocab.json with "
        "merges.txt, tokenizer.model or tokenizer.bin",
        path);
}
