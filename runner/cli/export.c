/* retort export --hf RUN DIR: a run's model as a Hugging Face folder. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "retort/file.h"
#include "retort/store.h"
#include "verbs.h"

struct args {
    struct common common;
    const char *run, *dir;
    bool hf;
};

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

static int run(const void *given)
{
    const struct args *args = given;
    struct err err = ERR_INIT;
    struct store *store = NULL;

    if (!args->hf)
        err_set(&err, ERR_INPUT, "say what to export: --hf");
    else if (!store_open(&store, args->common.store, false, &err))
        export_hf(store, args->run, args->dir, &err);
    store_close(store);
    return err_is_set(&err) ? tell_error(&err) : 0;
}

static const struct operand operands[] = {
    {.name = "RUN",
     .help = "a run: the first digits of its id (4 or more), or its label",
     .offset = offsetof(struct args, run)},
    {.name = "DIR",
     .help = "folder to make; it must not be there",
     .offset = offsetof(struct args, dir)},
    OPERAND_END,
};
static const struct flag flags[] = {
    {.name = "hf",
     .type = OPT_BOOL,
     .help = "the run's model as a Hugging Face folder: config.json, model.safetensors, "
             "vocab.txt, "
             "tokenizer_config.json",
     .offset = offsetof(struct args, hf)},
    FLAG_END,
};

const struct verb verb_export = {
    .name = "export",
    .group = "Results",
    .summary = "a run's model as a Hugging Face folder",
    .synopsis = "--hf RUN DIR",
    .operands = operands,
    .flags = flags,
    .common = COMMON_STORE,
    .size = sizeof(struct args),
    .run = run,
};
