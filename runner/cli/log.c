/*
 * retort log RUN: the series of a run's metrics as text.
 *
 * A line holds what was recorded at one step, as it comes: "step 20  train/loss 0.214
 * train/lr 0.001". Series of other steps (an evaluation each epoch) so stand where they
 * belong.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "query.h"
#include "retort/json.h"
#include "verbs.h"

struct args {
    struct common common;
    const char *run;
    struct string_list metrics;
    int64_t every, last;
    bool follow, csv;
};

/* One value of one series. */
struct entry {
    int64_t step;
    int64_t series;
    double value;
};

struct table {
    struct run *run;
    struct entry *v; /* by step, then in the order of the series */
    int64_t n, capacity;
    const char **name; /* of the series */
};

static volatile sig_atomic_t stopped;

static void on_signal(int sig)
{
    (void)sig;
    stopped = 1;
}

/* ---- reading ------------------------------------------------------------------------
 */

static int by_step(const void *pa, const void *pb)
{
    const struct entry *a = pa, *b = pb;

    if (a->step != b->step)
        return a->step < b->step ? -1 : 1;
    return a->series < b->series ? -1 : a->series > b->series;
}

static void table_release(struct table *t)
{
    free(t->v);
    free(t->name);
    run_close(t->run);
    memset(t, 0, sizeof *t);
}

static int unknown_metric(const struct args *a, struct run *run, struct err *err)
{
    struct strbuf names = STRBUF_INIT;
    struct series s;

    for (int64_t i = 0; i < run_series_count(run); i++)
        if (!run_series(run, i, &s, err))
            strbuf_printf(&names, "%s%s", names.len ? ", " : "", s.name);
    err_set(err, ERR_MISSING, "run %.10s has no metric \"%s\"; it has %s",
            run_info(run)->id, a->metrics.v[0], names.len ? strbuf_text(&names) : "none");
    strbuf_release(&names);
    return -1;
}

static int table_read(struct table *t, const struct args *a, struct store *store,
                      const char *id, struct err *err)
{
    struct series s;
    int64_t count, used = 0;

    if (run_open(&t->run, store, id, true, err))
        return -1;
    count = run_series_count(t->run);
    t->name = mem_new(count, sizeof *t->name, err);
    if (!t->name)
        return -1;
    for (int64_t i = 0; i < count; i++) {
        if (run_series(t->run, i, &s, err))
            return -1;
        t->name[i] = s.name;
        if (a->metrics.n && !query_names_metric(&a->metrics, s.name))
            continue;
        used++;
        for (int64_t k = 0; k < s.n; k++) {
            if (mem_grow((void **)&t->v, t->n, &t->capacity, sizeof *t->v, err))
                return -1;
            t->v[t->n++] = (struct entry){s.step[k], i, s.value[k]};
        }
    }
    if (t->n)
        qsort(t->v, (size_t)t->n, sizeof *t->v, by_step);
    if (!used && a->metrics.n && !a->follow)
        return unknown_metric(a, t->run, err);
    return 0;
}

/* ---- writing ------------------------------------------------------------------------
 */

static int64_t end_of_step(const struct table *t, int64_t i)
{
    int64_t k = i;

    while (k < t->n && t->v[k].step == t->v[i].step)
        k++;
    return k;
}

static void put_number(struct strbuf *out, double x, bool whole)
{
    if (whole)
        strbuf_double(out, x);
    else
        strbuf_printf(out, "%.6g", x);
}

static void put_step(struct strbuf *out, const struct args *a, const struct table *t,
                     int64_t from, int64_t to)
{
    long long step = (long long)t->v[from].step;

    if (!a->csv)
        strbuf_printf(out, "step %-6lld", step);
    for (int64_t i = from; i < to; i++) {
        if (a->csv) {
            strbuf_csv(out, t->name[t->v[i].series]);
            strbuf_printf(out, ",%lld,", step);
            put_number(out, t->v[i].value, true);
            strbuf_puts(out, "\r\n");
        } else {
            strbuf_printf(out, "  %s ", t->name[t->v[i].series]);
            put_number(out, t->v[i].value, false);
        }
    }
    if (!a->csv)
        strbuf_putc(out, '\n');
}

/* The last step is always shown. */
static bool is_shown(const struct args *a, const struct table *t, int64_t from,
                     int64_t to)
{
    return a->every <= 1 || t->v[from].step % a->every == 0 || to == t->n;
}

/* Steps after `after`; where the run still works the last one may be half written, so it
 * waits. Returns the last step that was dealt with. */
static int64_t put_steps(struct strbuf *out, const struct args *a, const struct table *t,
                         int64_t after, bool working)
{
    for (int64_t i = 0, to; i < t->n; i = to) {
        to = end_of_step(t, i);
        if (t->v[i].step <= after || (working && to == t->n))
            continue;
        after = t->v[i].step;
        if (is_shown(a, t, i, to))
            put_step(out, a, t, i, to);
    }
    return after;
}

/* --last N: forgets all but the last N steps that would be shown. */
static void keep_last(struct table *t, const struct args *a)
{
    int64_t shown = 0, i = t->n;

    while (i > 0 && shown < a->last) {
        int64_t from = i - 1;
        while (from > 0 && t->v[from - 1].step == t->v[i - 1].step)
            from--;
        shown += is_shown(a, t, from, i);
        i = from;
    }
    memmove(t->v, t->v + i, (size_t)(t->n - i) * sizeof *t->v);
    t->n -= i;
}

static void put_json(struct strbuf *out, const struct table *t)
{
    struct json_writer w;

    json_begin(&w, out, true);
    json_array(&w);
    for (int64_t i = 0, to; i < t->n; i = to) {
        to = end_of_step(t, i);
        json_object(&w);
        json_member(&w, "step");
        json_i64(&w, t->v[i].step);
        for (int64_t k = i; k < to; k++) {
            json_member(&w, t->name[t->v[k].series]);
            json_num(&w, t->v[k].value);
        }
        json_object_end(&w);
    }
    json_array_end(&w);
    strbuf_putc(out, '\n');
}

static int print_once(const struct args *a, struct store *store, const char *id,
                      struct err *err)
{
    struct strbuf out = STRBUF_INIT;
    struct table t = {NULL, NULL, 0, 0, NULL};
    int rc = table_read(&t, a, store, id, err);

    if (!rc && a->last)
        keep_last(&t, a);
    if (!rc && a->common.json) {
        put_json(&out, &t);
    } else if (!rc) {
        if (a->csv)
            strbuf_puts(&out, "metric,step,value\r\n");
        put_steps(&out, a, &t, INT64_MIN, false);
    }
    table_release(&t);
    if (rc) {
        strbuf_release(&out);
        return -1;
    }
    return print_text(&out) ? err_set(err, ERR_MEMORY, "out of memory") : 0;
}

static int follow(const struct args *a, struct store *store, const char *id,
                  struct err *err)
{
    const struct timespec pause = {0, 500000000};
    int64_t after = INT64_MIN;
    bool working = true;

    if (a->csv)
        puts("metric,step,value\r");
    while (working && !stopped && !ferror(stdout)) {
        struct strbuf out = STRBUF_INIT;
        struct table t = {NULL, NULL, 0, 0, NULL};
        if (table_read(&t, a, store, id, err)) {
            table_release(&t);
            return -1;
        }
        working = run_info(t.run)->state == RUN_ACTIVE;
        after = put_steps(&out, a, &t, after, working);
        table_release(&t);
        print_text(&out);
        fflush(stdout);
        if (working)
            nanosleep(&pause, NULL);
    }
    return 0;
}

/* ---- the verb -----------------------------------------------------------------------
 */

static int run(const void *given)
{
    const struct args *a = given;
    struct sigaction act = {.sa_handler = on_signal};
    struct err err = ERR_INIT;
    struct store *store = NULL;
    char id[65];

    if (a->follow && (a->common.json || a->last))
        err_set(&err, ERR_INPUT, "--follow goes with neither --json nor --last");
    else if (store_open(&store, a->common.store, false, &err) ||
             find_run(store, a->run, id, &err))
        ;
    else if (a->follow) {
        sigaction(SIGINT, &act, NULL); /* to leave is no failure */
        follow(a, store, id, &err);
    } else
        print_once(a, store, id, &err);
    store_close(store);
    return err_is_set(&err) ? tell_error(&err) : 0;
}

#define AT(field) offsetof(struct args, field)
static const struct operand operands[] = {
    {.name = "RUN", .help = RUN_HELP, .offset = AT(run)},
    OPERAND_END,
};
static const struct flag flags[] = {
    {.name = "metric",
     .letter = 'm',
     .type = OPT_STRINGS,
     .value = "NAME",
     .help = "only this metric: its name, the end of it, or a pattern such as 'train/*' "
             "(may be "
             "given again)",
     .offset = AT(metrics)},
    {.name = "every",
     .type = OPT_INT,
     .value = "N",
     .def = "1",
     .min = 1,
     .max = 1e9,
     .help = "only steps that N divides, and the last",
     .offset = AT(every)},
    {.name = "last",
     .letter = 'n',
     .type = OPT_INT,
     .value = "N",
     .min = 1,
     .max = 1e9,
     .help = "only the last N steps",
     .offset = AT(last)},
    {.name = "follow",
     .letter = 'f',
     .type = OPT_BOOL,
     .help = "go on while the run works; Ctrl-C leaves",
     .offset = AT(follow)},
    {.name = "csv",
     .type = OPT_BOOL,
     .help = "metric,step,value: one line for each value, all digits",
     .offset = AT(csv)},
    FLAG_END,
};

const struct verb verb_log = {
    .name = "log",
    .group = "Runs",
    .summary = "the series of a run's metrics",
    .operands = operands,
    .flags = flags,
    .common = COMMON_STORE | COMMON_JSON,
    .size = sizeof(struct args),
    .run = run,
};
