/* retort show RUN: everything one run knows. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "grid.h"
#include "query.h"
#include "retort/json.h"
#include "verbs.h"

struct args {
    struct common common;
    const char *run;
    int head;
    bool data;
};

static const char *const heads[] = {"none", "spec", "resolved", "pins", "record", NULL};

struct view {
    const struct args *args;
    struct store *store;
    struct run *run;
    const struct run_info *info;
    char *notes;
    struct json_doc *resolved, *pins;
    struct strbuf *out;
};

static int parse_head(struct json_doc **out, struct run *run, const char *name,
                      struct err *err)
{
    const char *text = run_head_text(run, name);
    struct diags *diags;
    int rc = 0;

    if (!text)
        return 0;
    diags = diags_new(err);
    if (!diags)
        return -1;
    *out = json_parse(text, (int64_t)strlen(text), name, diags);
    if (!*out)
        rc = diags_first_to_err(diags, err);
    diags_free(diags);
    return rc;
}

static int open_view(struct view *v, struct err *err)
{
    char id[65];

    if (store_open(&v->store, v->args->common.store, false, err) ||
        find_run(v->store, v->args->run, id, err) ||
        run_open(&v->run, v->store, id, true, err) ||
        store_notes(v->store, id, &v->notes, err) ||
        parse_head(&v->resolved, v->run, "resolved", err) ||
        parse_head(&v->pins, v->run, "pins", err))
        return -1;
    v->info = run_info(v->run);
    return 0;
}

static void close_view(struct view *v)
{
    json_doc_free(v->pins);
    json_doc_free(v->resolved);
    free(v->notes);
    run_close(v->run);
    store_close(v->store);
}

/* ---- as text ------------------------------------------------------------------------
 */

static void line(struct view *v, const char *name, const char *text)
{
    if (text && *text)
        strbuf_printf(v->out, "%-10s %s\n", name, text);
}

/* Cuts the text at its line ends, in place. NULL after the last. */
static char *next_line(char **at)
{
    char *line = *at, *end = strchr(line, '\n');

    if (!*line)
        return NULL;
    *at = end ? end + 1 : line + strlen(line);
    if (end)
        *end = '\0';
    return line;
}

static void put_times(struct view *v)
{
    char started[32], ended[32], took[32], size[32];

    time_text(started, v->info->started);
    time_text(ended, v->info->ended);
    seconds_text(took, v->info->seconds);
    bytes_text(size, v->info->bytes);
    line(v, "started", started);
    line(v, "ended", ended);
    strbuf_printf(v->out, "%-10s %s of work, %s on disk\n", "took", took, size);
}

/* The member at "git.work.commit", or NULL. */
static const struct json *at_path(const struct json_doc *doc, const char *path)
{
    const struct json *j = doc ? json_root(doc) : NULL;
    char name[64];

    while (j && *path) {
        size_t n = strcspn(path, ".");
        if (n >= sizeof name)
            return NULL;
        memcpy(name, path, n);
        name[n] = '\0';
        j = json_get(j, name);
        path += n + (path[n] == '.');
    }
    return j;
}

static const char *string_of(const struct json *j)
{
    return j ? json_string(j) : NULL;
}

static void put_commit(struct view *v, const char *name, const char *path)
{
    const struct json *at = at_path(v->pins, path);
    const char *commit = at ? string_of(json_get(at, "commit")) : NULL;
    bool dirty = at && json_get(at, "dirty") && json_bool(json_get(at, "dirty"));

    if (commit)
        strbuf_printf(v->out, "%-10s %.12s%s\n", name, commit,
                      dirty ? " with changes" : "");
}

/* What the run itself warned of while it worked; most have nothing. */
static int64_t warnings(struct view *v, const char *const **text)
{
    struct artifact *a = run_artifact(v->run);
    struct err none = ERR_INIT;
    int64_t n;

    return a->text(a->ctx, "/notes", text, &n, &none) ? 0 : n;
}

static void put_head(struct view *v)
{
    const struct run_info *r = v->info;
    const char *const *warning;
    int64_t n_warnings = warnings(v, &warning);

    line(v, "run", r->id);
    line(v, "label", r->label);
    line(v, "state", run_state_word(r->state));
    line(v, "failure", r->failure);
    line(v, "spec", r->name);
    strbuf_printf(v->out, "%-10s %s (%s)\n", "stage", r->stage, r->method);
    line(v, "variables", r->variables);
    put_times(v);
    line(v, "result", r->digest);
    put_commit(v, "spec at", "git.work");
    put_commit(v, "built at", "git.build");
    for (char *at = v->notes, *note; (note = next_line(&at));)
        line(v, "note", note);
    for (int64_t i = 0; i < n_warnings; i++)
        line(v, "warning", warning[i]);
}

/* What a selection brought for an option, or "". */
static const char *chosen_value(struct view *v, const char *option)
{
    struct artifact *a = run_artifact(v->run);
    struct err none = ERR_INIT;
    char *path = mem_printf(&none, "/chosen/%s", option);
    const char *const *text;
    int64_t n;
    bool there = path && !a->text(a->ctx, path, &text, &n, &none);

    free(path);
    return there ? text[0] : "";
}

static void put_options(struct view *v)
{
    const struct json *options = at_path(v->resolved, "options");

    if (!options || !json_count(options))
        return;
    strbuf_puts(v->out, "\nOptions\n");
    for (const struct json *m = json_first(options); m; m = json_next(m)) {
        const char *by = string_of(json_get(m, "job"));
        strbuf_printf(v->out, "  %-18s ", json_key(m));
        if (by)
            strbuf_printf(v->out, "%s (chosen by run %.10s)",
                          chosen_value(v, json_key(m)), by);
        else
            json_canonical(m, v->out);
        strbuf_putc(v->out, '\n');
    }
}

/* What a selection recorded; false: the run is none. */
struct selection {
    const char *const *run, *const *name, *const *metric;
    const double *score;
    int64_t n, chosen;
};

static bool read_selection(struct view *v, struct selection *s)
{
    struct artifact *a = run_artifact(v->run);
    struct array chosen, score;
    struct err none = ERR_INIT;
    int64_t n_names, one;

    if (a->array(a->ctx, "/select/chosen", &chosen, &none) ||
        a->array(a->ctx, "/select/score", &score, &none) ||
        a->text(a->ctx, "/select/run", &s->run, &s->n, &none) ||
        a->text(a->ctx, "/select/variables", &s->name, &n_names, &none) ||
        a->text(a->ctx, "/select/metric", &s->metric, &one, &none) ||
        chosen.dtype != DT_I32 || shape_count(chosen.shape) != 1 ||
        score.dtype != DT_F64 || shape_count(score.shape) != s->n || n_names != s->n)
        return false;
    s->score = score.data;
    s->chosen = *(const int32_t *)chosen.data;
    return true;
}

static int put_selection(struct view *v, struct err *err)
{
    static const struct grid_column col[] = {{.title = "  candidate"},
                                             {.title = "score", .right = true},
                                             {.title = "chosen"},
                                             {.title = "variables", .elastic = true}};
    struct selection s;
    struct grid *g;
    int rc = -1;

    if (!read_selection(v, &s))
        return 0;
    strbuf_printf(v->out, "\nChosen by %s\n", s.metric[0]);
    g = grid_new(col, 4, err);
    for (int64_t i = 0; g && i < s.n; i++) {
        grid_printf(g, "  run %.10s", s.run[i]);
        grid_number(g, s.score[i]);
        grid_put(g, i == s.chosen ? "*" : "");
        grid_put(g, s.name[i]);
    }
    if (g)
        rc = grid_print(g, v->out, screen_width(), err);
    grid_free(g);
    return rc;
}

static void put_input(struct view *v, const char *name, const struct json *input)
{
    static const char *const keys[] = {"job", "task", "path", "digest", NULL};
    const char *text = NULL;

    for (const char *const *k = keys; *k && !text; k++)
        text = string_of(json_get(input, *k));
    strbuf_printf(v->out, "  %-18s ", name);
    if (text && json_get(input, "job"))
        strbuf_printf(v->out, "run %.10s\n", text);
    else if (text)
        strbuf_printf(v->out, "%s\n", text);
    else {
        json_canonical(input, v->out);
        strbuf_putc(v->out, '\n');
    }
}

static void put_inputs(struct view *v)
{
    const struct json *inputs = at_path(v->resolved, "inputs");

    if (!inputs || !json_count(inputs))
        return;
    strbuf_puts(v->out, "\nInputs\n");
    for (const struct json *m = json_first(inputs); m; m = json_next(m))
        for (const struct json *one = json_first(m); one; one = json_next(one))
            put_input(v, json_key(m), one);
}

static int put_metrics(struct view *v, struct err *err)
{
    static const struct grid_column col[] = {{.title = "  metric"},
                                             {.title = "points", .right = true},
                                             {.title = "last step", .right = true},
                                             {.title = "last", .right = true},
                                             {.title = "least", .right = true},
                                             {.title = "most", .right = true}};
    struct grid *g;
    struct series s;
    int rc = 0;

    if (!run_series_count(v->run))
        return 0;
    g = grid_new(col, 6, err);
    strbuf_puts(v->out, "\nMetrics\n");
    for (int64_t i = 0; g && i < run_series_count(v->run); i++) {
        double least = (double)NAN, most = (double)NAN;
        if (run_series(v->run, i, &s, err)) {
            rc = -1;
            break;
        }
        for (int64_t k = 0; k < s.n; k++) {
            least = fmin(least, s.value[k]); /* fmin and fmax leave NaN out */
            most = fmax(most, s.value[k]);
        }
        grid_printf(g, "  %s", s.name);
        grid_printf(g, "%lld", (long long)s.n);
        grid_printf(g, "%lld", s.n ? (long long)s.step[s.n - 1] : 0LL);
        grid_number(g, s.n ? s.value[s.n - 1] : (double)NAN);
        grid_number(g, s.n > 1 ? least : (double)NAN);
        grid_number(g, s.n > 1 ? most : (double)NAN);
    }
    if (!g || (!rc && grid_print(g, v->out, screen_width(), err)))
        rc = -1;
    grid_free(g);
    return rc;
}

static void put_item(struct strbuf *out, const struct run_item *it)
{
    char shape[96], size[32];

    bytes_text(size, it->bytes);
    strbuf_printf(out, "  %-64s %-5s %-16s %8s", it->path,
                  it->is_text ? "text" : dtype_name(it->dtype),
                  shape_text(shape, it->shape), size);
    if (it->origin)
        strbuf_printf(out, "  in run %.10s", it->origin);
    strbuf_putc(out, '\n');
}

/* All paths with --data, else how many there are below each of the first names. */
static void put_data(struct view *v)
{
    int64_t n = run_item_count(v->run);

    strbuf_puts(v->out, "\nData\n");
    if (v->args->data) {
        for (int64_t i = 0; i < n; i++)
            put_item(v->out, run_item(v->run, i));
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        const char *path = run_item(v->run, i)->path;
        size_t len = 1 + strcspn(path + 1, "/");
        int64_t count = 0, refs = 0;
        bool seen = false;
        for (int64_t k = 0; k < n && !seen; k++) {
            const struct run_item *it = run_item(v->run, k);
            if (strncmp(it->path, path, len) != 0 ||
                (it->path[len] && it->path[len] != '/'))
                continue;
            seen = k < i;
            count++;
            refs += it->origin != NULL;
        }
        if (seen)
            continue;
        strbuf_printf(v->out, "  %-18.*s %lld", (int)len, path, (long long)count);
        if (refs)
            strbuf_printf(v->out, ", %lld of them in other runs", (long long)refs);
        strbuf_putc(v->out, '\n');
    }
    strbuf_puts(v->out,
                "  (each one: --data; values: h5dump or h5py on the file below)\n");
}

static int print_all(struct view *v, struct err *err)
{
    put_head(v);
    put_inputs(v);
    put_options(v);
    if (put_selection(v, err) || put_metrics(v, err))
        return -1;
    if (run_item_count(v->run))
        put_data(v);
    if (v->info->state == RUN_SEALED)
        strbuf_printf(v->out, "\nFile       %s/%.2s/%s/run.h5\n", store_dir(v->store),
                      v->info->id, v->info->id);
    return 0;
}

/* ---- as JSON ------------------------------------------------------------------------
 */

static void put_json_notes(struct view *v, struct json_writer *w)
{
    const char *const *warning;
    int64_t n = warnings(v, &warning);

    json_member(w, "warnings");
    json_array(w);
    for (int64_t i = 0; i < n; i++)
        json_str(w, warning[i]);
    json_array_end(w);
    json_member(w, "notes");
    json_array(w);
    for (char *at = v->notes, *note; (note = next_line(&at));)
        json_str(w, note);
    json_array_end(w);
}

static int put_json_metrics(struct view *v, struct json_writer *w, struct err *err)
{
    struct series s;

    json_member(w, "metrics");
    json_object(w);
    for (int64_t i = 0; i < run_series_count(v->run); i++) {
        if (run_series(v->run, i, &s, err))
            return -1;
        json_member(w, s.name);
        json_object(w);
        json_member(w, "points");
        json_i64(w, s.n);
        if (s.n) {
            json_member(w, "step");
            json_i64(w, s.step[s.n - 1]);
            json_member(w, "value");
            json_num(w, s.value[s.n - 1]);
        }
        json_object_end(w);
    }
    json_object_end(w);
    return 0;
}

static void put_json_data(struct view *v, struct json_writer *w)
{
    json_member(w, "data");
    json_array(w);
    for (int64_t i = 0; i < run_item_count(v->run); i++) {
        const struct run_item *it = run_item(v->run, i);
        json_object(w);
        json_member(w, "path");
        json_str(w, it->path);
        json_member(w, "type");
        json_str(w, it->is_text ? "text" : dtype_name(it->dtype));
        json_member(w, "shape");
        json_array(w);
        for (int k = 0; k < it->shape.rank; k++)
            json_i64(w, it->shape.dim[k]);
        json_array_end(w);
        json_member(w, "origin");
        json_str(w, it->origin);
        json_object_end(w);
    }
    json_array_end(w);
}

static int print_json(struct view *v, struct err *err)
{
    struct json_writer w;

    json_begin(&w, v->out, true);
    json_object(&w);
    query_put_run(&w, v->info);
    put_json_notes(v, &w);
    for (const char *const *h = heads + 1; *h; h++)
        if (run_head_text(v->run, *h)) {
            json_member(&w, *h);
            if (!strcmp(*h, "spec")) /* the text as it was given, comments of the layout
                                        and all */
                json_str(&w, run_head_text(v->run, *h));
            else
                json_raw(&w, run_head_text(v->run, *h));
        }
    if (put_json_metrics(v, &w, err))
        return -1;
    put_json_data(v, &w);
    json_object_end(&w);
    strbuf_putc(v->out, '\n');
    return 0;
}

/* ---- the verb -----------------------------------------------------------------------
 */

/* One of the texts that the run holds, laid out for people. */
static int print_head(struct view *v, struct err *err)
{
    const char *name = heads[v->args->head], *text = run_head_text(v->run, name);
    struct json_doc *doc = NULL;

    if (!text)
        return err_set(err, ERR_MISSING, "run %.10s has no %s", v->info->id, name);
    if (!strcmp(name, "spec")) {
        strbuf_puts(v->out, text);
        if (isatty(1))
            clean_text(v->out);
        return 0;
    }
    if (parse_head(&doc, v->run, name, err))
        return -1;
    json_pretty(json_root(doc), v->out);
    strbuf_putc(v->out, '\n');
    json_doc_free(doc);
    return 0;
}

static int print_view(struct view *v, struct err *err)
{
    if (v->args->head)
        return print_head(v, err);
    if (v->args->common.json)
        return print_json(v, err);
    if (print_all(v, err))
        return -1;
    clean_text(v->out);
    return 0;
}

static int run(const void *given)
{
    struct strbuf out = STRBUF_INIT;
    struct view v = {.args = given, .out = &out};
    struct err err = ERR_INIT;
    int rc;

    if (open_view(&v, &err) || print_view(&v, &err)) {
        strbuf_release(&out);
        rc = tell_error(&err);
    } else {
        rc = print_text(&out);
    }
    close_view(&v);
    return rc;
}

#define AT(field) offsetof(struct args, field)
static const struct operand operands[] = {
    {.name = "RUN", .help = RUN_HELP, .offset = AT(run)},
    OPERAND_END,
};
static const struct flag flags[] = {
    {.name = "text",
     .type = OPT_ENUM,
     .choices = heads,
     .def = "none",
     .help = "only this: the spec as it was, the stage's resolved options (its id is "
             "their hash), "
             "the pins, what was recorded",
     .offset = AT(head)},
    {.name = "data",
     .type = OPT_BOOL,
     .help = "each tensor, mask and prediction it holds",
     .offset = AT(data)},
    FLAG_END,
};

const struct verb verb_show = {
    .name = "show",
    .group = "Runs",
    .summary = "everything one run knows",
    .operands = operands,
    .flags = flags,
    .common = COMMON_STORE | COMMON_JSON,
    .about = "Works while the run works, too. --json tells all of it, for programs.",
    .size = sizeof(struct args),
    .run = run,
};
