/*
 * retort export --notebook: a folder that stands alone.
 *
 *     notebook.ipynb, notebook.py   the same cells twice
 *     runs.h5                       the runs, each at /runs/<id> (runs_bundle)
 *     points.csv                    which run serves which point of the sweep
 *     metrics.csv                   all metrics, a line for each value
 *     table.json, table.csv         of a declaration: its cells, and the runs behind them
 */
#include <stdlib.h>
#include <string.h>

#include "cells.h"
#include "export.h"
#include "notebook.h"
#include "retort/file.h"
#include "retort/json.h"
#include "retort/pins.h"
#include "session.h"

enum { LISTED = 8 }; /* specs that the text names */

struct book {
    const struct export_args *args;
    struct store *store;
    struct arena *arena;
    const char **variable; /* columns of points.csv, in the order in which they are met */
    int64_t n_variables, variable_capacity;
    struct line { /* of points.csv */
        const char *label, *spec, *stage, *method, *run;
        int64_t point; /* -1: not known */
        uint64_t seed;
        bool has_seed;
        int64_t n;
        const char **var, **value; /* plain texts */
    } * line;
    int64_t n_lines, line_capacity;
    struct run **run; /* each once */
    int64_t n_runs, run_capacity;
    int64_t missing;
    const char *title;     /* of the declaration, or NULL */
    struct cells *cells;   /* of the declaration, or NULL */
    const char *holds[10]; /* what cells of the notebook ask for */
    int64_t n_holds;
};

/* ---- what is exported ---- */

static int add_run(struct book *b, const char *id, struct err *err)
{
    for (int64_t i = 0; i < b->n_runs; i++)
        if (!strcmp(run_info(b->run[i])->id, id))
            return 0;
    if (mem_grow((void **)&b->run, b->n_runs, &b->run_capacity, sizeof *b->run, err) ||
        run_open(&b->run[b->n_runs], b->store, id, false, err))
        return -1;
    b->n_runs++;
    return 0;
}

static int add_variable(struct book *b, struct line *l, const char *name,
                        const char *value, struct err *err)
{
    bool known = false;

    l->var[l->n] = arena_strdup(b->arena, name);
    l->value[l->n++] = arena_strdup(b->arena, value);
    for (int64_t i = 0; i < b->n_variables && !known; i++)
        known = !strcmp(b->variable[i], name);
    if (known)
        return 0;
    if (mem_grow((void **)&b->variable, b->n_variables, &b->variable_capacity,
                 sizeof *b->variable, err))
        return -1;
    b->variable[b->n_variables++] = arena_strdup(b->arena, name);
    return 0;
}

/* A line with its texts kept and room for n variables; NULL with err. */
static struct line *add_line(struct book *b, const struct line *given, int64_t n,
                             struct err *err)
{
    struct line *l;

    if (mem_grow((void **)&b->line, b->n_lines, &b->line_capacity, sizeof *b->line, err))
        return NULL;
    l = &b->line[b->n_lines++];
    *l = *given;
    l->label = arena_strdup(b->arena, given->label ? given->label : "");
    l->spec = arena_strdup(b->arena, given->spec);
    l->stage = arena_strdup(b->arena, given->stage);
    l->method = arena_strdup(b->arena, given->method);
    l->run = arena_strdup(b->arena, given->run);
    l->n = 0;
    l->var = arena_zalloc(b->arena, (n + 1) * (int64_t)sizeof *l->var);
    l->value = arena_zalloc(b->arena, (n + 1) * (int64_t)sizeof *l->value);
    return arena_failed(b->arena, err) ? NULL : l;
}

/* A run of the store, whose points nobody names. */
static int add_row(void *ctx, const struct sweep_row *row, struct err *err)
{
    struct book *b = ctx;
    const struct line given = {.spec = row->spec,
                               .stage = row->stage,
                               .method = row->method,
                               .run = row->id,
                               .point = -1,
                               .seed = row->seed,
                               .has_seed = row->has_seed};
    struct line *l = add_line(b, &given, (int64_t)strlen(row->variables) / 2, err);
    const char *at = row->variables;
    char name[128], value[512];

    if (!l || add_run(b, row->id, err))
        return -1;
    while (variable_next(&at, name, value))
        if (strcmp(name, "seed") != 0 && add_variable(b, l, name, value, err))
            return -1;
    return arena_failed(b->arena, err);
}

/* "\"a b\"" as a b; a text without quotes as it is. */
static const char *plain(struct book *b, const char *canonical)
{
    struct diags *diags = diags_new(NULL);
    struct json_doc *doc =
        diags ? json_parse(canonical, (int64_t)strlen(canonical), "value", diags) : NULL;
    const char *s = doc ? json_string(json_root(doc)) : NULL;
    const char *out = s ? arena_strdup(b->arena, s) : canonical;

    json_doc_free(doc);
    diags_free(diags);
    return out;
}

static int add_point(struct book *b, const struct plan *plan, int64_t p, int64_t stage,
                     const struct job *job, struct err *err)
{
    const struct point *pt = spec_point(plan->spec, p);
    const struct line given = {.label = pt->label,
                               .spec = spec_name(plan->spec),
                               .stage = spec_stage_name(plan->spec, stage),
                               .method = job->method->name,
                               .run = job->id,
                               .point = p,
                               .seed = pt->seed,
                               .has_seed = true};
    struct line *l = add_line(b, &given, pt->n_vars, err);

    for (int64_t i = 0; l && i < pt->n_vars; i++)
        if (add_variable(b, l, pt->var[i], plain(b, pt->value[i]), err))
            return -1;
    return l ? add_run(b, job->id, err) : -1;
}

/* The points of a plan whose runs are there. */
static int add_plan(struct book *b, const struct plan *plan, struct err *err)
{
    int64_t stages = spec_stage_count(plan->spec);
    bool *sealed = mem_new(plan->n + 1, sizeof *sealed, err);
    int rc = sealed ? 0 : -1;

    for (int64_t i = 0; !rc && i < plan->n; i++) {
        struct run_info info;
        rc = store_stat(b->store, plan->job[i].id, &info, err);
        sealed[i] = !rc && info.state == RUN_SEALED;
        b->missing += !sealed[i];
    }
    for (int64_t p = 0; !rc && p < spec_point_count(plan->spec); p++)
        for (int64_t s = 0; !rc && s < stages; s++) {
            int64_t job = plan->of[p * stages + s];
            if (job >= 0 && sealed[job])
                rc = add_point(b, plan, p, s, &plan->job[job], err);
        }
    free(sealed);
    return rc;
}

static int add_spec(struct book *b, const char *path, struct err *err)
{
    const struct session_options opt = {
        .spec = path, .store = b->args->common.store, .states = true};
    struct session s;
    int rc = session_open(&s, &opt, err);

    if (!rc)
        rc = add_plan(b, s.plan, err);
    session_close(&s);
    return rc;
}

static int add_table(struct book *b, struct cells *cells, const char *path,
                     struct err *err)
{
    const struct string_list none = {0, NULL};

    if (b->cells)
        return err_set(err, ERR_INPUT,
                       "%s: a notebook takes the declaration of one table", path);
    b->cells = cells;
    if (cells_open(cells, path, NULL, &none, b->args->common.store, err) ||
        cells_fill(cells, err))
        return -1;
    if (!cells->plan)
        return err_set(err, ERR_INPUT, "%s: names no runs that a notebook could read",
                       path);
    b->title = table_title(cells->table);
    return add_plan(b, cells->plan, err);
}

static int is_declaration(bool *out, const char *path, struct err *err)
{
    struct json_doc *doc = json_parse_file(path, err);

    *out = doc && json_get(json_root(doc), "table");
    json_doc_free(doc);
    return doc ? 0 : -1;
}

/* Runs and names of specs go the way of the other exports. */
static int add_named(struct book *b, const char *what, struct err *err)
{
    const struct string_list one = {what ? 1 : 0, &what};

    return export_each(&one, b->store, &b->missing, add_row, b, err);
}

static int add_all(struct book *b, struct cells *cells, struct err *err)
{
    const struct string_list *what = &b->args->what;
    bool table;

    if (what->n == 0)
        return add_named(b, NULL, err);
    for (int64_t i = 0; i < what->n; i++) {
        const char *name = what->v[i];
        if (!file_exists(name)) {
            if (add_named(b, name, err))
                return -1;
        } else if (is_declaration(&table, name, err) ||
                   (table ? add_table(b, cells, name, err) : add_spec(b, name, err))) {
            return -1;
        }
    }
    return 0;
}

/* ---- its files ---- */

static int write_file(const char *dir, const char *name, const struct strbuf *sb,
                      struct err *err)
{
    char *path = strbuf_failed(sb, err) ? NULL : path_join(dir, name, err);
    int rc = path ? file_write(path, strbuf_text(sb), (int64_t)sb->len, err) : -1;

    free(path);
    return rc;
}

static const char *value_of(const struct line *l, const char *variable)
{
    for (int64_t i = 0; i < l->n; i++)
        if (!strcmp(l->var[i], variable))
            return l->value[i];
    return "";
}

static void put_line(struct strbuf *out, const struct book *b, const struct line *l)
{
    const char *const texts[] = {l->spec, l->stage, l->method};

    if (l->point >= 0)
        strbuf_printf(out, "%lld", (long long)l->point);
    strbuf_putc(out, ',');
    strbuf_csv(out, l->label);
    strbuf_putc(out, ',');
    if (l->has_seed)
        strbuf_printf(out, "%llu", (unsigned long long)l->seed);
    for (int64_t i = 0; i < b->n_variables; i++) {
        strbuf_putc(out, ',');
        strbuf_csv(out, value_of(l, b->variable[i]));
    }
    for (int i = 0; i < 3; i++) {
        strbuf_putc(out, ',');
        strbuf_csv(out, texts[i]);
    }
    strbuf_printf(out, ",%s\r\n", l->run);
}

static int write_points(const struct book *b, const char *dir, struct err *err)
{
    struct strbuf sb = STRBUF_INIT;
    int rc;

    strbuf_puts(&sb, "point,label,seed");
    for (int64_t i = 0; i < b->n_variables; i++) {
        strbuf_putc(&sb, ',');
        strbuf_csv(&sb, b->variable[i]);
    }
    strbuf_puts(&sb, ",spec,stage,method,run\r\n");
    for (int64_t i = 0; i < b->n_lines; i++)
        put_line(&sb, b, &b->line[i]);
    rc = write_file(dir, "points.csv", &sb, err);
    strbuf_release(&sb);
    return rc;
}

static void hold(struct book *b, const char *what)
{
    for (int64_t i = 0; i < b->n_holds; i++)
        if (!strcmp(b->holds[i], what))
            return;
    b->holds[b->n_holds++] = what;
}

static int put_series(struct strbuf *out, struct book *b, struct run *run,
                      struct err *err)
{
    struct series s;

    for (int64_t i = 0; i < run_series_count(run); i++) {
        if (run_series(run, i, &s, err))
            return -1;
        if (s.cls == RECORD_ENV)
            continue;
        hold(b, "metrics");
        if (!strcmp(s.name, "train/loss"))
            hold(b, "curves");
        for (int64_t k = 0; k < s.n; k++) {
            strbuf_printf(out, "%s,", run_info(run)->id);
            strbuf_csv(out, s.name);
            strbuf_printf(out, ",%lld,", (long long)s.step[k]);
            strbuf_double(out, s.value[k]);
            strbuf_puts(out, "\r\n");
        }
    }
    return 0;
}

static int write_metrics(struct book *b, const char *dir, struct err *err)
{
    struct strbuf sb = STRBUF_INIT;
    int rc = 0;

    strbuf_puts(&sb, "run,metric,step,value\r\n");
    for (int64_t i = 0; !rc && i < b->n_runs; i++)
        rc = put_series(&sb, b, b->run[i], err);
    if (!rc)
        rc = write_file(dir, "metrics.csv", &sb, err);
    strbuf_release(&sb);
    return rc;
}

static int write_table(struct book *b, const char *dir, enum table_format format,
                       const char *name, struct err *err)
{
    struct strbuf sb = STRBUF_INIT;
    int rc = table_print(b->cells->table, format, true, &sb, err);

    if (!rc)
        rc = write_file(dir, name, &sb, err);
    strbuf_release(&sb);
    return rc;
}

/* Classes of examples: what the cell about predictions reads. */
static bool has_classes(struct run *run)
{
    for (int64_t i = 0; i < run_item_count(run); i++) {
        const char *path = run_item(run, i)->path, *last = strrchr(path, '/');
        char label[1100];
        if (strncmp(path, "/eval/", 6) != 0 || strcmp(last, "/pred") != 0)
            continue;
        snprintf(label, sizeof label, "%.*s/label", (int)(last - path), path);
        if (run_item_find(run, label))
            return true;
    }
    return false;
}

static void find_holds(struct book *b)
{
    for (int64_t i = 0; i < b->n_runs; i++) {
        if (run_item_find(b->run[i], "/scores/importance"))
            hold(b, "heads");
        if (has_classes(b->run[i]))
            hold(b, "predictions");
    }
    if (b->cells) {
        hold(b, "table");
        hold(b, table_is_map(b->cells->table) ? "map" : "lines");
    } else if (b->n_holds > 0 && !strcmp(b->holds[0], "metrics")) {
        hold(b, "sweep");
    }
}

/* "99 runs of the spec quickstart, ..." */
static void put_about(struct strbuf *out, const struct book *b)
{
    struct build_info build = build_info();
    const char *seen[LISTED];
    int64_t n = 0;

    strbuf_printf(out, "%lld run%s", (long long)b->n_runs, b->n_runs == 1 ? "" : "s");
    for (int64_t i = 0; i < b->n_lines && n < LISTED; i++) {
        bool known = false;
        for (int64_t k = 0; k < n && !known; k++)
            known = !strcmp(seen[k], b->line[i].spec);
        if (known)
            continue;
        seen[n] = b->line[i].spec;
        strbuf_printf(out, "%s %s", n++ ? "," : " of", b->line[i].spec);
    }
    strbuf_printf(out, ", exported by Retort %s (%.10s).", build.version, build.commit);
    if (b->missing)
        strbuf_printf(out, " %lld jobs of the sweep had no run.", (long long)b->missing);
}

static int write_book(struct book *b, const char *dir, struct err *err)
{
    struct strbuf about = STRBUF_INIT;
    struct notebook nb = {.holds = b->holds};
    int rc;

    find_holds(b);
    put_about(&about, b);
    nb.title = b->title ? b->title : b->n_lines ? b->line[0].spec : "Runs";
    nb.about = strbuf_text(&about);
    rc = strbuf_failed(&about, err) || notebook_write(&nb, dir, err) ? -1 : 0;
    strbuf_release(&about);
    return rc;
}

static int write_all(struct book *b, const char *dir, struct err *err)
{
    char *h5 = path_join(dir, "runs.h5", err);
    int rc = !h5 || runs_bundle(h5, b->run, b->n_runs, err) ||
             write_points(b, dir, err) || write_metrics(b, dir, err);

    if (!rc && b->cells)
        rc = write_table(b, dir, TABLE_JSON, "table.json", err) ||
             write_table(b, dir, TABLE_CSV, "table.csv", err);
    if (!rc)
        rc = write_book(b, dir, err);
    free(h5);
    return rc ? -1 : 0;
}

static void book_release(struct book *b)
{
    for (int64_t i = 0; i < b->n_runs; i++)
        run_close(b->run[i]);
    free(b->run);
    free(b->line);
    free(b->variable);
    if (b->cells)
        cells_close(b->cells);
    arena_free(b->arena);
}

int export_notebook(const struct export_args *a, struct store *store, struct err *err)
{
    struct book b = {.args = a, .store = store, .arena = arena_new(err)};
    struct cells cells = {.decl = NULL};
    const char *dir = a->notebook;
    int rc = -1;

    if (file_exists(dir)) {
        err_set(err, ERR_INPUT, "%s is there already; name a new folder", dir);
        goto done;
    }
    if (!b.arena || add_all(&b, &cells, err))
        goto done;
    if (b.n_runs == 0) {
        err_set(err, ERR_MISSING,
                "%s: none of these runs is there; retort run makes them",
                store_dir(store));
        goto done;
    }
    if (file_mkdirs(dir, err))
        goto done;
    rc = write_all(&b, dir, err);
    if (rc)
        file_remove(dir, NULL);
    else if (!a->common.quiet)
        fprintf(stderr, "%s/notebook.ipynb: %lld runs%s\n", dir, (long long)b.n_runs,
                b.missing ? "; jobs that have no run are left out" : "");
done:
    book_release(&b);
    return rc;
}
