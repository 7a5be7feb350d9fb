/* What runs are compared by: SHA-256 over their content. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

struct entry {
    const char *path; /* of an item; a series' name sorts as "/metrics/" + name */
    const struct item *item;
    const struct points *series;
};

/* Texts are hashed with their length, numbers as 8 bytes: no two contents
 * run together. */
static void add_number(struct sha256 *h, int64_t x)
{
    sha256_add(h, &x, sizeof x);
}

static void add_text(struct sha256 *h, const char *s)
{
    add_number(h, (int64_t)strlen(s));
    sha256_add(h, s, (int64_t)strlen(s));
}

static void add_entry(struct sha256 *h, const struct entry *e)
{
    if (e->series) {
        add_text(h, "series");
        add_text(h, e->series->name);
        add_number(h, e->series->n);
        sha256_add(h, e->series->step, e->series->n * 8);
        sha256_add(h, e->series->value, e->series->n * 8);
        return;
    }
    const struct item *it = e->item;
    add_text(h, e->path);
    if (it->kind == ITEM_REFERENCE) {
        add_text(h, "reference");
        add_text(h, it->pub.origin);
    } else if (it->kind == ITEM_TEXT) {
        add_text(h, "text");
        add_number(h, it->texts_n);
        for (int64_t i = 0; i < (it->texts_n < 0 ? 1 : it->texts_n); i++)
            add_text(h, it->texts[i]);
    } else {
        add_text(h, item_dtype_name(it->pub.dtype));
        add_number(h, it->pub.shape.rank);
        for (int i = 0; i < it->pub.shape.rank; i++)
            add_number(h, it->pub.shape.dim[i]);
        sha256_add(h, it->data, it->pub.bytes);
    }
}

/* Items by path, then series by name. */
static int by_path(const void *pa, const void *pb)
{
    const struct entry *a = pa, *b = pb;

    if (!a->series != !b->series)
        return a->series ? 1 : -1;
    return strcmp(a->path, b->path);
}

int content_digest(const struct content *c, enum record_class cls, char out[65],
                   struct err *err)
{
    int rc = -1;
    int64_t n = 0;
    struct entry *e = mem_new(c->items_n + c->series_n, sizeof *e, err);
    struct sha256 *h = sha256_new(err);

    if (!e || !h)
        goto done;
    for (int64_t i = 0; i < c->items_n; i++)
        if (c->items[i].pub.cls == cls)
            e[n++] = (struct entry){c->items[i].pub.path, &c->items[i], NULL};
    for (int64_t i = 0; i < c->series_n; i++)
        if (c->series[i].cls == cls)
            e[n++] = (struct entry){c->series[i].name, NULL, &c->series[i]};
    qsort(e, (size_t)n, sizeof *e, by_path);
    add_text(h, "retort result 1");
    for (int64_t i = 0; i < n; i++)
        add_entry(h, &e[i]);
    rc = sha256_hex(h, out, err);
done:
    sha256_free(h);
    free(e);
    return rc;
}
