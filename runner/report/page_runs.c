/* The part of a page that names things: each run, what it was made from, and by what. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "page_impl.h"

#define METRICS_MOST 6   /* columns of a stage's runs */
#define MISSING_MOST 500 /* rows of what is not there */

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

/* ---- words ---- */

static const char *state_word(const struct page_job *j)
{
    switch (j->info.state) {
    case RUN_SEALED:
        return j->sealed ? "sealed" : "sealed, to be made again";
    case RUN_DAMAGED:
        return "damaged";
    case RUN_ACTIVE:
        return "working";
    case RUN_PARTIAL:
        return j->info.failure[0] ? "failed" : "stopped";
    default:
        return j->info.failure[0] ? "failed" : "not run";
    }
}

static void put_time(struct strbuf *out, double unix_seconds)
{
    char text[32] = "";
    time_t t = (time_t)unix_seconds;
    struct tm tm;

    if (unix_seconds > 0 && gmtime_r(&t, &tm))
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &tm);
    strbuf_puts(out, text);
}

static void put_bytes(struct strbuf *out, int64_t n)
{
    static const char *const unit[] = {"B", "kB", "MB", "GB", "TB"};
    double x = (double)n;
    int k = 0;

    while (x >= 999.5 && k < 4) {
        x /= 1000;
        k++;
    }
    strbuf_printf(out, k && x < 9.95 ? "%.1f %s" : "%.0f %s", x, unit[k]);
}

/* ---- one run ---- */

static void term(struct page_writer *w, const char *name)
{
    strbuf_puts(w->out, "<dt>");
    html_text(w->out, name);
    strbuf_puts(w->out, "</dt><dd>");
}

static void entry(struct page_writer *w, const char *name, const char *text)
{
    if (!text || !*text)
        return;
    term(w, name);
    html_text(w->out, text);
    strbuf_puts(w->out, "</dd>");
}

static void link_to_run(struct page_writer *w, const char *id)
{
    strbuf_printf(w->out, "<a class=\"id\" href=\"#run-%s\">%.10s</a>", id, id);
}

static void put_input(struct page_writer *w, const struct job_input *in)
{
    term(w, in->name);
    for (int64_t k = 0; k < in->n; k++) {
        strbuf_puts(w->out, k ? ", " : "");
        if (in->from_id[k])
            link_to_run(w, in->from_id[k]);
        else if (in->value[k])
            html_text(w->out, in->value[k]);
        else if (in->path[k])
            html_text(w->out, in->path[k]);
        if (in->digest[k])
            strbuf_printf(w->out, " <code>%.16s</code>", in->digest[k]);
    }
    strbuf_puts(w->out, "</dd>");
}

static void put_options(struct page_writer *w, const struct job *job)
{
    struct diags *diags = diags_new(w->err);
    struct json_doc *doc =
        diags
            ? json_parse(job->resolved, (int64_t)strlen(job->resolved), "resolved", diags)
            : NULL;
    struct strbuf sb = STRBUF_INIT;

    if (doc && json_get(json_root(doc), "options")) {
        json_canonical(json_get(json_root(doc), "options"), &sb);
        term(w, "options");
        strbuf_puts(w->out, "<code>");
        html_text(w->out, strbuf_text(&sb));
        strbuf_puts(w->out, "</code></dd>");
    }
    strbuf_release(&sb);
    json_doc_free(doc);
    diags_free(diags);
}

/* What the run itself warned of, and what people noted. */
static void put_notes(struct page_writer *w, struct run *run, const char *id)
{
    struct artifact *a = run_artifact(run);
    struct err none = ERR_INIT;
    const char *const *text;
    char *notes = NULL;
    int64_t n;

    if (!a->text(a->ctx, "/notes", &text, &n, &none))
        for (int64_t i = 0; i < n; i++)
            entry(w, "warning", text[i]);
    if (!store_notes(w->store, id, &notes, &none))
        for (char *at = notes, *end; at && *at; at = end ? end + 1 : NULL) {
            end = strchr(at, '\n');
            if (end)
                *end = '\0';
            entry(w, "note", at);
        }
    free(notes);
}

static void put_details(struct page_writer *w, const struct job *job,
                        const struct page_job *pj, struct run *run)
{
    strbuf_printf(w->out, "<details><summary class=\"id\">%.10s</summary><dl>", job->id);
    entry(w, "run", job->id);
    entry(w, "label", pj->info.label);
    entry(w, "failure", pj->info.failure);
    if (pj->sealed) {
        entry(w, "result", pj->info.digest);
        term(w, "started");
        put_time(w->out, pj->info.started);
        strbuf_puts(w->out, "</dd>");
    }
    for (int64_t i = 0; i < job->n_inputs; i++)
        put_input(w, &job->input[i]);
    put_options(w, job);
    if (run)
        put_notes(w, run, job->id);
    if (pj->sealed && w->page->store_url)
        strbuf_printf(w->out,
                      "<dt>file</dt><dd><a href=\"%s/%.2s/%s/run.h5\">run.h5</a></dd>",
                      w->page->store_url, job->id, job->id);
    strbuf_puts(w->out, "</dl></details>");
}

static void put_number(struct page_writer *w, double x)
{
    strbuf_puts(w->out, "<td");
    if (isfinite(x)) {
        strbuf_puts(w->out, " data-v=\"");
        strbuf_double(w->out, x);
        strbuf_printf(w->out, "\">%.6g</td>", x);
    } else {
        strbuf_puts(w->out, "></td>");
    }
}

static void put_metrics(struct page_writer *w, struct run *run, const char *const *metric,
                        int64_t n)
{
    struct err none = ERR_INIT;
    struct series s;

    for (int64_t k = 0; k < n; k++) {
        bool there = run && !run_series_find(run, metric[k], &s, &none) && s.n > 0;
        put_number(w, there ? s.value[s.n - 1] : (double)NAN);
    }
}

/* The set of pins that the run has: equal texts are one set. */
static int add_pins(struct page_writer *w, struct page_job *pj, const struct run *run)
{
    const char *text = run_head_text(run, "pins");

    if (!text)
        return 0;
    for (int64_t i = 0; i < w->n_pins && !pj->pins; i++)
        if (same(w->pins[i].text, text))
            pj->pins = i + 1;
    if (!pj->pins) {
        struct pin_set set = {arena_strdup(w->arena, text), 0};
        if (arena_failed(w->arena, w->err) ||
            mem_grow((void **)&w->pins, w->n_pins, &w->cap_pins, sizeof set, w->err))
            return -1;
        w->pins[w->n_pins++] = set;
        pj->pins = w->n_pins;
    }
    w->pins[pj->pins - 1].runs++;
    return 0;
}

/* The seed that all points of the job have; a job that serves several says so. */
static void put_seed(struct page_writer *w, const struct job *job)
{
    const struct spec *spec = w->plan->spec;
    uint64_t seed = job->n_points ? spec_point(spec, job->point[0])->seed : job->seed;
    bool all = true;

    for (int64_t i = 1; i < job->n_points; i++)
        all = all && spec_point(spec, job->point[i])->seed == seed;
    if (all)
        strbuf_printf(w->out, "<td data-v=\"%llu\">%llu</td>", (unsigned long long)seed,
                      (unsigned long long)seed);
    else
        strbuf_puts(w->out, "<td>all</td>");
}

static int put_run(struct page_writer *w, int64_t i, bool arms, const char *const *metric,
                   int64_t n_metrics)
{
    const struct job *job = &w->plan->job[i];
    struct page_job *pj = &w->job[i];
    struct err damaged = ERR_INIT;
    struct run *run = NULL;
    struct arm arm;

    if (page_arm(w, &arm, job))
        return -1;
    if (pj->sealed && run_open(&run, w->store, job->id, false, &damaged)) {
        pj->sealed = false;
        pj->info.state = RUN_DAMAGED;
        snprintf(pj->info.failure, sizeof pj->info.failure, "%s", damaged.text);
    }
    if (run && add_pins(w, pj, run)) {
        run_close(run);
        return -1;
    }
    strbuf_printf(w->out, "<tbody><tr id=\"run-%s\"><th scope=\"row\">", job->id);
    put_details(w, job, pj, run);
    strbuf_puts(w->out, "</th>");
    if (arms) {
        strbuf_puts(w->out, "<td class=\"text\">");
        html_text(w->out, arm.name);
        strbuf_puts(w->out, "</td>");
    }
    put_seed(w, job);
    strbuf_puts(w->out, pj->sealed ? "<td class=\"text\">" : "<td class=\"text bad\">");
    strbuf_printf(w->out, "%s</td>", state_word(pj));
    put_metrics(w, run, metric, n_metrics);
    if (pj->sealed) {
        strbuf_puts(w->out, "<td data-v=\"");
        strbuf_double(w->out, pj->info.seconds);
        strbuf_printf(w->out, "\">%.1f s</td><td data-v=\"%lld\">", pj->info.seconds,
                      (long long)pj->info.bytes);
        put_bytes(w->out, pj->info.bytes);
        strbuf_puts(w->out, "</td>");
    } else {
        strbuf_puts(w->out, "<td></td><td></td>");
    }
    if (pj->pins)
        strbuf_printf(w->out,
                      "<td data-v=\"%lld\"><a href=\"#pins-%lld\">set %lld</a></td>",
                      (long long)pj->pins, (long long)pj->pins, (long long)pj->pins);
    else
        strbuf_puts(w->out, "<td></td>");
    strbuf_puts(w->out, "</tr></tbody>\n");
    run_close(run);
    return arena_failed(w->arena, w->err);
}

/* ---- the runs of a stage ---- */

/* The metrics that a stage's runs end with: of the first that is sealed. */
static int64_t metrics_of(struct page_writer *w, const char *stage,
                          const char *name[METRICS_MOST])
{
    int64_t job = page_sealed_job(w, stage), n = 0;
    struct err none = ERR_INIT;
    struct run *run = NULL;
    struct series s;

    if (job < 0 || run_open(&run, w->store, w->plan->job[job].id, false, &none))
        return 0;
    for (int64_t i = 0; i < run_series_count(run) && n < METRICS_MOST; i++)
        if (!run_series(run, i, &s, &none) && s.n > 0 && s.cls != RECORD_ENV &&
            (name[n] = arena_strdup(w->arena, s.name)))
            n++;
    run_close(run);
    return n;
}

static void heading(struct page_writer *w, const char *text, const char *class)
{
    strbuf_printf(w->out, "<th scope=\"col\"%s>", class);
    html_text(w->out, text);
    strbuf_puts(w->out, "</th>");
}

int page_runs(struct page_writer *w, const char *stage)
{
    const char *metric[METRICS_MOST];
    int64_t n = metrics_of(w, stage, metric), runs = 0, n_arms;
    struct arm *arm = page_arms(w, stage, &n_arms);
    bool arms = n_arms > 1 || (n_arms == 1 && *arm->name);

    if (!arm)
        return -1;

    for (int64_t i = 0; i < w->plan->n; i++)
        runs += same(w->plan->job[i].stage, stage);
    strbuf_printf(w->out, "<details%s><summary>Runs (%lld)</summary>\n",
                  runs <= 12 ? " open" : "", (long long)runs);
    strbuf_puts(w->out, "<div class=\"scroll\" tabindex=\"0\" role=\"region\" "
                        "aria-label=\"Runs of ");
    html_text(w->out, stage);
    strbuf_puts(w->out, "\">\n<table class=\"sort\"><caption><span>Runs of ");
    html_text(w->out, stage);
    strbuf_puts(w->out, "</span></caption>\n<thead><tr>");
    heading(w, "run", "");
    if (arms)
        heading(w, "variables", " class=\"text\"");
    heading(w, "seed", "");
    heading(w, "state", " class=\"text\"");
    for (int64_t k = 0; k < n; k++)
        heading(w, !strncmp(metric[k], "eval/", 5) ? metric[k] + 5 : metric[k], "");
    heading(w, "time", "");
    heading(w, "size", "");
    heading(w, "pins", "");
    strbuf_puts(w->out, "</tr></thead>\n");
    for (int64_t i = 0; i < w->plan->n; i++)
        if (same(w->plan->job[i].stage, stage) && put_run(w, i, arms, metric, n))
            return -1;
    strbuf_puts(w->out, "</table></div></details>\n");
    return 0;
}

/* ---- what is not there ---- */

void page_missing(struct page_writer *w, int64_t missing)
{
    int64_t told = 0;

    if (!missing)
        return;
    strbuf_puts(w->out,
                "<h2 id=\"missing\">Not there</h2>\n<div class=\"scroll\" tabindex=\"0\" "
                "role=\"region\" aria-label=\"Jobs without a result\">\n<table "
                "class=\"sort\"><caption><span>Jobs without a "
                "result</span></caption>\n<thead><tr>");
    heading(w, "job", "");
    heading(w, "stage", " class=\"text\"");
    heading(w, "state", " class=\"text\"");
    heading(w, "variables", " class=\"text\"");
    heading(w, "why", " class=\"text\"");
    strbuf_puts(w->out, "</tr></thead>\n");
    for (int64_t i = 0; i < w->plan->n && told < MISSING_MOST; i++) {
        const struct job *job = &w->plan->job[i];
        const char *why = w->job[i].info.failure;
        if (w->job[i].sealed)
            continue;
        told++;
        strbuf_puts(w->out, "<tbody><tr><th scope=\"row\">");
        link_to_run(w, job->id);
        strbuf_puts(w->out, "</th><td class=\"text\">");
        html_text(w->out, job->stage);
        strbuf_printf(w->out, "</td><td class=\"text bad\">%s</td><td class=\"text\">",
                      state_word(&w->job[i]));
        html_text(w->out, job->variables ? job->variables : "");
        strbuf_puts(w->out, "</td><td class=\"text\">");
        html_text(w->out, *why ? why : job->why ? job->why : "");
        strbuf_puts(w->out, "</td></tr></tbody>\n");
    }
    strbuf_puts(w->out, "</table></div>\n");
    if (told < missing)
        strbuf_printf(w->out, "<p class=\"faint\">And %lld more.</p>\n",
                      (long long)(missing - told));
}

/* ---- pins ---- */

static void member(struct page_writer *w, const struct json *object, const char *key,
                   const char *name)
{
    const struct json *v = json_get(object, key);
    struct strbuf sb = STRBUF_INIT;

    if (json_kind(v) == JSON_STRING)
        strbuf_puts(&sb, json_string(v));
    else if (json_kind(v) == JSON_ARRAY || json_kind(v) == JSON_OBJECT)
        for (const struct json *m = json_first(v); m; m = json_next(m)) {
            strbuf_puts(&sb, sb.len ? ", " : "");
            if (json_key(m))
                strbuf_printf(&sb, "%s ", json_key(m));
            if (json_kind(m) == JSON_STRING)
                strbuf_puts(&sb, json_string(m));
            else
                json_canonical(m, &sb);
        }
    else if (json_kind(v) != JSON_NULL)
        json_canonical(v, &sb);
    entry(w, name, strbuf_text(&sb));
    strbuf_release(&sb);
}

static void commit(struct page_writer *w, const struct json *at, const char *name)
{
    const char *id = json_string(json_get(at, "commit"));
    const char *branch = json_string(json_get(at, "branch"));

    if (!id)
        return;
    term(w, name);
    strbuf_puts(w->out, "<code>");
    html_text(w->out, id);
    strbuf_puts(w->out, "</code>");
    if (branch) {
        strbuf_puts(w->out, " on ");
        html_text(w->out, branch);
    }
    if (json_bool(json_get(at, "dirty")))
        strbuf_puts(w->out, ", <span class=\"bad\">with changes</span>");
    strbuf_puts(w->out, "</dd>");
}

static int put_pin_set(struct page_writer *w, int64_t i)
{
    struct diags *diags = diags_new(w->err);
    struct json_doc *doc;
    const struct json *root, *git, *build, *host;

    if (!diags)
        return -1;
    doc = json_parse(w->pins[i].text, (int64_t)strlen(w->pins[i].text), "pins", diags);
    root = doc ? json_root(doc) : NULL;
    git = json_get(root, "git");
    build = json_get(root, "build");
    host = json_get(root, "host");
    strbuf_printf(w->out, "<h3 id=\"pins-%lld\">Set %lld, of %lld runs</h3>\n<dl>",
                  (long long)(i + 1), (long long)(i + 1), (long long)w->pins[i].runs);
    commit(w, json_get(git, "work"), "spec at");
    member(w, json_get(git, "work"), "path", "repository");
    member(w, json_get(git, "work"), "tree", "changes kept as tree");
    member(w, json_get(git, "work"), "skipped", "not kept");
    member(w, git, "warnings", "warnings");
    commit(w, json_get(git, "build"), "built at");
    member(w, build, "version", "version");
    member(w, build, "compiler", "compiler");
    member(w, build, "flags", "flags");
    member(w, root, "libraries", "libraries");
    member(w, host, "name", "host");
    member(w, host, "cpu", "processor");
    member(w, host, "kernels", "kernels");
    member(w, host, "threads", "threads");
    strbuf_puts(w->out, "</dl>\n");
    json_doc_free(doc);
    diags_free(diags);
    return 0;
}

/* Tasks and folders that jobs read, each once, with the digest that pins it. */
static void put_data(struct page_writer *w)
{
    struct strbuf seen = STRBUF_INIT;

    strbuf_puts(
        w->out,
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Data\">"
        "<table class=\"sort\"><caption><span>Data and checkpoints</span></caption>\n"
        "<thead><tr><th scope=\"col\">what</th><th scope=\"col\" class=\"text\">"
        "read by</th><th scope=\"col\" class=\"text\">SHA-256</th></tr></thead>\n");
    for (int64_t i = 0; i < w->plan->n; i++)
        for (int64_t k = 0; k < w->plan->job[i].n_inputs; k++) {
            const struct job_input *in = &w->plan->job[i].input[k];
            for (int64_t m = 0; m < in->n; m++) {
                const char *what = in->value[m] ? in->value[m] : in->path[m], *text;
                if (in->from_id[m] || !what)
                    continue;
                text =
                    arena_printf(w->arena, "\n%s\t%s\t%s\n", what, w->plan->job[i].stage,
                                 in->digest[m] ? in->digest[m] : "");
                if (!text || strstr(strbuf_text(&seen), text))
                    continue;
                strbuf_puts(&seen, text);
                strbuf_puts(w->out, "<tbody><tr><th scope=\"row\">");
                html_text(w->out, what);
                strbuf_puts(w->out, "</th><td class=\"text\">");
                html_text(w->out, w->plan->job[i].stage);
                strbuf_printf(
                    w->out, "</td><td class=\"text\"><code>%s</code></td></tr></tbody>\n",
                    in->digest[m] ? in->digest[m] : "generated");
            }
        }
    strbuf_puts(w->out, "</table></div>\n");
    strbuf_release(&seen);
}

int page_pins(struct page_writer *w)
{
    strbuf_puts(w->out, "<h2 id=\"pins\">Pins</h2>\n<p class=\"faint\">What decides the "
                        "bits besides the spec: data, code, libraries, machine.</p>\n");
    put_data(w);
    for (int64_t i = 0; i < w->n_pins; i++)
        if (put_pin_set(w, i))
            return -1;
    return arena_failed(w->arena, w->err);
}
