/*
 * A filled table as Markdown, LaTeX, CSV and JSON.
 *
 * Markdown and LaTeX hold one line a row; a row with figures of the paper is followed by
 * two more, the paper's number and the difference. Marks: "missing", "*" for some seeds
 * missing, "!" for stale; each is explained below.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "retort/json.h"
#include "table_impl.h"

static const char *const state_names[] = {"ok", "missing", "partial", "stale",
                                          "undefined"};

int table_format_parse(enum table_format *out, const char *name, struct err *err)
{
    static const char *const names[] = {"md", "latex", "csv", "json"};
    for (int i = 0; i < 4; i++) {
        if (strcmp(names[i], name) == 0) {
            *out = (enum table_format)i;
            return 0;
        }
    }
    return err_set(err, ERR_INPUT, "unknown format \"%s\"; use md, latex, csv or json",
                   name);
}

static void put_latex(struct strbuf *out, const char *s)
{
    for (; *s; s++) {
        if (*s == '\\')
            strbuf_puts(out, "\\textbackslash{}");
        else if (*s == '~' || *s == '^')
            strbuf_printf(out, "\\%c{}", *s);
        else if (strchr("&%$#_{}", *s))
            strbuf_printf(out, "\\%c", *s);
        else
            strbuf_putc(out, *s);
    }
}

static void put_md(struct strbuf *out, const char *s)
{
    for (; *s; s++) {
        if (*s == '|')
            strbuf_putc(out, '\\');
        strbuf_putc(out, *s == '\n' ? ' ' : *s);
    }
}

static void put_csv(struct strbuf *out, const char *s)
{
    if (!strpbrk(s, ",\"\n\r")) {
        strbuf_puts(out, s);
        return;
    }
    strbuf_putc(out, '"');
    for (; *s; s++) {
        if (*s == '"')
            strbuf_putc(out, '"');
        strbuf_putc(out, *s);
    }
    strbuf_putc(out, '"');
}

static void put_text(struct strbuf *out, bool latex, const char *s)
{
    if (latex)
        put_latex(out, s);
    else
        put_md(out, s);
}

/* A number with the declaration's digits; -0.0 is written 0.0. */
static void put_fixed(struct strbuf *out, int digits, double x)
{
    char buf[352], zero[32];
    snprintf(buf, sizeof(buf), "%.*f", digits, x);
    snprintf(zero, sizeof(zero), "-%.*f", digits, 0.0);
    strbuf_puts(out, strcmp(buf, zero) == 0 ? buf + 1 : buf);
}

/* "= 0.012", "< 0.0001": a p-value as papers print it. */
static void put_p(struct strbuf *out, double p)
{
    if (p < 1e-4)
        strbuf_puts(out, "< 0.0001");
    else
        strbuf_printf(out, p < 0.001 ? "= %.4f" : "= %.3f", p);
}

/* Runs of a cell, where nothing is missing: the number that is not told in each cell. */
static int64_t usual_n(const struct table *t)
{
    int64_t most = 0;

    for (int64_t i = 0; i < t->rows.n * t->cols.n; i++)
        most = t->cell[i].n > most ? t->cell[i].n : most;
    return most;
}

static void put_cell(struct strbuf *out, const struct table *t,
                     const struct table_cell *c, bool latex)
{
    if (c->n == 0) {
        strbuf_puts(out, state_names[c->state]);
        return;
    }
    put_fixed(out, t->digits, c->mean);
    if (!isnan(c->std)) {
        strbuf_puts(out, latex ? " $\\pm$ " : " ± ");
        put_fixed(out, t->digits, c->std);
    }
    if (c->n != usual_n(t))
        strbuf_printf(out, " (%lld)", (long long)c->n);
    if (c->marked)
        strbuf_puts(out, c->marked == c->n ? (latex ? "$^{\\dagger}$" : "†")
                                           : (latex ? "$^{(\\dagger)}$" : "(†)"));
    strbuf_puts(out, c->state == CELL_PARTIAL ? (latex ? "$^{*}$" : "\\*")
                     : c->state == CELL_STALE ? "!"
                                              : "");
}

static bool row_has_paper(const struct table *t, int64_t row)
{
    for (int64_t c = 0; c < t->cols.n; c++) {
        if (!isnan(table_cell(t, row, c)->paper))
            return true;
    }
    return false;
}

/* The lines that stand below a row which a paper speaks of. */
enum below { BELOW_PAPER, BELOW_DIFFERENCE, BELOW_INSIDE, BELOW_INTERVAL, BELOW_SAME };

static bool below_cell(struct strbuf *out, const struct table *t,
                       const struct table_cell *c, bool latex, enum below what)
{
    const struct equivalence *e = &c->equivalence;
    const char *pm = latex ? " $\\pm$ " : " ± ";
    double difference = c->mean - c->paper;

    switch (what) {
    case BELOW_PAPER:
        if (isnan(c->paper))
            return false;
        put_fixed(out, t->digits, c->paper);
        if (!isnan(c->reference.std)) {
            strbuf_puts(out, pm);
            put_fixed(out, t->digits, c->reference.std);
            strbuf_printf(out, " (%lld)", (long long)c->reference.n);
        }
        return true;
    case BELOW_DIFFERENCE:
        if (isnan(difference))
            return false;
        strbuf_puts(out, difference > 0 ? "+" : "");
        put_fixed(out, t->digits, difference);
        return true;
    case BELOW_INSIDE:
        if (isnan(difference) || isnan(c->interval95))
            return false;
        strbuf_puts(out, fabs(difference) <= c->interval95 ? "yes" : "no");
        return true;
    case BELOW_INTERVAL:
        if (isnan(e->low))
            return false;
        put_fixed(out, t->digits, e->low);
        strbuf_puts(out, latex ? " \\dots{} " : " … ");
        put_fixed(out, t->digits, e->high);
        return true;
    case BELOW_SAME:
        if (isnan(e->p))
            return false;
        strbuf_puts(out, e->shown ? "yes, p " : "no, p ");
        put_p(out, e->p);
        return true;
    }
    return false;
}

static void below_name(struct strbuf *out, const struct table *t, bool latex,
                       enum below what)
{
    static const char *const name[] = {"paper", "difference", "in the 95 % interval",
                                       "90 % interval of the difference"};

    if (what != BELOW_SAME) {
        put_text(out, latex, name[what]);
        return;
    }
    strbuf_puts(out, latex ? "within $\\pm$" : "within ±");
    strbuf_double(out, t->margin);
}

static void put_below(struct strbuf *out, const struct table *t, int64_t row, bool latex,
                      enum below what)
{
    strbuf_puts(out, latex ? "\\quad " : "| ");
    below_name(out, t, latex, what);
    for (int64_t c = 0; c < t->cols.n; c++) {
        strbuf_puts(out, latex ? " & " : " | ");
        if (!below_cell(out, t, table_cell(t, row, c), latex, what))
            strbuf_puts(out, latex ? "--" : "–");
    }
    strbuf_puts(out, latex ? " \\\\\n" : " |\n");
}

static void put_row(struct strbuf *out, const struct table *t, int64_t row, bool latex)
{
    if (!latex)
        strbuf_puts(out, "| ");
    put_text(out, latex, t->rows.v[row].name);
    for (int64_t c = 0; c < t->cols.n; c++) {
        strbuf_puts(out, latex ? " & " : " | ");
        put_cell(out, t, table_cell(t, row, c), latex);
    }
    strbuf_puts(out, latex ? " \\\\\n" : " |\n");
    if (row_has_paper(t, row)) {
        for (enum below k = BELOW_PAPER; k <= (t->margin > 0 ? BELOW_SAME : BELOW_INSIDE);
             k++)
            put_below(out, t, row, latex, k);
    }
}

/* "mean ± std of 3 runs", and that some cells tell another number. */
static void put_count(struct strbuf *out, const struct table *t, bool latex)
{
    int64_t n = usual_n(t);
    bool all = true;

    for (int64_t i = 0; i < t->rows.n * t->cols.n; i++)
        all = all && (t->cell[i].n == n || t->cell[i].n == 0);
    if (n <= 1)
        strbuf_puts(out, n ? "one run" : "no run");
    else
        strbuf_printf(out, "mean %s std of %lld runs", latex ? "$\\pm$" : "±",
                      (long long)n);
    strbuf_puts(out, all ? "" : " (or the number told)");
}

static void put_mark(struct strbuf *out, const struct table *t, bool latex)
{
    const char *name = t->mark ? strrchr(t->mark, '/') : NULL;

    if (!t->mark)
        return;
    strbuf_puts(out, latex ? " $\\dagger$: " : " †: ");
    put_text(out, latex, name ? name + 1 : t->mark);
    strbuf_puts(out, latex ? " $<$ " : " < ");
    strbuf_double(out, t->mark_below);
    strbuf_puts(out, latex ? " in every run, ($\\dagger$): in some."
                           : " in every run, (†): in some.");
}

/* What the numbers are, and what the marks that occur mean. */
static void put_legend(struct strbuf *out, const struct table *t, bool latex)
{
    int64_t count[5] = {0};
    for (int64_t i = 0; i < t->rows.n * t->cols.n; i++)
        count[t->cell[i].state]++;
    put_count(out, t, latex);
    if (t->metric) {
        strbuf_puts(out, ": ");
        put_text(out, latex, t->metric);
    }
    if (t->unit) {
        strbuf_puts(out, ", ");
        put_text(out, latex, t->unit);
    }
    if (t->paper_name) {
        const char *title = json_string(json_get(json_root(t->paper), "paper"));
        strbuf_puts(out, "; paper: ");
        if (title) {
            put_text(out, latex, title);
            strbuf_puts(out, ", ");
        }
        put_text(out, latex, t->paper_name);
    }
    strbuf_puts(out, ".");
    put_mark(out, t, latex);
    if (count[CELL_MISSING])
        strbuf_printf(out, " missing: no run (%lld).", (long long)count[CELL_MISSING]);
    if (count[CELL_UNDEFINED])
        strbuf_printf(out, " undefined: the runs give no number (%lld).",
                      (long long)count[CELL_UNDEFINED]);
    if (count[CELL_PARTIAL])
        strbuf_printf(out, " %s: some seeds are missing (%lld).",
                      latex ? "$^{*}$" : "\\*", (long long)count[CELL_PARTIAL]);
    if (count[CELL_STALE])
        strbuf_printf(out, " !: stale (%lld).", (long long)count[CELL_STALE]);
    strbuf_putc(out, '\n');
}

/* What the rows and the columns are: "layer / head". */
static void put_corner(struct strbuf *out, const struct table *t, bool latex)
{
    const char *rows = t->rows.name ? t->rows.name : t->rows.variable;
    const char *cols = t->cols.name ? t->cols.name : t->cols.variable;

    put_text(out, latex, rows ? rows : "");
    strbuf_puts(out, rows && cols ? " / " : "");
    put_text(out, latex, cols ? cols : "");
}

static void print_md(struct strbuf *out, const struct table *t)
{
    if (*t->title) {
        strbuf_puts(out, "**");
        put_md(out, t->title);
        strbuf_puts(out, "**\n\n");
    }
    strbuf_puts(out, "| ");
    put_corner(out, t, false);
    for (int64_t c = 0; c < t->cols.n; c++) {
        strbuf_puts(out, " | ");
        put_md(out, t->cols.v[c].name);
    }
    strbuf_puts(out, " |\n|---");
    for (int64_t c = 0; c < t->cols.n; c++)
        strbuf_puts(out, "|---:");
    strbuf_puts(out, "|\n");
    for (int64_t r = 0; r < t->rows.n; r++)
        put_row(out, t, r, false);
    strbuf_putc(out, '\n');
    put_legend(out, t, false);
}

static void print_latex(struct strbuf *out, const struct table *t)
{
    strbuf_puts(out, "\\begin{table}\n\\centering\n\\begin{tabular}{l");
    for (int64_t c = 0; c < t->cols.n; c++)
        strbuf_putc(out, 'r');
    strbuf_puts(out, "}\n\\hline\n");
    put_corner(out, t, true);
    for (int64_t c = 0; c < t->cols.n; c++) {
        strbuf_puts(out, " & ");
        put_latex(out, t->cols.v[c].name);
    }
    strbuf_puts(out, " \\\\\n\\hline\n");
    for (int64_t r = 0; r < t->rows.n; r++)
        put_row(out, t, r, true);
    strbuf_puts(out, "\\hline\n\\end{tabular}\n\\caption{");
    put_latex(out, t->title);
    strbuf_puts(out, *t->title ? ". " : "");
    put_legend(out, t, true);
    strbuf_puts(out, "}\n\\end{table}\n");
}

/* An empty field where there is no number. */
static void put_number(struct strbuf *out, double x)
{
    strbuf_putc(out, ',');
    if (!isnan(x))
        strbuf_double(out, x);
}

static void print_csv(struct strbuf *out, const struct table *t)
{
    strbuf_puts(out, "row,column,state,n,wanted,mean,std,interval95,paper,difference,"
                     "paper_std,paper_n,"
                     "low90,high90,equivalence_p,equivalent,marked,runs\n");
    for (int64_t i = 0; i < t->rows.n * t->cols.n; i++) {
        const struct table_cell *c = &t->cell[i];
        put_csv(out, t->rows.v[i / t->cols.n].name);
        strbuf_putc(out, ',');
        put_csv(out, t->cols.v[i % t->cols.n].name);
        strbuf_printf(out, ",%s,%lld,%lld", state_names[c->state], (long long)c->n,
                      (long long)c->wanted);
        put_number(out, c->mean);
        put_number(out, c->std);
        put_number(out, c->interval95);
        put_number(out, c->paper);
        put_number(out, c->mean - c->paper);
        put_number(out, c->reference.std);
        put_number(out, c->reference.n ? (double)c->reference.n : (double)NAN);
        put_number(out, c->equivalence.low);
        put_number(out, c->equivalence.high);
        put_number(out, c->equivalence.p);
        strbuf_puts(out, isnan(c->equivalence.p) ? ","
                         : c->equivalence.shown  ? ",yes"
                                                 : ",no");
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

static void json_cell(struct json_writer *w, const struct table *t, int64_t i)
{
    const struct table_cell *c = &t->cell[i];
    const struct {
        const char *key;
        double x;
    } numbers[] = {{"mean", c->mean},
                   {"std", c->std},
                   {"interval95", c->interval95},
                   {"paper", c->paper},
                   {"difference", c->mean - c->paper}};

    json_object(w);
    json_member(w, "row");
    json_str(w, t->rows.v[i / t->cols.n].name);
    json_member(w, "column");
    json_str(w, t->cols.v[i % t->cols.n].name);
    json_member(w, "state");
    json_str(w, state_names[c->state]);
    json_member(w, "n");
    json_i64(w, c->n);
    json_member(w, "wanted");
    json_i64(w, c->wanted);
    for (int k = 0; k < 5; k++) {
        json_member(w, numbers[k].key);
        json_num(w, numbers[k].x);
    }
    json_equivalence(w, t, c);
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

static void print_json(struct strbuf *out, const struct table *t)
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
    json_member(&w, "cells");
    json_array(&w);
    for (int64_t i = 0; i < t->rows.n * t->cols.n; i++)
        json_cell(&w, t, i);
    json_array_end(&w);
    json_object_end(&w);
    strbuf_putc(out, '\n');
}

int table_print(const struct table *t, enum table_format format, struct strbuf *out,
                struct err *err)
{
    if (!t->cell)
        BUG("table_print before table_fill");
    if (format == TABLE_MD)
        print_md(out, t);
    else if (format == TABLE_LATEX)
        print_latex(out, t);
    else if (format == TABLE_CSV)
        print_csv(out, t);
    else
        print_json(out, t);
    return strbuf_failed(out, err);
}
