/* The list of methods: those of list.def, then those of plug-ins. */
#include <stdlib.h>
#include <string.h>

#include "retort/mem.h"
#include "retort/method.h"

#define METHOD(x) extern const struct method method_##x;
#include "list.def"
#undef METHOD

static const struct method *const built_in[] = {
#define METHOD(x) &method_##x,
#include "list.def"
#undef METHOD
    NULL,
};

static const struct method *const *methods = built_in;

/* Of plug-ins, as long as the process lives. */
static const struct method **all;
static struct added {
    const struct method *method;
    char digest[65];
} * added;
static int64_t n_added;

void method_use(const struct method *const *list)
{
    methods = list ? list : all ? all : built_in;
}

const struct method *const *method_list(void)
{
    return methods;
}

const struct method *method_find(const char *name)
{
    for (const struct method *const *m = methods; *m; m++)
        if (!strcmp((*m)->name, name))
            return *m;
    return NULL;
}

int method_add(const struct method *m, const char *digest, struct err *err)
{
    int64_t n = (int64_t)(sizeof built_in / sizeof *built_in) - 1 + n_added;
    const struct method **more;
    struct added *list;

    if (method_find(m->name))
        return err_set(err, ERR_INPUT, "there is a method %s already", m->name);
    more = mem_new(n + 2, sizeof *more, err);
    if (!more)
        return -1;
    list = mem_resize(added, n_added + 1, sizeof *added, err);
    if (!list) {
        free(more);
        return -1;
    }
    memcpy(more, all ? (const void *)all : (const void *)built_in,
           (size_t)n * sizeof *more);
    more[n] = m;
    free(all);
    all = more;
    added = list;
    added[n_added].method = m;
    memcpy(added[n_added].digest, digest, sizeof added->digest);
    n_added++;
    methods = all;
    return 0;
}

const char *method_plugin(const struct method *m)
{
    for (int64_t i = 0; i < n_added; i++)
        if (added[i].method == m)
            return added[i].digest;
    return NULL;
}
