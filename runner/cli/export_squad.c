/*
 * retort export --squad: the files that run_squad writes of a run that evaluated spans.
 *
 *     predictions.json         {id: text}
 *     nbest_predictions.json   {id: [{text, probability, start_logit, end_logit}, ...]}
 *     null_odds.json           {id: null score - best answer's}, where there may be none
 *
 * Probabilities are the softmax of the kept answers' sums of logits.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "export.h"
#include "retort/file.h"
#include "retort/json.h"

struct guessed {
    const struct export_args *args;
    struct artifact *a;
    char base[160]; /* "/eval/squad/v2/dev" */
    const char *const *id, *const *text;
    int64_t n;
    const double *null_odds; /* NULL: every question has an answer */
    const int64_t *first, *text_end;
    const float *start, *end;
    const char *bytes;
};

/* ---- reading ---- */

/* The one evaluation of spans in the run. */
static int find_base(struct guessed *g, struct run *run, const char *id, struct err *err)
{
    static const char tail[] = "/nbest/first";
    int found = 0;

    for (int64_t i = 0; i < run_item_count(run); i++) {
        const char *path = run_item(run, i)->path;
        size_t n = strlen(path);
        if (n < sizeof tail || strcmp(path + n + 1 - sizeof tail, tail))
            continue;
        n -= sizeof tail - 1;
        if (n >= sizeof g->base)
            continue;
        memcpy(g->base, path, n);
        g->base[n] = '\0';
        found++;
    }
    if (!found)
        return err_set(
            err, ERR_INPUT,
            "run %.10s has no answers to export; an evaluate stage of a task of "
            "spans (squad/v1, squad/v2) makes them",
            id);
    return 0;
}

/* Array `name` of n elements (-1: any number, told in *count). */
static int read_array(struct guessed *g, void *out, const char *name, enum dtype dtype,
                      int64_t n, int64_t *count, struct err *err)
{
    char path[256];
    struct array v;

    snprintf(path, sizeof path, "%s/%s", g->base, name);
    if (g->a->array(g->a->ctx, path, &v, err))
        return -1;
    if (v.dtype != dtype || (n >= 0 && shape_count(v.shape) != n))
        return err_set(err, ERR_INPUT, "%s is no array of %lld %s", path, (long long)n,
                       dtype_name(dtype));
    if (count)
        *count = shape_count(v.shape);
    memcpy(out, &v.data, sizeof v.data);
    return 0;
}

static int read_texts(struct guessed *g, const char *const **out, const char *name,
                      struct err *err)
{
    char path[256];

    snprintf(path, sizeof path, "%s/%s", g->base, name);
    return g->a->text(g->a->ctx, path, out, &g->n, err);
}

/* Numbers that point into other arrays are what they may be. */
static int check(const struct guessed *g, int64_t guesses, int64_t bytes, struct err *err)
{
    bool good = g->first[0] == 0 && g->first[g->n] == guesses;

    for (int64_t i = 0; i < g->n; i++)
        good = good && g->first[i] <= g->first[i + 1];
    for (int64_t k = 0; k < guesses; k++)
        good = good && g->text_end[k] >= (k ? g->text_end[k - 1] : 0);
    if (!good || (guesses && g->text_end[guesses - 1] > bytes))
        return err_set(err, ERR_INPUT, "%s/nbest is damaged", g->base);
    return 0;
}

static int read_all(struct guessed *g, struct err *err)
{
    struct err none = ERR_INIT;
    int64_t guesses, bytes;

    if (read_texts(g, &g->id, "example_id", err) ||
        read_texts(g, &g->text, "text", err) ||
        read_array(g, &g->first, "nbest/first", DT_I64, g->n + 1, NULL, err) ||
        read_array(g, &g->text_end, "nbest/text_end", DT_I64, -1, &guesses, err) ||
        read_array(g, &g->start, "nbest/start_logit", DT_F32, guesses, NULL, err) ||
        read_array(g, &g->end, "nbest/end_logit", DT_F32, guesses, NULL, err) ||
        read_array(g, &g->bytes, "nbest/text", DT_U8, -1, &bytes, err))
        return -1;
    if (read_array(g, &g->null_odds, "null_odds", DT_F64, g->n, NULL, &none))
        g->null_odds = NULL;
    return check(g, guesses, bytes, err);
}

/* ---- writing ---- */

static void put_predictions(struct json_writer *w, const struct guessed *g, int64_t i)
{
    json_str(w, g->text[i]);
}

static void put_odds(struct json_writer *w, const struct guessed *g, int64_t i)
{
    json_num(w, g->null_odds[i]);
}

static double sum_of(const struct guessed *g, int64_t k)
{
    return (double)g->start[k] + (double)g->end[k];
}

static void put_guess(struct json_writer *w, const struct guessed *g, int64_t k,
                      double probability)
{
    int64_t from = k ? g->text_end[k - 1] : 0;
    struct strbuf text = STRBUF_INIT;

    json_put_string_n(&text, g->bytes + from, (size_t)(g->text_end[k] - from));
    json_object(w);
    json_member(w, "text");
    json_raw(w, strbuf_text(&text));
    json_member(w, "probability");
    json_num(w, probability);
    json_member(w, "start_logit");
    json_num(w, (double)g->start[k]);
    json_member(w, "end_logit");
    json_num(w, (double)g->end[k]);
    json_object_end(w);
    strbuf_release(&text);
}

static void put_guesses(struct json_writer *w, const struct guessed *g, int64_t i)
{
    double most = -(double)INFINITY, sum = 0;

    for (int64_t k = g->first[i]; k < g->first[i + 1]; k++)
        most = fmax(most, sum_of(g, k));
    for (int64_t k = g->first[i]; k < g->first[i + 1]; k++)
        sum += exp(sum_of(g, k) - most);
    json_array(w);
    for (int64_t k = g->first[i]; k < g->first[i + 1]; k++)
        put_guess(w, g, k, exp(sum_of(g, k) - most) / sum);
    json_array_end(w);
}

static int write_file(const struct guessed *g, const char *name,
                      void (*put)(struct json_writer *w, const struct guessed *g,
                                  int64_t i),
                      struct err *err)
{
    char *path = path_join(g->args->squad, name, err);
    struct strbuf out = STRBUF_INIT;
    struct json_writer w;
    int rc = path ? 0 : -1;

    json_begin(&w, &out, true);
    json_object(&w);
    for (int64_t i = 0; !rc && i < g->n; i++) {
        json_member(&w, g->id[i]);
        put(&w, g, i);
    }
    json_object_end(&w);
    strbuf_putc(&out, '\n');
    if (!rc)
        rc = strbuf_failed(&out, err);
    if (!rc)
        rc = file_write(path, strbuf_text(&out), (int64_t)out.len, err);
    if (!rc && !g->args->common.quiet)
        fprintf(stderr, "%s: %lld questions of %s\n", path, (long long)g->n,
                g->base + strlen("/eval/"));
    strbuf_release(&out);
    free(path);
    return rc;
}

int export_squad(const struct export_args *args, struct store *store, struct err *err)
{
    struct guessed g = {.args = args};
    struct run *run = NULL;
    char id[65];
    int rc;

    if (args->what.n != 1)
        return err_set(err, ERR_INPUT, "--squad needs one RUN: whose answers?");
    if (find_run(store, args->what.v[0], id, err) ||
        run_open(&run, store, id, false, err))
        return -1;
    rc = find_base(&g, run, id, err);
    g.a = run_artifact(run);
    if (!rc)
        rc = read_all(&g, err);
    if (!rc)
        rc = file_mkdirs(args->squad, err);
    if (!rc)
        rc = write_file(&g, "predictions.json", put_predictions, err);
    if (!rc)
        rc = write_file(&g, "nbest_predictions.json", put_guesses, err);
    if (!rc && g.null_odds)
        rc = write_file(&g, "null_odds.json", put_odds, err);
    run_close(run);
    return rc;
}
