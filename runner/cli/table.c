/*
 * retort table DECL, retort plot DECL: what the runs of a spec say together.
 *
 * Cells are filled from sealed runs alone; nothing is run. A missing cell is marked and
 * gives exit code 1.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "retort/pins.h"
#include "retort/report.h"
#include "retort/spec.h"
#include "verbs.h"

struct query {
    const char *decl, *store_dir, *base;
    enum table_format format;
    struct table *table;
    struct store *store;
    struct spec *spec;
    struct plan *plan;
    struct diags *diags;
    struct observation *obs;
    int64_t n, capacity;
};

static int usage(const char *verb, FILE *to)
{
    if (!strcmp(verb, "table"))
        fputs("usage: retort table DECL [--format md|latex|csv|json] [--store DIR]\n",
              to);
    else
        fputs(
            "usage: retort plot DECL [--out BASE] [--store DIR]\n\n"
            "Writes BASE.png, .svg, .pdf, and the script and data they are made from.\n",
            to);
    return to == stderr ? 2 : 0;
}

/* -1 to go on, else the exit code. */
static int parse(struct query *q, int argc, char **argv)
{
    struct err err = ERR_INIT;

    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--help"))
            return usage(argv[0], stdout);
        if (!strcmp(argv[i], "--store") && i + 1 < argc) {
            q->store_dir = argv[++i];
        } else if (!strcmp(argv[i], "--out") && i + 1 < argc) {
            q->base = argv[++i];
        } else if (!strcmp(argv[i], "--format") && i + 1 < argc) {
            if (table_format_parse(&q->format, argv[++i], &err)) {
                fprintf(stderr, "retort: %s\n", err.text);
                return 2;
            }
        } else if (argv[i][0] == '-' || q->decl) {
            return usage(argv[0], stderr);
        } else {
            q->decl = argv[i];
        }
    }
    if (!q->decl)
        return usage(argv[0], stderr);
    q->store_dir = store_place(q->store_dir);
    return -1;
}

static int open_query(struct query *q, struct err *err)
{
    char class[65];
    struct plan_options opt = {.env_class = class};

    if (table_load(&q->table, q->decl, err) || env_class(class, err) ||
        store_open(&q->store, q->store_dir, false, err))
        return -1;
    if (!table_spec(q->table))
        return err_set(err, ERR_INPUT,
                       "%s: \"spec\" is missing: whose runs fill the table", q->decl);
    q->diags = diags_new(err);
    if (!q->diags)
        return -1;
    q->spec = spec_load(table_spec(q->table), NULL, 0, q->diags);
    if (q->spec)
        q->plan = plan_new(q->spec, q->store, &opt, q->diags);
    return q->plan ? 0 : diags_to_err(q->diags, err);
}

static double metric_of(struct query *q, const char *id, const char *metric)
{
    struct err err = ERR_INIT;
    struct run *run = NULL;
    struct series s;
    double x = (double)NAN;

    if (!run_open(&run, q->store, id, false, &err) &&
        !run_series_find(run, metric, &s, &err) && s.n > 0)
        x = s.value[s.n - 1];
    run_close(run);
    return x;
}

/* One observation for each point of the wanted stage and metric. */
static int observe(struct query *q, const char *stage, const char *metric,
                   struct err *err)
{
    int64_t stages = spec_stage_count(q->spec);

    for (int64_t p = 0; p < spec_point_count(q->spec); p++)
        for (int64_t s = 0; s < stages; s++) {
            const struct point *pt = spec_point(q->spec, p);
            int64_t j = q->plan->of[p * stages + s];
            if (j < 0 || strcmp(spec_stage_name(q->spec, s), stage) != 0)
                continue;
            const struct job *job = &q->plan->job[j];
            bool there = job->state == JOB_CACHED;
            if (mem_grow((void **)&q->obs, q->n, &q->capacity, sizeof *q->obs, err))
                return -1;
            q->obs[q->n++] = (struct observation){
                .stage = stage,
                .metric = metric,
                .label = pt->label,
                .n_vars = pt->n_vars,
                .var = pt->var,
                .value = pt->value,
                .seed = pt->seed,
                .x = there ? metric_of(q, job->id, metric) : (double)NAN,
                .run_id = there ? job->id : NULL,
            };
        }
    return 0;
}

static int fill(struct query *q, struct err *err)
{
    for (int64_t i = 0; i < table_want_count(q->table); i++) {
        const char *stage, *metric;
        table_want(q->table, i, &stage, &metric);
        if (!stage || !metric)
            return err_set(err, ERR_INPUT,
                           "%s: each cell needs a \"stage\" and a \"metric\"", q->decl);
        if (observe(q, stage, metric, err))
            return -1;
    }
    return table_fill(q->table, q->obs, q->n, err);
}

static void close_query(struct query *q)
{
    free(q->obs);
    plan_free(q->plan);
    spec_free(q->spec);
    diags_free(q->diags);
    store_close(q->store);
    table_free(q->table);
}

int verb_table(int argc, char **argv)
{
    struct query q = {.decl = NULL};
    struct err err = ERR_INIT;
    struct strbuf out = STRBUF_INIT;
    int rc = parse(&q, argc, argv);

    if (rc >= 0)
        return rc;
    if (open_query(&q, &err) || fill(&q, &err) ||
        table_print(q.table, q.format, &out, &err)) {
        rc = tell_error(&err);
    } else {
        fputs(strbuf_text(&out), stdout);
        rc = table_problems(q.table) > 0;
        if (rc)
            fprintf(stderr,
                    "retort: %lld cells are not whole; retort run %s fills them\n",
                    (long long)table_problems(q.table), table_spec(q.table));
    }
    strbuf_release(&out);
    close_query(&q);
    return rc;
}

int verb_plot(int argc, char **argv)
{
    struct query q = {.decl = NULL, .base = "plot"};
    struct err err = ERR_INIT;
    int rc = parse(&q, argc, argv);

    if (rc >= 0)
        return rc;
    if (open_query(&q, &err) || fill(&q, &err) || table_plot(q.table, q.base, &err)) {
        rc = tell_error(&err);
    } else {
        printf("%s.png\n", q.base);
        rc = table_problems(q.table) > 0;
    }
    close_query(&q);
    return rc;
}
