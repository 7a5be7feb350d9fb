/*
 * Laps of the thread that works, summed by name and kept one by one.
 */
#include "retort/profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "retort/clock.h"
#include "retort/file.h"
#include "retort/json.h"
#include "retort/mem.h"

enum { ROWS_MAX = 128, LAPS_MAX = 200000 };

struct row {
    const char *name;
    bool back;
    int64_t laps;
    double seconds, flops, bytes;
};

struct lap {
    int row;
    double begin, end, flops, bytes;
};

bool profile_on;

static struct {
    struct row row[ROWS_MAX];
    int rows;
    struct lap *lap;
    int64_t laps, all, capacity;
    double begin, last;
    struct err err; /* no memory for a lap: told at the end */
} p;

int profile_start(struct err *err)
{
    profile_drop();
    if (mem_grow((void **)&p.lap, 0, &p.capacity, sizeof *p.lap, err))
        return -1;
    p.begin = p.last = clock_seconds();
    profile_on = true;
    return 0;
}

void profile_drop(void)
{
    free(p.lap);
    memset(&p, 0, sizeof p);
    profile_on = false;
}

/* The row of a name; the last one, "others", takes what has no room. */
static int find_row(const char *name, bool back)
{
    int i;

    for (i = 0; i < p.rows; i++)
        if (p.row[i].back == back && !strcmp(p.row[i].name, name))
            return i;
    if (p.rows == ROWS_MAX)
        return ROWS_MAX - 1;
    p.row[p.rows] = p.rows == ROWS_MAX - 1 ? (struct row){.name = "others"}
                                           : (struct row){.name = name, .back = back};
    return p.rows++;
}

void profile_lap_op(const char *name, bool back, double flops, double bytes)
{
    double now;
    int i;

    if (!profile_on)
        return;
    now = clock_seconds();
    i = find_row(name, back);
    p.row[i].laps++;
    p.row[i].seconds += now - p.last;
    p.row[i].flops += flops;
    p.row[i].bytes += bytes;
    p.all++;
    if (p.laps < LAPS_MAX &&
        !mem_grow((void **)&p.lap, p.laps, &p.capacity, sizeof *p.lap, &p.err))
        p.lap[p.laps++] = (struct lap){i, p.last, now, flops, bytes};
    p.last = now;
}

/* ---- the table ---- */

static int longest_first(const void *a, const void *b)
{
    const struct row *x = a, *y = b;

    return (x->seconds < y->seconds) - (x->seconds > y->seconds);
}

/* A quantity and its rate, in billions; a dash where there is none. */
static void put_rate(struct strbuf *out, double x, double seconds)
{
    if (x > 0)
        strbuf_printf(out, "  %10.2f  %8.1f", x / 1e9,
                      seconds > 0 ? x / 1e9 / seconds : 0);
    else
        strbuf_printf(out, "  %10s  %8s", "-", "-");
}

static void put_row(struct strbuf *out, const struct row *r, double all)
{
    char name[64];

    snprintf(name, sizeof name, "%s%s", r->name, r->back ? " (back)" : "");
    strbuf_printf(out, "%-34s %9lld  %9.3f  %5.1f %%", name, (long long)r->laps,
                  r->seconds, all > 0 ? 100 * r->seconds / all : 0);
    put_rate(out, r->flops, r->seconds);
    put_rate(out, r->bytes, r->seconds);
    strbuf_putc(out, '\n');
}

static void put_table(struct strbuf *out, const char *title)
{
    struct row sorted[ROWS_MAX], sum = {.name = "all"};

    memcpy(sorted, p.row, sizeof sorted);
    qsort(sorted, (size_t)p.rows, sizeof *sorted, longest_first);
    for (int i = 0; i < p.rows; i++) {
        sum.laps += sorted[i].laps;
        sum.seconds += sorted[i].seconds;
        sum.flops += sorted[i].flops;
        sum.bytes += sorted[i].bytes;
    }
    strbuf_printf(out, "%s\n\n%-34s %9s  %9s  %7s  %10s  %8s  %10s  %8s\n", title, "what",
                  "times", "seconds", "share", "GFLOP", "GFLOP/s", "GB", "GB/s");
    for (int i = 0; i < p.rows; i++)
        put_row(out, &sorted[i], sum.seconds);
    put_row(out, &sum, sum.seconds);
    strbuf_puts(out, "\nGFLOP: of products, as they were done. GB: what must be read and "
                     "written at least.\n");
    if (p.all > p.laps)
        strbuf_printf(out, "The trace holds the first %lld of %lld pieces of work.\n",
                      (long long)p.laps, (long long)p.all);
}

/* ---- the trace ---- */

static void put_event(struct json_writer *w, const struct lap *l)
{
    const struct row *r = &p.row[l->row];

    json_object(w);
    json_member(w, "name");
    json_str(w, r->name);
    json_member(w, "cat");
    json_str(w, r->back ? "backward" : "forward");
    json_member(w, "ph");
    json_str(w, "X");
    json_member(w, "pid");
    json_i64(w, 1);
    json_member(w, "tid");
    json_i64(w, r->back ? 2 : 1);
    json_member(w, "ts");
    json_num(w, (l->begin - p.begin) * 1e6);
    json_member(w, "dur");
    json_num(w, (l->end - l->begin) * 1e6);
    if (l->flops > 0 || l->bytes > 0) {
        json_member(w, "args");
        json_object(w);
        json_member(w, "flops");
        json_num(w, l->flops);
        json_member(w, "bytes");
        json_num(w, l->bytes);
        json_object_end(w);
    }
    json_object_end(w);
}

/* Names of the process and of its two lanes. */
static void put_name(struct json_writer *w, const char *what, int lane, const char *name)
{
    json_object(w);
    json_member(w, "name");
    json_str(w, what);
    json_member(w, "ph");
    json_str(w, "M");
    json_member(w, "pid");
    json_i64(w, 1);
    json_member(w, "tid");
    json_i64(w, lane);
    json_member(w, "args");
    json_object(w);
    json_member(w, "name");
    json_str(w, name);
    json_object_end(w);
    json_object_end(w);
}

static void put_trace(struct strbuf *out, const char *title)
{
    struct json_writer w;

    json_begin(&w, out, false);
    json_object(&w);
    json_member(&w, "displayTimeUnit");
    json_str(&w, "ms");
    json_member(&w, "traceEvents");
    json_array(&w);
    put_name(&w, "process_name", 0, title);
    put_name(&w, "thread_name", 1, "forward and others");
    put_name(&w, "thread_name", 2, "backward");
    for (int64_t i = 0; i < p.laps; i++)
        put_event(&w, &p.lap[i]);
    json_array_end(&w);
    json_object_end(&w);
    strbuf_putc(out, '\n');
}

/* ---- the files ---- */

static int write_one(const char *base, const char *suffix, const char *title,
                     void (*put)(struct strbuf *out, const char *title), struct err *err)
{
    struct strbuf path = STRBUF_INIT, text = STRBUF_INIT;
    int rc = -1;

    strbuf_printf(&path, "%s%s", base, suffix);
    put(&text, title);
    if (!strbuf_failed(&path, err) && !strbuf_failed(&text, err))
        rc = file_write(strbuf_text(&path), strbuf_text(&text), (int64_t)text.len, err);
    strbuf_release(&path);
    strbuf_release(&text);
    return rc;
}

int profile_finish(const char *base, const char *title, struct err *err)
{
    int rc = -1;

    profile_lap("rest");
    profile_on = false;
    if (err_is_set(&p.err))
        err_set(err, p.err.code, "%s", p.err.text);
    else if (!write_one(base, ".txt", title, put_table, err))
        rc = write_one(base, ".trace.json", title, put_trace, err);
    profile_drop();
    return rc;
}
