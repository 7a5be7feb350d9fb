/*
 * The disk that a job will take: as an earlier run of its like, and what its "record"
 * adds, by sizes read from that run: steps, model, length of the examples.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "retort/file.h"
#include "state.h"

#define CONFIG_MAX (1 << 20)

/* ---- the model ---- */

static void read_config(struct record_facts *f, const char *text)
{
    struct json_doc *doc = text ? quiet_json(text) : NULL;
    const struct json *root = doc ? json_root(doc) : NULL;

    f->layers = json_int(json_get(root, "num_hidden_layers"));
    f->width = json_int(json_get(root, "hidden_size"));
    f->heads = json_int(json_get(root, "num_attention_heads"));
    json_doc_free(doc);
}

static void read_run_config(struct record_facts *f, struct run *run)
{
    struct artifact *a = run_artifact(run);
    struct err quiet = ERR_INIT;
    const char *const *text;
    int64_t n;

    if (!a->text(a->ctx, "/model/config", &text, &n, &quiet))
        read_config(f, text[0]);
}

static void read_folder_config(struct record_facts *f, const char *dir)
{
    struct err quiet = ERR_INIT;
    char *path = path_join(dir, "config.json", &quiet), *text = NULL;

    if (path && !file_read(&text, NULL, path, CONFIG_MAX, &quiet))
        read_config(f, text);
    free(text);
    free(path);
}

/* A stage that gives no model tells no sizes itself: those of its input, of the job's a
 * folder, of the earlier run another run. */
static void read_input_config(struct record_facts *f, struct states *s,
                              const struct job *job, struct run *like)
{
    struct json_doc *doc = quiet_json(run_head_text(like, "resolved"));
    const struct json *inputs = doc ? json_get(json_root(doc), "inputs") : NULL;
    const char *id = json_string(json_get(json_at(json_get(inputs, "model"), 0), "job"));
    struct err quiet = ERR_INIT;
    struct run *run = NULL;

    for (int64_t i = 0; i < job->n_inputs; i++)
        if (!strcmp(job->input[i].name, "model") && job->input[i].n &&
            job->input[i].path && job->input[i].path[0])
            read_folder_config(f, job->input[i].path[0]);
    if (!f->layers && id && !run_open(&run, s->pl->store, id, false, &quiet))
        read_run_config(f, run);
    run_close(run);
    json_doc_free(doc);
}

static void count_tensors(struct record_facts *f, struct run *run)
{
    for (int64_t i = 0; i < run_item_count(run); i++) {
        const struct run_item *it = run_item(run, i);
        if (it->origin || strncmp(it->path, "/tensors/", 9) != 0)
            continue;
        f->parameters += shape_count(it->shape);
        f->tensors++;
    }
}

/* ---- the data ---- */

/* Mean length of the examples of a snapshot; 0 if there is none. */
static double recorded_tokens(struct run *run)
{
    struct artifact *a = run_artifact(run);
    struct err quiet = ERR_INIT;
    const int64_t *steps;
    struct array offset;
    int64_t n = 0;
    char path[64];

    if (run_steps(run, &steps, &n, &quiet) || !n)
        return 0;
    snprintf(path, sizeof path, "/steps/%lld/batch/offset", (long long)steps[0]);
    if (a->array(a->ctx, path, &offset, &quiet) || offset.dtype != DT_I32 ||
        offset.shape.rank != 1 || offset.shape.dim[0] < 2)
        return 0;
    int64_t sequences = offset.shape.dim[0] - 1;
    return (double)((const int32_t *)offset.data)[sequences] / (double)sequences;
}

/* Examples that a stage without steps sees: those it gives predictions of. */
static int64_t evaluated(struct run *run)
{
    for (int64_t i = 0; i < run_item_count(run); i++) {
        const struct run_item *it = run_item(run, i);
        if (!strncmp(it->path, "/eval/", 6) && it->shape.rank > 0)
            return it->shape.dim[0];
    }
    return 0;
}

static void read_data(struct record_facts *f, struct run *run, const struct job *job,
                      double ratio)
{
    struct json_doc *doc = quiet_json(job->resolved);
    const struct json *opt = doc ? json_get(json_root(doc), "options") : NULL;
    struct err quiet = ERR_INIT;
    struct series loss;
    int64_t max_len = json_int(json_get(opt, "max_len"));

    f->steps = 1;
    f->batch = json_int(json_get(opt, "batch"));
    if (!run_series_find(run, "train/loss", &loss, &quiet))
        f->steps = (int64_t)((double)loss.n * ratio + 0.5);
    else
        f->batch = evaluated(run);
    f->tokens = recorded_tokens(run);
    if (f->tokens <= 0)
        f->tokens = (double)max_len / 2; /* most texts are shorter than what is allowed */
    json_doc_free(doc);
}

/* ---- the sum ---- */

static int64_t snapshot_bytes(struct run *run)
{
    struct artifact *a = run_artifact(run);
    struct err quiet = ERR_INIT;
    struct array bytes;
    int64_t sum = 0;

    if (a->array(a->ctx, "/parts/bytes", &bytes, &quiet) || bytes.dtype != DT_I64)
        return 0;
    for (int64_t i = 0; i < shape_count(bytes.shape); i++)
        sum += ((const int64_t *)bytes.data)[i];
    return sum;
}

int64_t expect_bytes(struct states *s, const struct job *job, const struct run_info *like,
                     double ratio)
{
    struct record_options record, old;
    struct record_facts f = {0};
    struct err quiet = ERR_INIT;
    struct run *run = NULL;
    int64_t bytes = like->bytes;

    if (record_parse(&record, job->record, &quiet) || s->read++ >= STATES_READ_MAX ||
        run_open(&run, s->pl->store, like->id, false, &quiet))
        return bytes;
    bytes -= snapshot_bytes(run);
    if (!strcmp(like->id, job->id) &&
        !record_parse(&old, run_head_text(run, "record"), &quiet))
        record = record_join(&record, &old); /* made again, it keeps what it had */
    if (!record_is_default(&record)) {
        read_run_config(&f, run);
        if (!f.layers)
            read_input_config(&f, s, job, run);
        count_tensors(&f, run);
        read_data(&f, run, job, ratio);
        int64_t more = record_bytes(&record, &f);
        bytes = more < INT64_MAX - bytes ? bytes + more : INT64_MAX;
    }
    run_close(run);
    return bytes;
}
