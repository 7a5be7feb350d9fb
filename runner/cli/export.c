/* retort export --hf RUN DIR: a run's model as a Hugging Face folder. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "retort/file.h"
#include "retort/store.h"
#include "verbs.h"

static int usage(FILE *to)
{
    fputs("usage: retort export --hf RUN DIR [--store DIR]\n\n"
          "Writes config.json, model.safetensors, vocab.txt and tokenizer_config.json. "
          "DIR must not be there.\n",
          to);
    return to == stderr ? 2 : 0;
}

static int export_hf(struct store *store, const char *name, const char *dir,
                     struct err *err)
{
    struct run *run = NULL;
    struct model *m = NULL;
    char id[65];
    int rc = -1;

    if (file_exists(dir))
        return err_set(err, ERR_INPUT, "%s is there already; name a new folder", dir);
    if (store_resolve(store, name, id, err) || run_open(&run, store, id, false, err))
        return -1;
    if (artifact_model(&m, run_artifact(run), err))
        err_prefix(err, "run %.10s has no model to export", id);
    else
        rc = model_save(m, dir, NULL, err);
    model_free(m);
    run_close(run);
    return rc;
}

int verb_export(int argc, char **argv)
{
    struct err err = ERR_INIT;
    struct store *store = NULL;
    const char *where = NULL, *arg[2] = {NULL, NULL};
    bool hf = false;
    int n = 0;

    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--help"))
            return usage(stdout);
        if (!strcmp(argv[i], "--hf"))
            hf = true;
        else if (!strcmp(argv[i], "--store") && i + 1 < argc)
            where = argv[++i];
        else if (argv[i][0] != '-' && n < 2)
            arg[n++] = argv[i];
        else
            return usage(stderr);
    }
    if (!hf || n != 2)
        return usage(stderr);
    if (store_open(&store, store_place(where), false, &err) ||
        export_hf(store, arg[0], arg[1], &err))
        tell_error(&err);
    store_close(store);
    return err_exit_code(&err);
}
