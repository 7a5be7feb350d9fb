/* retort export: runs for other programs. */
#include "export.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "retort/file.h"

/* ---- which runs ---- */

static int one_run(struct store *store, const char *id,
                   int (*fn)(void *ctx, const struct sweep_row *row, struct err *err),
                   void *ctx, struct err *err)
{
    struct sweep_row row = {.there = true};
    struct run_info info;

    if (store_stat(store, id, &info, err))
        return -1;
    if (info.state != RUN_SEALED)
        return err_set(err, ERR_INPUT, "run %.10s is %s; only sealed runs are exported",
                       id, run_state_word(info.state));
    memcpy(row.id, id, sizeof row.id);
    row.spec = info.name;
    row.stage = info.stage;
    row.method = info.method;
    row.variables = info.variables;
    row.seed = info.seed;
    row.has_seed = info.has_seed;
    return fn(ctx, &row, err);
}

static int one_sweep(struct store *store, const char *what, int64_t *missing,
                     int (*fn)(void *ctx, const struct sweep_row *row, struct err *err),
                     void *ctx, struct err *err)
{
    struct sweep sweep;
    int rc = 0;

    if (sweep_load(&sweep, store, what, err))
        return -1;
    *missing += sweep.missing;
    for (int64_t i = 0; i < sweep.n && !rc; i++)
        if (sweep.row[i].there)
            rc = fn(ctx, &sweep.row[i], err);
    sweep_release(&sweep);
    return rc;
}

int export_each(const struct string_list *what, struct store *store, int64_t *missing,
                int (*fn)(void *ctx, const struct sweep_row *row, struct err *err),
                void *ctx, struct err *err)
{
    int rc = 0;

    if (what->n == 0)
        return one_sweep(store, NULL, missing, fn, ctx, err);
    for (int64_t i = 0; i < what->n && !rc; i++) {
        char id[65];
        int kind = find_run_or_sweep(store, what->v[i], id, err);
        if (kind < 0)
            rc = -1;
        else if (kind)
            rc = one_run(store, id, fn, ctx, err);
        else
            rc = one_sweep(store, what->v[i], missing, fn, ctx, err);
    }
    return rc;
}

/* ---- --hf ---- */

int export_hf(const struct export_args *a, struct store *store, struct err *err)
{
    struct run *run = NULL;
    struct model *m = NULL;
    const char *dir;
    char id[65];
    int rc = -1;

    if (a->what.n != 2)
        return err_set(err, ERR_INPUT, "--hf needs a RUN and a folder to make");
    dir = a->what.v[1];
    if (file_exists(dir))
        return err_set(err, ERR_INPUT, "%s is there already; name a new folder", dir);
    if (find_run(store, a->what.v[0], id, err) || run_open(&run, store, id, false, err))
        return -1;
    if (artifact_model(&m, run_artifact(run), err))
        err_prefix(err, "run %.10s has no model to export", id);
    else
        rc = model_save(m, dir, NULL, err);
    model_free(m);
    run_close(run);
    return rc;
}

/* ---- the verb ---- */

static int export_what(const struct export_args *a, struct store *store, struct err *err)
{
    if (a->hf + a->csv + (a->glue != NULL) + (a->squad != NULL) + (a->notebook != NULL) !=
        1)
        return err_set(err, ERR_INPUT,
                       "say what to export: one of --notebook, --hf, --csv, --glue, "
                       "--squad");
    if ((a->metrics.n || a->steps || a->out) && !a->csv)
        return err_set(err, ERR_INPUT, "--metric, --steps and --out are of --csv");
    return a->hf         ? export_hf(a, store, err)
           : a->csv      ? export_csv(a, store, err)
           : a->squad    ? export_squad(a, store, err)
           : a->notebook ? export_notebook(a, store, err)
                         : export_glue(a, store, err);
}

static int run(const void *given)
{
    const struct export_args *a = given;
    struct err err = ERR_INIT;
    struct store *store = NULL;

    if (!store_open(&store, a->common.store, false, &err))
        export_what(a, store, &err);
    store_close(store);
    return err_is_set(&err) ? tell_error(&err) : 0;
}

#define AT(field) offsetof(struct export_args, field)
static const struct operand operands[] = {
    {.name = "WHAT",
     .optional = true,
     .many = true,
     .help = "runs (the first digits of an id, a label, \"latest\") and sweeps (a spec's "
             "file, or "
             "the name of a spec in the store); of --notebook also a table's declaration",
     .offset = AT(what)},
    OPERAND_END,
};
static const struct flag flags[] = {
    {.name = "notebook",
     .type = OPT_STRING,
     .value = "DIR",
     .help = "a new folder with a Jupyter notebook, the same as a script, and their data "
             "as HDF5 and CSV",
     .offset = AT(notebook)},
    {.name = "hf",
     .type = OPT_BOOL,
     .help = "a run's model as a Hugging Face folder: config.json, model.safetensors, "
             "vocab.txt, tokenizer_config.json",
     .offset = AT(hf)},
    {.name = "csv",
     .type = OPT_BOOL,
     .help = "metrics as tidy CSV, one line for each run and metric",
     .offset = AT(csv)},
    {.name = "glue",
     .type = OPT_STRING,
     .value = "DIR",
     .help = "submission files for gluebenchmark.com, from predictions of test sets",
     .offset = AT(glue)},
    {.name = "squad",
     .type = OPT_STRING,
     .value = "DIR",
     .help = "predictions.json, nbest_predictions.json and null_odds.json of a run that "
             "evaluated on SQuAD",
     .offset = AT(squad)},
    {.name = "out",
     .letter = 'o',
     .type = OPT_STRING,
     .value = "FILE",
     .help = "of --csv: write there, not to standard output",
     .offset = AT(out)},
    {.name = "metric",
     .letter = 'm',
     .type = OPT_STRINGS,
     .value = "NAME",
     .help = "of --csv: only this metric: its name, the end of it, or a pattern such as "
             "'eval/*' (may be given again)",
     .offset = AT(metrics)},
    {.name = "steps",
     .type = OPT_BOOL,
     .help = "of --csv: all values of a metric, not the last alone",
     .offset = AT(steps)},
    FLAG_END,
};

const struct verb verb_export = {
    .name = "export",
    .group = "Results",
    .summary = "runs for other programs: notebooks, CSV, GLUE, SQuAD, Hugging Face",
    .synopsis = "--notebook DIR [DECL] [WHAT...]\n--csv [options] [WHAT...]\n--glue DIR "
                "WHAT...\n--squad DIR RUN\n--hf RUN DIR",
    .operands = operands,
    .flags = flags,
    .common = COMMON_STORE | COMMON_QUIET,
    .about =
        "The CSV has the columns spec, stage, method, seed, one for each variable, task, "
        "split, "
        "metric, step, value, run. A stage that several points share is there once, with "
        "the "
        "variables empty in which they differ. A spec's file gives the runs that it asks "
        "for "
        "now, its name all runs it ever made; without WHAT all sealed runs are there.\n\n"
        "For GLUE, evaluate on \"split\": \"test\": the test sets have no labels, so "
        "there are "
        "predictions and no metric. A task whose predictions are missing is named, and "
        "the exit "
        "code is 1.\n\n"
        "The notebook opens its runs with h5py and pandas and rebuilds a declared table "
        "with its "
        "figure, or an overview of a sweep, training curves, maps of heads and what was "
        "predicted; the folder needs no store beside it.\n\n"
        "  retort export --notebook heads heads.table.json\n"
        "  retort export --csv heads.json -m f1 -o heads.csv\n"
        "  retort export --glue submission glue-test.json\n"
        "  retort export --squad answers latest",
    .size = sizeof(struct export_args),
    .run = run,
};
