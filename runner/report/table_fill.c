/*
 * From observations to cells: selecting, counting runs and seeds, the paper's figures.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "retort/json.h"
#include "table_impl.h"

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

static bool item_takes(const struct item *it, const struct observation *o)
{
    if ((it->label && !same(it->label, o->label)))
        return false;
    for (int64_t i = 0; i < it->n_where; i++) {
        bool ok = false;
        for (int64_t k = 0; k < o->n_vars && !ok; k++)
            ok = same(it->var[i], o->var[k]) && same(it->value[i], o->value[k]);
        if (!ok)
            return false;
    }
    return true;
}

const char *table_cell_metric(const struct table *t, const struct item *r,
                              const struct item *c)
{
    return c->metric ? c->metric : r->metric ? r->metric : t->metric;
}

const char *table_cell_stage(const struct table *t, const struct item *r,
                             const struct item *c)
{
    return c->stage ? c->stage : r->stage ? r->stage : t->stage;
}

bool table_cell_unasked(const struct table *t, const struct item *r, const struct item *c)
{
    return (r->quoted || c->quoted) &&
           (!table_cell_stage(t, r, c) || !table_cell_metric(t, r, c));
}

int table_cell_digits(const struct table *t, const struct item *r, const struct item *c)
{
    return c->digits >= 0 ? c->digits : r->digits >= 0 ? r->digits : t->digits;
}

static bool cell_takes(const struct table *t, const struct item *r, const struct item *c,
                       const char *metric, const struct observation *o)
{
    const char *stage = table_cell_stage(t, r, c);
    return (!stage || same(stage, o->stage)) && (!metric || same(metric, o->metric)) &&
           item_takes(r, o) && item_takes(c, o);
}

static bool seed_wanted(const struct table *t, uint64_t seed)
{
    for (int64_t i = 0; i < t->n_seeds; i++) {
        if (t->seed[i] == seed)
            return true;
    }
    return false;
}

/* Items of an axis whose values come with the observations, in the order of their
 * appearance. */
static void expand(struct table *t, struct axis *a, const struct observation *obs,
                   int64_t n)
{
    if (!a->open)
        return;
    a->n = 0;
    for (int64_t i = 0; i < n; i++) {
        for (int64_t k = 0; k < obs[i].n_vars; k++) {
            bool known = !same(obs[i].var[k], a->variable);
            for (int64_t j = 0; j < a->n && !known; j++)
                known = same(a->v[j].value[0], obs[i].value[k]);
            if (!known)
                table_item_of_value(t, a, obs[i].value[k]);
        }
    }
}

static void default_seeds(struct table *t, const struct observation *obs, int64_t n)
{
    if (t->has_seeds)
        return;
    t->n_seeds = 0;
    t->seed = arena_zalloc(t->arena, (n ? n : 1) * (int64_t)sizeof(*t->seed));
    for (int64_t i = 0; i < n && t->seed; i++) {
        if (!seed_wanted(t, obs[i].seed))
            t->seed[t->n_seeds++] = obs[i].seed;
    }
}

/* Two runs of a cell are of one measure, or the cell says nothing. */
static int check_measure(struct table_cell *cell, const struct observation *o,
                         const char *what, const char **have, const char *got,
                         const struct item *row, const struct item *col, struct err *err)
{
    if (*have && got && strcmp(*have, got) != 0)
        return err_set(err, ERR_INPUT,
                       "cell (%s, %s): %s of run %.10s is %.300s, of run %.10s %.300s; a "
                       "cell holds runs of one measure",
                       row->name, col->name, what, cell->run[0], *have, o->run_id, got);
    if (!*have)
        *have = got;
    return 0;
}

/* One observation joins a cell; `seed_run` remembers which run stood for which seed. */
static int cell_add(struct table *t, struct table_cell *cell, const char **seed_run,
                    const struct observation *o, const struct item *row,
                    const struct item *col, struct err *err)
{
    double scale = t->scale * row->scale * col->scale;
    const char *id = o->run_id ? o->run_id : "";
    int64_t at = -1, seed = -1;

    for (int64_t s = 0; s < t->n_seeds; s++) {
        if (t->seed[s] != o->seed)
            continue;
        if (seed_run[s] && strcmp(seed_run[s], id) != 0)
            return err_set(
                err, ERR_INPUT,
                "cell (%s, %s): seed %llu has two runs, %.10s and %.10s; select one "
                "with \"where\", \"label\" or \"stage\"",
                row->name, col->name, (unsigned long long)o->seed, seed_run[s], id);
        seed_run[s] = arena_strdup(t->arena, id);
        seed = s;
    }
    for (int64_t i = 0; i < cell->n && at < 0; i++)
        at = o->run_id && same(cell->run[i], id) ? i : -1;
    if (o->stale)
        cell->state = CELL_STALE;
    if (o->undefined)
        return 0;
    if (at < 0) {
        if (check_measure(cell, o, "the data", &cell->data, o->data, row, col, err) ||
            check_measure(cell, o, "the declaration of the task", &cell->labels,
                          o->labels, row, col, err))
            return -1;
        at = cell->n++;
        cell->run[at] = arena_strdup(t->arena, id);
        cell->x[at] = o->x * scale;
        cell->imported += o->imported;
    }
    cell->of_seed[seed] = at;
    return 0;
}

/* Texts that the cell took from an observation become its own. */
static void keep_texts(struct table *t, struct table_cell *cell)
{
    if (cell->data)
        cell->data = arena_strdup(t->arena, cell->data);
    if (cell->labels)
        cell->labels = arena_strdup(t->arena, cell->labels);
}

/* Is the mark of this run, selected as the cell is, below the bound? */
static bool is_marked(const struct table *t, const struct item *r, const struct item *c,
                      const char *run, const struct observation *obs, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (same(obs[i].run_id, run) && cell_takes(t, r, c, t->mark, &obs[i]))
            return obs[i].x < t->mark_below;
    return false;
}

static const struct sample no_sample = {(double)NAN, (double)NAN, 0};

static int fill_cell(struct table *t, const struct item *r, const struct item *c,
                     struct table_cell *cell, const struct observation *obs, int64_t n,
                     const char **seed_run, struct err *err)
{
    const char *metric = table_cell_metric(t, r, c);
    int64_t room = 1, found = 0;

    memset(seed_run, 0, (size_t)t->n_seeds * sizeof(*seed_run));
    for (int64_t i = 0; i < n; i++)
        room += cell_takes(t, r, c, metric, &obs[i]);
    cell->run = arena_zalloc(t->arena, room * (int64_t)sizeof(*cell->run));
    cell->x = arena_zalloc(t->arena, room * (int64_t)sizeof(*cell->x));
    cell->of_seed = arena_alloc(t->arena, (t->n_seeds + 1) * (int64_t)sizeof(int64_t));
    if (arena_failed(t->arena, err))
        return -1;
    for (int64_t s = 0; s < t->n_seeds; s++)
        cell->of_seed[s] = -1;
    cell->state = CELL_OK;
    for (int64_t i = 0; i < n; i++) {
        if (table_cell_unasked(t, r, c) || !seed_wanted(t, obs[i].seed) ||
            !cell_takes(t, r, c, metric, &obs[i]))
            continue;
        cell->failed += obs[i].failed;
        if (isnan(obs[i].x) && !obs[i].undefined)
            continue;
        if (cell_add(t, cell, seed_run, &obs[i], r, c, err))
            return -1;
    }
    for (int64_t s = 0; s < t->n_seeds; s++)
        found += seed_run[s] != NULL;
    cell->wanted = t->n_seeds;
    if (table_cell_unasked(t, r, c))
        cell->state = CELL_UNASKED;
    else if (cell->n == 0)
        cell->state = found ? CELL_UNDEFINED : CELL_MISSING;
    else if (found < t->n_seeds && cell->state == CELL_OK)
        cell->state = CELL_PARTIAL;
    keep_texts(t, cell);
    cell->median = stats_median(cell->x, cell->n, err);
    cell->mean = stats_mean(cell->x, cell->n);
    cell->std = stats_std(cell->x, cell->n);
    cell->interval95 = stats_interval95(cell->x, cell->n);
    cell->reference = table_paper(t, r, c);
    cell->paper = cell->reference.mean;
    cell->equivalence =
        stats_equivalence(stats_sample(cell->x, cell->n),
                          t->margin > 0 ? cell->reference : no_sample, t->margin);
    for (int64_t i = 0; i < cell->n && t->mark; i++)
        cell->marked += is_marked(t, r, c, cell->run[i], obs, n);
    return 0;
}

int table_fill(struct table *t, const struct observation *obs, int64_t n, struct err *err)
{
    const char **seed_run = NULL;
    int64_t cells, bytes;
    int rc = -1;

    expand(t, &t->rows, obs, n);
    expand(t, &t->cols, obs, n);
    default_seeds(t, obs, n);
    if (mem_product(&cells, t->rows.n, t->cols.n, err) ||
        mem_product(&bytes, cells, (int64_t)sizeof(*t->cell), err))
        return -1;
    seed_run = mem_new(t->n_seeds ? t->n_seeds : 1, sizeof(*seed_run), err);
    t->cell = arena_zalloc(t->arena, bytes ? bytes : 1);
    if (!seed_run || arena_failed(t->arena, err))
        goto done;
    for (int64_t i = 0; i < cells; i++) {
        if (fill_cell(t, &t->rows.v[i / t->cols.n], &t->cols.v[i % t->cols.n],
                      &t->cell[i], obs, n, seed_run, err))
            goto done;
    }
    rc = 0;
done:
    free(seed_run);
    return rc;
}

int64_t table_problems(const struct table *t)
{
    int64_t bad = 0;
    for (int64_t i = 0; i < t->rows.n * t->cols.n; i++)
        bad += !t->cell || t->cell[i].state == CELL_MISSING ||
               t->cell[i].state == CELL_PARTIAL || t->cell[i].state == CELL_STALE;
    /* No cell at all is no answer either. */
    return t->rows.n * t->cols.n == 0 ? 1 : bad;
}

const char *table_title(const struct table *t)
{
    return t->title;
}

const char *table_spec(const struct table *t)
{
    return t->spec;
}

int64_t table_want_count(const struct table *t)
{
    return t->n_wants;
}

void table_want(const struct table *t, int64_t i, const char **stage, const char **metric)
{
    *stage = t->want[i].stage;
    *metric = t->want[i].metric;
}

int64_t table_rows(const struct table *t)
{
    return t->rows.n;
}

int64_t table_cols(const struct table *t)
{
    return t->cols.n;
}

const char *table_row_name(const struct table *t, int64_t row)
{
    return t->rows.v[row].name;
}

const char *table_col_name(const struct table *t, int64_t col)
{
    return t->cols.v[col].name;
}

const struct table_cell *table_cell(const struct table *t, int64_t row, int64_t col)
{
    return t->cell ? &t->cell[row * t->cols.n + col] : NULL;
}
