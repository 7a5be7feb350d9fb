/*
 * retort import: what another program measured, as runs.
 *
 * A run of its own for each seed and assignment of the variables, of the method
 * "foreign". Its id is the hash of all that it says: what it was measured on as our
 * evaluations have it (task, version, digest of the split's files), so that tables see
 * whether both speak of the same; the values; seed and variables.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "import_read.h"
#include "query.h"
#include "retort/file.h"
#include "retort/hash.h"
#include "retort/spec.h"
#include "verbs.h"

struct args {
    struct common common;
    const char *file, *name, *task, *split, *data, *seed, *step;
    struct string_list metrics, variables;
    int format;
    bool percent;
};

/* "f1=dev_f1", taken apart. */
struct pair {
    const char *name;
    int64_t column;
    const char *series; /* of a metric: eval/<task>/<split>/f1 */
    const struct metric *metric;
};

struct importer {
    const struct args *args;
    struct arena *arena;
    struct store *store;
    struct import_rows rows;
    const struct task *task;
    char digest[SHA256_HEX]; /* of the split's files; "": the task is generated */
    char file_digest[SHA256_HEX];
    struct pair *metric, *variable;
    int64_t seed, step; /* columns; step -1: none */
    int64_t *next;      /* (rows) the next one of the same run, or -1 */
    bool *first;        /* (rows) begins a run */
    int64_t made, there;
};

static const char *path_of(const struct importer *m)
{
    return m->args->file;
}

/* ---- what is asked for ---- */

static int read_pair(struct importer *m, struct pair *p, const char *text,
                     const char *flag, struct err *err)
{
    const char *eq = strchr(text, '=');

    if (!eq || eq == text || !eq[1])
        return err_set(err, ERR_INPUT, "--%s %s: write NAME=COLUMN", flag, text);
    p->name = arena_printf(m->arena, "%.*s", (int)(eq - text), text);
    if (!p->name)
        return arena_failed(m->arena, err);
    p->column = import_column(&m->rows, path_of(m), eq + 1, err);
    return p->column < 0 ? -1 : 0;
}

static int unknown_metric(const struct importer *m, const char *name, struct err *err)
{
    struct strbuf sb = STRBUF_INIT;

    for (const struct metric *const *t = m->task->metrics; *t; t++)
        strbuf_printf(&sb, "%s%s", t == m->task->metrics ? "" : ", ", (*t)->name);
    err_set(err, ERR_INPUT,
            "--metric %s: %s has no such metric; it has %s (a series that is no "
            "evaluation has a slash: train/loss)",
            name, m->task->name, strbuf_text(&sb));
    strbuf_release(&sb);
    return -1;
}

/* A metric of the task, or a series with a name of its own. */
static int read_metric(struct importer *m, struct pair *p, const char *text,
                       struct err *err)
{
    if (read_pair(m, p, text, "metric", err))
        return -1;
    for (const struct metric *const *t = m->task->metrics; *t; t++)
        if (!strcmp((*t)->name, p->name))
            p->metric = *t;
    if (p->metric || !strcmp(p->name, "loss"))
        p->series = arena_printf(m->arena, "eval/%s/%s/%s", m->task->name, m->args->split,
                                 p->name);
    else if (strchr(p->name, '/') && strncmp(p->name, "eval/", 5) != 0)
        p->series = p->name;
    else
        return unknown_metric(m, p->name, err);
    return arena_failed(m->arena, err);
}

static bool is_word(const char *s)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789_.-";
    return *s && strspn(s, letters) == strlen(s);
}

static int read_pairs(struct importer *m, struct err *err)
{
    const struct args *a = m->args;

    m->metric = arena_zalloc(m->arena, (a->metrics.n + 1) * (int64_t)sizeof *m->metric);
    m->variable =
        arena_zalloc(m->arena, (a->variables.n + 1) * (int64_t)sizeof *m->variable);
    if (arena_failed(m->arena, err))
        return -1;
    for (int64_t i = 0; i < a->metrics.n; i++) {
        if (read_metric(m, &m->metric[i], a->metrics.v[i], err))
            return -1;
        for (int64_t k = 0; k < i; k++)
            if (!strcmp(m->metric[k].series, m->metric[i].series))
                return err_set(err, ERR_INPUT, "--metric %s is given twice",
                               m->metric[i].name);
    }
    for (int64_t i = 0; i < a->variables.n; i++) {
        if (read_pair(m, &m->variable[i], a->variables.v[i], "variable", err))
            return -1;
        if (!is_word(m->variable[i].name) || !strcmp(m->variable[i].name, "seed"))
            return err_set(err, ERR_INPUT,
                           "--variable %s: a name is made of letters, digits, _ . and "
                           "-, and the seed's column is --seed's",
                           m->variable[i].name);
    }
    m->seed = import_column(&m->rows, path_of(m), a->seed, err);
    if (m->seed < 0)
        return err_prefix(err, "each run needs a seed (--seed COLUMN)");
    m->step = a->step ? import_column(&m->rows, path_of(m), a->step, err) : -1;
    return a->step && m->step < 0 ? -1 : 0;
}

static bool has_split(const struct task *t, const char *split)
{
    size_t n = strcspn(split, "[");

    for (const char *const *s = t->splits; *s; s++)
        if (strlen(*s) == n && !strncmp(*s, split, n))
            return true;
    return false;
}

/* What it was measured on: the user says the task and the split, and that the other
 * program read the very files that lie here, or the digest of those it read. */
static int read_measure(struct importer *m, struct err *err)
{
    const struct args *a = m->args;

    if (!a->metrics.n || !a->name || !a->task || !a->split)
        return err_set(err, ERR_INPUT,
                       "--name, --task, --split and --metric are needed: a number "
                       "without them stands for nothing");
    if (!is_word(a->name))
        return err_set(err, ERR_INPUT,
                       "--name %s: it is made of letters, digits, _ . and -", a->name);
    m->task = task_find(a->task);
    if (!m->task)
        return err_set(err, ERR_INPUT,
                       "--task %s: there is no such task; `retort list tasks` has them",
                       a->task);
    if (!has_split(m->task, a->split))
        return err_set(err, ERR_INPUT, "--split %s: %s has no such split", a->split,
                       a->task);
    if (a->data) {
        if (strlen(a->data) != 64 || strspn(a->data, "0123456789abcdef") != 64)
            return err_set(err, ERR_INPUT,
                           "--data %s: is no SHA-256 (64 digits of 0-9 and a-f)",
                           a->data);
        memcpy(m->digest, a->data, SHA256_HEX);
    } else if (m->task->files && task_digest(m->digest, m->task, a->split, err)) {
        return err_prefix(err, "what the numbers were measured on has to be known (or "
                               "give the file's SHA-256 by --data)");
    }
    return sha256_file(m->file_digest, a->file, err);
}

/* ---- which rows are a run ---- */

static const char *at(const struct importer *m, int64_t row, int64_t column)
{
    return m->rows.row[row].value[column];
}

static bool same(const char *a, const char *b)
{
    return a == b || (a && b && !strcmp(a, b));
}

static bool same_run(const struct importer *m, int64_t a, int64_t b)
{
    if (!same(at(m, a, m->seed), at(m, b, m->seed)))
        return false;
    for (int64_t i = 0; i < m->args->variables.n; i++)
        if (!same(at(m, a, m->variable[i].column), at(m, b, m->variable[i].column)))
            return false;
    return true;
}

static int find_runs(struct importer *m, struct err *err)
{
    int64_t n = m->rows.n;

    m->next = arena_alloc(m->arena, (n + 1) * (int64_t)sizeof *m->next);
    m->first = arena_zalloc(m->arena, (n + 1) * (int64_t)sizeof *m->first);
    if (arena_failed(m->arena, err))
        return -1;
    for (int64_t i = 0; i < n; i++) {
        int64_t k = i - 1;
        m->next[i] = -1;
        while (k >= 0 && !same_run(m, k, i))
            k--;
        m->first[i] = k < 0;
        if (k >= 0 && m->step < 0)
            return err_set(err, ERR_INPUT,
                           "%s: lines %lld and %lld are of the same seed (%s)%s; name "
                           "the column that tells them apart by --variable or --step",
                           path_of(m), (long long)m->rows.row[k].line,
                           (long long)m->rows.row[i].line,
                           at(m, i, m->seed) ? at(m, i, m->seed) : "none",
                           m->args->variables.n ? " and the same variables" : "");
        if (k >= 0)
            m->next[k] = i;
    }
    return 0;
}

/* ---- values ---- */

static int bad_value(const struct importer *m, int64_t row, int64_t column,
                     const char *want, struct err *err)
{
    const char *value = at(m, row, column);

    return err_set(err, ERR_INPUT, "%s:%lld: %s is \"%.100s\"; %s", path_of(m),
                   (long long)m->rows.row[row].line, m->rows.column[column],
                   value ? value : "", want);
}

/* A whole number of at most 2^53. */
static int whole(int64_t *out, const struct importer *m, int64_t row, int64_t column,
                 struct err *err)
{
    const char *text = at(m, row, column);
    double x;

    if (!text || text_double(&x, text) || x < 0 || x > 9007199254740992.0 ||
        x != floor(x))
        return bad_value(m, row, column, "a whole number from 0 is right", err);
    *out = (int64_t)x;
    return 0;
}

static int value_at(double *out, const struct importer *m, int64_t row,
                    const struct pair *p, struct err *err)
{
    const struct metric *k = p->metric;
    const char *text = at(m, row, p->column);

    if (!text || text_double(out, text))
        return bad_value(m, row, p->column, "a number is right", err);
    if (k && m->args->percent)
        *out /= 100;
    if (k && k->low < k->high && (*out < k->low || *out > k->high)) {
        char want[160];
        snprintf(want, sizeof want, "%s lies within %g and %g%s", k->name, k->low,
                 k->high,
                 m->args->percent ? " (of per cent, the hundredth part)"
                                  : "; --percent takes per cent");
        return bad_value(m, row, p->column, want, err);
    }
    return 0;
}

/* A number, true or false as they are, all else as a JSON text. */
static const char *canonical(struct importer *m, const char *text)
{
    struct strbuf sb = STRBUF_INIT;
    const char *out;
    double x;

    if (!text)
        strbuf_puts(&sb, "null");
    else if (!text_double(&x, text))
        strbuf_double(&sb, x);
    else if (!strcmp(text, "true") || !strcmp(text, "false"))
        strbuf_puts(&sb, text);
    else
        json_put_string(&sb, text);
    out = arena_strdup(m->arena, strbuf_text(&sb));
    strbuf_release(&sb);
    return out;
}

/* ---- a run ---- */

static void put_measure(struct json_writer *w, const struct importer *m)
{
    char split[64];

    snprintf(split, sizeof split, "%.*s", (int)strcspn(m->args->split, "["),
             m->args->split);
    json_member(w, "inputs");
    json_object(w);
    json_member(w, "task");
    json_array(w);
    json_object(w);
    json_member(w, "files");
    json_object(w);
    if (m->digest[0]) {
        json_member(w, split);
        json_str(w, m->digest);
    }
    json_object_end(w);
    json_member(w, "task");
    json_str(w, m->task->name);
    json_member(w, "version");
    json_i64(w, m->task->version);
    json_object_end(w);
    json_array_end(w);
    json_object_end(w);
}

static void put_steps(struct json_writer *w, const struct importer *m, int64_t row,
                      const struct pair *p)
{
    struct err none = ERR_INIT; /* they were read before */
    int64_t step = 0;
    double x = 0;

    json_member(w, p->series);
    json_array(w);
    for (; row >= 0; row = m->next[row]) {
        if (m->step >= 0)
            whole(&step, m, row, m->step, &none);
        value_at(&x, m, row, p, &none);
        json_array(w);
        json_i64(w, step);
        json_num(w, x);
        json_array_end(w);
    }
    json_array_end(w);
}

/* All that the run says, in the form that its id is the hash of. */
static int resolve(struct strbuf *out, struct importer *m, int64_t row, int64_t seed,
                   struct err *err)
{
    struct strbuf raw = STRBUF_INIT;
    struct diags *diags = diags_new(err);
    struct json_doc *doc = NULL;
    struct json_writer w;

    json_begin(&w, &raw, false);
    json_object(&w);
    json_member(&w, "do");
    json_str(&w, "foreign");
    put_measure(&w, m);
    json_member(&w, "metrics");
    json_object(&w);
    for (int64_t i = 0; i < m->args->metrics.n; i++)
        put_steps(&w, m, row, &m->metric[i]);
    json_object_end(&w);
    json_member(&w, "name");
    json_str(&w, m->args->name);
    json_member(&w, "options");
    json_object(&w);
    for (int64_t i = 0; i < m->args->variables.n; i++) {
        json_member(&w, m->variable[i].name);
        json_raw(&w, canonical(m, at(m, row, m->variable[i].column)));
    }
    json_object_end(&w);
    json_member(&w, "seed");
    json_i64(&w, seed);
    json_object_end(&w);
    if (diags && !strbuf_failed(&raw, err))
        doc = json_parse(strbuf_text(&raw), (int64_t)raw.len, path_of(m), diags);
    if (doc)
        json_canonical(json_root(doc), out);
    else if (diags && !err_is_set(err))
        diags_first_to_err(diags, err);
    json_doc_free(doc);
    diags_free(diags);
    strbuf_release(&raw);
    return doc ? strbuf_failed(out, err) : -1;
}

static void put_variables(struct strbuf *out, struct importer *m, int64_t row,
                          int64_t seed)
{
    for (int64_t i = 0; i < m->args->variables.n; i++)
        strbuf_printf(out, "%s=%s ", m->variable[i].name,
                      canonical(m, at(m, row, m->variable[i].column)));
    strbuf_printf(out, "seed=%lld", (long long)seed);
}

static void put_pins(struct strbuf *out, const struct importer *m)
{
    struct json_writer w;

    json_begin(&w, out, false);
    json_object(&w);
    json_member(&w, "imported");
    json_object(&w);
    json_member(&w, "file");
    json_str(&w, path_base(path_of(m)));
    json_member(&w, "sha256");
    json_str(&w, m->file_digest);
    json_object_end(&w);
    json_object_end(&w);
}

static int record_rows(struct importer *m, struct run_writer *w, int64_t row,
                       struct err *err)
{
    struct recorder rec = run_recorder(w);
    int64_t step = 0, before = -1;
    double x;

    for (; row >= 0; row = m->next[row], before = step) {
        if (m->step >= 0 && whole(&step, m, row, m->step, err))
            return -1;
        if (before >= 0 && step <= before)
            return bad_value(m, row, m->step, "steps rise within a run", err);
        for (int64_t i = 0; i < m->args->metrics.n; i++)
            if (value_at(&x, m, row, &m->metric[i], err) ||
                rec.metric(rec.ctx, RECORD_RESULT, m->metric[i].series, step, x, err))
                return -1;
    }
    return 0;
}

/* Everything that may be wrong with a row, before anything is written. */
static int check_rows(const struct importer *m, int64_t row, struct err *err)
{
    int64_t step = 0, before = -1;
    double x;

    for (; row >= 0; row = m->next[row], before = step) {
        if (m->step >= 0 && whole(&step, m, row, m->step, err))
            return -1;
        if (before >= step)
            return bad_value(m, row, m->step, "steps rise within a run", err);
        for (int64_t i = 0; i < m->args->metrics.n; i++)
            if (value_at(&x, m, row, &m->metric[i], err))
                return -1;
    }
    return 0;
}

static int write_run(struct importer *m, const struct run_head *head, int64_t row,
                     struct err *err)
{
    struct run_writer *w = NULL;
    struct region none = {"nothing", NULL, 0};
    int64_t step;
    int rc = run_begin(&w, m->store, head, err);

    if (rc > 0)
        m->there++;
    if (rc)
        return rc < 0 ? -1 : 0;
    rc = run_restore(w, &step, &none, 0, err) < 0 || record_rows(m, w, row, err) ||
         run_seal(w, err);
    run_end(w, rc ? "the import failed" : NULL);
    m->made += !rc;
    return rc ? -1 : 0;
}

static int import_run(struct importer *m, int64_t row, struct err *err)
{
    struct strbuf resolved = STRBUF_INIT, variables = STRBUF_INIT, pins = STRBUF_INIT;
    struct run_head head = {.name = m->args->name,
                            .stage = "imported",
                            .method = "foreign",
                            .has_seed = true,
                            .spec = "{}",
                            .env_class = "foreign",
                            .record = "{}",
                            .unless_sealed = true};
    char id[SHA256_HEX];
    int64_t seed;
    int rc = -1;

    if (whole(&seed, m, row, m->seed, err) || resolve(&resolved, m, row, seed, err))
        goto done;
    put_variables(&variables, m, row, seed);
    put_pins(&pins, m);
    if (strbuf_failed(&variables, err) || strbuf_failed(&pins, err) ||
        arena_failed(m->arena, err))
        goto done;
    sha256_text(id, strbuf_text(&resolved), resolved.len);
    head.id = id;
    head.seed = (uint64_t)seed;
    head.variables = strbuf_text(&variables);
    head.resolved = strbuf_text(&resolved);
    head.pins = strbuf_text(&pins);
    rc = write_run(m, &head, row, err);
done:
    strbuf_release(&resolved);
    strbuf_release(&variables);
    strbuf_release(&pins);
    return rc;
}

/* ---- the verb ---- */

static int import_all(struct importer *m, struct err *err)
{
    int64_t seed;

    if (import_read(&m->rows, path_of(m), (enum import_format)m->args->format, err) ||
        read_measure(m, err) || read_pairs(m, err) || find_runs(m, err))
        return -1;
    for (int64_t i = 0; i < m->rows.n; i++)
        if (m->first[i] && (whole(&seed, m, i, m->seed, err) || check_rows(m, i, err)))
            return -1;
    if (store_open(&m->store, m->args->common.store, true, err))
        return -1;
    for (int64_t i = 0; i < m->rows.n; i++)
        if (m->first[i] && import_run(m, i, err))
            return -1;
    return 0;
}

static int run(const void *given)
{
    struct err err = ERR_INIT;
    struct importer m = {.args = given, .arena = arena_new(&err)};
    int rc = m.arena ? import_all(&m, &err) : -1;

    if (!rc && !m.args->common.quiet) {
        fprintf(stderr, "%s: %lld runs imported", path_of(&m), (long long)m.made);
        if (m.there)
            fprintf(stderr, ", %lld were there already", (long long)m.there);
        fprintf(stderr, "; a table takes them by \"stage\": \"import:%s\"\n",
                m.args->name);
    }
    store_close(m.store);
    import_release(&m.rows);
    arena_free(m.arena);
    return rc ? tell_error(&err) : 0;
}

#define AT(field) offsetof(struct args, field)
static const char *const formats[] = {"auto", "csv", "jsonl", "hdf5", NULL};
static const struct operand operands[] = {
    {.name = "FILE",
     .help = "CSV with a header, JSON lines, or HDF5 with data sets of one length",
     .offset = AT(file)},
    OPERAND_END,
};
static const struct flag flags[] = {
    {.name = "name",
     .letter = 'n',
     .type = OPT_STRING,
     .value = "NAME",
     .help = "what the runs are called, as a spec's name",
     .offset = AT(name)},
    {.name = "task",
     .type = OPT_STRING,
     .value = "TASK",
     .help = "what was measured on: glue/mrpc",
     .offset = AT(task)},
    {.name = "split",
     .type = OPT_STRING,
     .value = "SPLIT",
     .help = "and on which part: dev",
     .offset = AT(split)},
    {.name = "metric",
     .letter = 'm',
     .type = OPT_STRINGS,
     .value = "METRIC=COLUMN",
     .help = "a metric of the task, with its averaging, and the column that holds it; or "
             "a series such as train/loss (may be given again)",
     .offset = AT(metrics)},
    {.name = "variable",
     .type = OPT_STRINGS,
     .value = "NAME=COLUMN",
     .help = "a variable of the runs (may be given again)",
     .offset = AT(variables)},
    {.name = "seed",
     .type = OPT_STRING,
     .value = "COLUMN",
     .def = "seed",
     .help = "the column of the seeds",
     .offset = AT(seed)},
    {.name = "step",
     .type = OPT_STRING,
     .value = "COLUMN",
     .help = "rows of one run are steps of a series, by this column",
     .offset = AT(step)},
    {.name = "percent",
     .type = OPT_BOOL,
     .help = "metrics of the task stand in per cent",
     .offset = AT(percent)},
    {.name = "data",
     .type = OPT_STRING,
     .value = "SHA256",
     .help = "digest of the split's file that was read, where it does not lie here",
     .offset = AT(data)},
    {.name = "format",
     .type = OPT_ENUM,
     .choices = formats,
     .help = "of FILE; auto: by its name",
     .offset = AT(format)},
    FLAG_END,
};

const struct verb verb_import = {
    .name = "import",
    .group = "Results",
    .summary = "numbers of another program as runs that stand in the same tables",
    .operands = operands,
    .flags = flags,
    .common = COMMON_STORE | COMMON_QUIET,
    .about =
        "Each row is a run of the method \"foreign\". What it was measured on is a part "
        "of "
        "it: task, "
        "split, metric, and the digest of the data, so that a table refuses to mix it "
        "with "
        "anything else. A table takes the runs by \"stage\": \"import:NAME\" in a row or "
        "column, with "
        "their metrics under the same names as ours. The same row again is the same run; "
        "one with "
        "another value is another run, and `retort rm` removes the first.\n\n"
        "  retort import torch.jsonl --name mrpc-torch --task glue/mrpc --split dev \\\n"
        "      -m accuracy=dev_accuracy -m f1=dev_f1",
    .size = sizeof(struct args),
    .run = run,
};
