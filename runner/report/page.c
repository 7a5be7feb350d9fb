/*
 * One HTML page of a sweep: the frame, the summary, the declared tables.
 *
 * The page asks nothing of a network: its content security policy forbids it, style and
 * script stand in it (page_style.css, page_script.js). Without the script all is there
 * but the sorting.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "page_impl.h"
#include "retort/pins.h"

static const char style[] =
#include "page_style.inc"
    ;
static const char script[] =
#include "page_script.inc"
    ;

/* Fills of bars beyond the first: told apart without colour. */
static void put_hatches(struct strbuf *out)
{
    static const char *const path[] = {"M-1 1l2-2M0 6l6-6M5 7l2-2", "M0 0l6 6M6 0l-6 6",
                                       "M3 0v6", "M0 3h6", "M-1 5l2 2M0 0l6 6M5-1l2 2"};

    strbuf_puts(out, "<svg width=\"0\" height=\"0\" aria-hidden=\"true\" "
                     "style=\"position:absolute\"><defs>");
    for (int i = 0; i < 5; i++)
        strbuf_printf(out,
                      "<pattern id=\"hatch%d\" width=\"6\" height=\"6\" "
                      "patternUnits=\"userSpaceOnUse\"><path d=\"%s\" fill=\"none\" "
                      "stroke-width=\"1.6\" style=\"stroke:var(--s%d)\"/></pattern>",
                      i + 1, path[i], i + 1);
    strbuf_puts(out, "</defs></svg>\n");
}

static void put_head(struct page_writer *w)
{
    strbuf_puts(w->out,
                "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src "
                "'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n"
                "<meta name=\"viewport\" content=\"width=device-width, "
                "initial-scale=1\">\n<title>");
    html_text(w->out, spec_name(w->plan->spec));
    strbuf_puts(w->out, "</title>\n<style>\n");
    strbuf_puts(w->out, style);
    strbuf_puts(w->out, "</style>\n</head>\n<body>\n"
                        "<a class=\"skip\" href=\"#content\">To the content</a>\n");
    put_hatches(w->out);
}

/* ---- the summary ---- */

static void put_fact(struct page_writer *w, int64_t n, const char *what,
                     const char *class)
{
    if (n)
        strbuf_printf(w->out, "<li%s>%lld %s%s</li>", class, (long long)n, what,
                      *class || !strcmp(what, "sealed") || n == 1 ? "" : "s");
}

static int64_t failed_jobs(const struct page_writer *w)
{
    int64_t n = 0;

    for (int64_t i = 0; i < w->plan->n; i++)
        n += !w->job[i].sealed && w->job[i].info.failure[0];
    return n;
}

static int64_t seeds_of(const struct spec *spec)
{
    int64_t n = 0;

    for (int64_t i = 0; i < spec_point_count(spec); i++) {
        bool known = false;
        for (int64_t k = 0; k < i && !known; k++)
            known = spec_point(spec, k)->seed == spec_point(spec, i)->seed;
        n += !known;
    }
    return n;
}

static void put_summary(struct page_writer *w, int64_t missing)
{
    const struct spec *spec = w->plan->spec;
    struct build_info build = build_info();
    time_t now = (time_t)w->page->now;
    double seconds = 0;
    char when[40] = "";
    struct tm tm;

    if (gmtime_r(&now, &tm))
        strftime(when, sizeof when, "%Y-%m-%d %H:%M UTC", &tm);
    for (int64_t i = 0; i < w->plan->n; i++)
        seconds += w->job[i].sealed ? w->job[i].info.seconds : 0;
    strbuf_puts(w->out, "<header class=\"top\"><div><h1>");
    html_text(w->out, spec_name(spec));
    strbuf_puts(w->out, "</h1>\n<p class=\"faint\">");
    html_text(w->out, spec_path(spec));
    strbuf_printf(w->out, ", %s, Retort %s at %.12s%s</p></div>\n", when, build.version,
                  build.commit, build.dirty ? " with changes" : "");
    strbuf_puts(w->out, "<button id=\"theme\" type=\"button\" hidden>Colours</button>"
                        "</header>\n<ul class=\"facts\">");
    put_fact(w, spec_point_count(spec), "point", "");
    put_fact(w, seeds_of(spec), "seed", "");
    put_fact(w, w->plan->n, "job", "");
    put_fact(w, w->plan->n - missing, "sealed", "");
    put_fact(w, failed_jobs(w), "failed", " class=\"bad\"");
    put_fact(w, missing - failed_jobs(w), "not run", " class=\"bad\"");
    strbuf_printf(w->out,
                  seconds < 120 ? "<li>%.0f s of work</li>" : "<li>%.1f min of work</li>",
                  seconds < 120 ? seconds : seconds / 60);
    strbuf_puts(w->out, "</ul>\n");
}

static void put_contents(struct page_writer *w, int64_t missing)
{
    const struct spec *spec = w->plan->spec;

    strbuf_puts(w->out, "<nav aria-label=\"Contents\"><ul>");
    if (missing)
        strbuf_puts(w->out, "<li><a href=\"#missing\">Not there</a></li>");
    if (w->page->n_tables)
        strbuf_puts(w->out, "<li><a href=\"#tables\">Tables</a></li>");
    for (int64_t s = 0; s < spec_stage_count(spec); s++) {
        strbuf_printf(w->out, "<li><a href=\"#stage-%lld\">", (long long)s);
        html_text(w->out, spec_stage_name(spec, s));
        strbuf_puts(w->out, "</a></li>");
    }
    strbuf_puts(w->out, "<li><a href=\"#pins\">Pins</a></li></ul></nav>\n");
}

/* ---- the sections ---- */

static void put_tables(struct page_writer *w)
{
    if (w->page->n_tables)
        strbuf_puts(w->out, "<h2 id=\"tables\">Tables</h2>\n");
    for (int64_t i = 0; i < w->page->n_tables; i++) {
        const struct page_table *t = &w->page->table[i];
        strbuf_puts(w->out, "<section>\n");
        if (t->table) {
            table_print_page(w->out, t->table);
            page_picture(w, t->table, NULL);
        } else {
            strbuf_puts(w->out, "<h3>");
            html_text(w->out, t->name);
            strbuf_puts(w->out, "</h3>\n<p class=\"bad\">");
            html_text(w->out, t->problem ? t->problem : "");
            strbuf_puts(w->out, "</p>\n");
        }
        strbuf_puts(w->out, "</section>\n");
    }
}

static const char *method_of(const struct page_writer *w, const char *stage)
{
    for (int64_t i = 0; i < w->plan->n; i++)
        if (strcmp(w->plan->job[i].stage, stage) == 0)
            return w->plan->job[i].method->name;
    return "";
}

static int put_stages(struct page_writer *w)
{
    const struct spec *spec = w->plan->spec;

    for (int64_t s = 0; s < spec_stage_count(spec); s++) {
        const char *stage = spec_stage_name(spec, s);
        strbuf_printf(w->out, "<section>\n<h2 id=\"stage-%lld\">", (long long)s);
        html_text(w->out, stage);
        strbuf_puts(w->out, " <span class=\"faint\">");
        html_text(w->out, method_of(w, stage));
        strbuf_puts(w->out, "</span></h2>\n");
        if (page_figures(w, stage) || page_runs(w, stage))
            return -1;
        strbuf_puts(w->out, "</section>\n");
    }
    return 0;
}

static int read_jobs(struct page_writer *w, int64_t *missing)
{
    w->job = arena_zalloc(w->arena, (w->plan->n + 1) * (int64_t)sizeof *w->job);
    *missing = 0;
    if (arena_failed(w->arena, w->err))
        return -1;
    for (int64_t i = 0; i < w->plan->n; i++) {
        if (store_stat(w->store, w->plan->job[i].id, &w->job[i].info, w->err))
            return -1;
        w->job[i].sealed = w->plan->job[i].state == JOB_CACHED;
        *missing += !w->job[i].sealed;
    }
    return 0;
}

int page_print(struct strbuf *out, const struct page *page, int64_t *missing,
               struct err *err)
{
    struct page_writer w = {.page = page,
                            .plan = page->plan,
                            .store = page->store,
                            .arena = arena_new(err),
                            .out = out,
                            .err = err};
    int rc = -1;

    if (!w.arena || read_jobs(&w, missing))
        goto done;
    put_head(&w);
    put_summary(&w, *missing);
    put_contents(&w, *missing);
    strbuf_puts(out, "<main id=\"content\">\n");
    page_missing(&w, *missing);
    put_tables(&w);
    if (put_stages(&w) || page_pins(&w))
        goto done;
    strbuf_puts(out, "</main>\n<p id=\"said\" role=\"status\" class=\"skip\"></p>\n"
                     "<script>\n");
    strbuf_puts(out, script);
    strbuf_puts(out, "</script>\n</body>\n</html>\n");
    rc = strbuf_failed(out, err);
done:
    free(w.pins);
    arena_free(w.arena);
    return rc;
}
