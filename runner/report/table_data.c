/*
 * A filled table as CSV and JSON: all numbers, for programs.
 */
#include <math.h>
#include <string.h>

#include "retort/json.h"
#include "table_impl.h"

/* An empty field where there is no number. */
static void put_number(struct strbuf *out, double x)
{
    strbuf_putc(out, ',');
    if (!isnan(x))
        strbuf_double(out, x);
}

static void csv_comparison(struct strbuf *out, const struct cell_test *c)
{
    put_number(out, c->difference);
    put_number(out, c->low);
    put_number(out, c->high);
    put_number(out, c->p);
    put_number(out, c->p_holm);
    strbuf_printf(out, ",%s", c->test ? c->test : "");
}

static const char *const best_names[] = {"no", "alone", "tied"};

static void csv_tests(struct strbuf *out, const struct table *t,
                      const struct table_cell *c)
{
    if (t->tests.row || t->tests.column) {
        csv_comparison(out, &c->versus);
        strbuf_printf(out, ",%s",
                      table_mark(t, c) > 0   ? "above"
                      : table_mark(t, c) < 0 ? "below"
                                             : "");
    }
    if (t->tests.best) {
        csv_comparison(out, &c->behind);
        strbuf_printf(out, ",%s", best_names[c->best]);
    }
}

static void csv_names(struct strbuf *out, const struct table *t, int64_t i)
{
    strbuf_csv(out, t->rows.v[i / t->cols.n].name);
    strbuf_putc(out, ',');
    strbuf_csv(out, t->cols.v[i % t->cols.n].name);
}

/* A line for each run of each cell. */
static void print_csv_runs(struct strbuf *out, const struct table *t)
{
    strbuf_puts(out, "row,column,seed,value,run\n");
    for (int64_t i = 0; i < t->rows.n * t->cols.n; i++)
        for (int64_t s = 0; s < t->n_seeds; s++) {
            const struct table_cell *c = &t->cell[i];
            if (c->of_seed[s] < 0)
                continue;
            csv_names(out, t, i);
            strbuf_printf(out, ",%llu", (unsigned long long)t->seed[s]);
            put_number(out, c->x[c->of_seed[s]]);
            strbuf_printf(out, ",%s\n", c->run[c->of_seed[s]]);
        }
}

void table_print_csv(struct strbuf *out, const struct table *t, bool trace)
{
    if (trace) {
        print_csv_runs(out, t);
        return;
    }
    strbuf_puts(out,
                "row,column,state,n,wanted,mean,std,interval95,paper,difference,"
                "median,failed,paper_std,paper_n,low90,high90,equivalence_p,equivalent,");
    if (t->tests.row || t->tests.column)
        strbuf_puts(out, "versus_difference,versus_low95,versus_high95,versus_p,"
                         "versus_p_holm,versus_test,versus_mark,");
    if (t->tests.best)
        strbuf_puts(out, "best_difference,best_low95,best_high95,best_p,best_p_holm,"
                         "best_test,best,");
    strbuf_puts(out, "marked,runs\n");
    for (int64_t i = 0; i < t->rows.n * t->cols.n; i++) {
        const struct table_cell *c = &t->cell[i];
        csv_names(out, t, i);
        strbuf_printf(out, ",%s,%lld,%lld", table_state_name(c->state), (long long)c->n,
                      (long long)c->wanted);
        put_number(out, c->mean);
        put_number(out, c->std);
        put_number(out, c->interval95);
        put_number(out, c->paper);
        put_number(out, c->mean - c->paper);
        put_number(out, c->median);
        put_number(out, (double)c->failed);
        put_number(out, c->reference.std);
        put_number(out, c->reference.n ? (double)c->reference.n : (double)NAN);
        put_number(out, c->equivalence.low);
        put_number(out, c->equivalence.high);
        put_number(out, c->equivalence.p);
        strbuf_puts(out, isnan(c->equivalence.p) ? ","
                         : c->equivalence.shown  ? ",yes"
                                                 : ",no");
        csv_tests(out, t, c);
        strbuf_printf(out, ",%lld,", (long long)c->marked);
        for (int64_t k = 0; k < c->n; k++)
            strbuf_printf(out, "%s%.10s", k ? " " : "", c->run[k]);
        strbuf_putc(out, '\n');
    }
}

/* With the paper's figures and their spread; absent where no equivalence is asked. */
static void json_equivalence(struct json_writer *w, const struct table *t,
                             const struct table_cell *c)
{
    const struct equivalence *e = &c->equivalence;
    const struct {
        const char *key;
        double x;
    } numbers[] = {{"paper_std", c->reference.std},
                   {"margin", t->margin},
                   {"difference", e->difference},
                   {"df", e->df},
                   {"low90", e->low},
                   {"high90", e->high},
                   {"p", e->p}};

    if (!(t->margin > 0))
        return;
    json_member(w, "equivalence");
    json_object(w);
    json_member(w, "paper_n");
    json_i64(w, c->reference.n);
    for (int k = 0; k < 7; k++) {
        json_member(w, numbers[k].key);
        json_num(w, numbers[k].x);
    }
    json_member(w, "shown");
    if (isnan(e->p))
        json_raw(w, "null");
    else
        json_flag(w, e->shown);
    json_object_end(w);
}

static void json_comparison(struct json_writer *w, const char *name,
                            const struct cell_test *c)
{
    const struct {
        const char *key;
        double x;
    } numbers[] = {{"difference", c->difference},
                   {"low95", c->low},
                   {"high95", c->high},
                   {"p", c->p},
                   {"p_holm", c->p_holm}};

    json_member(w, name);
    if (!c->test) {
        json_raw(w, "null");
        return;
    }
    json_object(w);
    json_member(w, "test");
    json_str(w, c->test);
    json_member(w, "pairs");
    json_i64(w, c->n);
    for (int k = 0; k < 5; k++) {
        json_member(w, numbers[k].key);
        json_num(w, numbers[k].x);
    }
    json_object_end(w);
}

static void json_tests(struct json_writer *w, const struct table *t,
                       const struct table_cell *c)
{
    if (t->tests.row || t->tests.column) {
        json_comparison(w, "versus", &c->versus);
        json_member(w, "mark");
        json_i64(w, table_mark(t, c));
    }
    if (t->tests.best) {
        json_comparison(w, "behind", &c->behind);
        json_member(w, "best");
        json_str(w, best_names[c->best]);
    }
}

/* The seeds of the runs, as `values` and `runs` list them; a run of many seeds by its
 * first. */
static void json_seeds(struct json_writer *w, const struct table *t,
                       const struct table_cell *c)
{
    json_member(w, "seeds");
    json_array(w);
    for (int64_t k = 0; k < c->n; k++)
        for (int64_t s = 0; s < t->n_seeds; s++)
            if (c->of_seed[s] == k) {
                json_i64(w, (int64_t)t->seed[s]);
                break;
            }
    json_array_end(w);
}

static void json_cell(struct json_writer *w, const struct table *t, int64_t i)
{
    const struct table_cell *c = &t->cell[i];
    const struct {
        const char *key;
        double x;
    } numbers[] = {
        {"mean", c->mean},     {"std", c->std},     {"interval95", c->interval95},
        {"median", c->median}, {"paper", c->paper}, {"difference", c->mean - c->paper}};

    json_object(w);
    json_member(w, "row");
    json_str(w, t->rows.v[i / t->cols.n].name);
    json_member(w, "column");
    json_str(w, t->cols.v[i % t->cols.n].name);
    json_member(w, "metric");
    json_str(w,
             table_cell_metric(t, &t->rows.v[i / t->cols.n], &t->cols.v[i % t->cols.n]));
    json_member(w, "scale");
    json_num(w,
             t->scale * t->rows.v[i / t->cols.n].scale * t->cols.v[i % t->cols.n].scale);
    json_member(w, "state");
    json_str(w, table_state_name(c->state));
    json_member(w, "n");
    json_i64(w, c->n);
    json_member(w, "wanted");
    json_i64(w, c->wanted);
    json_member(w, "failed");
    json_i64(w, c->failed);
    json_member(w, "imported");
    json_i64(w, c->imported);
    for (int k = 0; k < 6; k++) {
        json_member(w, numbers[k].key);
        json_num(w, numbers[k].x);
    }
    json_equivalence(w, t, c);
    json_tests(w, t, c);
    json_seeds(w, t, c);
    if (t->mark) {
        json_member(w, "marked");
        json_i64(w, c->marked);
    }
    json_member(w, "values");
    json_array(w);
    for (int64_t k = 0; k < c->n; k++)
        json_num(w, c->x[k]);
    json_array_end(w);
    json_member(w, "runs");
    json_array(w);
    for (int64_t k = 0; k < c->n; k++)
        json_str(w, c->run[k]);
    json_array_end(w);
    json_object_end(w);
}

static void json_axis(struct json_writer *w, const char *key, const struct axis *a)
{
    json_member(w, key);
    json_array(w);
    for (int64_t i = 0; i < a->n; i++) {
        json_object(w);
        json_member(w, "name");
        json_str(w, a->v[i].name);
        json_member(w, "x");
        json_num(w, a->v[i].x);
        json_object_end(w);
    }
    json_array_end(w);
}

static void json_plot(struct json_writer *w, const struct table *t)
{
    static const char *const kinds[] = {"lines", "bars", "map", "steps"};
    const char *const texts[][2] = {{"kind", kinds[t->plot_kind]},
                                    {"title", t->plot_title},
                                    {"x", table_x_label(t)},
                                    {"y", table_y_label(t)}};
    double low, high;

    table_bounds(t, &low, &high);
    json_member(w, "plot");
    json_object(w);
    for (int i = 0; i < 4; i++) {
        json_member(w, texts[i][0]);
        json_str(w, texts[i][1]);
    }
    json_member(w, "low"); /* null: no bound */
    json_num(w, low);
    json_member(w, "high");
    json_num(w, high);
    json_object_end(w);
}

void table_print_json(struct strbuf *out, const struct table *t)
{
    struct json_writer w;
    json_begin(&w, out, true);
    json_object(&w);
    json_member(&w, "title");
    json_str(&w, t->title);
    json_member(&w, "metric");
    json_str(&w, t->metric);
    json_member(&w, "scale");
    json_num(&w, t->scale);
    json_member(&w, "unit");
    json_str(&w, t->unit);
    json_member(&w, "digits");
    json_i64(&w, t->digits);
    json_axis(&w, "rows", &t->rows);
    json_axis(&w, "columns", &t->cols);
    json_plot(&w, t);
    json_member(&w, "cells");
    json_array(&w);
    for (int64_t i = 0; i < t->rows.n * t->cols.n; i++)
        json_cell(&w, t, i);
    json_array_end(&w);
    json_object_end(&w);
    strbuf_putc(out, '\n');
}
