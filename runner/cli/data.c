/* retort data: what tasks are measured on, listed, fetched, checked. */
#include <stdio.h>
#include <string.h>

#include "retort/fetch.h"
#include "retort/spec.h"
#include "verbs.h"

struct args {
    struct common common;
    struct string_list what;
};

static const struct data_source *find(const char *name)
{
    const struct data_source *s = data_sources();

    while (s->name && strcmp(s->name, name) != 0)
        s++;
    return s->name ? s : NULL;
}

static int unknown(const char *name, struct err *err)
{
    const char *names[64], *near;
    int n = 0;

    for (const struct data_source *s = data_sources(); s->name && n < 62; s++)
        names[n++] = s->name;
    names[n] = NULL;
    near = nearest_name(name, names);
    return err_set(err, ERR_INPUT, "nobody knows where %.100s comes from%s%s%s", name,
                   near ? "; did you mean " : "; `retort data ls` lists what is known",
                   near ? near : "", near ? "?" : "");
}

static int get_one(const struct args *a, const struct data_source *s, struct err *err)
{
    int rc = data_get(s, task_data_dir(), !a->common.quiet, err);

    if (rc >= 0 && !a->common.quiet)
        fprintf(stderr, "%s: %s %s\n", s->name, rc ? "is whole below" : "stands below",
                task_data_dir());
    return rc < 0 ? -1 : 0;
}

/* "glue" and "squad" are all of theirs. */
static int get(const struct args *a, const char *name, struct err *err)
{
    const struct data_source *one = find(name);
    size_t n = strlen(name);
    bool any = false;

    if (one)
        return get_one(a, one, err);
    for (const struct data_source *s = data_sources(); s->name; s++) {
        if (strncmp(s->name, name, n) != 0 || s->name[n] != '/')
            continue;
        any = true;
        if (get_one(a, s, err))
            return -1;
    }
    return any ? 0 : unknown(name, err);
}

static void list(void)
{
    for (const struct data_source *s = data_sources(); s->name; s++)
        printf("%-12s  %-7s  %s\n", s->name,
               data_is_there(s, task_data_dir()) ? "there" : "-", s->what);
}

static int run(const void *given)
{
    const struct args *a = given;
    struct err err = ERR_INIT;

    if (!strcmp(a->what.v[0], "ls") && a->what.n == 1) {
        list();
        return 0;
    }
    if (strcmp(a->what.v[0], "get") != 0 || a->what.n < 2) {
        err_set(&err, ERR_INPUT, "write `retort data ls` or `retort data get NAME...`");
        return tell_error(&err);
    }
    for (int64_t i = 1; i < a->what.n; i++)
        if (get(a, a->what.v[i], &err))
            return tell_error(&err);
    return 0;
}

static const struct operand operands[] = {
    {.name = "WHAT",
     .many = true,
     .help =
         "ls: all that can be fetched, and whether it is there; get NAME...: glue/sst2, "
         "squad/v1, or all of glue or squad",
     .offset = offsetof(struct args, what)},
    OPERAND_END,
};

const struct verb verb_data = {
    .name = "data",
    .group = "Experiments",
    .summary = "fetch what tasks are measured on: GLUE, SQuAD",
    .synopsis = "ls\nget NAME...",
    .operands = operands,
    .common = COMMON_QUIET,
    .about =
        "The original files are downloaded (and resumed), checked against their "
        "published "
        "digests, unpacked aside, counted, and put below RETORT_DATA, or the data cache. "
        "An "
        "archive that would write anywhere else is refused. Data that are there are "
        "counted, and "
        "left alone. RETORT_MIRROR names a server that has them at MIRROR/host/path.\n\n"
        "  retort data get glue/mrpc squad/v1",
    .size = sizeof(struct args),
    .run = run,
};
