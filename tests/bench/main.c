/*
 * The driver of the benchmark.
 *
 *     bench run WORK_FOLDER RESULT.json [PYTHON]     cases by BENCH=quick|default|full,
 * BENCH_ONLY=text bench report RESULT.json PAGE.md bench side retort|limit WORK DATA
 * MODEL BATCH DTYPE STEPS ROUNDS THREADS     (started by run)
 */
#include "bench.h"

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "retort/file.h"
#include "retort/json.h"

enum { SIDES_MAX = 8, ROUNDS_MAX = 32, ARGS_MAX = 16 };

extern char **environ;

/* ---- cases ---- */

enum size { QUICK, DEFAULT, FULL }; /* the smallest run that a case belongs to */

struct entry {
    enum size size;
    struct bench_case c;
};

/* clang-format off */
static const struct entry entries[] = {
    {QUICK,   {WORK_TRAIN, "mrpc",  "minilm",    32, false, 2, 5}},
    {QUICK,   {WORK_TRAIN, "mrpc",  "minilm",    32, true,  2, 5}},
    {DEFAULT, {WORK_TRAIN, "sst2",  "minilm",    32, false, 4, 5}},
    {DEFAULT, {WORK_TRAIN, "sst2",  "minilm",    32, true,  4, 5}},
    {DEFAULT, {WORK_EVAL,  "mrpc",  "minilm",    32, false, 8, 5}},
    {DEFAULT, {WORK_EVAL,  "mrpc",  "minilm",    32, true,  8, 5}},
    {FULL,    {WORK_EVAL,  "sst2",  "minilm",    32, false, 32, 5}},
    {FULL,    {WORK_EVAL,  "sst2",  "minilm",    32, true,  32, 5}},
    {FULL,    {WORK_TRAIN, "mrpc",  "minilm",    16, false, 4, 5}},
    {FULL,    {WORK_TRAIN, "mrpc",  "minilm",    16, true,  4, 5}},
    {FULL,    {WORK_TRAIN, "mrpc",  "minilm",    64, false, 1, 5}},
    {FULL,    {WORK_TRAIN, "mrpc",  "minilm",    64, true,  1, 5}},
    {FULL,    {WORK_TRAIN, "squad", "minilm",    16, false, 1, 5}},
    {FULL,    {WORK_TRAIN, "squad", "minilm",    16, true,  1, 5}},
    {FULL,    {WORK_TRAIN, "mrpc",  "gte-small", 32, false, 1, 5}},
    {FULL,    {WORK_TRAIN, "mrpc",  "gte-small", 32, true,  1, 5}},
    {FULL,    {WORK_TRAIN, "sst2",  "gte-small", 32, false, 2, 5}},
    {FULL,    {WORK_TRAIN, "sst2",  "gte-small", 32, true,  2, 5}},
    {FULL,    {WORK_EVAL,  "mrpc",  "gte-small", 32, false, 4, 5}},
    {FULL,    {WORK_EVAL,  "mrpc",  "gte-small", 32, true,  4, 5}},
    {FULL,    {WORK_ABLATE, "mrpc", "minilm",    16, false, 1, 3}},
    {FULL,    {WORK_TRAIN, "squad", "base",       8, false, 1, 3}},
    {FULL,    {WORK_TRAIN, "squad", "base",       8, true,  1, 3}},
};
/* clang-format on */

static void case_name(char *out, size_t size, const struct bench_case *c)
{
    snprintf(out, size, "%s %s %s batch %lld %s", work_names[c->work], c->data, c->model,
             (long long)c->batch, c->bf16 ? "bf16" : "f32");
}

/* ---- a side's process ---- */

struct child {
    const char *name; /* "retort", "torch eager", ... */
    pid_t pid;        /* 0: not running */
    FILE *to, *from;
    char about[200];
    int64_t rounds;
    double seconds[ROUNDS_MAX], cpu[ROUNDS_MAX], value[ROUNDS_MAX];
    double peak;
};

static int child_start(struct child *ch, char *const argv[], struct err *err)
{
    posix_spawn_file_actions_t act;
    int in[2], out[2], rc;

    if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
        return err_errno(err, "pipe");
    posix_spawn_file_actions_init(&act);
    posix_spawn_file_actions_adddup2(&act, in[0], 0);
    posix_spawn_file_actions_adddup2(&act, out[1], 1);
    rc = posix_spawnp(&ch->pid, argv[0], &act, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&act);
    close(in[0]);
    close(out[1]);
    ch->to = fdopen(in[1], "w");
    ch->from = fdopen(out[0], "r");
    if (rc || !ch->to || !ch->from)
        return err_set(err, ERR_IO, "%s: %s", argv[0], strerror(rc));
    return 0;
}

static void child_stop(struct child *ch)
{
    if (ch->to)
        fclose(ch->to);
    if (ch->from)
        fclose(ch->from);
    if (ch->pid > 0) {
        kill(ch->pid, SIGTERM);
        waitpid(ch->pid, NULL, 0);
    }
    ch->to = ch->from = NULL;
    ch->pid = 0;
}

static int child_line(struct child *ch, char *line, int size, struct err *err)
{
    if (!fgets(line, size, ch->from))
        return err_set(err, ERR_IO, "%s ended before its work was done", ch->name);
    return 0;
}

static int child_ready(struct child *ch, struct err *err)
{
    char line[256];

    for (;;) {
        if (child_line(ch, line, sizeof line, err))
            return -1;
        if (!strncmp(line, "about ", 6))
            snprintf(ch->about, sizeof ch->about, "%.*s", (int)strcspn(line + 6, "\n"),
                     line + 6);
        if (!strncmp(line, "ready", 5))
            return 0;
    }
}

static int child_round(struct child *ch, struct err *err)
{
    char line[256];
    int64_t r = ch->rounds++;

    fputs("go\n", ch->to);
    fflush(ch->to);
    if (child_line(ch, line, sizeof line, err))
        return -1;
    if (sscanf(line, "round %lf %lf %lf", &ch->seconds[r], &ch->cpu[r], &ch->value[r]) !=
        3)
        return err_set(err, ERR_IO, "%s said \"%s\" after a round", ch->name, line);
    return 0;
}

static int child_end(struct child *ch, struct err *err)
{
    char line[256];

    fputs("end\n", ch->to);
    fflush(ch->to);
    if (child_line(ch, line, sizeof line, err))
        return -1;
    if (sscanf(line, "peak %lf", &ch->peak) != 1)
        return err_set(err, ERR_IO, "%s said \"%s\" at its end", ch->name, line);
    return 0;
}

/* ---- what the peer reads ---- */

/* Sequences of all batches in their order, as arrays of numbers. */
static int write_batches(const char *path, const struct dataset *d, const int64_t *order,
                         const struct bench_case *c, struct arena *a, struct err *err)
{
    int64_t tokens = d->n_tokens * (int64_t)sizeof(int32_t),
            rows = d->n * (int64_t)sizeof(int32_t), at = 0;
    int32_t *id = arena_alloc(a, tokens), *type = arena_alloc(a, tokens);
    int32_t *length = arena_alloc(a, rows), *label = arena_alloc(a, rows);
    int32_t *start = arena_alloc(a, rows), *end = arena_alloc(a, rows);
    int32_t batch = (int32_t)c->batch;
    bool span = d->task->kind == TASK_SPAN;

    if (arena_failed(a, err))
        return -1;
    for (int64_t i = 0; i < d->n; i++) {
        const struct sequence *s = &d->seq[d->first[order[i]]];
        memcpy(id + at, s->id, (size_t)s->n * sizeof *id);
        memcpy(type + at, s->type, (size_t)s->n * sizeof *type);
        length[i] = s->n;
        label[i] = s->label;
        start[i] = span ? s->start : -1;
        end[i] = span ? s->end : -1;
        at += s->n;
    }
    struct safetensors_entry e[] = {
        {"id", DT_I32, SHAPE(at), at, id},
        {"type", DT_I32, SHAPE(at), at, type},
        {"length", DT_I32, SHAPE(d->n), d->n, length},
        {"label", DT_I32, SHAPE(d->n), d->n, label},
        {"start", DT_I32, SHAPE(d->n), d->n, start},
        {"end", DT_I32, SHAPE(d->n), d->n, end},
        {"batch", DT_I32, SHAPE(1), 1, &batch},
    };
    return safetensors_write(path, e, (int64_t)(sizeof e / sizeof *e), err);
}

/* ---- one case ---- */

struct setup {
    const char *self, *folder, *python; /* python NULL: without the peer */
    int threads;
};

struct result {
    const struct bench_case *c;
    char name[96];
    bool real_model, real_data;
    struct child side[SIDES_MAX];
    int64_t n;
    double tokens[ROUNDS_MAX];
    struct flops flops[ROUNDS_MAX]; /* backward included */
};

static const char *const attentions[] = {"eager", "sdpa"};
static const char *const peer_names[] = {"torch eager", "torch sdpa"};

/* Does the engine leave out what no output depends on in the last layer? */
static const bool skips_last_layer = true;

/* What all ablations need for one example: the whole model once, then for each head the
 * layers from its own on. */
static double ablation_done(const struct bench_shape *shape, int32_t length)
{
    double sum = bench_flops(shape, &length, 1, skips_last_layer).done;

    for (int64_t l = 0; l < shape->layers; l++) {
        struct bench_shape rest = *shape;
        rest.layers = shape->layers - l;
        sum +=
            (double)shape->heads * bench_flops(&rest, &length, 1, skips_last_layer).done;
    }
    return sum;
}

static void count_rounds(struct result *r, const struct dataset *d, const int64_t *order)
{
    const struct bench_case *c = r->c;
    bool first = skips_last_layer && d->task->kind != TASK_SPAN;
    double times = c->work == WORK_TRAIN ? 3 : 1; /* backward is two products for each */
    const struct bench_shape *shape = bench_shape(c->model);
    int64_t passes = c->work == WORK_ABLATE ? shape->layers * shape->heads : 1;

    for (int64_t k = 0; k < c->rounds; k++) {
        int64_t each = c->batch * c->steps,
                from = c->work == WORK_TRAIN ? (k + 1) * each : 0;
        for (int64_t i = from; i < from + each; i++) {
            int32_t length = d->seq[d->first[order[i]]].n;
            struct flops f = bench_flops(shape, &length, 1, first);
            r->tokens[k] += (double)(length * passes);
            r->flops[k].full += times * f.full * (double)passes;
            r->flops[k].done +=
                c->work == WORK_ABLATE ? ablation_done(shape, length) : times * f.done;
        }
    }
}

/* Writes the checkpoint and the batches for the peer. */
static int prepare(struct result *r, const struct setup *s, char *folder, char *batches,
                   size_t size, struct err *err)
{
    struct model *m = NULL;
    struct dataset *d = NULL;
    const struct task *task;
    struct arena *a = arena_new(err);
    int64_t *order;
    int rc = -1;

    snprintf(folder, size, "%s/%s-%s", s->folder, r->c->model, r->c->data);
    snprintf(batches, size, "%s/batches.safetensors", s->folder);
    if (!a || bench_model(&m, r->c, &task, &r->real_model, err) ||
        bench_data(&d, r->c, m, &r->real_data, err))
        goto done;
    order = bench_order(d, r->c, a);
    if (arena_failed(a, err) || write_batches(batches, d, order, r->c, a, err) ||
        model_save(m, folder, d->task, err))
        goto done;
    count_rounds(r, d, order);
    rc = 0;
done:
    dataset_free(d);
    model_free(m);
    arena_free(a);
    return rc;
}

static int start_own(struct result *r, const struct setup *s, const char *which,
                     struct err *err)
{
    const struct bench_case *c = r->c;
    struct child *ch = &r->side[r->n++];
    char batch[24], steps[24], rounds[24], threads[24];
    char *argv[] = {(char *)(uintptr_t)s->self,
                    (char[]){"side"},
                    (char *)(uintptr_t)which,
                    (char *)(uintptr_t)work_names[c->work],
                    (char *)(uintptr_t)c->data,
                    (char *)(uintptr_t)c->model,
                    batch,
                    c->bf16 ? (char[]){"bf16"} : (char[]){"f32"},
                    steps,
                    rounds,
                    threads,
                    NULL};

    ch->name = which;
    snprintf(batch, sizeof batch, "%lld", (long long)c->batch);
    snprintf(steps, sizeof steps, "%lld", (long long)c->steps);
    snprintf(rounds, sizeof rounds, "%lld", (long long)c->rounds);
    snprintf(threads, sizeof threads, "%d", s->threads);
    return child_start(ch, argv, err) || child_ready(ch, err) ? -1 : 0;
}

static int start_peer(struct result *r, const struct setup *s, int which, char *folder,
                      char *batches, struct err *err)
{
    const struct bench_case *c = r->c;
    struct child *ch = &r->side[r->n++];
    char steps[24], rounds[24], threads[24];
    char *argv[] = {(char *)(uintptr_t)s->python,
                    (char[]){"tests/bench/peer.py"},
                    folder,
                    batches,
                    (char *)(uintptr_t)work_names[c->work],
                    c->bf16 ? (char[]){"bf16"} : (char[]){"f32"},
                    (char *)(uintptr_t)attentions[which],
                    threads,
                    steps,
                    rounds,
                    NULL};

    ch->name = peer_names[which];
    snprintf(steps, sizeof steps, "%lld", (long long)c->steps);
    snprintf(rounds, sizeof rounds, "%lld", (long long)c->rounds);
    snprintf(threads, sizeof threads, "%d", s->threads);
    return child_start(ch, argv, err) || child_ready(ch, err) ? -1 : 0;
}

static int run_case(struct result *r, const struct setup *s, struct err *err)
{
    char folder[1024], batches[1024];
    int rc = -1;

    if (prepare(r, s, folder, batches, sizeof folder, err))
        return -1;
    if (start_own(r, s, "retort", err) || start_own(r, s, "limit", err))
        goto done;
    for (int i = 0; s->python && i < 2; i++)
        if (start_peer(r, s, i, folder, batches, err))
            goto done;
    for (int64_t k = 0; k < r->c->rounds; k++)
        for (int64_t i = 0; i < r->n; i++) /* another one begins each round */
            if (child_round(&r->side[(i + k) % r->n], err))
                goto done;
    for (int64_t i = 0; i < r->n; i++)
        if (child_end(&r->side[i], err))
            goto done;
    rc = 0;
done:
    for (int64_t i = 0; i < r->n; i++)
        child_stop(&r->side[i]);
    return rc;
}

/* ---- results ---- */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

struct spread {
    double median, low, high;
};

static struct spread spread_of(const double *v, int64_t n)
{
    double sorted[ROUNDS_MAX];

    memcpy(sorted, v, (size_t)n * sizeof *v);
    qsort(sorted, (size_t)n, sizeof *sorted, ascending);
    return (struct spread){(sorted[(n - 1) / 2] + sorted[n / 2]) / 2, sorted[0],
                           sorted[n - 1]};
}

/* factor * a / b, round by round; NULL counts as 1. */
static struct spread ratio_of(const struct result *r, const double *a, const double *b,
                              double factor)
{
    double v[ROUNDS_MAX];

    for (int64_t k = 0; k < r->c->rounds; k++)
        v[k] = factor * (a ? a[k] : 1) / (b ? b[k] : 1);
    return spread_of(v, r->c->rounds);
}

/* The fastest round of each, in tokens a second: what least disturbance allowed. */
static double ratio_at_best(const struct result *r, const struct child *own,
                            const struct child *peer)
{
    return ratio_of(r, r->tokens, own->seconds, 1).high /
           ratio_of(r, r->tokens, peer->seconds, 1).high;
}

/* The peer's fastest setting, or NULL. */
static const struct child *best_peer(const struct result *r)
{
    const struct child *best = NULL;
    double least = 0;

    for (int64_t i = 2; i < r->n; i++) {
        double t = spread_of(r->side[i].seconds, r->c->rounds).median;
        if (!best || t < least) {
            best = &r->side[i];
            least = t;
        }
    }
    return best;
}

/* Share of the limit: operations done in a second here and there. */
static struct spread share_of_limit(const struct result *r)
{
    double mine[ROUNDS_MAX], limit[ROUNDS_MAX];

    for (int64_t k = 0; k < r->c->rounds; k++) {
        mine[k] = r->flops[k].done / r->side[0].seconds[k];
        limit[k] = r->side[1].value[k] / r->side[1].seconds[k];
    }
    return ratio_of(r, mine, limit, 1);
}

static void put_spread(struct json_writer *w, const char *name, struct spread s)
{
    json_member(w, name);
    json_object(w);
    json_member(w, "median");
    json_num(w, s.median);
    json_member(w, "low");
    json_num(w, s.low);
    json_member(w, "high");
    json_num(w, s.high);
    json_object_end(w);
}

static void put_list(struct json_writer *w, const char *name, const double *v, int64_t n)
{
    json_member(w, name);
    json_array(w);
    for (int64_t i = 0; i < n; i++)
        json_num(w, v[i]);
    json_array_end(w);
}

static void put_side(struct json_writer *w, const struct result *r,
                     const struct child *ch)
{
    double full[ROUNDS_MAX];
    bool limit = ch == &r->side[1];

    for (int64_t k = 0; k < r->c->rounds; k++)
        full[k] = limit ? ch->value[k] : r->flops[k].full;
    json_object(w);
    json_member(w, "name");
    json_str(w, ch->name);
    if (ch->about[0]) {
        json_member(w, "about");
        json_str(w, ch->about);
    }
    if (!limit)
        put_spread(w, "tokens_per_second", ratio_of(r, r->tokens, ch->seconds, 1));
    put_spread(w, "gflops", ratio_of(r, full, ch->seconds, 1e-9));
    json_member(w, "peak_bytes");
    json_num(w, ch->peak);
    put_list(w, "seconds", ch->seconds, ch->rounds);
    put_list(w, "cpu_seconds", ch->cpu, ch->rounds);
    put_list(w, limit ? "operations" : "loss", ch->value, ch->rounds);
    json_object_end(w);
}

static void put_result(struct json_writer *w, const struct result *r)
{
    const struct bench_case *c = r->c;
    const struct child *peer = best_peer(r);

    json_object(w);
    json_member(w, "work");
    json_str(w, work_names[c->work]);
    json_member(w, "data");
    json_str(w, c->data);
    json_member(w, "data_is_real");
    json_flag(w, r->real_data);
    json_member(w, "model");
    json_str(w, c->model);
    json_member(w, "model_is_real");
    json_flag(w, r->real_model);
    json_member(w, "batch");
    json_i64(w, c->batch);
    json_member(w, "dtype");
    json_str(w, c->bf16 ? "bf16" : "f32");
    json_member(w, "batches_per_round");
    json_i64(w, c->steps);
    put_list(w, "tokens", r->tokens, c->rounds);
    put_spread(w, "share_of_limit", share_of_limit(r));
    if (peer) {
        json_member(w, "best_peer");
        json_str(w, peer->name);
        put_spread(w, "times_best_peer",
                   ratio_of(r, peer->seconds, r->side[0].seconds, 1));
        put_spread(w, "times_best_peer_by_cpu",
                   ratio_of(r, peer->cpu, r->side[0].cpu, 1));
        json_member(w, "times_best_peer_at_best");
        json_num(w, ratio_at_best(r, &r->side[0], peer));
        json_member(w, "memory_of_best_peer");
        json_num(w, r->side[0].peak / peer->peak);
    }
    json_member(w, "sides");
    json_array(w);
    for (int64_t i = 0; i < r->n; i++)
        put_side(w, r, &r->side[i]);
    json_array_end(w);
    json_object_end(w);
}

static void print_result(const struct result *r)
{
    const struct child *peer = best_peer(r);
    struct spread share = share_of_limit(r);

    printf("%s\n", r->name);
    for (int64_t i = 0; i < r->n; i++) {
        const struct child *ch = &r->side[i];
        struct spread t = ratio_of(r, r->tokens, ch->seconds, 1);
        double full[ROUNDS_MAX];
        for (int64_t k = 0; k < r->c->rounds; k++)
            full[k] = i == 1 ? ch->value[k] : r->flops[k].full;
        struct spread g = ratio_of(r, full, ch->seconds, 1e-9);
        if (i == 1)
            printf("  %-12s %8s %19s", ch->name, "", "");
        else
            printf("  %-12s %8.0f tok/s (%5.0f-%5.0f)", ch->name, t.median, t.low,
                   t.high);
        printf(" %7.1f GFLOP/s %7.0f MB\n", g.median, ch->peak / 1e6);
    }
    printf("  share of the limit %.0f %%", 100 * share.median);
    if (peer) {
        struct spread x = ratio_of(r, peer->seconds, r->side[0].seconds, 1);
        struct spread cpu = ratio_of(r, peer->cpu, r->side[0].cpu, 1);
        printf(
            ", %.2f times %s (%.2f-%.2f; fastest rounds %.2f; by CPU time %.2f), memory "
            "%.2f of it",
            x.median, peer->name, x.low, x.high, ratio_at_best(r, &r->side[0], peer),
            cpu.median, r->side[0].peak / peer->peak);
    }
    printf("\n");
    fflush(stdout);
}

/* ---- the run ---- */

static void put_machine(struct json_writer *w, int threads)
{
    char line[256], model[200] = "unknown", date[32];
    FILE *f = fopen("/proc/cpuinfo", "r");
    time_t now = time(NULL);
    struct tm tm;
    double load;

    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, "model name", 10) && strchr(line, ':'))
            snprintf(model, sizeof model, "%.*s",
                     (int)strcspn(strchr(line, ':') + 2, "\n"), strchr(line, ':') + 2);
    if (f)
        fclose(f);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%MZ", gmtime_r(&now, &tm));
    json_member(w, "date");
    json_str(w, date);
    json_member(w, "processor");
    json_str(w, model);
    json_member(w, "threads");
    json_i64(w, threads);
    json_member(w, "load_at_start");
    json_num(w, getloadavg(&load, 1) == 1 ? load : (double)NAN);
    json_member(w, "kernels");
    json_str(w, kernels_level());
}

/* Heads are ablated by the method, which reads a real checkpoint and a task's files. */
static bool at_hand(const struct bench_case *c)
{
    char path[1024];

    return c->work != WORK_ABLATE || (bench_model_dir(path, sizeof path, c) &&
                                      bench_data_dir(path, sizeof path, c));
}

/* The results so far as a whole file: a run that is stopped leaves its finished cases. */
static int save(const struct json_writer *w, const char *path, struct err *err)
{
    struct strbuf text = STRBUF_INIT;
    struct json_writer end = *w;
    int rc = -1;

    strbuf_add(&text, w->out->text, w->out->len);
    end.out = &text;
    json_array_end(&end);
    json_object_end(&end);
    strbuf_putc(&text, '\n');
    if (!strbuf_failed(w->out, err) && !strbuf_failed(&text, err))
        rc = file_write(path, text.text, (int64_t)text.len, err);
    strbuf_release(&text);
    return rc;
}

/* Is the case asked for? BENCH names a size, BENCH_ONLY a part of its name. */
static bool wanted(const struct entry *e, const char *name)
{
    const char *size = getenv("BENCH"), *only = getenv("BENCH_ONLY");
    enum size most = size && !strcmp(size, "full")    ? FULL
                     : size && !strcmp(size, "quick") ? QUICK
                                                      : DEFAULT;

    return only ? strstr(name, only) != NULL : e->size <= most;
}

static int run_cases(struct json_writer *w, const struct setup *s, const char *out,
                     struct err *err)
{
    const char *rounds = getenv("BENCH_ROUNDS");

    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        struct bench_case c = entries[i].c;
        struct result r = {.c = &c};
        case_name(r.name, sizeof r.name, &c);
        if (!wanted(&entries[i], r.name))
            continue;
        if (!at_hand(&c)) {
            printf("%s: left out, it needs the real checkpoint and data\n", r.name);
            continue;
        }
        if (rounds && atoi(rounds) > 0 && atoi(rounds) <= ROUNDS_MAX)
            c.rounds = atoi(rounds);
        if (run_case(&r, s, err))
            return err_prefix(err, "%s", r.name);
        print_result(&r);
        put_result(w, &r);
        if (save(w, out, err))
            return -1;
    }
    return 0;
}

static int run(const struct setup *s, const char *out, struct err *err)
{
    struct strbuf text = STRBUF_INIT;
    struct json_writer w;
    int rc = -1;

    if (file_mkdirs(s->folder, err))
        return -1;
    json_begin(&w, &text, true);
    json_object(&w);
    put_machine(&w, s->threads);
    json_member(&w, "cases");
    json_array(&w);
    rc = run_cases(&w, s, out, err) ? -1 : save(&w, out, err);
    strbuf_release(&text);
    return rc;
}

static int side(char **arg)
{
    struct bench_case c = {.work = !strcmp(arg[1], "train")  ? WORK_TRAIN
                                   : !strcmp(arg[1], "eval") ? WORK_EVAL
                                                             : WORK_ABLATE,
                           .data = arg[2],
                           .model = arg[3],
                           .batch = atoll(arg[4]),
                           .bf16 = !strcmp(arg[5], "bf16"),
                           .steps = atoll(arg[6]),
                           .rounds = atoll(arg[7])};
    int threads = atoi(arg[8]);

    return strcmp(arg[0], "limit") ? side_retort(&c, threads) : side_limit(&c, threads);
}

int main(int argc, char **argv)
{
    struct err err = ERR_INIT;
    struct setup s = {.self = "/proc/self/exe", .threads = pool_cores()};
    int rc;

    signal(SIGPIPE, SIG_IGN);
    if (argc == 11 && !strcmp(argv[1], "side"))
        return side(argv + 2);
    if (argc == 4 && !strcmp(argv[1], "report")) {
        rc = report_write(argv[2], argv[3], &err);
    } else if ((argc == 4 || argc == 5) && !strcmp(argv[1], "run")) {
        s.folder = argv[2];
        s.python = argc == 5 ? argv[4] : NULL;
        rc = run(&s, argv[3], &err);
    } else {
        fprintf(stderr, "usage: bench run FOLDER RESULT.json [PYTHON]\n"
                        "       bench report RESULT.json PAGE.md\n");
        return 2;
    }
    if (rc)
        fprintf(stderr, "bench: %s\n", err.text);
    return rc ? err_exit_code(&err) : 0;
}
