/*
 * What a page shows of each stage without being asked: an overview of its evaluations,
 * its metrics over the steps, its scores of layers and heads.
 *
 * Each is a table's declaration, written here as a person would write it, so that what
 * holds for tables (which runs may stand in a cell) holds for them.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "page_impl.h"

#define ARMS_DRAWN 7    /* curves in one picture; maps of one array */
#define ARMS_LISTED 400 /* rows of an overview */
#define COLUMNS_MOST 8  /* of an overview */
#define CURVES_MOST 8   /* pictures of a stage */

/* ---- arms ---- */

static bool same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static const char *value_of(const struct point *p, const char *var)
{
    for (int64_t i = 0; i < p->n_vars; i++)
        if (same(p->var[i], var))
            return p->value[i];
    return NULL;
}

static const char *arm_name(struct page_writer *w, const struct arm *a)
{
    struct strbuf sb = STRBUF_INIT;
    const char *name;

    strbuf_puts(&sb, a->label ? a->label : "");
    for (int64_t i = 0; i < a->n; i++) {
        strbuf_puts(&sb, sb.len ? ", " : "");
        strbuf_printf(&sb, "%s %s", a->var[i], a->value[i]);
    }
    name = arena_strdup(w->arena, strbuf_text(&sb));
    strbuf_release(&sb);
    return name;
}

/* Do all points of this label have the variable's value: is it what the label stands
 * for? */
static bool label_says(const struct spec *spec, const struct point *p, const char *var)
{
    for (int64_t i = 0; i < spec_point_count(spec); i++) {
        const struct point *o = spec_point(spec, i);
        if (same(o->label, p->label) && !same(value_of(o, var), value_of(p, var)))
            return false;
    }
    return true;
}

int page_arm(struct page_writer *w, struct arm *out, const struct job *job)
{
    const struct spec *spec = w->plan->spec;
    const struct point *first =
        job->n_points ? spec_point(spec, job->point[0]) : &(struct point){.n_vars = 0};
    int64_t bytes = (first->n_vars + 1) * (int64_t)sizeof *out->var;

    *out = (struct arm){.label = first->label,
                        .var = arena_alloc(w->arena, bytes),
                        .value = arena_alloc(w->arena, bytes)};
    if (arena_failed(w->arena, w->err))
        return -1;
    for (int64_t p = 1; p < job->n_points; p++)
        if (!same(out->label, spec_point(spec, job->point[p])->label))
            out->label = NULL;
    for (int64_t i = 0; i < first->n_vars; i++) {
        bool agree = true;
        for (int64_t p = 1; p < job->n_points && agree; p++)
            agree = same(first->value[i],
                         value_of(spec_point(spec, job->point[p]), first->var[i]));
        if (!agree || (out->label && label_says(spec, first, first->var[i])))
            continue;
        out->var[out->n] = first->var[i];
        out->value[out->n++] = first->value[i];
    }
    out->name = arm_name(w, out);
    return arena_failed(w->arena, w->err);
}

struct arm *page_arms(struct page_writer *w, const char *stage, int64_t *n)
{
    struct arm *list = arena_alloc(w->arena, (w->plan->n + 1) * (int64_t)sizeof *list);

    *n = 0;
    if (arena_failed(w->arena, w->err))
        return NULL;
    for (int64_t i = 0; i < w->plan->n; i++) {
        bool known = false;
        if (!same(w->plan->job[i].stage, stage))
            continue;
        if (page_arm(w, &list[*n], &w->plan->job[i]))
            return NULL;
        for (int64_t k = 0; k < *n && !known; k++)
            known = same(list[k].name, list[*n].name);
        *n += !known;
    }
    return list;
}

int64_t page_sealed_job(const struct page_writer *w, const char *stage)
{
    for (int64_t i = 0; i < w->plan->n; i++)
        if (w->job[i].sealed && same(w->plan->job[i].stage, stage))
            return i;
    return -1;
}

/* ---- declarations ---- */

static void put_arm(struct json_writer *j, const struct arm *a, const char *otherwise)
{
    json_object(j);
    json_member(j, "name");
    json_str(j, *a->name ? a->name : otherwise);
    if (a->label) {
        json_member(j, "label");
        json_str(j, a->label);
    }
    json_member(j, "where");
    json_object(j);
    for (int64_t i = 0; i < a->n; i++) {
        json_member(j, a->var[i]);
        json_raw(j, a->value[i]);
    }
    json_object_end(j);
    json_object_end(j);
}

static void begin(struct json_writer *j, struct strbuf *sb, const char *title,
                  const char *stage)
{
    json_begin(j, sb, false);
    json_object(j);
    json_member(j, "table");
    json_i64(j, 1);
    json_member(j, "title");
    json_str(j, title);
    json_member(j, "stage");
    json_str(j, stage);
}

static void put_kind(struct json_writer *j, const char *kind)
{
    json_member(j, "plot");
    json_object(j);
    json_member(j, "kind");
    json_str(j, kind);
    json_object_end(j);
}

/* The filled table of a declaration, to be freed. */
static int fill(struct page_writer *w, struct table **out, struct observations *obs,
                const struct strbuf *sb)
{
    struct table *t = NULL;
    int rc = -1;

    if (strbuf_failed(sb, w->err) ||
        table_parse(&t, strbuf_text(sb), "overview", ".", w->err))
        return -1;
    for (int64_t i = 0; i < table_want_count(t); i++) {
        const char *stage, *metric;
        table_want(t, i, &stage, &metric);
        if (observe(obs, w->plan, w->store, stage, metric, w->err))
            goto done;
    }
    rc = table_fill(t, obs->v, obs->n, w->err);
done:
    if (rc)
        table_free(t);
    else
        *out = t;
    return rc;
}

void page_picture(struct page_writer *w, const struct table *t, const char *about)
{
    struct err err = ERR_INIT;
    struct picture p;
    char id[32];

    snprintf(id, sizeof id, "figure-%lld", (long long)++w->figures);
    strbuf_puts(w->out, "<figure><figcaption>");
    if (table_picture(&p, t, w->store, &err)) {
        html_text(w->out, table_title(t));
        strbuf_puts(w->out, "<small>No picture: ");
        html_text(w->out, err.text);
        strbuf_puts(w->out, "</small></figcaption></figure>\n");
        return;
    }
    html_text(w->out, p.is_map ? p.map.title : p.plot.title);
    if (about) {
        strbuf_puts(w->out, "<small>");
        html_text(w->out, about);
        strbuf_puts(w->out, "</small>");
    }
    strbuf_puts(w->out, "</figcaption>\n");
    if (p.is_map)
        plot_map_svg(w->out, &p.map, id);
    else
        plot_svg(w->out, &p.plot, id);
    strbuf_puts(w->out, "</figure>\n");
}

/* Draws the declaration; one that cannot be filled (runs of different measures) is told
 * in its place. */
static void draw(struct page_writer *w, const struct strbuf *sb, const char *about,
                 bool as_table)
{
    struct observations obs = {NULL, 0, 0, NULL};
    struct err err = ERR_INIT, *outer = w->err;
    struct table *t = NULL;

    w->err = &err;
    if (fill(w, &t, &obs, sb)) {
        strbuf_puts(w->out, "<p class=\"bad\">");
        html_text(w->out, err.text);
        strbuf_puts(w->out, "</p>\n");
    } else if (as_table) {
        table_print_page(w->out, t);
    } else {
        page_picture(w, t, about);
    }
    w->err = outer;
    table_free(t);
    observations_release(&obs);
}

/* ---- overviews ---- */

static bool is_result(const struct series *s)
{
    return s->n == 1 &&
           (!strncmp(s->name, "eval/", 5) || !strcmp(s->name, "model/parameters_kept"));
}

static bool is_evaluation(struct run *run)
{
    struct err none = ERR_INIT;
    struct series s;

    for (int64_t i = 0; i < run_series_count(run); i++)
        if (!run_series(run, i, &s, &none) && !strncmp(s.name, "eval/", 5) && s.n == 1)
            return true;
    return false;
}

static void overview(struct page_writer *w, const char *stage, struct run *run,
                     const struct arm *arm, int64_t n)
{
    struct strbuf sb = STRBUF_INIT;
    struct err none = ERR_INIT;
    struct json_writer j;
    struct series s;
    int columns = 0;

    if (!is_evaluation(run) || n > ARMS_LISTED)
        return;
    begin(&j, &sb, arena_printf(w->arena, "All evaluations of %s", stage), stage);
    json_member(&j, "digits");
    json_i64(&j, 4);
    json_member(&j, "rows");
    json_array(&j);
    for (int64_t i = 0; i < n; i++)
        put_arm(&j, &arm[i], stage);
    json_array_end(&j);
    json_member(&j, "columns");
    json_array(&j);
    for (int64_t i = 0; i < run_series_count(run) && columns < COLUMNS_MOST; i++) {
        if (run_series(run, i, &s, &none) || !is_result(&s))
            continue;
        columns++;
        json_object(&j);
        json_member(&j, "name");
        json_str(&j, !strncmp(s.name, "eval/", 5) ? s.name + 5 : s.name);
        json_member(&j, "metric");
        json_str(&j, s.name);
        if (strncmp(s.name, "eval/", 5) != 0) { /* a count */
            json_member(&j, "digits");
            json_i64(&j, 0);
        }
        json_object_end(&j);
    }
    json_array_end(&j);
    json_object_end(&j);
    draw(w, &sb, NULL, true);
    strbuf_release(&sb);
}

/* ---- curves ---- */

static void curve(struct page_writer *w, const char *stage, const char *metric,
                  const struct arm *arm, int64_t n)
{
    struct strbuf sb = STRBUF_INIT;
    struct json_writer j;
    const char *about = "A faint line for each run.";

    if (n > ARMS_DRAWN) {
        about = arena_printf(w->arena,
                             "A faint line for each run; the first %d of %lld arms.",
                             ARMS_DRAWN, (long long)n);
        n = ARMS_DRAWN;
    }
    begin(&j, &sb, arena_printf(w->arena, "%s: %s", stage, metric), stage);
    json_member(&j, "metric");
    json_str(&j, metric);
    json_member(&j, "rows");
    json_array(&j);
    for (int64_t i = 0; i < n; i++)
        put_arm(&j, &arm[i], stage);
    json_array_end(&j);
    json_member(&j, "columns");
    json_raw(&j, "[{\"name\":\"over steps\"}]");
    put_kind(&j, "steps");
    json_object_end(&j);
    draw(w, &sb, about, false);
    strbuf_release(&sb);
}

static void curves(struct page_writer *w, const char *stage, struct run *run,
                   const struct arm *arm, int64_t n)
{
    struct err none = ERR_INIT;
    struct series s;
    int drawn = 0;

    for (int64_t i = 0; i < run_series_count(run) && drawn < CURVES_MOST; i++)
        if (!run_series(run, i, &s, &none) && s.n > 2 && s.cls != RECORD_ENV) {
            curve(w, stage, s.name, arm, n);
            drawn++;
        }
}

/* ---- maps ---- */

static double largest(const struct array *a)
{
    double most = 0, x;

    for (int64_t i = 0; i < shape_count(a->shape); i++) {
        size_t size = (size_t)dtype_bytes(a->dtype);
        dtype_convert(&x, DT_F64, (const char *)a->data + (size_t)i * size, a->dtype, 1);
        if (isfinite(x))
            most = fmax(most, fabs(x));
    }
    return most;
}

/* A power of ten that brings the largest value between 1 and 1000, where digits would not
 * tell it otherwise. */
static int exponent_of(double most)
{
    return most > 0 && most < 0.01 ? (int)(3 * ceil(-log10(most) / 3)) : 0;
}

static void map(struct page_writer *w, const char *stage, const char *path,
                const struct array *a, const struct arm *arm)
{
    struct strbuf sb = STRBUF_INIT;
    struct json_writer j;
    double most = largest(a);
    int exponent = exponent_of(most);
    const char *about =
        exponent ? arena_printf(w->arena, "Mean over the seeds, times 1e%d.", exponent)
                 : "Mean over the seeds.";

    begin(&j, &sb,
          arena_printf(w->arena, "%s: %s%s%s", stage, path, *arm->name ? ", " : "",
                       arm->name),
          stage);
    json_member(&j, "metric");
    json_str(&j, path);
    json_member(&j, "scale");
    json_num(&j, pow(10, exponent));
    most *= pow(10, exponent);
    json_member(&j, "digits");
    json_i64(&j, most >= 100 ? 0 : most >= 10 ? 1 : 2);
    json_member(&j, "rows");
    json_array(&j);
    for (int64_t r = 0; r < a->shape.dim[0]; r++) {
        struct arm row = *arm;
        const char *var[64], *value[64];
        int64_t k = 0;
        for (; k < arm->n && k < 63; k++) {
            var[k] = arm->var[k];
            value[k] = arm->value[k];
        }
        var[k] = a->dim[0];
        value[k++] = arena_printf(w->arena, "%lld", (long long)r);
        row.var = var;
        row.value = value;
        row.n = k;
        row.name = value[k - 1];
        put_arm(&j, &row, "");
    }
    json_array_end(&j);
    json_member(&j, "columns");
    json_object(&j);
    json_member(&j, "variable");
    json_str(&j, a->dim[1]);
    json_object_end(&j);
    json_member(&j, "plot");
    json_object(&j);
    json_member(&j, "kind");
    json_str(&j, "map");
    json_member(&j, "y");
    json_str(&j, a->dim[0]);
    json_object_end(&j);
    json_object_end(&j);
    draw(w, &sb, about, false);
    strbuf_release(&sb);
}

static bool is_map(const struct run_item *it, const struct array *a)
{
    return !strncmp(it->path, "/scores/", 8) && a->shape.rank == 2 && a->dim[0] &&
           a->dim[1] && a->shape.dim[0] > 0 && a->shape.dim[0] <= 128 &&
           a->shape.dim[1] > 0 && a->shape.dim[1] <= 128;
}

static void maps(struct page_writer *w, const char *stage, struct run *run,
                 const struct arm *arm, int64_t n)
{
    struct artifact *from = run_artifact(run);
    struct err none = ERR_INIT;
    struct array a;

    for (int64_t i = 0; i < run_item_count(run); i++) {
        const struct run_item *it = run_item(run, i);
        if (it->is_text || it->shape.rank != 2 ||
            from->array(from->ctx, it->path, &a, &none) || !is_map(it, &a))
            continue;
        for (int64_t k = 0; k < n && k < ARMS_DRAWN; k++)
            map(w, stage, it->path, &a, &arm[k]);
        if (n > ARMS_DRAWN) {
            strbuf_puts(w->out, "<p class=\"faint\">");
            html_text(w->out, it->path);
            strbuf_printf(w->out, " of the first %d of %lld arms.</p>\n", ARMS_DRAWN,
                          (long long)n);
        }
    }
}

int page_figures(struct page_writer *w, const char *stage)
{
    int64_t job = page_sealed_job(w, stage), n;
    struct strbuf drawn = STRBUF_INIT, *out = w->out;
    struct run *run = NULL;
    struct arm *arm;

    if (job < 0)
        return 0;
    arm = page_arms(w, stage, &n);
    if (!arm || run_open(&run, w->store, w->plan->job[job].id, false, w->err))
        return -1;
    overview(w, stage, run, arm, n);
    w->out = &drawn;
    curves(w, stage, run, arm, n);
    maps(w, stage, run, arm, n);
    w->out = out;
    if (drawn.len)
        strbuf_printf(out, "<div class=\"figures\">\n%s</div>\n", strbuf_text(&drawn));
    out->failed = out->failed || drawn.failed;
    strbuf_release(&drawn);
    run_close(run);
    return arena_failed(w->arena, w->err);
}
