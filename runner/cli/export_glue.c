/*
 * retort export --glue: the files that gluebenchmark.com takes.
 *
 * One file for each task, "index<TAB>prediction" and a line for each example of the test
 * set, in the order of the index. Predictions are written as each task's own files have
 * them: numbers of classes, names of classes, or scores of 0 to 5 with three digits.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "export.h"
#include "retort/file.h"
#include "retort/task.h"

enum form { NUMBER, NAME, SCORE };

/* How many examples the official test sets have, and how their predictions are written.
 */
static const struct official {
    const char *task;
    int64_t n;
    enum form form;
} official[] = {
    {"glue/cola", 1063, NUMBER},  {"glue/sst2", 1821, NUMBER},
    {"glue/mrpc", 1725, NUMBER},  {"glue/qqp", 390965, NUMBER},
    {"glue/stsb", 1379, SCORE},   {"glue/mnli", 9796, NAME},
    {"glue/mnli-mm", 9847, NAME}, {"glue/qnli", 5463, NAME},
    {"glue/rte", 3000, NAME},     {"glue/wnli", 146, NUMBER},
    {"glue/ax", 1104, NAME},
};
enum { TASKS = sizeof official / sizeof *official };

struct submission {
    const struct export_args *args;
    struct store *store;
    char run[TASKS][65]; /* whose predictions are taken; "": none yet */
};

/* ---- whose predictions ---- */

static bool has_predictions(struct run *run, const char *task)
{
    char path[128];

    snprintf(path, sizeof path, "/eval/%s/test/example_id", task);
    for (int64_t i = 0; i < run_item_count(run); i++)
        if (!strcmp(run_item(run, i)->path, path))
            return true;
    return false;
}

static int take_run(void *ctx, const struct sweep_row *row, struct err *err)
{
    struct submission *s = ctx;
    struct run *run = NULL;
    int rc = run_open(&run, s->store, row->id, false, err);

    for (int t = 0; !rc && t < TASKS; t++) {
        if (!has_predictions(run, official[t].task) || !strcmp(s->run[t], row->id))
            continue;
        if (s->run[t][0])
            rc = err_set(
                err, ERR_INPUT,
                "%s was predicted by several runs, %.10s and %.10s among them; name the "
                "one to submit",
                official[t].task, s->run[t], row->id);
        else
            memcpy(s->run[t], row->id, sizeof s->run[t]);
    }
    run_close(run);
    return rc;
}

/* ---- a file ---- */

struct line {
    int64_t index, row;
};

static int by_index(const void *pa, const void *pb)
{
    const struct line *a = pa, *b = pb;

    return a->index < b->index ? -1 : a->index > b->index;
}

/* The example's id if it is a whole number; -1 otherwise. */
static int64_t id_number(const char *id)
{
    size_t n = strlen(id);

    return n > 0 && n < 10 && strspn(id, "0123456789") == n ? strtoll(id, NULL, 10) : -1;
}

/* The lines in the order of the index. Files of one's own without such ids: by their
 * order. */
static struct line *lines_of(const char *const *ids, int64_t n, struct err *err)
{
    struct line *lines = mem_new(n, sizeof *lines, err);
    bool numbered = true;

    for (int64_t i = 0; lines && i < n; i++) {
        lines[i] = (struct line){id_number(ids[i]), i};
        numbered = numbered && lines[i].index >= 0;
    }
    if (lines && numbered)
        qsort(lines, (size_t)n, sizeof *lines, by_index);
    for (int64_t i = 0; lines && !numbered && i < n; i++)
        lines[i].index = i;
    return lines;
}

struct predicted {
    const struct official *of;
    const struct task *task;
    int64_t n;
    const int32_t *pred; /* classes */
    const double *score; /* regression */
    const char *const *ids;
};

static int read_array(void *out, struct artifact *a, const char *task, const char *name,
                      enum dtype dtype, int64_t n, struct err *err)
{
    char path[128];
    struct array v;

    snprintf(path, sizeof path, "/eval/%s/test/%s", task, name);
    if (a->array(a->ctx, path, &v, err))
        return -1;
    if (v.dtype != dtype || shape_count(v.shape) != n)
        return err_set(err, ERR_INPUT, "%s is no array of %lld %s", path, (long long)n,
                       dtype_name(dtype));
    memcpy(out, &v.data, sizeof v.data);
    return 0;
}

static int read_predictions(struct predicted *p, struct artifact *a, struct err *err)
{
    char path[128];

    snprintf(path, sizeof path, "/eval/%s/test/example_id", p->of->task);
    if (a->text(a->ctx, path, &p->ids, &p->n, err))
        return -1;
    if (p->of->form == SCORE)
        return read_array(&p->score, a, p->of->task, "prob", DT_F64, p->n, err);
    return read_array(&p->pred, a, p->of->task, "pred", DT_I32, p->n, err);
}

static int put_prediction(struct strbuf *out, const struct predicted *p, int64_t row,
                          struct err *err)
{
    if (p->of->form == SCORE) {
        double x = p->score[row];
        strbuf_printf(out, "%.3f", x < 0 ? 0.0 : x > 5 ? 5.0 : x);
        return 0;
    }
    if (p->pred[row] < 0 || p->pred[row] >= p->task->labels)
        return err_set(err, ERR_INPUT,
                       "%s: example %lld is predicted as class %d of %lld", p->of->task,
                       (long long)row, (int)p->pred[row], (long long)p->task->labels);
    if (p->of->form == NAME)
        strbuf_puts(out, p->task->label_names[p->pred[row]]);
    else
        strbuf_printf(out, "%d", (int)p->pred[row]);
    return 0;
}

static int put_lines(struct strbuf *out, const struct predicted *p, struct err *err)
{
    struct line *lines = lines_of(p->ids, p->n, err);
    int rc = lines ? 0 : -1;

    strbuf_puts(out, "index\tprediction\n");
    for (int64_t i = 0; !rc && i < p->n; i++) {
        strbuf_printf(out, "%lld\t", (long long)lines[i].index);
        rc = put_prediction(out, p, lines[i].row, err);
        strbuf_putc(out, '\n');
    }
    free(lines);
    return rc ? rc : strbuf_failed(out, err);
}

static int write_file(const struct submission *s, const struct predicted *p,
                      const char *id, struct err *err)
{
    struct strbuf text = STRBUF_INIT;
    char *path = path_join(s->args->glue, p->task->submission, err);
    int rc = path ? put_lines(&text, p, err) : -1;

    if (!rc)
        rc = file_write(path, strbuf_text(&text), (int64_t)text.len, err);
    if (!rc && !s->args->common.quiet)
        fprintf(stderr, "%s: %lld predictions of run %.10s\n", path, (long long)p->n, id);
    if (!rc && p->n != p->of->n)
        fprintf(stderr,
                "retort: %s has %lld examples, the official test set of %s %lld\n", path,
                (long long)p->n, p->of->task, (long long)p->of->n);
    strbuf_release(&text);
    free(path);
    return rc;
}

static int write_task(const struct submission *s, int t, struct err *err)
{
    struct predicted p = {.of = &official[t], .task = task_find(official[t].task)};
    struct run *run = NULL;
    int rc = run_open(&run, s->store, s->run[t], false, err);

    if (!rc)
        rc = read_predictions(&p, run_artifact(run), err);
    if (!rc)
        rc = write_file(s, &p, s->run[t], err);
    run_close(run);
    return rc;
}

/* ---- the whole ---- */

static int tell_missing(const struct submission *s, struct err *err)
{
    struct strbuf names = STRBUF_INIT;
    int n = 0;

    for (int t = 0; t < TASKS; t++)
        if (!s->run[t][0]) {
            strbuf_printf(&names, "%s%s (%s)", n ? ", " : "", official[t].task,
                          task_find(official[t].task)->submission);
            n++;
        }
    if (n)
        err_set(
            err, ERR_NEGATIVE,
            "no predictions of the test set are stored for %s; an evaluate stage with "
            "\"split\": \"test\" makes them",
            strbuf_text(&names));
    strbuf_release(&names);
    return n ? -1 : 0;
}

int export_glue(const struct export_args *a, struct store *store, struct err *err)
{
    struct submission s = {.args = a, .store = store};
    int64_t missing = 0;

    if (a->what.n == 0)
        return err_set(err, ERR_INPUT,
                       "--glue needs to know whose predictions: runs, or a sweep");
    if (export_each(&a->what, store, &missing, take_run, &s, err) ||
        file_mkdirs(a->glue, err))
        return -1;
    for (int t = 0; t < TASKS; t++)
        if (s.run[t][0] && write_task(&s, t, err))
            return -1;
    return tell_missing(&s, err);
}
