/*
 * select: the best of several runs.
 *
 * Of the runs that `scores` gives, one by one the candidates, it takes the one whose
 * metric is best: the first of equal ones; a score that is no number is never the
 * best. With `model` it hands the model of that candidate on; options of other stages
 * can take a value of it ({"from": "best", "value": "tuned.lr"}, docs/spec.md).
 *
 *     /select/chosen      its number, from 0
 *     /select/score (n)   of all candidates
 *     /select/run (n)     the candidates
 *     /select/metric      what was compared
 *     /select/variables   what the spec called the candidates
 *
 * select/score as a metric is the best one's, select/margin how much better it is than
 * the next best, select/candidates n.
 */
#include "retort/method.h"

#include <math.h>
#include <string.h>

enum best { BEST_AUTO, BEST_LARGEST, BEST_SMALLEST };
static const char *const bests[] = {"auto", "largest", "smallest", NULL};

struct options {
    const char *metric, *split;
    int best;
};

/* clang-format off */
static const struct option options[] = {
    {"metric", OPT_STRING, "\"\"", 0, 0, NULL, NULL, "a metric of the task, by its name (empty: the first), or any series of the runs, as train/best_score", offsetof(struct options, metric)},
    {"split", OPT_STRING, "\"dev\"", 0, 0, NULL, NULL, "split that the task's metric is of", offsetof(struct options, split)},
    {"best", OPT_ENUM, "\"auto\"", 0, 0, bests, NULL, "which value is the best; auto: as the task says of its metric", offsetof(struct options, best)},
    OPTION_END,
};

static const struct input inputs[] = {
    {"scores", KIND_EVAL | KIND_MODEL | KIND_SCORES | KIND_STATS, true, true, "the candidates: runs that recorded the metric"},
    {"model", KIND_MODEL, false, true, "their models, of which the best one's is handed on"},
    {"task", KIND_TASK, false, false, "whose metric is compared; not needed for a series"},
    INPUT_END,
};
/* clang-format on */

struct contest {
    const char *series; /* the metric's full name */
    bool largest;
    int64_t n, chosen;
    double *score; /* (n) */
    double margin; /* NaN: no other has a number */
};

static const struct metric *metric_of(const struct task *task, const char *name)
{
    for (const struct metric *const *m = task->metrics; m && *m; m++)
        if (!*name || !strcmp((*m)->name, name))
            return *m;
    return NULL;
}

/* The series to compare: one of the runs by its whole name, or the task's metric. */
static int name_series(struct stage *st, struct contest *c)
{
    const struct options *o = st->options;
    const char *slash = strrchr(o->metric, '/');
    bool has_task = st->input_count(st, "task") > 0;
    const struct task *task = has_task ? stage_task(st) : NULL;
    const struct metric *m = task ? metric_of(task, slash ? slash + 1 : o->metric) : NULL;

    if (has_task && !task)
        return -1;
    if (!slash && !task)
        return stage_fail(st, ERR_INPUT,
                          "which metric is to be compared? Give \"task\", or a series' "
                          "whole name as \"metric\"");
    if (!slash && !m)
        return stage_fail(st, ERR_INPUT, "%s has no metric \"%s\"; its first is \"%s\"",
                          task->name, o->metric, task->metrics[0]->name);
    c->series =
        slash ? o->metric
              : arena_printf(st->arena, "eval/%s/%s/%s", task->name, o->split, m->name);
    if (o->best == BEST_AUTO && !m)
        return stage_fail(st, ERR_INPUT,
                          "whether a large or a small \"%s\" is good is not known; say "
                          "\"best\": \"largest\" or \"smallest\"",
                          c->series);
    c->largest = o->best == BEST_LARGEST || (o->best == BEST_AUTO && m->larger_is_better);
    return arena_failed(st->arena, &st->err);
}

static int read_scores(struct stage *st, struct contest *c, const char **run,
                       const char **variables)
{
    for (int64_t i = 0; i < c->n; i++) {
        struct artifact *a = st->input_artifact(st, "scores", i);
        if (!a)
            return stage_fail(st, ERR_INPUT, "\"scores\" holds what is no run");
        if (a->metric(a->ctx, c->series, &c->score[i], &st->err))
            return -1;
        run[i] = a->run_id;
        variables[i] = a->variables ? a->variables : "";
    }
    return 0;
}

static bool better(const struct contest *c, int64_t i, double than)
{
    return c->largest ? c->score[i] > than : c->score[i] < than;
}

/* The first of the best, and how much better it is than the best of the others. */
static void choose(struct contest *c)
{
    int64_t next = -1;

    c->chosen = -1;
    for (int64_t i = 0; i < c->n; i++)
        if (!isnan(c->score[i]) && (c->chosen < 0 || better(c, i, c->score[c->chosen])))
            c->chosen = i;
    for (int64_t i = 0; i < c->n; i++)
        if (i != c->chosen && !isnan(c->score[i]) &&
            (next < 0 || better(c, i, c->score[next])))
            next = i;
    c->margin = next < 0 ? (double)NAN : fabs(c->score[c->chosen] - c->score[next]);
}

static void record(struct stage *st, const struct contest *c, const char *const *run,
                   const char *const *variables)
{
    int32_t chosen = (int32_t)c->chosen;
    struct array at = {DT_I32, SCALAR, &chosen, {NULL}};

    stage_array(st, "/select/chosen", &at);
    stage_doubles(st, "/select/score", c->score, c->n, 0, "candidate", NULL);
    stage_text(st, "/select/metric", c->series);
    if (stage_failed(st) ||
        st->rec.text(st->rec.ctx, RECORD_RESULT, "/select/run", run, c->n, &st->err))
        return;
    /* A renamed stage is the same run: names are no part of the result. */
    st->rec.text(st->rec.ctx, RECORD_ENV, "/select/variables", variables, c->n, &st->err);
    stage_metric(st, "select/score", 0, c->score[c->chosen]);
    if (!isnan(c->margin))
        stage_metric(st, "select/margin", 0, c->margin);
    stage_metric(st, "select/candidates", 0, (double)c->n);
}

static int hand_on(struct stage *st, int64_t chosen)
{
    struct artifact *a = st->input_artifact(st, "model", chosen);
    struct model *m = NULL;

    if (!a)
        return stage_fail(st, ERR_INPUT, "\"model\" holds what is no run");
    if (artifact_model(&m, a, &st->err))
        return -1;
    stage_output_model(st, m);
    model_free(m);
    return stage_done(st);
}

static int run(struct stage *st)
{
    struct contest c = {.n = st->input_count(st, "scores")};
    const char **names = arena_zalloc(st->arena, c.n * 2 * (int64_t)sizeof *names);

    c.score = arena_alloc(st->arena, c.n * (int64_t)sizeof *c.score);
    if (arena_failed(st->arena, &st->err) || name_series(st, &c) ||
        read_scores(st, &c, names, names + c.n))
        return -1;
    choose(&c);
    if (c.chosen < 0)
        return stage_fail(st, ERR_INPUT, "%s is no number in any of the %lld candidates",
                          c.series, (long long)c.n);
    record(st, &c, names, names + c.n);
    if (!stage_failed(st) && st->input_count(st, "model") > 0)
        hand_on(st, c.chosen);
    return stage_done(st);
}

const struct method method_analyze_select = {
    .name = "select",
    .summary = "the best of several runs: its model, and options to be taken from it",
    .version = 1,
    .options = options,
    .options_size = sizeof(struct options),
    .inputs = inputs,
    .outputs = KIND_MODEL | KIND_CHOICE,
    .run = run,
};
