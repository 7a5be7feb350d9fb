/*
 * HDF5, seen by this file alone.
 *
 * Written in the 1.8 format: its object headers and indexes carry checksums, so damage is
 * noticed and not followed. Times are off and creation order is kept, so equal content
 * gives equal bytes. Texts are of fixed length (UTF-8, padded with NUL): no global heap,
 * which has no checksums. References are external links into the other run's file, so
 * that any HDF5 reader sees the tensor at its place.
 *
 * The library is not safe for threads in Debian: one mutex guards it.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FORMAT "retort-run"
#define FORMAT_PART "retort-part"
#define FORMAT_VERSION 1
#define ATTR_MAX 65536
#define DEPTH_MAX 64

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- errors ---- */

static herr_t first_words(unsigned n, const H5E_error2_t *e, void *ctx)
{
    (void)n;
    const char **words = ctx;
    if (e->desc && !*words)
        *words = e->desc;
    return 0;
}

/* ERR_IO or what is given, with HDF5's innermost words. */
static int h5_fail(struct err *err, enum err_code code, const char *path,
                   const char *what)
{
    const char *words = NULL;

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

/* A failure sticks; `bad` is asked for at the end. */
struct out {
    hid_t file, lcpl, dcpl, gcpl;
    bool bad;
};

static void attr_write(struct out *o, hid_t at, const char *name, hid_t type,
                       const void *data)
{
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t a = H5Acreate2(at, name, type, space, H5P_DEFAULT, H5P_DEFAULT);

    o->bad |= a < 0 || H5Awrite(a, type, data) < 0;
    H5Aclose(a);
    H5Sclose(space);
}

static void attr_text(struct out *o, hid_t at, const char *name, const char *text)
{
    hid_t t = text_type(strlen(text));

    attr_write(o, at, name, t, text);
    H5Tclose(t);
}

static void attr_i64(struct out *o, hid_t at, const char *name, int64_t x)
{
    attr_write(o, at, name, H5T_STD_I64LE, &x);
}

static void attr_f64(struct out *o, hid_t at, const char *name, double x)
{
    attr_write(o, at, name, H5T_IEEE_F64LE, &x);
}

/* Makes the groups above a path: HDF5 itself would make them with times and without
 * order. */
static void make_groups(struct out *o, const char *path)
{
    char part[1200];

    for (const char *s = strchr(path + 1, '/'); s; s = strchr(s + 1, '/')) {
        snprintf(part, sizeof part, "%.*s", (int)(s - path), path);
        if (H5Lexists(o->file, part, H5P_DEFAULT) > 0)
            continue;
        hid_t g = H5Gcreate2(o->file, part, o->lcpl, o->gcpl, H5P_DEFAULT);
        o->bad |= g < 0;
        H5Gclose(g);
    }
}

/* A dataset of its bytes; -1 on failure. The caller closes it. */
static hid_t data_write(struct out *o, const char *path, hid_t type, int rank,
                        const hsize_t *dim, hid_t dcpl, const void *data)
{
    bool empty = false;
    hid_t space = rank ? H5Screate_simple(rank, dim, NULL) : H5Screate(H5S_SCALAR);

    make_groups(o, path);
    for (int i = 0; i < rank; i++)
        empty |= dim[i] == 0;
    hid_t d = H5Dcreate2(o->file, path, type, space, o->lcpl, dcpl, H5P_DEFAULT);
    o->bad |=
        d < 0 || (!empty && H5Dwrite(d, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0);
    H5Sclose(space);
    return d;
}

/* The names of dimensions: our own fixed text ("layer,head"), and the labels of the
 * dimension scales' convention, which readers like h5py show. */
static void write_dims(struct out *o, hid_t d, const struct item *it)
{
    const char *label[RANK_MAX] = {NULL};
    char names[512] = "";
    hsize_t rank = (hsize_t)it->pub.shape.rank;
    bool any = false;

    for (hsize_t i = 0; i < rank; i++) {
        size_t n = strlen(names);
        label[i] = it->dim[i] ? it->dim[i] : "";
        any |= it->dim[i] != NULL;
        snprintf(names + n, sizeof names - n, "%s%.100s", i ? "," : "", label[i]);
    }
    if (!any)
        return;
    attr_text(o, d, "dims", names);
    hid_t t = H5Tcopy(H5T_C_S1);
    hid_t space = H5Screate_simple(1, &rank, NULL);
    H5Tset_size(t, H5T_VARIABLE);
    hid_t a = H5Acreate2(d, "DIMENSION_LABELS", t, space, H5P_DEFAULT, H5P_DEFAULT);
    o->bad |= a < 0 || H5Awrite(a, t, (const void *)label) < 0;
    H5Aclose(a);
    H5Sclose(space);
    H5Tclose(t);
}

static void write_array(struct out *o, const struct item *it)
{
    hsize_t dim[RANK_MAX];
    hid_t type = file_type(it->pub.dtype);

    for (int i = 0; i < it->pub.shape.rank; i++)
        dim[i] = (hsize_t)it->pub.shape.dim[i];
    hid_t d =
        data_write(o, it->pub.path, type, it->pub.shape.rank, dim, o->dcpl, it->data);
    if (d >= 0) {
        attr_text(o, d, "class", class_name(it->pub.cls));
        write_dims(o, d, it);
    }
    H5Dclose(d);
    H5Tclose(type);
}

/* Texts side by side; if that wastes much (one long among many short), compressed. */
static void write_texts(struct out *o, const char *path, enum record_class cls,
                        char *const *texts, int64_t n)
{
    int64_t count = n < 0 ? 1 : n, total = 0;
    size_t width = 1;
    hsize_t dim = (hsize_t)count;

    for (int64_t i = 0; i < count; i++) {
        size_t len = strlen(texts[i]);
        width = len > width ? len : width;
        total += (int64_t)len;
    }
    hid_t dcpl = H5Pcopy(o->dcpl);
    if (n > 1 && (int64_t)width > (4 * total + 65536) / n) {
        hsize_t chunk = 1 + (1u << 20) / width;
        chunk = chunk > dim ? dim : chunk;
        o->bad |= H5Pset_chunk(dcpl, 1, &chunk) < 0 || H5Pset_deflate(dcpl, 4) < 0;
    }
    char *flat =
        width <= SIZE_MAX / (size_t)(count + 1) ? calloc((size_t)count + 1, width) : NULL;
    hid_t type = text_type(width);
    if (flat) {
        for (int64_t i = 0; i < count; i++)
            memcpy(flat + (size_t)i * width, texts[i], strlen(texts[i]));
        hid_t d = data_write(o, path, type, n < 0 ? 0 : 1, &dim, dcpl, flat);
        if (d >= 0)
            attr_text(o, d, "class", class_name(cls));
        H5Dclose(d);
    }
    o->bad |= !flat;
    free(flat);
    H5Tclose(type);
    H5Pclose(dcpl);
}

/* "<id>:<path>" as a link to ../../ab/<id>/run.h5, relative to this file. */
static void write_reference(struct out *o, const struct item *it)
{
    char file[128];
    const char *origin = it->pub.origin;

    make_groups(o, it->pub.path);
    snprintf(file, sizeof file, "../../%.2s/%.64s/run.h5", origin, origin);
    o->bad |= H5Lcreate_external(file, origin + 65, o->file, it->pub.path, o->lcpl,
                                 H5P_DEFAULT) < 0;
}

/* /steps/<step>: the root of the snapshot's own file. */
static void write_part_link(struct out *o, const struct part *part)
{
    char file[96], path[48];

    snprintf(file, sizeof file, "parts/%s", part->name);
    snprintf(path, sizeof path, "/steps/%lld", (long long)part->step);
    make_groups(o, path);
    o->bad |= H5Lcreate_external(file, "/", o->file, path, o->lcpl, H5P_DEFAULT) < 0;
}

/* /metrics/<name>/{step,value}; what the environment gave (times) lies under /env. */
static void write_series(struct out *o, const struct points *s)
{
    char path[1200];
    const char *root = s->cls == RECORD_ENV ? "/env/metrics" : "/metrics";
    hsize_t n = (hsize_t)s->n;

    snprintf(path, sizeof path, "%s/%s/step", root, s->name);
    H5Dclose(data_write(o, path, H5T_STD_I64LE, 1, &n, o->dcpl, s->step));
    snprintf(path, sizeof path, "%s/%s/value", root, s->name);
    hid_t d = data_write(o, path, H5T_IEEE_F64LE, 1, &n, o->dcpl, s->value);
    if (d >= 0)
        attr_text(o, d, "class", class_name(s->cls));
    H5Dclose(d);
}

static void write_root(struct out *o, const struct content *c)
{
    const struct run_info *i = &c->info;
    hid_t root = H5Gopen2(o->file, "/", H5P_DEFAULT);

    attr_text(o, root, "format", c->is_part ? FORMAT_PART : FORMAT);
    attr_i64(o, root, "format_version", FORMAT_VERSION);
    attr_text(o, root, "run_id", i->id);
    if (c->is_part) {
        attr_i64(o, root, "step", i->step);
        H5Gclose(root);
        return;
    }
    attr_text(o, root, "name", i->name);
    attr_text(o, root, "stage", i->stage);
    attr_text(o, root, "method", i->method);
    attr_text(o, root, "variables", i->variables);
    if (i->has_seed)
        attr_write(o, root, "seed", H5T_STD_U64LE, &i->seed);
    attr_text(o, root, "env_class", i->env_class);
    attr_text(o, root, "result_digest", i->digest);
    attr_text(o, root, "extra_digest", c->extra_digest);
    H5Gclose(root);
}

static void write_env(struct out *o, const struct content *c)
{
    make_groups(o, "/env/");
    hid_t env = H5Gopen2(o->file, "/env", H5P_DEFAULT);
    attr_f64(o, env, "started", c->info.started);
    attr_f64(o, env, "ended", c->info.ended);
    attr_f64(o, env, "seconds", c->info.seconds);
    attr_i64(o, env, "generations", c->generations);
    H5Gclose(env);
}

static void write_content(struct out *o, const struct content *c)
{
    write_root(o, c);
    for (int i = 0; i < HEAD_COUNT; i++)
        if (c->heads[i]) {
            char path[32];
            snprintf(path, sizeof path, "/%s", head_names[i]);
            write_texts(o, path, RECORD_ENV, &c->heads[i], -1);
        }
    for (int64_t i = 0; i < c->series_n && !o->bad; i++)
        write_series(o, &c->series[i]);
    for (int64_t i = 0; i < c->items_n && !o->bad; i++) {
        const struct item *it = &c->items[i];
        if (it->kind == ITEM_ARRAY)
            write_array(o, it);
        else if (it->kind == ITEM_TEXT)
            write_texts(o, it->pub.path, it->pub.cls, it->texts, it->texts_n);
        else
            write_reference(o, it);
    }
    for (int64_t i = 0; i < c->parts_n && !o->bad; i++)
        write_part_link(o, &c->parts[i]);
    if (!c->is_part)
        write_env(o, c);
}

static hid_t link_plist(void)
{
    hid_t p = H5Pcreate(H5P_LINK_CREATE);

    H5Pset_char_encoding(p, H5T_CSET_UTF8);
    return p;
}

static hid_t group_plist(void)
{
    hid_t p = H5Pcreate(H5P_GROUP_CREATE);

    H5Pset_obj_track_times(p, false);
    H5Pset_link_creation_order(p, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
    return p;
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

/*
 * The seal: 32 bytes behind the end of the HDF5 file, which its readers ignore: mark,
 * length, CRC-32C of all before. HDF5 1.10 crashes on some damaged files, so it is shown
 * none that the seal does not fit.
 */
#define SEAL_MARK "retort seal 1\n\n\n"
#define SEAL_BYTES 32

static void make_seal(char seal[SEAL_BYTES], const unsigned char *data, int64_t len)
{
    uint32_t crc = crc32c(0, data, (size_t)len);

    memset(seal, 0, SEAL_BYTES);
    memcpy(seal, SEAL_MARK, 16);
    memcpy(seal + 16, &len, 8);
    memcpy(seal + 24, &crc, 4);
}

static int check_seal(const struct file_map *map, const char *path, struct err *err)
{
    char want[SEAL_BYTES];
    int64_t len = map->len - SEAL_BYTES;

    if (len < 0 || memcmp(map->data + len, SEAL_MARK, 16) != 0)
        return err_set(err, ERR_INPUT,
                       "%s: is damaged: its end is missing, or it is no run", path);
    make_seal(want, map->data, len);
    if (memcmp(map->data + len, want, SEAL_BYTES) != 0)
        return err_set(err, ERR_INPUT, "%s: is damaged: its checksum is wrong", path);
    return 0;
}

/* Appends the seal, and syncs. */
static int put_seal(const char *path, struct err *err)
{
    int rc = -1;
    char seal[SEAL_BYTES];
    struct file_map map = {NULL, 0};
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

    if (fd < 0) {
        err_errno(err, "%s", path);
        goto done;
    }
    if (file_map(&map, path, err))
        goto done;
    make_seal(seal, map.data, map.len);
    if (file_write_fd(fd, seal, SEAL_BYTES, path, err))
        goto done;
    rc = fsync(fd) ? err_errno(err, "%s", path) : 0;
done:
    file_unmap(&map);
    if (fd >= 0)
        close(fd);
    return rc;
}

int h5_write(const char *path, const struct content *c, struct err *err)
{
    int rc = -1;
    struct out o;

    pthread_mutex_lock(&lock);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    o = (struct out){create_file(path), link_plist(), H5Pcreate(H5P_DATASET_CREATE),
                     group_plist(), false};
    if (o.file < 0) {
        h5_fail(err, ERR_IO, path, "cannot be made");
        goto done;
    }
    H5Pset_obj_track_times(o.dcpl, false);
    H5Pset_fill_time(o.dcpl, H5D_FILL_TIME_NEVER);
    write_content(&o, c);
    if (H5Fclose(o.file) < 0 || o.bad) {
        h5_fail(err, ERR_IO, path, "cannot be written");
        goto done;
    }
    rc = put_seal(path, err);
done:
    H5Pclose(o.gcpl);
    H5Pclose(o.dcpl);
    H5Pclose(o.lcpl);
    pthread_mutex_unlock(&lock);
    return rc;
}

/* ---- reading ---- */

struct in {
    struct content *c;
    const struct file_map *map;
    const char *file;
    struct err *err;
    char path[2048]; /* of the group we are in, without a slash at its end */
    int depth;
    int64_t objects, objects_max; /* a hostile file's links may form a ring */
};

/* A fixed-length text attribute on the heap; NULL if absent or odd. */
static char *attr_read_text(hid_t at, const char *name)
{
    char *s = NULL;

    if (H5Aexists(at, name) <= 0)
        return NULL;
    hid_t a = H5Aopen(at, name, H5P_DEFAULT);
    hid_t t = H5Aget_type(a), space = H5Aget_space(a);
    size_t n = H5Tget_size(t);
    if (H5Tget_class(t) == H5T_STRING && H5Tis_variable_str(t) == 0 && n &&
        n <= ATTR_MAX && H5Sget_simple_extent_npoints(space) == 1 &&
        (s = calloc(n + 1, 1)) && H5Aread(a, t, s) < 0) {
        free(s);
        s = NULL;
    }
    H5Sclose(space);
    H5Tclose(t);
    H5Aclose(a);
    return s;
}

static void attr_field(hid_t at, const char *name, char *field, size_t size)
{
    char *s = attr_read_text(at, name);

    field_set(field, size, s);
    free(s);
}

/* 1 if it was there. */
static int attr_number(hid_t at, const char *name, hid_t type, void *out)
{
    int rc = 0;

    if (H5Aexists(at, name) <= 0)
        return 0;
    hid_t a = H5Aopen(at, name, H5P_DEFAULT), space = H5Aget_space(a);
    if (H5Sget_simple_extent_npoints(space) == 1)
        rc = H5Aread(a, type, out) >= 0;
    H5Sclose(space);
    H5Aclose(a);
    return rc;
}

static int bad(struct in *in, const char *what)
{
    return err_set(in->err, ERR_INPUT, "%s: %s: %s", in->file,
                   in->path[0] ? in->path : "/", what);
}

static int get_class(struct in *in, hid_t at, enum record_class *out)
{
    char *s = attr_read_text(at, "class");
    int rc = s ? class_parse(out, s) : -1;

    free(s);
    return rc ? bad(in, "lacks the attribute class (result, extra or env)") : 0;
}

/* The dataset's bytes: in the mapping if they lie there as they are, else read. */
static int get_bytes(struct in *in, hid_t d, hid_t type, int64_t bytes, const void **data,
                     void **owned)
{
    haddr_t at = H5Dget_offset(d);

    *data = *owned = NULL;
    if (at != HADDR_UNDEF && at % 8 == 0 && bytes > 0) {
        if (at > (haddr_t)in->map->len || bytes > in->map->len - (int64_t)at)
            return bad(in, "its data lies outside of the file");
        *data = in->map->data + at;
        return 0;
    }
    /* Compressed at most 1000-fold: a hostile size asks for no more than that. */
    if (bytes / 1100 > in->map->len)
        return bad(in, "is larger than the file can hold");
    *owned = mem_new(bytes + 1, 1, in->err);
    if (!*owned)
        return -1;
    if (bytes && H5Dread(d, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, *owned) < 0) {
        free(*owned);
        *owned = NULL;
        return bad(in, "cannot be read");
    }
    *data = *owned;
    return 0;
}

static int get_shape(struct in *in, hid_t d, struct shape *shape)
{
    hsize_t dim[H5S_MAX_RANK];
    hid_t space = H5Dget_space(d);
    int rank = H5Sget_simple_extent_ndims(space);
    int rc = rank < 0 || rank > RANK_MAX ||
             H5Sget_simple_extent_type(space) == H5S_NULL ||
             (rank && H5Sget_simple_extent_dims(space, dim, NULL) < 0);

    H5Sclose(space);
    if (rc)
        return bad(in, "has no plain shape of at most 4 dimensions");
    shape->rank = rank;
    for (int i = 0; i < rank; i++) {
        if (dim[i] > INT64_MAX)
            return bad(in, "is too large");
        shape->dim[i] = (int64_t)dim[i];
    }
    return 0;
}

static int get_dims(struct in *in, hid_t d, struct item *it)
{
    char *s = attr_read_text(d, "dims");
    char *p = s;

    for (int i = 0; p && i < it->pub.shape.rank; i++) {
        size_t n = strcspn(p, ",");
        if (n && !(it->dim[i] = mem_strndup(p, n, in->err))) {
            free(s);
            return -1;
        }
        p = p[n] ? p + n + 1 : NULL;
    }
    free(s);
    return 0;
}

static int split_texts(struct in *in, struct item *it, const char *flat, size_t width,
                       int64_t n)
{
    it->texts = mem_new(n + 1, sizeof *it->texts, in->err);
    for (int64_t i = 0; it->texts && i < n; i++) {
        const char *s = flat + (size_t)i * width;
        it->texts[i] = mem_strndup(s, strnlen(s, width), in->err);
        if (!it->texts[i])
            return -1;
        it->pub.bytes += (int64_t)strlen(it->texts[i]);
    }
    return it->texts ? 0 : -1;
}

static int get_texts(struct in *in, hid_t d, hid_t type, struct item *it)
{
    size_t width = H5Tget_size(type);
    int64_t n = 1, bytes;
    const void *data;
    void *owned;

    if (H5Tis_variable_str(type) != 0 || it->pub.shape.rank > 1 || !width ||
        width > INT64_MAX)
        return bad(in, "is not a text of fixed length");
    if (it->pub.shape.rank)
        n = it->pub.shape.dim[0];
    if (mem_product(&bytes, n, (int64_t)width, in->err) ||
        get_bytes(in, d, type, bytes, &data, &owned))
        return -1;
    it->kind = ITEM_TEXT;
    it->pub.is_text = true;
    it->texts_n = it->pub.shape.rank ? n : -1;
    int rc = split_texts(in, it, data, width, n);
    free(owned);
    return rc;
}

static int get_array(struct in *in, hid_t d, hid_t type, struct item *it)
{
    if (type_dtype(&it->pub.dtype, type))
        return bad(in, "has a type that Retort does not write");
    it->kind = ITEM_ARRAY;
    if (item_bytes(&it->pub.bytes, it->pub.shape, it->pub.dtype, in->err) ||
        get_dims(in, d, it))
        return -1;
    return get_bytes(in, d, type, it->pub.bytes, &it->data, &it->owned);
}

/* /spec and its like, or NULL. */
static char **head_at(struct in *in)
{
    for (int i = 0; i < HEAD_COUNT; i++)
        if (!strcmp(in->path + 1, head_names[i]))
            return &in->c->heads[i];
    return NULL;
}

static int read_item(struct in *in, hid_t d)
{
    int rc = -1;
    struct item it = {.kind = ITEM_ARRAY};
    hid_t type = H5Dget_type(d);

    it.pub.path = mem_strdup(in->path, in->err);
    if (!it.pub.path || get_class(in, d, &it.pub.cls) || get_shape(in, d, &it.pub.shape))
        goto done;
    if (H5Tget_class(type) == H5T_STRING ? get_texts(in, d, type, &it)
                                         : get_array(in, d, type, &it))
        goto done;
    char **head = head_at(in);
    if (head && !*head && it.kind == ITEM_TEXT && it.texts_n < 0) {
        *head = it.texts[0];
        it.texts[0] = NULL;
        rc = 0;
    } else {
        rc = content_item(in->c, &it, in->err);
    }
done:
    item_clear(&it);
    H5Tclose(type);
    return rc;
}

/* n numbers of 8 bytes from a dataset of one dimension, on the heap. */
static void *read_column(struct in *in, hid_t group, const char *name, hid_t type,
                         int64_t *n)
{
    void *copy = NULL;
    struct shape s;
    const void *data;
    void *owned = NULL;
    hid_t d = H5Dopen2(group, name, H5P_DEFAULT);
    hid_t t = d < 0 ? -1 : H5Dget_type(d);

    if (d < 0 || H5Tequal(t, type) <= 0) {
        bad(in, "is not a series of step (i64) and value (f64)");
    } else if (!get_shape(in, d, &s)) {
        if (s.rank != 1 || s.dim[0] > in->map->len)
            bad(in, "a series is longer than the file, or not a column");
        else if (!get_bytes(in, d, type, 8 * s.dim[0], &data, &owned)) {
            copy = mem_new(s.dim[0] + 1, 8, in->err);
            if (copy && s.dim[0])
                memcpy(copy, data, (size_t)s.dim[0] * 8);
            *n = s.dim[0];
        }
    }
    free(owned);
    H5Tclose(t);
    H5Dclose(d);
    return copy;
}

static int read_series(struct in *in, hid_t group, const char *name)
{
    int64_t n = 0, m = 0;
    enum record_class cls = RECORD_RESULT;
    hid_t d = H5Dopen2(group, "value", H5P_DEFAULT);
    int rc = d < 0 ? bad(in, "has no value") : get_class(in, d, &cls);

    H5Dclose(d);
    if (rc)
        return -1;
    int64_t *step = read_column(in, group, "step", H5T_STD_I64LE, &n);
    double *value = step ? read_column(in, group, "value", H5T_IEEE_F64LE, &m) : NULL;
    if (!step || !value || n != m) {
        free(step);
        free(value);
        return bad(in, "step and value differ in length");
    }
    return content_series(in->c, cls, name, n, step, value, in->err);
}

/* The metric's name if the path is below one of the roots of series, else NULL. */
static const char *series_name(const char *path)
{
    if (!strncmp(path, "/metrics/", 9))
        return path + 9;
    return !strncmp(path, "/env/metrics/", 13) ? path + 13 : NULL;
}

static int read_external(struct in *in, hid_t group, const char *name, size_t size)
{
    if (!strncmp(in->path, "/steps/", 7))
        return 0; /* /parts names the file */

    int rc = -1;
    unsigned flags;
    const char *file, *object;
    struct item it = {.kind = ITEM_REFERENCE};
    char *value = mem_new((int64_t)size + 1, 1, in->err);

    if (!value)
        return -1;
    if (H5Lget_val(group, name, value, size, H5P_DEFAULT) < 0 ||
        H5Lunpack_elink_val(value, size, &flags, &file, &object) < 0 ||
        strlen(file) != 80 || strncmp(file, "../../", 6) != 0 ||
        strcmp(file + 73, "/run.h5") != 0 || object[0] != '/') {
        bad(in, "is a link to something that is no run of the store");
        goto done;
    }
    it.pub.path = mem_strdup(in->path, in->err);
    it.pub.origin = mem_printf(in->err, "%.64s:%s", file + 9, object);
    if (it.pub.path && it.pub.origin)
        rc = content_item(in->c, &it, in->err);
done:
    item_clear(&it);
    free(value);
    return rc;
}

static herr_t visit(hid_t group, const char *name, const H5L_info_t *info, void *ctx);

/* Has it a dataset named value? "value" may also be a group, a part of other series'
 * names. */
static bool is_series(hid_t g)
{
    hid_t d =
        H5Lexists(g, "value", H5P_DEFAULT) > 0 ? H5Dopen2(g, "value", H5P_DEFAULT) : -1;

    H5Dclose(d);
    return d >= 0;
}

static int read_group(struct in *in, hid_t g)
{
    hsize_t at = 0;

    if (in->depth >= DEPTH_MAX)
        return bad(in, "groups lie too deep");
    if (series_name(in->path) && is_series(g) &&
        read_series(in, g, series_name(in->path)))
        return -1;
    in->depth++;
    herr_t rc = H5Literate(g, H5_INDEX_CRT_ORDER, H5_ITER_INC, &at, visit, in);
    in->depth--;
    return rc < 0 ? bad(in, "its members cannot be read") : 0;
}

static int read_object(struct in *in, hid_t group, const char *name)
{
    int rc = 0;
    hid_t o = H5Oopen(group, name, H5P_DEFAULT);

    if (o < 0)
        return bad(in, "cannot be opened");
    if (H5Iget_type(o) == H5I_GROUP)
        rc = read_group(in, o);
    else if (H5Iget_type(o) != H5I_DATASET)
        rc = bad(in, "is neither group nor dataset");
    else if (!series_name(in->path))
        rc = read_item(in, o);
    H5Oclose(o);
    return rc;
}

static herr_t visit(hid_t group, const char *name, const H5L_info_t *info, void *ctx)
{
    struct in *in = ctx;
    size_t n = strlen(in->path), m = strlen(name);
    int rc;

    if (++in->objects > in->objects_max || n + m + 2 > sizeof in->path)
        return bad(in, "holds more objects than it can");
    in->path[n] = '/';
    memcpy(in->path + n + 1, name, m + 1);
    if (info->type == H5L_TYPE_EXTERNAL)
        rc = read_external(in, group, name, info->u.val_size);
    else if (info->type == H5L_TYPE_HARD)
        rc = read_object(in, group, name);
    else
        rc = bad(in, "is a link of an unknown kind");
    if (!rc)
        in->path[n] = 0;
    return rc;
}

static int read_root(struct in *in, hid_t root)
{
    struct run_info *i = &in->c->info;
    char format[32];
    int64_t version = 0;

    attr_field(root, "format", format, sizeof format);
    if (strcmp(format, in->c->is_part ? FORMAT_PART : FORMAT) != 0)
        return bad(in, in->c->is_part ? "is HDF5, but no snapshot of a run"
                                      : "is HDF5, but no run of Retort");
    attr_number(root, "format_version", H5T_NATIVE_INT64, &version);
    if (version != FORMAT_VERSION)
        return err_set(in->err, ERR_INPUT,
                       "%s: format version %lld; this program reads %d", in->file,
                       (long long)version, FORMAT_VERSION);
    attr_field(root, "run_id", i->id, sizeof i->id);
    if (!id_is_valid(i->id))
        return bad(in, "its run_id is no SHA-256");
    if (in->c->is_part) {
        attr_number(root, "step", H5T_NATIVE_INT64, &i->step);
        return 0;
    }
    attr_field(root, "name", i->name, sizeof i->name);
    attr_field(root, "stage", i->stage, sizeof i->stage);
    attr_field(root, "method", i->method, sizeof i->method);
    attr_field(root, "variables", i->variables, sizeof i->variables);
    i->has_seed = attr_number(root, "seed", H5T_NATIVE_UINT64, &i->seed);
    attr_field(root, "env_class", i->env_class, sizeof i->env_class);
    attr_field(root, "result_digest", i->digest, sizeof i->digest);
    attr_field(root, "extra_digest", in->c->extra_digest, sizeof in->c->extra_digest);
    if (H5Lexists(root, "env", H5P_DEFAULT) > 0) {
        hid_t env = H5Gopen2(root, "env", H5P_DEFAULT);
        attr_number(env, "started", H5T_NATIVE_DOUBLE, &i->started);
        attr_number(env, "ended", H5T_NATIVE_DOUBLE, &i->ended);
        attr_number(env, "seconds", H5T_NATIVE_DOUBLE, &i->seconds);
        attr_number(env, "generations", H5T_NATIVE_INT64, &in->c->generations);
        H5Gclose(env);
    }
    return 0;
}

static int read_file(struct in *in)
{
    int rc = -1;
    hid_t fapl = H5Pcreate(H5P_FILE_ACCESS);

    H5Pset_fclose_degree(fapl, H5F_CLOSE_STRONG);
    hid_t f = H5Fopen(in->file, H5F_ACC_RDONLY, fapl);
    H5Pclose(fapl);
    if (f < 0)
        return h5_fail(in->err, ERR_INPUT, in->file, "is damaged, or no HDF5 file");
    hid_t root = H5Gopen2(f, "/", H5P_DEFAULT);
    if (root < 0)
        h5_fail(in->err, ERR_INPUT, in->file, "is damaged");
    else
        rc = read_root(in, root) ? -1 : read_group(in, root);
    H5Gclose(root);
    H5Fclose(f);
    return rc;
}

int h5_read(struct content **out, struct file_map *map, const char *path, bool part,
            struct err *err)
{
    int rc = -1;
    struct err local = ERR_INIT;
    struct in *in = NULL;

    *map = (struct file_map){NULL, 0};
    if (file_map(map, path, &local) || check_seal(map, path, &local))
        goto done;
    in = mem_new(1, sizeof *in, &local);
    if (!in)
        goto done;
    in->c = content_new(&local);
    in->map = map;
    in->file = path;
    in->err = &local;
    in->objects_max = map->len / 16;
    if (!in->c)
        goto done;
    in->c->is_part = part;
    pthread_mutex_lock(&lock);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    rc = read_file(in);
    pthread_mutex_unlock(&lock);
    if (!rc && (err_is_set(&local) || content_read_parts(in->c, &local)))
        rc = err_prefix(&local, "%s", path);
    in->c->info.bytes = map->len;
    for (int64_t i = 0; i < in->c->parts_n; i++)
        in->c->info.bytes += in->c->parts[i].bytes;
done:
    if (rc) {
        err_set(err, local.code, "%s", local.text);
        if (in)
            content_free(in->c);
        file_unmap(map);
    } else {
        *out = in->c;
    }
    free(in);
    return rc;
}
