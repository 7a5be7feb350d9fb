/*
 * A tensor in the pickle is a call of _rebuild_tensor_v2(storage, offset, sizes, strides,
 * ...), the storage a persistent id ("storage", torch.FloatStorage, key, place, count).
 * In the archive a storage is the member data/KEY; in the older form storages follow the
 * pickles in the order of a list of their keys.
 *
 * What lies as one expects is used where it is; a transposed tensor is copied. All sizes,
 * offsets and strides are a stranger's: each tensor is checked against its storage before
 * it is touched, and copies together may not be larger than the file.
 */
#include "torch_bin.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pickle.h"
#include "retort/file.h"
#include "retort/utf8.h"
#include "zip.h"

#define PICKLE_BYTES_MAX ((int64_t)64 << 20)
#define DIMS_MAX 64

struct storage {
    const char *key;
    const struct pickle *type; /* its name */
    int64_t count;
    const unsigned char *data;
};

struct torch_bin {
    char *path;
    struct file_map map;
    struct arena *arena;
    struct zip *zip;
    const char *prefix;      /* "archive/" of its members */
    struct storage *storage; /* of the older form, by key */
    int64_t n_storages;
    int64_t copied;
    struct safetensors_entry *entry;
    const struct safetensors_entry **by_name;
    int64_t n;
};

static const struct {
    const char *name;
    enum dtype dtype;
    int64_t bytes;
    bool raw; /* not computed with: bytes, as in safetensors.h */
} types[] = {
    {"torch.FloatStorage", DT_F32, 4, false},
    {"torch.HalfStorage", DT_F16, 2, false},
    {"torch.BFloat16Storage", DT_BF16, 2, false},
    {"torch.DoubleStorage", DT_F64, 8, false},
    {"torch.LongStorage", DT_I64, 8, false},
    {"torch.IntStorage", DT_I32, 4, false},
    {"torch.CharStorage", DT_I8, 1, false},
    {"torch.ByteStorage", DT_U8, 1, false},
    {"torch.BoolStorage", DT_U8, 1, true},
    {"torch.ShortStorage", DT_U8, 2, true},
    {"torch.ComplexFloatStorage", DT_U8, 8, true},
};

#define N_TYPES ((int)(sizeof types / sizeof types[0]))

/* All that a pickle of tensors may name. */
static const char *const names[] = {
    "collections.OrderedDict",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_parameter",
    "torch.Size",
    "torch.FloatStorage",
    "torch.HalfStorage",
    "torch.BFloat16Storage",
    "torch.DoubleStorage",
    "torch.LongStorage",
    "torch.IntStorage",
    "torch.CharStorage",
    "torch.ByteStorage",
    "torch.BoolStorage",
    "torch.ShortStorage",
    "torch.ComplexFloatStorage",
    NULL,
};

static int bad(const struct torch_bin *b, const char *tensor, struct err *err,
               const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static int bad(const struct torch_bin *b, const char *tensor, struct err *err,
               const char *fmt, ...)
{
    char what[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    return err_set(err, ERR_INPUT, "%s: tensor \"%.200s\": %s", b->path, tensor, what);
}

/* ---- storages ---- */

static int type_of(const struct pickle *name)
{
    for (int i = 0; i < N_TYPES; i++)
        if (name->kind == PICKLE_NAME && !strcmp(types[i].name, name->text))
            return i;
    return -1;
}

/* The persistent id of a storage, checked for its form. */
static int read_id(const struct torch_bin *b, const struct pickle *held,
                   struct storage *s, struct err *err)
{
    const struct pickle *id = held->item[0];
    bool good = id->kind == PICKLE_TUPLE && id->n >= 5 &&
                id->item[0]->kind == PICKLE_TEXT &&
                !strcmp(id->item[0]->text, "storage") && type_of(id->item[1]) >= 0 &&
                id->item[2]->kind == PICKLE_TEXT &&
                (int64_t)strlen(id->item[2]->text) == id->item[2]->len &&
                id->item[4]->kind == PICKLE_INT && id->item[4]->integer >= 0;

    if (!good)
        return err_set(err, ERR_INPUT,
                       "%s: byte %" PRId64 " of its pickle: names no storage", b->path,
                       held->at);
    if (id->n > 5 && id->item[5]->kind != PICKLE_NONE)
        return err_set(err, ERR_INPUT,
                       "%s: storage \"%.100s\" is part of another, as PyTorch before 0.4 "
                       "had it; save the model again",
                       b->path, id->item[2]->text);
    *s = (struct storage){id->item[2]->text, id->item[1], id->item[4]->integer, NULL};
    return 0;
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct storage *)a)->key, ((const struct storage *)b)->key);
}

static struct storage *known_storage(const struct torch_bin *b, const char *key)
{
    struct storage want = {.key = key};

    return b->n_storages
               ? bsearch(&want, b->storage, (size_t)b->n_storages, sizeof want, by_key)
               : NULL;
}

static int find_in_archive(const struct torch_bin *b, struct storage *s, struct err *err)
{
    int64_t len = 0, want;
    char *member = mem_printf(err, "%sdata/%s", b->prefix, s->key);
    int rc = member ? zip_find(b->zip, member, &s->data, &len, err) : -1;

    free(member);
    if (rc < 0)
        return -1;
    if (rc == 0)
        return err_set(err, ERR_INPUT, "%s: has no member data/%.100s", b->path, s->key);
    if (mem_product(&want, s->count, types[type_of(s->type)].bytes, NULL) || want != len)
        return err_set(err, ERR_INPUT,
                       "%s: storage \"%.100s\" of %" PRId64 " numbers has %" PRId64
                       " bytes",
                       b->path, s->key, s->count, len);
    return 0;
}

/* Where the storage's numbers lie. */
static int find_storage(const struct torch_bin *b, const struct pickle *held,
                        struct storage *s, struct err *err)
{
    struct storage *known;

    if (read_id(b, held, s, err))
        return -1;
    if (b->zip)
        return find_in_archive(b, s, err);
    known = known_storage(b, s->key);
    if (!known || !known->data)
        return err_set(err, ERR_INPUT, "%s: storage \"%.100s\" is not in the file",
                       b->path, s->key);
    if (strcmp(known->type->text, s->type->text) != 0 || known->count != s->count)
        return err_set(err, ERR_INPUT, "%s: storage \"%.100s\" is described in two ways",
                       b->path, s->key);
    *s = *known;
    return 0;
}

/* ---- tensors ---- */

struct layout {
    int64_t offset, count, rank;
    int64_t dim[DIMS_MAX], stride[DIMS_MAX];
};

/* A torch.Size is a call with one tuple. */
static const struct pickle *tuple_of(const struct pickle *p)
{
    const struct pickle *args = pickle_call(p, "torch.Size", 1);

    if (args)
        p = args->item[0];
    return p->kind == PICKLE_TUPLE ? p : NULL;
}

static int read_layout(const struct torch_bin *b, const char *name,
                       const struct pickle *args, struct layout *l, struct err *err)
{
    const struct pickle *dims = tuple_of(args->item[2]), *steps = tuple_of(args->item[3]);

    if (args->item[1]->kind != PICKLE_INT || args->item[1]->integer < 0 || !dims ||
        !steps || dims->n != steps->n || dims->n > DIMS_MAX)
        return bad(b, name, err, "its offset, sizes and strides are none");
    l->offset = args->item[1]->integer;
    l->rank = dims->n;
    l->count = 1;
    for (int64_t i = 0; i < dims->n; i++) {
        if (dims->item[i]->kind != PICKLE_INT || dims->item[i]->integer < 0 ||
            steps->item[i]->kind != PICKLE_INT || steps->item[i]->integer < 0)
            return bad(b, name, err,
                       "dimension %" PRId64 " has no size and stride from 0 up", i);
        l->dim[i] = dims->item[i]->integer;
        l->stride[i] = steps->item[i]->integer;
        if (mem_product(&l->count, l->count, l->dim[i], NULL))
            return bad(b, name, err, "the shape has more elements than a file can hold");
    }
    return 0;
}

/* Does every element lie in the storage? */
static int check_layout(const struct torch_bin *b, const char *name,
                        const struct layout *l, const struct storage *s, struct err *err)
{
    int64_t last = l->offset, far;

    for (int64_t i = 0; l->count > 0 && i < l->rank; i++) {
        if (mem_product(&far, l->dim[i] - 1, l->stride[i], NULL) ||
            far > INT64_MAX - last)
            return bad(b, name, err, "its strides lead out of every file");
        last += far;
    }
    if (l->count > 0 ? last >= s->count : l->offset > s->count)
        return bad(b, name, err, "reaches to number %" PRId64 " of a storage of %" PRId64,
                   last, s->count);
    if (l->count > s->count)
        return bad(b, name, err,
                   "repeats its numbers (a stride of 0), which is not read; save the "
                   "model after .contiguous()");
    return 0;
}

static bool is_contiguous(const struct layout *l)
{
    int64_t step = 1;

    for (int64_t i = l->rank - 1; i >= 0; i--) {
        if (l->dim[i] != 1 && l->stride[i] != step)
            return false;
        step *= l->dim[i];
    }
    return true;
}

/* Row by row, counting the indices up like an odometer. */
static void gather(unsigned char *to, const unsigned char *from, const struct layout *l,
                   int64_t bytes)
{
    int64_t index[DIMS_MAX] = {0}, at = 0;

    for (int64_t k = 0; k < l->count; k++) {
        memcpy(to + k * bytes, from + at * bytes, (size_t)bytes);
        for (int64_t i = l->rank - 1; i >= 0; i--) {
            at += l->stride[i];
            if (++index[i] < l->dim[i])
                break;
            at -= l->stride[i] * l->dim[i];
            index[i] = 0;
        }
    }
}

static int place_data(struct torch_bin *b, struct safetensors_entry *e,
                      const struct layout *l, const struct storage *s, int64_t bytes,
                      struct err *err)
{
    const unsigned char *from = s->data + l->offset * bytes;
    unsigned char *copy;

    e->data = from;
    if (l->count == 0 || is_contiguous(l))
        return 0;
    /* No overflow: count is at most the storage's. */
    if (l->count * bytes > b->map.len - b->copied)
        return bad(b, e->name, err,
                   "the tensors that are not contiguous are larger than the file");
    b->copied += l->count * bytes;
    copy = arena_alloc(b->arena, l->count * bytes);
    if (!copy)
        return arena_failed(b->arena, err);
    gather(copy, from, l, bytes);
    e->data = copy;
    return 0;
}

/* The arguments of the call that makes a tensor, out of the parameter around it. */
static const struct pickle *tensor_args(const struct pickle *v)
{
    const struct pickle *args = pickle_call(v, "torch._utils._rebuild_parameter", 1);

    if (args)
        v = args->item[0];
    args = pickle_call(v, "torch._utils._rebuild_tensor_v2", 4);
    return args ? args : pickle_call(v, "torch._utils._rebuild_tensor", 4);
}

/* Is it a dictionary of names and tensors alone? */
static int check_root(const struct torch_bin *b, const struct pickle *root,
                      struct err *err)
{
    int64_t first, n = pickle_pairs(root, &first);

    if (n < 0)
        return err_set(err, ERR_INPUT,
                       "%s: holds %s; a checkpoint is a dictionary of names and tensors",
                       b->path, pickle_kind_names[root->kind]);
    for (int64_t i = first; i < root->n; i += 2) {
        const struct pickle *key = root->item[i], *v = root->item[i + 1];
        if (key->kind != PICKLE_TEXT)
            return err_set(err, ERR_INPUT,
                           "%s: byte %" PRId64 " of its pickle: a key is %s; names of "
                           "tensors are texts",
                           b->path, key->at, pickle_kind_names[key->kind]);
        if ((int64_t)strlen(key->text) != key->len ||
            utf8_invalid(key->text, key->len) >= 0)
            return err_set(err, ERR_INPUT,
                           "%s: byte %" PRId64 " of its pickle: a tensor's name is no "
                           "UTF-8 or has a zero byte",
                           b->path, key->at);
        if (!tensor_args(v))
            return err_set(err, ERR_INPUT,
                           "%s: \"%.200s\" is %s; a checkpoint is a dictionary of names "
                           "and tensors alone",
                           b->path, key->text, pickle_kind_names[v->kind]);
    }
    return 0;
}

static int read_tensor(struct torch_bin *b, struct safetensors_entry *e, struct pickle *v,
                       struct err *err)
{
    const struct pickle *args = tensor_args(v);
    struct storage s;
    struct layout l;
    int type;

    if (args->item[0]->kind != PICKLE_HELD)
        return bad(b, e->name, err, "has %s in place of a storage",
                   pickle_kind_names[args->item[0]->kind]);
    if (find_storage(b, args->item[0], &s, err) ||
        read_layout(b, e->name, args, &l, err) || check_layout(b, e->name, &l, &s, err))
        return -1;
    type = type_of(s.type);
    e->dtype = types[type].dtype;
    e->count = types[type].raw ? l.count * types[type].bytes : l.count;
    e->shape.rank = types[type].raw || l.rank > RANK_MAX ? -1 : (int)l.rank;
    for (int i = 0; i < e->shape.rank; i++)
        e->shape.dim[i] = l.dim[i];
    return place_data(b, e, &l, &s, types[type].bytes, err);
}

static int by_name(const void *a, const void *b)
{
    const struct safetensors_entry *x = *(const struct safetensors_entry *const *)a;
    const struct safetensors_entry *y = *(const struct safetensors_entry *const *)b;
    return strcmp(x->name, y->name);
}

/* A root that was checked. */
static int read_tensors(struct torch_bin *b, const struct pickle *root, struct err *err)
{
    int64_t first, n = pickle_pairs(root, &first);

    b->entry = mem_new(n, sizeof *b->entry, err);
    b->by_name = mem_new(n, sizeof *b->by_name, err);
    if (!b->entry || !b->by_name)
        return -1;
    for (int64_t i = 0; i < n; i++) {
        struct safetensors_entry *e = &b->entry[i];
        e->name = root->item[first + 2 * i]->text;
        if (read_tensor(b, e, root->item[first + 2 * i + 1], err))
            return -1;
        b->by_name[b->n++] = e;
    }
    if (n > 1)
        qsort(b->by_name, (size_t)n, sizeof *b->by_name, by_name);
    for (int64_t i = 1; i < n; i++)
        if (strcmp(b->by_name[i - 1]->name, b->by_name[i]->name) == 0)
            return bad(b, b->by_name[i]->name, err, "is there twice");
    return 0;
}

/* ---- the archive ---- */

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

/* Everything lies in one folder, named after the file at its saving. */
static int find_prefix(struct torch_bin *b, struct err *err)
{
    const char *found = NULL;

    for (int64_t i = 0; i < zip_count(b->zip); i++) {
        const char *name = zip_name(b->zip, i);
        if (!ends_with(name, "/data.pkl") && strcmp(name, "data.pkl") != 0)
            continue;
        if (found)
            return err_set(err, ERR_INPUT, "%s: has two data.pkl", b->path);
        found = name;
    }
    if (!found)
        return err_set(err, ERR_INPUT,
                       "%s: an archive without data.pkl; torch.save did not write it",
                       b->path);
    b->prefix =
        arena_printf(b->arena, "%.*s", (int)(strlen(found) - strlen("data.pkl")), found);
    return arena_failed(b->arena, err);
}

static int check_order(struct torch_bin *b, struct err *err)
{
    const unsigned char *data;
    int64_t len;
    char *member = mem_printf(err, "%sbyteorder", b->prefix);
    int rc = member ? zip_find(b->zip, member, &data, &len, err) : -1;

    free(member);
    if (rc == 1 && (len != 6 || memcmp(data, "little", 6) != 0))
        rc = err_set(err, ERR_INPUT,
                     "%s: its numbers are in another byte order; only \"little\" is read",
                     b->path);
    return rc < 0 ? -1 : 0;
}

static int read_archive(struct torch_bin *b, struct err *err)
{
    const struct pickle *root;
    const unsigned char *data;
    char *member, *name;
    int64_t len;
    int rc = -1;

    if (zip_open(&b->zip, b->map.data, b->map.len, b->path, err) || find_prefix(b, err) ||
        check_order(b, err))
        return -1;
    member = mem_printf(err, "%sdata.pkl", b->prefix);
    name = mem_printf(err, "%s (data.pkl)", b->path);
    if (!member || !name || zip_find(b->zip, member, &data, &len, err) != 1)
        goto done;
    if (len > PICKLE_BYTES_MAX) {
        err_set(err, ERR_INPUT, "%s: %" PRId64 " bytes; at most %" PRId64 " are read",
                name, len, PICKLE_BYTES_MAX);
        goto done;
    }
    root = pickle_read(data, len, NULL, name, names, NULL, b->arena, err);
    if (root && check_root(b, root, err) == 0)
        rc = read_tensors(b, root, err);
done:
    free(name);
    free(member);
    return rc;
}

/* ---- the older form ---- */

static const unsigned char magic[] = {
    0x6c, 0xfc, 0x9c, 0x46, 0xf9,
    0x20, 0x6a, 0xa8, 0x50, 0x19}; /* 0x1950a86a20f9469cfc6c */

static const struct pickle *next_pickle(struct torch_bin *b, int64_t *at,
                                        struct pickle **held, struct err *err)
{
    int64_t left = b->map.len - *at, used = 0;
    const struct pickle *p =
        pickle_read(b->map.data + *at, left < PICKLE_BYTES_MAX ? left : PICKLE_BYTES_MAX,
                    &used, b->path, names, held, b->arena, err);

    *at += used;
    return p;
}

static bool is_magic(const struct pickle *p)
{
    return p->kind == PICKLE_BIG && p->len == (int64_t)sizeof magic &&
           !memcmp(p->text, magic, sizeof magic);
}

/* {"protocol_version": 1001, "little_endian": True, ..} */
static bool is_little(const struct pickle *p)
{
    int64_t first, n = pickle_pairs(p, &first);

    for (int64_t i = 0; i < n; i++) {
        const struct pickle *key = p->item[first + 2 * i],
                            *value = p->item[first + 2 * i + 1];
        if (key->kind == PICKLE_TEXT && !strcmp(key->text, "little_endian"))
            return value->kind == PICKLE_BOOL && value->integer;
    }
    return false;
}

/* All storages that the pickle speaks of, by key. */
static int list_storages(struct torch_bin *b, const struct pickle *held, struct err *err)
{
    int64_t k = 0;

    b->storage = mem_new(held->n, sizeof *b->storage, err);
    if (!b->storage)
        return -1;
    for (int64_t i = 0; i < held->n; i++)
        if (read_id(b, held->item[i], &b->storage[i], err))
            return -1;
    if (held->n > 1)
        qsort(b->storage, (size_t)held->n, sizeof *b->storage, by_key);
    for (int64_t i = 0; i < held->n; i++)
        if (i == 0 || strcmp(b->storage[i].key, b->storage[k - 1].key) != 0)
            b->storage[k++] = b->storage[i];
    b->n_storages = k;
    return 0;
}

/* Each: its count in 8 bytes, then its numbers; in the order of `keys`. */
static int place_storages(struct torch_bin *b, const struct pickle *keys, int64_t at,
                          struct err *err)
{
    if (keys->kind != PICKLE_LIST)
        return err_set(err, ERR_INPUT, "%s: its list of storages is %s", b->path,
                       pickle_kind_names[keys->kind]);
    for (int64_t i = 0; i < keys->n; i++) {
        const struct pickle *key = keys->item[i];
        struct storage *s = key->kind == PICKLE_TEXT ? known_storage(b, key->text) : NULL;
        int64_t bytes;
        uint64_t count = 0;
        if (!s || s->data)
            return err_set(err, ERR_INPUT,
                           "%s: storage %" PRId64 " of its list belongs to no tensor",
                           b->path, i);
        for (int k = 7; k >= 0 && b->map.len - at >= 8; k--)
            count = count << 8 | b->map.data[at + k];
        if (b->map.len - at < 8 || count != (uint64_t)s->count ||
            mem_product(&bytes, s->count, types[type_of(s->type)].bytes, NULL) ||
            bytes > b->map.len - at - 8)
            return err_set(err, ERR_INPUT,
                           "%s: storage \"%.100s\" should have %" PRId64
                           " numbers, and has not; the file is cut or damaged",
                           b->path, s->key, s->count);
        s->data = b->map.data + at + 8;
        at += 8 + bytes;
    }
    return 0;
}

static int read_old(struct torch_bin *b, struct err *err)
{
    int64_t at = 0;
    struct pickle *held = NULL;
    const struct pickle *first = next_pickle(b, &at, NULL, err), *root, *keys, *p;

    if (!first)
        return -1;
    if (!is_magic(first))
        return err_set(
            err, ERR_INPUT,
            "%s: a pickle that torch.save did not write; nothing of it was run", b->path);
    p = next_pickle(b, &at, NULL, err);
    if (!p || !(p = next_pickle(b, &at, NULL, err)))
        return -1;
    if (!is_little(p))
        return err_set(
            err, ERR_INPUT,
            "%s: its numbers are in another byte order; only \"little\" is read",
            b->path);
    if (!(root = next_pickle(b, &at, &held, err)) || check_root(b, root, err) ||
        !(keys = next_pickle(b, &at, NULL, err)) || list_storages(b, held, err) ||
        place_storages(b, keys, at, err))
        return -1;
    return read_tensors(b, root, err);
}

/* ---- opening ---- */

static int read_file(struct torch_bin *b, struct err *err)
{
    static const char lfs[] = "version https://git-lfs";
    const unsigned char *p = b->map.data;

    if (b->map.len >= 4 && memcmp(p, "PK\3\4", 4) == 0)
        return read_archive(b, err);
    if (b->map.len >= 2 && p[0] == 0x80)
        return read_old(b, err);
    if (b->map.len >= (int64_t)sizeof lfs && memcmp(p, lfs, sizeof lfs - 1) == 0)
        return err_set(
            err, ERR_INPUT,
            "%s: a Git LFS pointer, not the tensors; fetch them with git lfs pull",
            b->path);
    return err_set(err, ERR_INPUT, "%s: is no file of torch.save", b->path);
}

int torch_bin_open(struct torch_bin **out, const char *path, struct err *err)
{
    struct torch_bin *b = mem_new(1, sizeof *b, err);
    int rc = -1;

    *out = NULL;
    if (!b)
        return -1;
    b->path = mem_strdup(path, err);
    b->arena = arena_new(err);
    if (!b->path || !b->arena || file_map(&b->map, path, err) || read_file(b, err))
        goto done;
    *out = b;
    b = NULL;
    rc = 0;
done:
    torch_bin_close(b);
    return rc;
}

void torch_bin_close(struct torch_bin *b)
{
    if (!b)
        return;
    free(b->by_name);
    free(b->entry);
    free(b->storage);
    zip_close(b->zip);
    file_unmap(&b->map);
    arena_free(b->arena);
    free(b->path);
    free(b);
}

int64_t torch_bin_count(const struct torch_bin *b)
{
    return b->n;
}

const struct safetensors_entry *torch_bin_at(const struct torch_bin *b, int64_t i)
{
    return i >= 0 && i < b->n ? &b->entry[i] : NULL;
}

const struct safetensors_entry *torch_bin_find(const struct torch_bin *b,
                                               const char *name)
{
    struct safetensors_entry wanted = {.name = name};
    const struct safetensors_entry *key = &wanted;
    const struct safetensors_entry **found;

    if (b->n == 0)
        return NULL;
    found = bsearch(&key, b->by_name, (size_t)b->n, sizeof *b->by_name, by_name);
    return found ? *found : NULL;
}
