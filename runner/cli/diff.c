/* retort diff A B [--tensors]: what tells two runs apart. Exit code 0: equal results, 1:
 * not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "retort/report.h"
#include "verbs.h"

static int usage(FILE *to)
{
    fputs("usage: retort diff A B [--tensors] [--store DIR]\n\n"
          "A and B are runs: ids (4 digits or more) or labels.\n",
          to);
    return to == stderr ? 2 : 0;
}

static int open_one(struct run **out, struct store *store, const char *name,
                    struct err *err)
{
    char id[65];

    return store_resolve(store, name, id, err) || run_open(out, store, id, false, err)
               ? -1
               : 0;
}

int verb_diff(int argc, char **argv)
{
    struct err err = ERR_INIT;
    struct strbuf out = STRBUF_INIT;
    struct diff_options opt = {false};
    struct store *store = NULL;
    struct run *run[2] = {NULL, NULL};
    const char *where = NULL, *name[2] = {NULL, NULL};
    bool same = false;
    int n = 0, rc;

    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--help"))
            return usage(stdout);
        if (!strcmp(argv[i], "--tensors"))
            opt.tensors = true;
        else if (!strcmp(argv[i], "--store") && i + 1 < argc)
            where = argv[++i];
        else if (argv[i][0] != '-' && n < 2)
            name[n++] = argv[i];
        else
            return usage(stderr);
    }
    if (n != 2)
        return usage(stderr);
    if (store_open(&store, store_place(where), false, &err) ||
        open_one(&run[0], store, name[0], &err) ||
        open_one(&run[1], store, name[1], &err) ||
        diff_runs(&out, &same, run[0], run[1], &opt, &err)) {
        rc = tell_error(&err);
    } else {
        fputs(strbuf_text(&out), stdout);
        rc = same ? 0 : 1;
    }
    strbuf_release(&out);
    run_close(run[1]);
    run_close(run[0]);
    store_close(store);
    return rc;
}
