/* retort export --csv: see export.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "export.h"
#include "retort/file.h"

struct csv {
    const struct export_args *args;
    struct store *store;
    struct arena *arena;
    const char **variable; /* columns, in the order in which they are met */
    int64_t n, capacity;
    int64_t lines;
    struct strbuf out;
};

/* ---- columns ---- */

static int add_variables(void *ctx, const struct sweep_row *row, struct err *err)
{
    struct csv *c = ctx;
    const char *at = row->variables;
    char name[128], value[512];

    while (variable_next(&at, name, value)) {
        bool known = !strcmp(name, "seed");
        for (int64_t i = 0; i < c->n && !known; i++)
            known = !strcmp(c->variable[i], name);
        if (known)
            continue;
        if (mem_grow((void **)&c->variable, c->n, &c->capacity, sizeof *c->variable, err))
            return -1;
        c->variable[c->n++] = arena_strdup(c->arena, name);
    }
    return arena_failed(c->arena, err);
}

static void put_header(struct csv *c)
{
    strbuf_puts(&c->out, "spec,stage,method,seed");
    for (int64_t i = 0; i < c->n; i++) {
        strbuf_putc(&c->out, ',');
        strbuf_csv(&c->out, c->variable[i]);
    }
    strbuf_puts(&c->out, ",task,split,metric,step,value,run\r\n");
}

/* ---- lines ---- */

static void field(struct csv *c, const char *text)
{
    strbuf_csv(&c->out, text);
    strbuf_putc(&c->out, ',');
}

/* "eval/glue/mrpc/dev/f1" as glue/mrpc, dev, f1. */
static void put_metric_name(struct csv *c, const char *name)
{
    char text[512];
    char *split, *metric;

    snprintf(text, sizeof text, "%s", name);
    metric = strncmp(text, "eval/", 5) ? NULL : strrchr(text, '/');
    if (metric && metric > text + 5) {
        *metric = '\0';
        split = strrchr(text + 5, '/');
        if (split) {
            *split = '\0';
            field(c, text + 5);
            field(c, split + 1);
            field(c, metric + 1);
            return;
        }
    }
    strbuf_puts(&c->out, ",,");
    field(c, name);
}

static void put_value(struct csv *c, const struct sweep_row *row, const struct series *s,
                      int64_t i)
{
    char value[512];

    field(c, row->spec);
    field(c, row->stage);
    field(c, row->method);
    if (row->has_seed)
        strbuf_printf(&c->out, "%llu", (unsigned long long)row->seed);
    strbuf_putc(&c->out, ',');
    for (int64_t k = 0; k < c->n; k++)
        field(c, sweep_variable(row, c->variable[k], value) ? value : "");
    put_metric_name(c, s->name);
    strbuf_printf(&c->out, "%lld,", (long long)s->step[i]);
    strbuf_double(&c->out, s->value[i]);
    strbuf_printf(&c->out, ",%s\r\n", row->id);
    c->lines++;
}

static int put_run(void *ctx, const struct sweep_row *row, struct err *err)
{
    struct csv *c = ctx;
    const struct string_list *names = &c->args->metrics;
    struct run *run = NULL;
    struct series s;
    int rc = run_open(&run, c->store, row->id, false, err);

    for (int64_t i = 0; !rc && i < run_series_count(run); i++) {
        if ((rc = run_series(run, i, &s, err)))
            break;
        if (s.n == 0 ||
            (names->n ? !query_names_metric(names, s.name) : s.cls == RECORD_ENV))
            continue;
        for (int64_t k = c->args->steps ? 0 : s.n - 1; k < s.n; k++)
            put_value(c, row, &s, k);
    }
    run_close(run);
    return rc ? rc : strbuf_failed(&c->out, err);
}

/* ---- the whole ---- */

static int give(struct csv *c, struct err *err)
{
    const char *path = c->args->out;

    if (path)
        return file_write(path, strbuf_text(&c->out), (int64_t)c->out.len, err);
    fwrite(strbuf_text(&c->out), 1, c->out.len,
           stdout); /* main tells what stdout refused */
    return 0;
}

static void tell(const struct csv *c, int64_t missing)
{
    if (c->args->common.quiet)
        return;
    if (missing)
        fprintf(stderr,
                "retort: %lld jobs of the sweep have no run yet and are left out\n",
                (long long)missing);
    if (c->args->out)
        fprintf(stderr, "%s: %lld lines\n", c->args->out, (long long)c->lines);
}

int export_csv(const struct export_args *a, struct store *store, struct err *err)
{
    struct csv c = {
        .args = a, .store = store, .arena = arena_new(err), .out = STRBUF_INIT};
    int64_t missing = 0, again = 0;
    int rc = -1;

    if (!c.arena || export_each(&a->what, store, &missing, add_variables, &c, err))
        goto done;
    put_header(&c);
    if (export_each(&a->what, store, &again, put_run, &c, err))
        goto done;
    rc = give(&c, err);
    if (!rc)
        tell(&c, missing);
done:
    strbuf_release(&c.out);
    free(c.variable);
    arena_free(c.arena);
    return rc;
}
