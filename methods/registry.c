/* The list of methods, from list.def. */
#include <string.h>

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

void method_use(const struct method *const *list)
{
    methods = list ? list : built_in;
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
