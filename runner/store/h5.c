/*
 * HDF5, seen by this file alone.
 *
 * Written in the 1.8 format: its object headers and indexes carry checksums. Texts are of
 * fixed length (UTF-8, padded with NUL), since HDF5's global heap, which others need, has
 * none; only the standard attributes of dimension scales use it.
 */
#include "h5.h"

#include <errno.h>
#include <hdf5.h>
#include <hdf5_hl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "retort/json.h"

#define ATTR_MAX 65536
#define DEPTH_MAX 64

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int refused; /* errno of what the system refused since `begin`; under the lock */

/* The library tells it in words alone: "..., errno = 28, error message = ...". */
static herr_t find_errno(unsigned n, const H5E_error2_t *e, void *ctx)
{
    const char *at = e->desc ? strstr(e->desc, "errno = ") : NULL;

    (void)n;
    (void)ctx;
    if (at && !refused)
        refused = (int)strtol(at + 8, NULL, 10);
    return 0;
}

static herr_t on_failure(hid_t stack, void *ctx)
{
    (void)ctx;
    return H5Ewalk2(stack, H5E_WALK_UPWARD, find_errno, NULL);
}

/* After a write that failed (a full disk), the library's own cleaning up at exit crashes
 * on what it could not close: it is left out, and silent. */
static void begin(void)
{
    static bool begun; /* under the lock */

    pthread_mutex_lock(&lock);
    if (!begun)
        H5dont_atexit();
    begun = true;
    refused = 0;
    H5Eset_auto2(H5E_DEFAULT, on_failure, NULL);
}

/* ---- errors ---- */

static herr_t first_words(unsigned n, const H5E_error2_t *e, void *ctx)
{
    (void)n;
    const char **words = ctx;
    if (e->desc && !*words)
        *words = e->desc;
    return 0;
}

/* The code that is given, with HDF5's innermost words. */
static int h5_fail(struct err *err, enum err_code code, const char *path,
                   const char *what)
{
    const char *words = NULL;

    if (refused) {
        errno = refused;
        return err_errno(err, "%s: cannot be written", path);
    }
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, first_words, &words);
    return err_set(err, code, "%s: %s%s%s%s", path, what, words ? " (HDF5: " : "",
                   words ? words : "", words ? ")" : "");
}

/* ---- types ---- */

/* A 16-bit float with these exponent bits; HDF5 has no name for it. */
static hid_t half_type(size_t exponent, size_t bias)
{
    hid_t t = H5Tcopy(H5T_IEEE_F32LE);

    if (H5Tset_fields(t, 15, 15 - exponent, exponent, 0, 15 - exponent) < 0 ||
        H5Tset_size(t, 2) < 0 || H5Tset_precision(t, 16) < 0 ||
        H5Tset_ebias(t, bias) < 0) {
        H5Tclose(t);
        return -1;
    }
    return t;
}

/* To be closed. */
static hid_t file_type(enum dtype t)
{
    switch (t) {
    case DT_F64:
        return H5Tcopy(H5T_IEEE_F64LE);
    case DT_F32:
        return H5Tcopy(H5T_IEEE_F32LE);
    case DT_BF16:
        return half_type(8, 127);
    case DT_F16:
        return half_type(5, 15);
    case DT_I64:
        return H5Tcopy(H5T_STD_I64LE);
    case DT_I32:
        return H5Tcopy(H5T_STD_I32LE);
    case DT_I8:
        return H5Tcopy(H5T_STD_I8LE);
    case DT_U8:
        return H5Tcopy(H5T_STD_U8LE);
    default:
        return -1;
    }
}

static int type_dtype(enum dtype *out, hid_t type)
{
    for (int i = 0; i < DT_COUNT; i++) {
        hid_t t = file_type((enum dtype)i);
        htri_t same = H5Tequal(t, type);
        H5Tclose(t);
        if (same > 0) {
            *out = (enum dtype)i;
            return 0;
        }
    }
    return -1;
}

static hid_t text_type(size_t size)
{
    hid_t t = H5Tcopy(H5T_C_S1);

    if (H5Tset_size(t, size ? size : 1) < 0 || H5Tset_cset(t, H5T_CSET_UTF8) < 0 ||
        H5Tset_strpad(t, H5T_STR_NULLPAD) < 0) {
        H5Tclose(t);
        return -1;
    }
    return t;
}

/* ---- writing ---- */

struct h5_out {
    char *path;
    hid_t file, links, datasets, groups; /* property lists of what is made */
    hid_t root;                          /* what "/" means: the file, or a group of it */
    bool bad;
};

/* The path below the root: HDF5 takes one that begins with a slash from the file's. */
static const char *below(const struct h5_out *o, const char *path)
{
    if (o->root == o->file)
        return path;
    return path[1] ? path + 1 : ".";
}

static hid_t create_file(const char *path)
{
    hid_t fcpl = H5Pcreate(H5P_FILE_CREATE), fapl = H5Pcreate(H5P_FILE_ACCESS);
    hid_t f = -1;

    if (H5Pset_link_creation_order(fcpl, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED) >=
            0 &&
        H5Pset_obj_track_times(fcpl, false) >= 0 &&
        H5Pset_libver_bounds(fapl, H5F_LIBVER_V18, H5F_LIBVER_V18) >= 0 &&
        H5Pset_alignment(fapl, 512, 64) >= 0)
        f = H5Fcreate(path, H5F_ACC_TRUNC, fcpl, fapl);
    H5Pclose(fapl);
    H5Pclose(fcpl);
    return f;
}

struct h5_out *h5_create(const char *path, struct err *err)
{
    struct h5_out *o = mem_new(1, sizeof *o, err);

    if (o)
        o->path = mem_strdup(path, err);
    if (!o || !o->path) {
        free(o);
        return NULL;
    }
    begin();
    o->links = H5Pcreate(H5P_LINK_CREATE);
    o->datasets = H5Pcreate(H5P_DATASET_CREATE);
    o->groups = H5Pcreate(H5P_GROUP_CREATE);
    o->bad = H5Pset_char_encoding(o->links, H5T_CSET_UTF8) < 0 ||
             H5Pset_obj_track_times(o->datasets, false) < 0 ||
             H5Pset_fill_time(o->datasets, H5D_FILL_TIME_NEVER) < 0 ||
             H5Pset_obj_track_times(o->groups, false) < 0 ||
             H5Pset_link_creation_order(o->groups, H5P_CRT_ORDER_TRACKED |
                                                       H5P_CRT_ORDER_INDEXED) < 0;
    o->root = o->file = create_file(path);
    if (o->file >= 0)
        return o;
    h5_fail(err, ERR_IO, path, "cannot be made");
    h5_finish(o, NULL);
    return NULL;
}

int h5_finish(struct h5_out *o, struct err *err)
{
    int rc = 0;

    if (!o)
        return -1;
    h5_into(o, NULL);
    if (H5Fclose(o->file) < 0 || o->bad)
        rc = h5_fail(err, ERR_IO, o->path, "cannot be written; is the disk full?");
    H5Pclose(o->groups);
    H5Pclose(o->datasets);
    H5Pclose(o->links);
    pthread_mutex_unlock(&lock);
    free(o->path);
    free(o);
    return rc;
}

/* Closing writes what was held back, so it may fail. */
static void close_written(struct h5_out *o, hid_t id)
{
    o->bad |= id < 0 || H5Oclose(id) < 0;
}

static void put(struct h5_out *o, const char *path, const char *name, hid_t type,
                const void *data)
{
    if (o->bad)
        return;
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t a = H5Acreate_by_name(o->root, below(o, path), name, type, space, H5P_DEFAULT,
                                H5P_DEFAULT, H5P_DEFAULT);

    o->bad |= a < 0 || H5Awrite(a, type, data) < 0;
    o->bad |= H5Aclose(a) < 0;
    H5Sclose(space);
}

void h5_put_text(struct h5_out *o, const char *path, const char *name, const char *text)
{
    hid_t t = text_type(strlen(text));

    put(o, path, name, t, text);
    H5Tclose(t);
}

void h5_put_i64(struct h5_out *o, const char *path, const char *name, int64_t x)
{
    put(o, path, name, H5T_STD_I64LE, &x);
}

void h5_put_u64(struct h5_out *o, const char *path, const char *name, uint64_t x)
{
    put(o, path, name, H5T_STD_U64LE, &x);
}

void h5_put_f64(struct h5_out *o, const char *path, const char *name, double x)
{
    put(o, path, name, H5T_IEEE_F64LE, &x);
}

void h5_group(struct h5_out *o, const char *path)
{
    if (o->bad || H5Lexists(o->root, below(o, path), H5P_DEFAULT) > 0)
        return;
    close_written(o,
                  H5Gcreate2(o->root, below(o, path), o->links, o->groups, H5P_DEFAULT));
}

/* The groups above a path: HDF5 itself would make them with times and without order. */
static void make_groups(struct h5_out *o, const char *path)
{
    char part[1200];

    for (const char *s = strchr(path + 1, '/'); s; s = strchr(s + 1, '/')) {
        snprintf(part, sizeof part, "%.*s", (int)(s - path), path);
        h5_group(o, part);
    }
}

void h5_into(struct h5_out *o, const char *path)
{
    if (o->root != o->file)
        close_written(o, o->root);
    o->root = o->file;
    if (!path || o->bad)
        return;
    make_groups(o, path);
    h5_group(o, path);
    o->root = o->bad ? o->file : H5Gopen2(o->file, path, H5P_DEFAULT);
    if (o->root < 0) {
        o->root = o->file;
        o->bad = true;
    }
}

/* A dataset of its bytes. The caller closes it; -1 on failure. */
static hid_t data_write(struct h5_out *o, const char *path, hid_t type, int rank,
                        const hsize_t *dim, hid_t dcpl, const void *data)
{
    bool empty = false;
    hid_t d = -1;

    make_groups(o, path);
    if (o->bad)
        return -1;
    hid_t space = rank ? H5Screate_simple(rank, dim, NULL) : H5Screate(H5S_SCALAR);
    for (int i = 0; i < rank; i++)
        empty |= dim[i] == 0;
    d = H5Dcreate2(o->root, below(o, path), type, space, o->links, dcpl, H5P_DEFAULT);
    o->bad |=
        d < 0 || (!empty && H5Dwrite(d, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0);
    H5Sclose(space);
    return d;
}

/* Our own fixed text ("layer,head"), and the labels of the dimension scales' convention,
 * which readers like h5py show. */
static void label_dims(struct h5_out *o, hid_t d, const char *path, const struct array *a)
{
    char names[512] = "";
    bool any = false;

    for (int i = 0; i < a->shape.rank; i++) {
        size_t n = strlen(names);
        const char *label = a->dim[i] ? a->dim[i] : "";
        any |= *label != 0;
        snprintf(names + n, sizeof names - n, "%s%.100s", i ? "," : "", label);
        if (*label)
            o->bad |= H5DSset_label(d, (unsigned)i, label) < 0;
    }
    if (any)
        h5_put_text(o, path, "dims", names);
}

void h5_array(struct h5_out *o, const char *path, const struct array *a)
{
    hsize_t dim[RANK_MAX];
    hid_t type = file_type(a->dtype);

    for (int i = 0; i < a->shape.rank; i++)
        dim[i] = (hsize_t)a->shape.dim[i];
    hid_t d = data_write(o, path, type, a->shape.rank, dim, o->datasets, a->data);
    if (!o->bad)
        label_dims(o, d, path, a);
    close_written(o, d);
    H5Tclose(type);
}

/* If equal widths waste much (one long among many short), compressed. */
static hid_t texts_plist(struct h5_out *o, int64_t n, int64_t width, int64_t total)
{
    hid_t dcpl = H5Pcopy(o->datasets);
    hsize_t chunk = 1 + (hsize_t)((1 << 20) / width);

    if (n > 1 && width > (4 * total + 65536) / n) {
        chunk = chunk > (hsize_t)n ? (hsize_t)n : chunk;
        o->bad |= H5Pset_chunk(dcpl, 1, &chunk) < 0 || H5Pset_deflate(dcpl, 4) < 0;
    }
    return dcpl;
}

void h5_texts(struct h5_out *o, const char *path, char *const *texts, int64_t n)
{
    int64_t count = n < 0 ? 1 : n, total = 0, width = 1, bytes;
    hsize_t dim = (hsize_t)count;

    for (int64_t i = 0; i < count; i++) {
        int64_t len = (int64_t)strlen(texts[i]);
        width = len > width ? len : width;
        total += len;
    }
    char *flat =
        mem_product(&bytes, count + 1, width, NULL) ? NULL : mem_new(bytes, 1, NULL);
    if (!flat) {
        o->bad = true;
        return;
    }
    for (int64_t i = 0; i < count; i++)
        memcpy(flat + i * width, texts[i], strlen(texts[i]));
    hid_t dcpl = texts_plist(o, n, width, total), type = text_type((size_t)width);
    close_written(o, data_write(o, path, type, n < 0 ? 0 : 1, &dim, dcpl, flat));
    H5Tclose(type);
    H5Pclose(dcpl);
    free(flat);
}

void h5_external(struct h5_out *o, const char *path, const char *file, const char *object)
{
    make_groups(o, path);
    o->bad = o->bad || H5Lcreate_external(file, object, o->root, below(o, path), o->links,
                                          H5P_DEFAULT) < 0;
}

void h5_scale(struct h5_out *o, const char *path, int dim, const char *scale)
{
    if (o->bad)
        return;
    hid_t d = H5Dopen2(o->root, below(o, path), H5P_DEFAULT);
    hid_t s = H5Dopen2(o->root, below(o, scale), H5P_DEFAULT);
    const char *name = strrchr(scale, '/') + 1;

    o->bad |= (H5DSis_scale(s) <= 0 && H5DSset_scale(s, name) < 0) ||
              H5DSattach_scale(d, s, (unsigned)dim) < 0;
    close_written(o, s);
    close_written(o, d);
}

/* ---- reading: attributes ---- */

struct h5_in {
    const char *path;
    const struct file_map *map;
    hid_t file;
};

/*
 * The library reads the mapping and not the file: what was found whole is what it sees,
 * and no read can fail amid its own structures, which it does not always outlive. It is
 * made to think that it has copies.
 */
static void *image_malloc(size_t size, H5FD_file_image_op_t op, void *map)
{
    union {
        const unsigned char *read;
        void *any;
    } data = {((const struct file_map *)map)->data};

    (void)size;
    (void)op;
    return data.any;
}

static void *image_memcpy(void *to, const void *from, size_t size,
                          H5FD_file_image_op_t op, void *map)
{
    (void)from;
    (void)size;
    (void)op;
    (void)map;
    return to;
}

static herr_t image_free(void *p, H5FD_file_image_op_t op, void *map)
{
    (void)p;
    (void)op;
    (void)map;
    return 0;
}

static void *same_map(void *map)
{
    return map;
}

static herr_t keep_map(void *map)
{
    (void)map;
    return 0;
}

static hid_t open_image(const struct file_map *map)
{
    union {
        const void *read;
        void *any;
    } data = {map->data}, of = {map}; /* the library writes to neither */
    H5FD_file_image_callbacks_t calls = {image_malloc, image_memcpy, NULL,  image_free,
                                         same_map,     keep_map,     of.any};
    hid_t fapl = H5Pcreate(H5P_FILE_ACCESS), file = -1;

    if (H5Pset_fclose_degree(fapl, H5F_CLOSE_STRONG) >= 0 &&
        H5Pset_fapl_core(fapl, 1 << 16, false) >= 0 &&
        H5Pset_file_image_callbacks(fapl, &calls) >= 0 &&
        H5Pset_file_image(fapl, data.any, (size_t)map->len) >= 0)
        file = H5Fopen("/retort image", H5F_ACC_RDONLY, fapl); /* no file's name */
    H5Pclose(fapl);
    return file;
}

struct h5_in *h5_open(const char *path, const struct file_map *map, struct err *err)
{
    struct h5_in *in = mem_new(1, sizeof *in, err);

    if (!in)
        return NULL;
    begin();
    *in = (struct h5_in){path, map, open_image(map)};
    if (in->file >= 0)
        return in;
    h5_fail(err, ERR_INPUT, path, "is damaged, or no HDF5 file");
    h5_close(in);
    return NULL;
}

void h5_close(struct h5_in *in)
{
    if (!in)
        return;
    H5Fclose(in->file);
    pthread_mutex_unlock(&lock);
    free(in);
}

/* A fixed-length text attribute, valid until the next; NULL if absent or odd. */
static const char *attr_text(hid_t at, const char *path, const char *name)
{
    static char text[ATTR_MAX + 1]; /* under the lock */
    const char *s = NULL;

    if (H5Aexists_by_name(at, path, name, H5P_DEFAULT) <= 0)
        return NULL;
    hid_t a = H5Aopen_by_name(at, path, name, H5P_DEFAULT, H5P_DEFAULT);
    hid_t t = H5Aget_type(a), space = H5Aget_space(a);
    size_t n = H5Tget_size(t);
    if (H5Tget_class(t) == H5T_STRING && H5Tis_variable_str(t) == 0 && n &&
        n <= ATTR_MAX && H5Sget_simple_extent_npoints(space) == 1) {
        memset(text, 0, n + 1);
        s = H5Aread(a, t, text) < 0 ? NULL : text;
    }
    H5Sclose(space);
    H5Tclose(t);
    H5Aclose(a);
    return s;
}

bool h5_get_text(struct h5_in *in, const char *path, const char *name, char *field,
                 size_t size)
{
    const char *s = attr_text(in->file, path, name);

    field_set(field, size, s);
    return s != NULL;
}

static bool attr_number(struct h5_in *in, const char *path, const char *name, hid_t type,
                        void *out)
{
    bool found = false;

    if (H5Aexists_by_name(in->file, path, name, H5P_DEFAULT) <= 0)
        return false;
    hid_t a = H5Aopen_by_name(in->file, path, name, H5P_DEFAULT, H5P_DEFAULT);
    hid_t space = H5Aget_space(a);
    if (H5Sget_simple_extent_npoints(space) == 1)
        found = H5Aread(a, type, out) >= 0;
    H5Sclose(space);
    H5Aclose(a);
    return found;
}

bool h5_get_i64(struct h5_in *in, const char *path, const char *name, int64_t *out)
{
    return attr_number(in, path, name, H5T_NATIVE_INT64, out);
}

bool h5_get_u64(struct h5_in *in, const char *path, const char *name, uint64_t *out)
{
    return attr_number(in, path, name, H5T_NATIVE_UINT64, out);
}

bool h5_get_f64(struct h5_in *in, const char *path, const char *name, double *out)
{
    return attr_number(in, path, name, H5T_NATIVE_DOUBLE, out);
}

/* ---- reading: the tree ---- */

struct walk {
    struct h5_in *in;
    const struct h5_visitor *visitor;
    struct err *err;
    char path[2048]; /* of where we are, without a slash at its end */
    int depth;
    int64_t objects, objects_max; /* a hostile file's links may form a ring */
};

static int bad(struct walk *w, const char *what)
{
    return err_set(w->err, ERR_INPUT, "%s: %s: %s", w->in->path,
                   w->path[0] ? w->path : "/", what);
}

/* The dataset's bytes: in the mapping if they lie there as they are, else read. */
static int get_bytes(struct walk *w, hid_t d, hid_t type, struct h5_dataset *out)
{
    const struct file_map *map = w->in->map;
    haddr_t at = H5Dget_offset(d);

    if (at != HADDR_UNDEF && at % 8 == 0 && out->bytes > 0) {
        if (at > (haddr_t)map->len || out->bytes > map->len - (int64_t)at)
            return bad(w, "its data lies outside of the file");
        out->array.data = map->data + at;
        return 0;
    }
    /* Compressed at most 1000-fold: a hostile size asks for no more than that. */
    if (out->bytes / 1100 > map->len)
        return bad(w, "is larger than the file can hold");
    out->owned = mem_new(out->bytes + 1, 1, w->err);
    if (!out->owned)
        return -1;
    out->array.data = out->owned;
    if (out->bytes && H5Dread(d, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, out->owned) < 0)
        return bad(w, "cannot be read");
    return 0;
}

static int get_shape(struct walk *w, hid_t d, struct shape *shape)
{
    hsize_t dim[H5S_MAX_RANK];
    hid_t space = H5Dget_space(d);
    int rank = H5Sget_simple_extent_ndims(space);
    int rc = rank < 0 || rank > RANK_MAX ||
             H5Sget_simple_extent_type(space) == H5S_NULL ||
             (rank && H5Sget_simple_extent_dims(space, dim, NULL) < 0);

    H5Sclose(space);
    if (rc)
        return bad(w, "has no plain shape of at most 4 dimensions");
    shape->rank = rank;
    for (int i = 0; i < rank; i++) {
        if (dim[i] > INT64_MAX)
            return bad(w, "is too large");
        shape->dim[i] = (int64_t)dim[i];
    }
    return 0;
}

static int split_texts(struct walk *w, struct h5_dataset *d, int64_t n, int64_t width)
{
    const char *flat = d->array.data;

    d->bytes = 0;
    d->texts_n = 0;
    d->texts = mem_new(n + 1, sizeof *d->texts, w->err);
    for (; d->texts && d->texts_n < n; d->texts_n++) {
        const char *s = flat + d->texts_n * width;
        char *text = mem_strndup(s, strnlen(s, (size_t)width), w->err);
        if (!text)
            return -1;
        d->texts[d->texts_n] = text;
        d->bytes += (int64_t)strlen(text);
    }
    return d->texts ? 0 : -1;
}

static int get_texts(struct walk *w, hid_t id, hid_t type, struct h5_dataset *d)
{
    size_t width = H5Tget_size(type);
    int64_t n = d->array.shape.rank ? d->array.shape.dim[0] : 1;

    d->is_text = true;
    if (H5Tis_variable_str(type) != 0 || d->array.shape.rank > 1 || !width ||
        width > INT64_MAX)
        return bad(w, "is not a text of fixed length");
    if (mem_product(&d->bytes, n, (int64_t)width, w->err) || get_bytes(w, id, type, d) ||
        split_texts(w, d, n, (int64_t)width))
        return -1;
    free(d->owned);
    d->owned = NULL;
    d->array.data = NULL;
    if (!d->array.shape.rank)
        d->texts_n = -1;
    return 0;
}

static int get_array(struct walk *w, hid_t id, hid_t type, struct h5_dataset *d)
{
    if (type_dtype(&d->array.dtype, type))
        return bad(w, "has a type that Retort does not write");
    return item_bytes(&d->bytes, d->array.shape, d->array.dtype, w->err) ||
                   get_bytes(w, id, type, d)
               ? -1
               : 0;
}

static void dataset_clear(struct h5_dataset *d)
{
    for (int64_t i = 0; d->texts && i < (d->texts_n < 0 ? 1 : d->texts_n); i++)
        free(d->texts[i]);
    free(d->texts);
    free(d->owned);
    free(d->cls);
    free(d->dims);
}

static int copy_attr(struct walk *w, char **to, hid_t id, const char *name)
{
    const char *s = attr_text(id, ".", name);

    *to = s ? mem_strdup(s, w->err) : NULL;
    return s && !*to ? -1 : 0;
}

static int visit_dataset(struct walk *w, hid_t id)
{
    struct h5_dataset d = {.path = w->path};
    hid_t type = H5Dget_type(id);
    int rc = -1;

    if (!copy_attr(w, &d.cls, id, "class") && !copy_attr(w, &d.dims, id, "dims") &&
        !get_shape(w, id, &d.array.shape) &&
        !(H5Tget_class(type) == H5T_STRING ? get_texts(w, id, type, &d)
                                           : get_array(w, id, type, &d)))
        rc = w->visitor->dataset(w->visitor->ctx, &d, w->err);
    dataset_clear(&d);
    H5Tclose(type);
    return rc;
}

static int visit_link(struct walk *w, hid_t group, const char *name, size_t size)
{
    int rc = -1;
    unsigned flags;
    const char *file, *object;
    char *value = mem_new((int64_t)size + 1, 1, w->err);

    if (!value)
        return -1;
    if (H5Lget_val(group, name, value, size, H5P_DEFAULT) < 0 ||
        H5Lunpack_elink_val(value, size, &flags, &file, &object) < 0)
        bad(w, "is a link that cannot be read");
    else
        rc = w->visitor->link(w->visitor->ctx, w->path, file, object, w->err);
    free(value);
    return rc;
}

static herr_t visit(hid_t group, const char *name, const H5L_info_t *info, void *ctx);

static int visit_group(struct walk *w, hid_t group)
{
    hsize_t at = 0;

    if (w->depth >= DEPTH_MAX)
        return bad(w, "groups lie too deep");
    w->depth++;
    herr_t rc = H5Literate(group, H5_INDEX_CRT_ORDER, H5_ITER_INC, &at, visit, w);
    w->depth--;
    return rc < 0 ? bad(w, "its members cannot be read") : 0;
}

static int visit_object(struct walk *w, hid_t group, const char *name)
{
    int rc;
    hid_t o = H5Oopen(group, name, H5P_DEFAULT);

    if (o < 0)
        return bad(w, "cannot be opened");
    if (H5Iget_type(o) == H5I_GROUP)
        rc = visit_group(w, o);
    else if (H5Iget_type(o) == H5I_DATASET)
        rc = visit_dataset(w, o);
    else
        rc = bad(w, "is neither group nor dataset");
    H5Oclose(o);
    return rc;
}

static herr_t visit(hid_t group, const char *name, const H5L_info_t *info, void *ctx)
{
    struct walk *w = ctx;
    size_t n = strlen(w->path), m = strlen(name);
    int rc;

    if (++w->objects > w->objects_max || n + m + 2 > sizeof w->path)
        return bad(w, "holds more objects than it can");
    w->path[n] = '/';
    memcpy(w->path + n + 1, name, m + 1);
    if (info->type == H5L_TYPE_EXTERNAL)
        rc = visit_link(w, group, name, info->u.val_size);
    else if (info->type == H5L_TYPE_HARD)
        rc = visit_object(w, group, name);
    else
        rc = bad(w, "is a link of an unknown kind");
    if (!rc)
        w->path[n] = 0;
    return rc;
}

int h5_walk(struct h5_in *in, const struct h5_visitor *v, struct err *err)
{
    struct err local =
        ERR_INIT; /* `bad` is asked again on the way up: the first counts */
    struct walk *w = mem_new(1, sizeof *w, &local);
    hid_t root = H5Gopen2(in->file, "/", H5P_DEFAULT);

    if (w) {
        w->in = in;
        w->visitor = v;
        w->err = &local;
        w->objects_max = in->map->len / 16;
        if (root < 0)
            bad(w, "is damaged");
        else
            visit_group(w, root);
    }
    H5Gclose(root);
    free(w);
    return err_is_set(&local) ? err_set(err, local.code, "%s", local.text) : 0;
}

/* ---- another program's file ---- */

#define COLUMNS_MAX 10000
#define ROWS_MAX 10000000

struct h5_column {
    char name[256];
    int64_t n; /* -1: a scalar */
    H5T_class_t kind;
    void *data; /* double, int64_t, or char * that HDF5 owns */
    hid_t type, space;
};

struct h5_columns {
    const char *path;
    struct h5_column *v;
    int64_t n, capacity, rows;
    struct err *err;
};

static int read_column(struct h5_columns *c, struct h5_column *col, hid_t d)
{
    hid_t type = H5Dget_type(d);
    int64_t count;

    col->space = H5Dget_space(d);
    count = (int64_t)H5Sget_simple_extent_npoints(col->space);
    col->kind = H5Tget_class(type);
    if (col->kind == H5T_ENUM) /* booleans of h5py */
        col->kind = H5T_INTEGER;
    col->type = col->kind == H5T_INTEGER ? H5Tcopy(H5T_NATIVE_INT64)
                : col->kind == H5T_FLOAT ? H5Tcopy(H5T_NATIVE_DOUBLE)
                                         : H5Tcopy(H5T_C_S1);
    if (col->kind == H5T_STRING) {
        H5Tset_size(col->type, H5T_VARIABLE);
        H5Tset_cset(col->type, H5Tget_cset(type));
    }
    if (col->kind == H5T_STRING && H5Tis_variable_str(type) == 0) {
        H5Tclose(col->type);
        col->type = H5Tcopy(type); /* of fixed length, read as they are */
    }
    size_t width = H5Tget_size(col->type);
    H5Tclose(type);
    if (count < 0 || count > ROWS_MAX || width > 65536)
        return err_set(c->err, ERR_INPUT, "%s: /%s: holds too much", c->path, col->name);
    col->data = mem_new(count + 1, width, c->err);
    if (!col->data)
        return -1;
    if (H5Dread(d, col->type, H5S_ALL, H5S_ALL, H5P_DEFAULT, col->data) < 0)
        return h5_fail(c->err, ERR_INPUT, c->path, "a data set cannot be read");
    return 0;
}

/* Data sets of numbers and texts in one dimension; what else lies there is passed over.
 */
static herr_t visit_column(hid_t group, const char *name, const H5L_info_t *info,
                           void *ctx)
{
    struct h5_columns *c = ctx;
    struct h5_column col = {.type = -1, .space = -1};
    H5O_info_t what;

    if (info->type != H5L_TYPE_HARD || strlen(name) >= sizeof col.name ||
        H5Oget_info_by_name(group, name, &what, H5P_DEFAULT) < 0 ||
        what.type != H5O_TYPE_DATASET)
        return 0;
    memcpy(col.name, name, strlen(name) + 1);
    hid_t d = H5Dopen2(group, name, H5P_DEFAULT), type = H5Dget_type(d),
          space = H5Dget_space(d);
    H5T_class_t kind = H5Tget_class(type);
    int rank = H5Sget_simple_extent_ndims(space);
    int rc = 0;
    bool fits = rank <= 1 && rank >= 0 &&
                (kind == H5T_INTEGER || kind == H5T_FLOAT || kind == H5T_STRING ||
                 kind == H5T_ENUM);
    col.n = rank == 0 ? -1 : (int64_t)H5Sget_simple_extent_npoints(space);
    H5Sclose(space);
    H5Tclose(type);
    if (fits && c->n == COLUMNS_MAX)
        rc = err_set(c->err, ERR_INPUT, "%s: more than %d data sets", c->path,
                     COLUMNS_MAX);
    else if (fits && col.n >= 0 && c->rows >= 0 && col.n != c->rows)
        rc = err_set(c->err, ERR_INPUT, "%s: /%s has %lld values, others have %lld",
                     c->path, name, (long long)col.n, (long long)c->rows);
    else if (fits)
        rc = read_column(c, &col, d) ||
             mem_grow((void **)&c->v, c->n, &c->capacity, sizeof *c->v, c->err);
    H5Dclose(d);
    if (rc || !fits)
        return rc ? -1 : 0;
    if (col.n >= 0)
        c->rows = col.n;
    c->v[c->n++] = col;
    return 0;
}

static void put_value(struct json_writer *w, const struct h5_column *col, int64_t i)
{
    size_t width = H5Tget_size(col->type);
    char *fixed = (char *)col->data + (size_t)i * width;

    json_member(w, col->name);
    if (col->kind == H5T_INTEGER) {
        json_i64(w, ((const int64_t *)col->data)[i]);
    } else if (col->kind == H5T_FLOAT) {
        json_num(w, ((const double *)col->data)[i]);
    } else if (H5Tis_variable_str(col->type) > 0) {
        json_str(w, ((char *const *)col->data)[i]);
    } else {
        struct strbuf text = STRBUF_INIT;
        size_t n = strnlen(fixed, width);
        while (n && H5Tget_strpad(col->type) == H5T_STR_SPACEPAD && fixed[n - 1] == ' ')
            n--;
        json_put_string_n(&text, fixed, n);
        json_raw(w, strbuf_text(&text));
        strbuf_release(&text);
    }
}

/* Nothing is given back: the process goes. */
int h5_rows(struct strbuf *out, const char *path, struct err *err)
{
    struct h5_columns c = {.path = path, .rows = -1, .err = err};
    hsize_t at = 0;

    begin();
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (file < 0)
        return h5_fail(err, ERR_INPUT, path, "is no HDF5 file, or damaged");
    if (H5Literate(file, H5_INDEX_NAME, H5_ITER_INC, &at, visit_column, &c) < 0)
        return err_is_set(err) ? -1 : h5_fail(err, ERR_INPUT, path, "is damaged");
    for (int64_t i = 0; i < (c.rows < 0 ? c.n > 0 : c.rows); i++) {
        struct json_writer w;
        json_begin(&w, out, false);
        json_object(&w);
        for (int64_t k = 0; k < c.n; k++)
            put_value(&w, &c.v[k], c.v[k].n < 0 ? 0 : i);
        json_object_end(&w);
        strbuf_putc(out, '\n');
    }
    return strbuf_failed(out, err);
}
