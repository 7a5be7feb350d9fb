/*
 * A filled table for people: Markdown, LaTeX (booktabs) and HTML.
 *
 * One line a row; a row with figures of the paper is followed by the paper's number, the
 * difference, and what is asked of it. Marks: "missing", "*" for some seeds missing, "!"
 * for stale, an arrow for a cell that is told apart from the baseline, bold for the best
 * if it is told apart from all others; each is explained below the table.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "html.h"
#include "table_impl.h"

int table_format_parse(enum table_format *out, const char *name, struct err *err)
{
    static const char *const names[] = {"md", "latex", "csv", "html", "json"};
    for (int i = 0; i < 5; i++) {
        if (strcmp(names[i], name) == 0) {
            *out = (enum table_format)i;
            return 0;
        }
    }
    return err_set(err, ERR_INPUT,
                   "unknown format \"%s\"; use md, latex, csv, html or json", name);
}

const char *table_state_name(enum cell_state state)
{
    static const char *const names[] = {"ok",    "missing",   "partial",
                                        "stale", "undefined", "unasked"};
    return names[state];
}

/* ---- what a format writes for the same thing ---- */

/* A sheet of paper, and how it is written on. */
struct sheet {
    const struct table *t;
    struct strbuf *out;
    enum table_format format;
    int digits; /* of the cell that is written */
    bool page;  /* html that sorts and links to runs: part of a page */
};

static void put(const struct sheet *s, const char *md, const char *latex,
                const char *html)
{
    strbuf_puts(s->out, s->format == TABLE_LATEX  ? latex
                        : s->format == TABLE_HTML ? html
                                                  : md);
}

/* What begins a macro's argument ([, *) or joins its neighbour (--, ``) stands alone. */
static void put_latex(struct strbuf *out, char c)
{
    static const char *const words[] = {"\\\\textbackslash{}",
                                        "~\\textasciitilde{}",
                                        "^\\textasciicircum{}",
                                        "<\\textless{}",
                                        ">\\textgreater{}",
                                        "|\\textbar{}",
                                        "`\\`{}",
                                        "\"\\texttt{\\char34}",
                                        "[{[}",
                                        "*{*}",
                                        "-{-}"};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (words[i][0] == c) {
            strbuf_puts(out, words[i] + 1);
            return;
        }
    if (strchr("&%$#_{}", c))
        strbuf_putc(out, '\\');
    strbuf_putc(out, c);
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (unsigned char)c >= 0x80;
}

/* `before` and the next one tell whether an underscore is inside of a word, where it
 * means nothing. */
static void put_md(struct strbuf *out, char c, char before, char after)
{
    bool inside = is_word(before) && is_word(after);

    if (strchr("\\`*[]|~", c) || (c == '_' && !inside))
        strbuf_putc(out, '\\');
    if (c == '<')
        strbuf_puts(out, "&lt;");
    else if (c == '&' && (is_word(after) || after == '#'))
        strbuf_puts(out, "&amp;");
    else
        strbuf_putc(out, c);
}

/* A name from a file: what would be markup is text. Line ends become blanks, other
 * control characters question marks. */
static void put_text(const struct sheet *s, const char *text)
{
    for (const char *p = text; *p; p++) {
        char c = *p;
        if (c == '\n' || c == '\r' || c == '\t')
            c = ' ';
        else if ((unsigned char)c < 0x20 || c == 0x7f)
            c = '?';
        if (s->format == TABLE_LATEX)
            put_latex(s->out, c);
        else if (s->format == TABLE_HTML)
            html_char(s->out, c);
        else
            put_md(s->out, c, p == text ? ' ' : p[-1], p[1]);
    }
}

/* A number with the declaration's digits; -0.0 is written 0.0. */
static void put_fixed(const struct sheet *s, double x)
{
    char buf[352], zero[32];
    snprintf(buf, sizeof(buf), "%.*f", s->digits, x);
    snprintf(zero, sizeof(zero), "-%.*f", s->digits, 0.0);
    strbuf_puts(s->out, strcmp(buf, zero) == 0 ? buf + 1 : buf);
}

/* "= 0.012", "< 0.0001": a p-value as papers print it. */
static void put_p(const struct sheet *s, double p)
{
    if (p < 1e-4)
        put(s, "< 0.0001", "$<$ 0.0001", "&lt; 0.0001");
    else
        strbuf_printf(s->out, p < 0.001 ? "= %.4f" : "= %.3f", p);
}

static void put_pm(const struct sheet *s)
{
    put(s, " ± ", " $\\pm$ ", " ± ");
}

static void put_range(const struct sheet *s, double low, double high)
{
    put_fixed(s, low);
    put(s, " … ", " \\dots{} ", " … ");
    put_fixed(s, high);
}

static int64_t cells_of(const struct table *t)
{
    return t->rows.n * t->cols.n;
}

/* Runs of a cell, where nothing is missing: the number that is not told in each cell. */
static int64_t usual_n(const struct table *t)
{
    int64_t most = 0;

    for (int64_t i = 0; i < cells_of(t); i++)
        most = t->cell[i].n > most ? t->cell[i].n : most;
    return most;
}

/* ---- cells ---- */

static void put_marks(const struct sheet *s, const struct table_cell *c)
{
    int mark = table_mark(s->t, c);

    if (mark)
        put(s, mark > 0 ? "↑" : "↓", mark > 0 ? "$^{\\uparrow}$" : "$^{\\downarrow}$",
            mark > 0 ? "<sup>↑</sup>" : "<sup>↓</sup>");
    if (c->best == BEST_TIED)
        put(s, " ≈", "$^{\\approx}$", "<sup>≈</sup>");
    if (c->marked && c->marked == c->n)
        put(s, "†", "$^{\\dagger}$", "<sup>†</sup>");
    else if (c->marked)
        put(s, "(†)", "$^{(\\dagger)}$", "<sup>(†)</sup>");
    if (c->imported)
        put(s, "‡", "$^{\\ddagger}$", "<sup>‡</sup>");
    if (c->state == CELL_PARTIAL)
        put(s, "\\*", "$^{*}$", "<sup>*</sup>");
    if (c->state == CELL_STALE)
        strbuf_putc(s->out, '!');
}

static void put_cell(const struct sheet *s, const struct table_cell *c)
{
    unsigned show = s->t->show;

    if (c->state == CELL_UNASKED) {
        put(s, "–", "--", "–");
        return;
    }
    if (c->n == 0) {
        strbuf_puts(s->out, table_state_name(c->state));
        return;
    }
    if (c->best == BEST_ALONE)
        put(s, "**", "\\textbf{", "<strong>");
    put_fixed(s, c->mean);
    if (c->best == BEST_ALONE)
        put(s, "**", "}", "</strong>");
    if ((show & SHOW_STD) && !isnan(c->std)) {
        put_pm(s);
        put_fixed(s, c->std);
    }
    if ((show & SHOW_INTERVAL) && !isnan(c->interval95)) {
        put(s, " \\[", " [", " [");
        put_range(s, c->mean - c->interval95, c->mean + c->interval95);
        put(s, "\\]", "]", "]");
    }
    if (show & SHOW_MEDIAN) {
        strbuf_puts(s->out, " median ");
        put_fixed(s, c->median);
    }
    if (show & SHOW_N || c->n != usual_n(s->t))
        strbuf_printf(s->out, show & SHOW_N ? " n=%lld" : " (%lld)", (long long)c->n);
    put_marks(s, c);
}

/* ---- the paper's lines below a row ---- */

enum below { BELOW_PAPER, BELOW_DIFFERENCE, BELOW_INSIDE, BELOW_INTERVAL, BELOW_SAME };

static bool below_cell(const struct sheet *s, const struct table_cell *c, enum below what)
{
    const struct equivalence *e = &c->equivalence;
    double difference = c->mean - c->paper;

    switch (what) {
    case BELOW_PAPER:
        if (isnan(c->paper))
            return false;
        put_fixed(s, c->paper);
        if (!isnan(c->reference.std)) {
            put_pm(s);
            put_fixed(s, c->reference.std);
            strbuf_printf(s->out, " (%lld)", (long long)c->reference.n);
        }
        return true;
    case BELOW_DIFFERENCE:
        if (isnan(difference))
            return false;
        strbuf_puts(s->out, difference > 0 ? "+" : "");
        put_fixed(s, difference);
        return true;
    case BELOW_INSIDE:
        if (isnan(difference) || isnan(c->interval95))
            return false;
        strbuf_puts(s->out, fabs(difference) <= c->interval95 ? "yes" : "no");
        return true;
    case BELOW_INTERVAL:
        if (isnan(e->low))
            return false;
        put_range(s, e->low, e->high);
        return true;
    case BELOW_SAME:
        if (isnan(e->p))
            return false;
        strbuf_puts(s->out, e->shown ? "yes, p " : "no, p ");
        put_p(s, e->p);
        return true;
    }
    return false;
}

static void below_name(const struct sheet *s, enum below what)
{
    static const char *const name[] = {"paper", "difference", "in the 95 % interval",
                                       "90 % interval of the difference"};

    if (what != BELOW_SAME) {
        put_text(s, name[what]);
        return;
    }
    put(s, "within ±", "within $\\pm$", "within ±");
    strbuf_double(s->out, s->t->margin);
}

static bool row_has_paper(const struct table *t, int64_t row)
{
    for (int64_t c = 0; c < t->cols.n; c++) {
        if (!isnan(table_cell(t, row, c)->paper))
            return true;
    }
    return false;
}

static bool row_asks(const struct table *t, int64_t row)
{
    for (int64_t c = 0; c < t->cols.n; c++)
        if (table_cell(t, row, c)->state != CELL_UNASKED)
            return true;
    return false;
}

/* ---- the grid ---- */

static void begin_row(const struct sheet *s, bool below)
{
    put(s, "| ", below ? "\\quad " : "",
        below ? "<tr class=\"paper\"><th scope=\"row\">"
              : "<tbody><tr><th scope=\"row\">");
}

/* `x` is what a page sorts by; NaN: nothing. */
static void next_cell(const struct sheet *s, int64_t column, double x)
{
    put(s, " | ", " & ", column ? "</td><td" : "</th><td");
    if (s->format != TABLE_HTML)
        return;
    if (s->page && !isnan(x)) {
        strbuf_puts(s->out, " data-v=\"");
        strbuf_double(s->out, x);
        strbuf_putc(s->out, '"');
    }
    strbuf_putc(s->out, '>');
}

static void end_row(const struct sheet *s)
{
    put(s, " |\n", " \\\\\n", "</td></tr>\n");
}

static struct sheet cell_sheet(const struct sheet *s, int64_t row, int64_t col)
{
    struct sheet out = *s;

    out.digits = table_cell_digits(s->t, &s->t->rows.v[row], &s->t->cols.v[col]);
    return out;
}

static void put_below(const struct sheet *s, int64_t row, enum below what)
{
    begin_row(s, true);
    below_name(s, what);
    for (int64_t c = 0; c < s->t->cols.n; c++) {
        next_cell(s, c, (double)NAN);
        struct sheet cell = cell_sheet(s, row, c);
        if (!below_cell(&cell, table_cell(s->t, row, c), what))
            put(s, "–", "--", "–");
    }
    end_row(s);
}

static void put_row(const struct sheet *s, int64_t row)
{
    enum below last = s->t->margin > 0 ? BELOW_SAME : BELOW_INSIDE;

    begin_row(s, false);
    put_text(s, s->t->rows.v[row].name);
    for (int64_t c = 0; c < s->t->cols.n; c++) {
        next_cell(s, c, table_cell(s->t, row, c)->mean);
        struct sheet cell = cell_sheet(s, row, c);
        put_cell(&cell, table_cell(s->t, row, c));
    }
    end_row(s);
    for (enum below k = BELOW_PAPER; k <= last && row_has_paper(s->t, row); k++)
        if (k == BELOW_PAPER ||
            (row_asks(s->t, row) && (k != BELOW_INSIDE || (s->t->show & SHOW_INTERVAL))))
            put_below(s, row, k);
    put(s, "", "", "</tbody>\n");
}

/* What the rows and the columns are: "layer / head". */
static void put_corner(const struct sheet *s)
{
    const struct axis *r = &s->t->rows, *c = &s->t->cols;
    const char *rows = r->name ? r->name : r->variable;
    const char *cols = c->name ? c->name : c->variable;

    put_text(s, rows ? rows : "");
    strbuf_puts(s->out, rows && cols ? " / " : "");
    put_text(s, cols ? cols : "");
}

/* ---- the legend ---- */

/* "mean ± std of 3 runs", and that some cells tell another number. */
static void put_count(const struct sheet *s)
{
    const struct table *t = s->t;
    int64_t n = usual_n(t);
    bool all = true;

    for (int64_t i = 0; i < cells_of(t); i++)
        all = all && (t->cell[i].n == n || t->cell[i].n == 0);
    if (n <= 1) {
        strbuf_puts(s->out, n ? "one run" : "no run");
    } else {
        strbuf_puts(s->out, "mean");
        if (t->show & SHOW_STD) {
            put_pm(s);
            strbuf_puts(s->out, "std");
        }
        if (t->show & SHOW_INTERVAL)
            put(s, " \\[95 % interval\\]", " [95 \\% interval]", " [95 % interval]");
        strbuf_printf(s->out, " of %lld runs", (long long)n);
    }
    strbuf_puts(s->out, all || (t->show & SHOW_N) ? "" : " (or the number told)");
}

static void put_dagger(const struct sheet *s)
{
    const char *name = s->t->mark ? strrchr(s->t->mark, '/') : NULL;

    if (!s->t->mark)
        return;
    put(s, " †: ", " $\\dagger$: ", " †: ");
    put_text(s, name ? name + 1 : s->t->mark);
    put(s, " < ", " $<$ ", " &lt; ");
    strbuf_double(s->out, s->t->mark_below);
    put(s, " in every run, (†): in some.", " in every run, ($\\dagger$): in some.",
        " in every run, (†): in some.");
}

/* "paired t, Holm's correction over 12 tests, p < 0.05" */
static void put_method(const struct sheet *s, bool behind, int64_t tests)
{
    const char *name = NULL;
    bool mixed = false;

    for (int64_t i = 0; i < cells_of(s->t); i++) {
        const struct cell_test *c =
            behind ? &s->t->cell[i].behind : &s->t->cell[i].versus;
        mixed = mixed || (c->test && name && strcmp(c->test, name) != 0);
        name = c->test ? c->test : name;
    }
    strbuf_printf(s->out, "%s%s, Holm's correction over %lld tests, p ",
                  name ? name : "no test", mixed ? " or McNemar" : "", (long long)tests);
    put(s, "< ", "$<$ ", "&lt; ");
    strbuf_double(s->out, s->t->tests.alpha);
}

static void put_tests(const struct sheet *s)
{
    const struct tests *k = &s->t->tests;

    if (k->row || k->column) {
        put(s, " ↑ ↓: above or below ", " $\\uparrow$ $\\downarrow$: above or below ",
            " ↑ ↓: above or below ");
        put_text(s, k->row ? k->row : k->column);
        strbuf_puts(s->out, " (");
        put_method(s, false, k->compared);
        strbuf_puts(s->out, ").");
    }
    if (k->best) {
        put(s, " **Bold**: the best of its ", " \\textbf{Bold}: the best of its ",
            " <strong>Bold</strong>: the best of its ");
        strbuf_puts(s->out, k->best == 'c' ? "column" : "row");
        strbuf_puts(s->out, ", told apart from each other; ");
        put(s, "≈", "$\\approx$", "≈");
        strbuf_puts(s->out, ": best, or not told apart from it (");
        put_method(s, true, k->ranked);
        strbuf_puts(s->out, ").");
    }
}

static void put_states(const struct sheet *s)
{
    int64_t count[6] = {0}, failed = 0, imported = 0;

    for (int64_t i = 0; i < cells_of(s->t); i++) {
        count[s->t->cell[i].state]++;
        failed += s->t->cell[i].failed;
        imported += s->t->cell[i].imported > 0;
    }
    if (imported) {
        put(s, " ‡", " $^{\\ddagger}$", " ‡");
        strbuf_printf(s->out, ": imported, measured by another program (%lld).",
                      (long long)imported);
    }
    if (count[CELL_MISSING])
        strbuf_printf(s->out, " missing: no run (%lld).", (long long)count[CELL_MISSING]);
    if (count[CELL_UNDEFINED])
        strbuf_printf(s->out, " undefined: the runs give no number (%lld).",
                      (long long)count[CELL_UNDEFINED]);
    if (count[CELL_PARTIAL]) {
        put(s, " \\*", " $^{*}$", " *");
        strbuf_printf(s->out, ": some seeds are missing (%lld).",
                      (long long)count[CELL_PARTIAL]);
    }
    if (failed) {
        strbuf_puts(s->out, " Failed: ");
        for (int64_t i = 0, told = 0; i < cells_of(s->t); i++) {
            const struct table_cell *c = &s->t->cell[i];
            if (!c->failed)
                continue;
            strbuf_puts(s->out, told++ ? "; " : "");
            put_text(s, s->t->rows.v[i / s->t->cols.n].name);
            strbuf_puts(s->out, ", ");
            put_text(s, s->t->cols.v[i % s->t->cols.n].name);
            strbuf_printf(s->out, " %lld of %lld seeds", (long long)c->failed,
                          (long long)c->wanted);
        }
        strbuf_putc(s->out, '.');
    }
    if (count[CELL_STALE])
        strbuf_printf(s->out, " !: stale (%lld).", (long long)count[CELL_STALE]);
}

/* What the numbers are, and what the marks that occur mean. */
static void put_legend(const struct sheet *s)
{
    const struct table *t = s->t;

    put_count(s);
    if (t->metric) {
        strbuf_puts(s->out, ": ");
        put_text(s, t->metric);
    }
    if (t->unit) {
        strbuf_puts(s->out, ", ");
        put_text(s, t->unit);
    }
    if (t->paper_name) {
        const char *title = json_string(json_get(json_root(t->paper), "paper"));
        strbuf_puts(s->out, "; paper: ");
        if (title) {
            put_text(s, title);
            strbuf_puts(s->out, ", ");
        }
        put_text(s, t->paper_name);
    }
    strbuf_puts(s->out, ".");
    put_dagger(s);
    put_tests(s);
    put_states(s);
    strbuf_putc(s->out, '\n');
}

/* ---- the runs behind the cells ---- */

static void trace_cell(const struct sheet *s, int64_t i)
{
    const struct table_cell *c = &s->t->cell[i];
    bool any = false;

    put(s, "- ", "% ", "<li>");
    put_text(s, s->t->rows.v[i / s->t->cols.n].name);
    strbuf_puts(s->out, ", ");
    put_text(s, s->t->cols.v[i % s->t->cols.n].name);
    strbuf_puts(s->out, ":");
    for (int64_t k = 0; k < s->t->n_seeds; k++) {
        if (c->of_seed[k] < 0)
            continue;
        const char *run = c->run[c->of_seed[k]];
        strbuf_printf(s->out, "%s seed %llu ", any ? ";" : "",
                      (unsigned long long)s->t->seed[k]);
        if (s->page && !c->imported) /* a page has rows for the sweep's own */
            strbuf_printf(s->out, "<a href=\"#run-%s\">%.10s</a> ", run, run);
        else
            strbuf_printf(s->out, "%.10s ", run);
        strbuf_double(s->out, c->x[c->of_seed[k]]);
        any = true;
    }
    strbuf_puts(s->out, any ? "" : " no run");
    put(s, "\n", "\n", "</li>\n");
}

static void put_trace(const struct sheet *s)
{
    put(s, "\n", "", "<details><summary>Runs</summary><ul>\n");
    for (int64_t i = 0; i < cells_of(s->t); i++)
        trace_cell(s, i);
    put(s, "", "", "</ul></details>\n");
}

/* ---- the formats ---- */

static void print_md(const struct sheet *s)
{
    const struct table *t = s->t;

    if (*t->title) {
        strbuf_puts(s->out, "**");
        put_text(s, t->title);
        strbuf_puts(s->out, "**\n\n");
    }
    strbuf_puts(s->out, "| ");
    put_corner(s);
    for (int64_t c = 0; c < t->cols.n; c++) {
        strbuf_puts(s->out, " | ");
        put_text(s, t->cols.v[c].name);
    }
    strbuf_puts(s->out, " |\n|---");
    for (int64_t c = 0; c < t->cols.n; c++)
        strbuf_puts(s->out, "|---:");
    strbuf_puts(s->out, "|\n");
    for (int64_t r = 0; r < t->rows.n; r++)
        put_row(s, r);
    strbuf_putc(s->out, '\n');
    put_legend(s);
}

static void print_latex(const struct sheet *s)
{
    const struct table *t = s->t;

    strbuf_puts(s->out, "\\begin{table} % \\usepackage{booktabs}\n\\centering\n"
                        "\\begin{tabular}{l");
    for (int64_t c = 0; c < t->cols.n; c++)
        strbuf_putc(s->out, 'r');
    strbuf_puts(s->out, "}\n\\toprule\n");
    put_corner(s);
    for (int64_t c = 0; c < t->cols.n; c++) {
        strbuf_puts(s->out, " & ");
        put_text(s, t->cols.v[c].name);
    }
    strbuf_puts(s->out, " \\\\\n\\midrule\n");
    for (int64_t r = 0; r < t->rows.n; r++)
        put_row(s, r);
    strbuf_puts(s->out, "\\bottomrule\n\\end{tabular}\n\\caption{");
    put_text(s, t->title);
    strbuf_puts(s->out, *t->title ? ". " : "");
    put_legend(s);
    strbuf_puts(s->out, "}\n\\end{table}\n");
}

static void print_html(const struct sheet *s)
{
    const struct table *t = s->t;

    strbuf_puts(s->out, s->page ? "<table class=\"sort\">\n<caption><span>"
                                : "<table class=\"retort\">\n<caption>");
    put_text(s, s->page && !*t->title ? "Table" : t->title);
    strbuf_puts(s->out, s->page ? "</span></caption>\n" : "</caption>\n");
    strbuf_puts(s->out, "<thead><tr><th scope=\"col\">");
    put_corner(s);
    strbuf_puts(s->out, "</th>");
    for (int64_t c = 0; c < t->cols.n; c++) {
        strbuf_puts(s->out, "<th scope=\"col\">");
        put_text(s, t->cols.v[c].name);
        strbuf_puts(s->out, "</th>");
    }
    strbuf_puts(s->out, "</tr></thead>\n");
    for (int64_t r = 0; r < t->rows.n; r++)
        put_row(s, r);
    strbuf_puts(s->out,
                s->page ? "</table></div>\n<p class=\"legend\">" : "</table>\n<p>");
    put_legend(s);
    strbuf_puts(s->out, "</p>\n");
}

int table_print(const struct table *t, enum table_format format, bool trace,
                struct strbuf *out, struct err *err)
{
    struct sheet s = {t, out, format, t->digits, false};

    if (!t->cell)
        BUG("table_print before table_fill");
    if (format == TABLE_CSV)
        table_print_csv(out, t, trace);
    else if (format == TABLE_JSON)
        table_print_json(out, t);
    else if (format == TABLE_LATEX)
        print_latex(&s);
    else if (format == TABLE_HTML)
        print_html(&s);
    else
        print_md(&s);
    if (trace && format != TABLE_CSV && format != TABLE_JSON)
        put_trace(&s);
    return strbuf_failed(out, err);
}

void table_print_page(struct strbuf *out, const struct table *t)
{
    struct sheet s = {t, out, TABLE_HTML, t->digits, true};

    strbuf_puts(out,
                "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"");
    html_text(out, *t->title ? t->title : "table");
    strbuf_puts(out, "\">");
    print_html(&s);
    put_trace(&s);
}
