/*
 * What is not products: start, planning, the cost of a job, recording. Measured on the
 * program as users run it.
 *
 * Each group is kept as one JSON object with its figures:
 *
 *     {"name": "start", "figures": [{"what", "value", "low", "high", "unit", "goal",
 *      "note"}]}     goal: at most this much; null: none is set
 */
#include "driver.h"

#include <fcntl.h>
#include <glob.h>
#include <math.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "retort/clock.h"
#include "retort/file.h"

extern char **environ;

/* ---- running the program ---- */

/* Starts it without anything on its standard output. */
static int begin(pid_t *pid, char *const argv[], struct err *err)
{
    posix_spawn_file_actions_t act;
    int rc;

    posix_spawn_file_actions_init(&act);
    posix_spawn_file_actions_addopen(&act, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&act, 2, "/dev/null", O_WRONLY, 0);
    rc = posix_spawnp(pid, argv[0], &act, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&act);
    return rc ? err_set(err, ERR_IO, "%s: %s", argv[0], strerror(rc)) : 0;
}

static int finish(pid_t pid, char *const argv[], struct err *err)
{
    int status;

    if (waitpid(pid, &status, 0) < 0)
        return err_errno(err, "waitpid");
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        return err_set(err, ERR_IO, "%s %s failed", argv[0], argv[1]);
    return 0;
}

/* Runs it; how long that took. */
static int timed(double *seconds, char *const argv[], struct err *err)
{
    double began = clock_seconds();
    pid_t pid;

    if (begin(&pid, argv, err) || finish(pid, argv, err))
        return -1;
    *seconds = clock_seconds() - began;
    return 0;
}

static char *text(const char *s)
{
    return (char *)(uintptr_t)s; /* argv's strings are not written to */
}

static int write_spec(const char *path, const struct strbuf *spec, struct err *err)
{
    return strbuf_failed(spec, err)
               ? -1
               : file_write(path, spec->text, (int64_t)spec->len, err);
}

/* ---- figures ---- */

struct figure {
    const char *what, *unit;
    struct spread value;
    double goal; /* at most; NaN: none */
    const char *note;
};

static void put_figure(struct json_writer *w, const struct figure *f)
{
    json_object(w);
    json_member(w, "what");
    json_str(w, f->what);
    put_spread(w, "value", f->value);
    json_member(w, "unit");
    json_str(w, f->unit);
    json_member(w, "goal");
    json_num(w, f->goal);
    json_member(w, "note");
    json_str(w, f->note);
    json_object_end(w);
    printf("  %-44s %.4g %s (%.4g-%.4g)%s%s\n", f->what, f->value.median, f->unit,
           f->value.low, f->value.high, f->note[0] ? "; " : "", f->note);
}

static struct spread one_value(double v)
{
    return (struct spread){v, v, v};
}

/* ---- start ---- */

static int measure_version(struct json_writer *w, const struct setup *s, struct err *err)
{
    double ms[ROUNDS_MAX];
    char *argv[] = {text(s->retort), text("--version"), NULL};

    for (int i = 0; i < ROUNDS_MAX; i++) {
        if (timed(&ms[i], argv, err))
            return -1;
        ms[i] *= 1000;
    }
    put_figure(w, &(struct figure){"`retort --version`", "ms", spread_of(ms, ROUNDS_MAX),
                                   10, ""});
    return 0;
}

/* Fine-tuning of MiniLM on MRPC; false without the checkpoint and the data. */
static bool training_spec(struct strbuf *spec, const char *more)
{
    struct bench_case c = {.data = "mrpc", .model = "minilm"};
    char model[1024], data[1024];

    if (!bench_model_dir(model, sizeof model, c.model) ||
        !bench_data_dir(data, sizeof data, &c))
        return false;
    *strrchr(data, '/') = '\0'; /* the folder of all data */
    setenv("RETORT_DATA", data, 1);
    strbuf_printf(spec,
                  "{\"retort\": 1, \"name\": \"bench\", \"seeds\": [1], \"stages\": "
                  "{\"tuned\": {\"do\": \"finetune\", \"model\": \"%s\", \"task\": "
                  "\"glue/mrpc\", \"split\": \"train\", \"batch\": 32, %s}}}\n",
                  model, more);
    return true;
}

/* Is the loss of a step in some journal of the store? */
static bool step_told(const char *store)
{
    struct err none = ERR_INIT;
    char pattern[1200];
    bool told = false;
    glob_t g;

    snprintf(pattern, sizeof pattern, "%s/*/*/journal*", store);
    if (glob(pattern, 0, NULL, &g))
        return false;
    for (size_t i = 0; i < g.gl_pathc && !told; i++) {
        char *t = NULL;
        int64_t len = 0;
        told = !file_read(&t, &len, g.gl_pathv[i], 1 << 26, &none) &&
               memmem(t, (size_t)len, "train/loss", 10);
        free(t);
    }
    globfree(&g);
    return told;
}

/* From `retort run` to the first step's loss in the journal. */
static int first_step(double *seconds, const struct setup *s, const char *spec,
                      const char *store, struct err *err)
{
    char *argv[] = {text(s->retort), text("run"), text("-q"), text(spec),
                    text("--store"), text(store), NULL};
    const struct timespec pause = {0, 2000000};
    double began = clock_seconds();
    int status;
    pid_t pid;

    if (file_exists(store) && file_remove(store, err))
        return -1;
    if (begin(&pid, argv, err))
        return -1;
    while (!step_told(store)) {
        if (waitpid(pid, &status, WNOHANG) == pid)
            return err_set(err, ERR_IO, "retort run ended before its first step");
        nanosleep(&pause, NULL);
    }
    *seconds = clock_seconds() - began;
    return finish(pid, argv, err);
}

static int measure_first_step(struct json_writer *w, const struct setup *s,
                              struct err *err)
{
    enum { TIMES = 5 };
    struct strbuf spec = STRBUF_INIT;
    char path[1100], store[1100];
    double v[TIMES];
    int rc = -1;

    snprintf(path, sizeof path, "%s/first.json", s->folder);
    snprintf(store, sizeof store, "%s/first-store", s->folder);
    if (!training_spec(&spec, "\"epochs\": 1, \"max_steps\": 3")) {
        printf("  first step: left out, it needs the real checkpoint and data\n");
        rc = 0;
        goto done;
    }
    if (write_spec(path, &spec, err))
        goto done;
    for (int i = 0; i < TIMES; i++)
        if (first_step(&v[i], s, path, store, err))
            goto done;
    put_figure(w, &(struct figure){"first training step after `retort run`, a checkpoint "
                                   "of 90 MB",
                                   "s", spread_of(v, TIMES), 1,
                                   "until the loss of a batch of 32 is in the journal"});
    rc = file_remove(store, err);
done:
    strbuf_release(&spec);
    return rc;
}

static int measure_start(struct json_writer *w, const struct setup *s, struct err *err)
{
    return measure_version(w, s, err) || measure_first_step(w, s, err) ? -1 : 0;
}

/* ---- planning, and what a job costs ---- */

/* A sweep of n short jobs over one tiny model. */
static int write_sweep(const char *path, int n, struct err *err)
{
    struct strbuf spec = STRBUF_INIT;
    int rc;

    strbuf_puts(&spec,
                "{\"retort\": 1, \"name\": \"many\", \"seeds\": [1], \"stages\": {\"s\": "
                "{\"do\": \"init\", \"task\": \"synth/agreement\", \"layers\": 1, "
                "\"width\": 16, \"heads\": 2, \"ffn\": 32}, \"p\": {\"do\": "
                "\"prune/magnitude\", \"model\": {\"from\": \"s\"}, \"ratio\": 0.5}}, "
                "\"sweep\": {\"grid\": {\"p.ratio\": [");
    for (int i = 0; i < n; i++)
        strbuf_printf(&spec, "%s%.4f", i ? ", " : "", (double)i / n);
    strbuf_puts(&spec, "]}}}\n");
    rc = write_spec(path, &spec, err);
    strbuf_release(&spec);
    return rc;
}

static int measure_plan(struct json_writer *w, const struct setup *s, const char *what,
                        const char *spec, const char *store, double goal, struct err *err)
{
    enum { TIMES = 5 };
    char *argv[] = {text(s->retort), text("plan"), text(spec),
                    text("--store"), text(store),  NULL};
    double v[TIMES];

    for (int i = 0; i < TIMES; i++)
        if (timed(&v[i], argv, err))
            return -1;
    put_figure(w, &(struct figure){what, "s", spread_of(v, TIMES), goal, ""});
    return 0;
}

static int measure_sweep(struct json_writer *w, const struct setup *s, struct err *err)
{
    enum { JOBS = 1000, MINUTE = 60 };
    char spec[1100], more[1100], store[1100], jobs[16], note[160];
    char *argv[] = {text(s->retort),
                    text("run"),
                    text("-q"),
                    spec,
                    text("--jobs"),
                    jobs,
                    text("--threads"),
                    text("1"),
                    text("--store"),
                    store,
                    NULL};
    double seconds, each;

    snprintf(spec, sizeof spec, "%s/many.json", s->folder);
    snprintf(more, sizeof more, "%s/more.json", s->folder);
    snprintf(store, sizeof store, "%s/many-store", s->folder);
    snprintf(jobs, sizeof jobs, "%d", s->threads);
    if ((file_exists(store) && file_remove(store, err)) || write_sweep(spec, JOBS, err) ||
        write_sweep(more, 10 * JOBS, err) || timed(&seconds, argv, err))
        return -1;
    each = seconds * s->threads / (JOBS + 1);
    snprintf(note, sizeof note,
             "a sweep of %d jobs that do next to nothing took %.1f s on %d workers: %.0f "
             "ms of a worker each, their own work counted as overhead",
             JOBS, seconds, s->threads, 1000 * each);
    put_figure(w, &(struct figure){"overhead of a sweep at jobs of a minute", "%",
                                   one_value(100 * each / MINUTE), 1, note});
    if (measure_plan(w, s, "a finished sweep of 1,000 points planned again", spec, store,
                     0.3, err) ||
        measure_plan(w, s, "a sweep of 10,000 points planned, 1,000 finished", more,
                     store, (double)NAN, err))
        return -1;
    return file_remove(store, err);
}

/* ---- recording ---- */

enum { STEPS = 16, EVERY = 4, SNAPSHOTS = STEPS / EVERY, EPOCH = 115 /* of MRPC */ };

struct recording {
    double seconds; /* of training: all but reading, final weights, sealing */
    double record;  /* of it, in recording */
    double bytes;   /* of snapshots */
};

/* Sums a trace's laps into training and recording: up to the last update, since after it
 * the run's final weights are recorded, which is no part of a step. */
static int read_laps(struct recording *r, const char *path, struct err *err)
{
    struct json_doc *doc = json_parse_file(path, err);
    struct recording since = {0}; /* the last update */

    if (!doc)
        return -1;
    for (const struct json *e = json_first(json_get(json_root(doc), "traceEvents")); e;
         e = json_next(e)) {
        const char *name = json_string(json_get(e, "name"));
        double s = json_number(json_get(e, "dur")) * 1e-6;
        if (!json_get(e, "dur") || !strcmp(name, "load the model") ||
            !strcmp(name, "read the data"))
            continue;
        since.seconds += s;
        since.record += strcmp(name, "record") ? 0 : s;
        if (strcmp(name, "optimizer") != 0)
            continue;
        r->seconds += since.seconds;
        r->record += since.record;
        since = (struct recording){0};
    }
    json_doc_free(doc);
    return 0;
}

/* Bytes of the files that a pattern names; the first one's path. */
static double bytes_of(const char *pattern, char *first, size_t size)
{
    double sum = 0;
    glob_t g;

    if (glob(pattern, 0, NULL, &g))
        return 0;
    snprintf(first, size, "%s", g.gl_pathv[0]);
    for (size_t i = 0; i < g.gl_pathc; i++)
        sum += (double)file_size(g.gl_pathv[i]);
    globfree(&g);
    return sum;
}

/* Trains MiniLM with this "record" under --profile. */
static int record_run(struct recording *r, const struct setup *s, const char *record,
                      struct err *err)
{
    struct strbuf spec = STRBUF_INIT;
    char path[1100], store[1100], laps[1100], options[200], pattern[1200], trace[1200];
    char *argv[] = {text(s->retort), text("run"),       text("-q"), path, text("--store"),
                    store,           text("--profile"), laps,       NULL};
    double all;
    int rc = -1;

    *r = (struct recording){0};
    snprintf(path, sizeof path, "%s/record.json", s->folder);
    snprintf(store, sizeof store, "%s/record-store", s->folder);
    snprintf(laps, sizeof laps, "%s/record-profile", s->folder);
    snprintf(options, sizeof options, "\"epochs\": 1, \"max_steps\": %d, \"record\": %s",
             STEPS, record);
    if ((file_exists(store) && file_remove(store, err)) ||
        (file_exists(laps) && file_remove(laps, err)))
        goto done;
    training_spec(&spec, options);
    if (write_spec(path, &spec, err) || timed(&all, argv, err))
        goto done;
    snprintf(pattern, sizeof pattern, "%s/*.trace.json", laps);
    if (bytes_of(pattern, trace, sizeof trace) <= 0) {
        err_set(err, ERR_IO, "%s: no trace is there", laps);
        goto done;
    }
    snprintf(pattern, sizeof pattern, "%s/*/*/parts/*", store);
    r->bytes = bytes_of(pattern, options, sizeof options);
    if (read_laps(r, trace, err) || file_remove(store, err) || file_remove(laps, err))
        goto done;
    rc = 0;
done:
    strbuf_release(&spec);
    return rc;
}

/* Bytes a second of one file written and synced, as snapshots are. */
static int disk_speed(double *rate, const struct setup *s, double bytes, struct err *err)
{
    int64_t size = (int64_t)bytes;
    char path[1100], *v = mem_new(size, 1, err);
    double began;
    int fd, rc = -1;

    if (!v)
        return -1;
    memset(v, 0x5a, (size_t)size);
    snprintf(path, sizeof path, "%s/disk", s->folder);
    began = clock_seconds();
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || file_write_fd(fd, v, size, path, err) || fsync(fd))
        err_errno(err, "%s", path);
    else
        rc = 0;
    *rate = bytes / (clock_seconds() - began);
    if (fd >= 0)
        close(fd);
    unlink(path);
    free(v);
    return rc;
}

static void put_recording(struct json_writer *w, const struct recording *plain,
                          const struct recording *weights, const struct recording *both,
                          double disk)
{
    double step = (plain->seconds - plain->record) / STEPS;
    double metrics = plain->record / STEPS;
    double snapshot = (weights->record - plain->record) / SNAPSHOTS;
    double two = (both->record - plain->record) / SNAPSHOTS;
    double rate = both->bytes / SNAPSHOTS / two;
    char note[300];

    snprintf(note, sizeof note,
             "%.2f ms a step for its metrics; %.2f s for %.0f MB of weights in an epoch "
             "of %d steps of %.2f s; written in the same run each %d steps",
             1e3 * metrics, snapshot, weights->bytes / SNAPSHOTS / 1e6, EPOCH, step,
             EVERY);
    put_figure(
        w, &(struct figure){"all metrics of every step, all weights each epoch", "%",
                            one_value(100 * (metrics * EPOCH + snapshot) / EPOCH / step),
                            3, note});
    snprintf(note, sizeof note,
             "%.0f MB in %.2f s: %.0f MB/s, while a plain file of that size, synced, is "
             "written at %.0f MB/s; training waits meanwhile",
             both->bytes / SNAPSHOTS / 1e6, two, rate / 1e6, disk / 1e6);
    put_figure(w, &(struct figure){"weights and gradients each 100 steps", "%",
                                   one_value(100 * two / 100 / step), (double)NAN, note});
}

static int measure_record(struct json_writer *w, const struct setup *s, struct err *err)
{
    struct recording plain, weights, both;
    struct strbuf spec = STRBUF_INIT;
    char record[100];
    double disk;
    bool there = training_spec(&spec, "");

    strbuf_release(&spec);
    if (!there) {
        printf("  recording: left out, it needs the real checkpoint and data\n");
        return 0;
    }
    if (record_run(&plain, s, "\"default\"", err))
        return -1;
    snprintf(record, sizeof record, "{\"weights\": %d}", EVERY);
    if (record_run(&weights, s, record, err))
        return -1;
    snprintf(record, sizeof record, "{\"weights\": %d, \"gradients\": %d}", EVERY, EVERY);
    if (record_run(&both, s, record, err) ||
        disk_speed(&disk, s, both.bytes / SNAPSHOTS, err))
        return -1;
    put_recording(w, &plain, &weights, &both, disk);
    return 0;
}

/* ---- all of it ---- */

static const struct group {
    const char *name;
    int size;
    int (*measure)(struct json_writer *w, const struct setup *s, struct err *err);
} groups[] = {
    {"start", 0, measure_start},
    {"sweep", 1, measure_sweep},
    {"recording", 1, measure_record},
};

static int measure_group(struct strbuf *out, const struct group *g, const struct setup *s,
                         struct err *err)
{
    struct json_writer w;

    printf("%s\n", g->name);
    json_begin(&w, out, true);
    json_object(&w);
    json_member(&w, "name");
    json_str(&w, g->name);
    json_member(&w, "build");
    json_str(&w, s->build);
    json_member(&w, "how");
    json_str(&w, s->how);
    json_member(&w, "figures");
    json_array(&w);
    if (g->measure(&w, s, err))
        return err_prefix(err, "%s", g->name);
    json_array_end(&w);
    json_object_end(&w);
    fflush(stdout);
    return strbuf_failed(out, err) || kept_save(s, g->name, strbuf_text(out), err) ? -1
                                                                                   : 0;
}

int system_run(struct json_writer *w, const struct setup *s)
{
    int failed = 0;

    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        struct strbuf one = STRBUF_INIT;
        struct err err = ERR_INIT;
        char *kept;
        if (!case_wanted(groups[i].size, groups[i].name))
            continue;
        kept = kept_load(s, groups[i].name);
        if (case_kept_alone() && !kept) {
            printf("%s: not measured yet\n", groups[i].name);
            continue;
        }
        if (kept) {
            printf("%s: measured before\n", groups[i].name);
            json_raw(w, kept);
        } else if (measure_group(&one, &groups[i], s, &err)) {
            fprintf(stderr, "bench: %s\n", err.text);
            failed++;
        } else {
            json_raw(w, strbuf_text(&one));
        }
        free(kept);
        strbuf_release(&one);
    }
    return failed;
}
