/* What the verbs share. */
#include <stdio.h>
#include <stdlib.h>

#include "verbs.h"

const char *store_place(const char *given)
{
    const char *dir = given ? given : getenv("RETORT_STORE");

    return dir && dir[0] ? dir : "runs";
}

int tell_error(const struct err *err)
{
    fprintf(stderr, "retort: %s\n", err->text);
    return err_exit_code(err);
}
