/*
 * The driver of the benchmark.
 *
 *     bench run WORK_FOLDER RESULT.json RETORT [PYTHON]
 *     bench report RESULT.json PAGE.md
 *     bench side KIND WORK DATA MODEL BATCH DTYPE STEPS ROUNDS THREADS   (started by run)
 *
 * BENCH=quick|default|full|kept says what is measured, BENCH_ONLY=text picks by name,
 * BENCH_ROUNDS=n says how often, BENCH_PEERS=eager,sdpa,compile,onnx beside whom. What
 * this build has measured already is not measured again, unless BENCH_AGAIN is set.
 */
#include "driver.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "retort/file.h"

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

/* ---- how much work a round is ---- */

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

/* What the teacher does for one example, forward alone. */
static double teacher_done(const struct result *r, int32_t length)
{
    if (r->c->work != WORK_KD)
        return 0;
    return bench_flops(bench_shape(BENCH_TEACHER), &length, 1, skips_last_layer).done;
}

static double teacher_full(const struct result *r, int32_t length)
{
    if (r->c->work != WORK_KD)
        return 0;
    return bench_flops(bench_shape(BENCH_TEACHER), &length, 1, false).full;
}

static void count_example(struct result *r, int64_t k, int32_t length, bool first)
{
    const struct bench_case *c = r->c;
    const struct bench_shape *shape = bench_shape(c->model);
    double times = work_trains(c->work) ? 3 : 1; /* backward is two products for each */
    int64_t passes = c->work == WORK_ABLATE ? shape->layers * shape->heads : 1;
    struct flops f = bench_flops(shape, &length, 1, first);

    r->tokens[k] += (double)(length * passes);
    r->flops[k].full += times * f.full * (double)passes + teacher_full(r, length);
    r->flops[k].done += c->work == WORK_ABLATE ? ablation_done(shape, length)
                                               : times * f.done + teacher_done(r, length);
}

static void count_rounds(struct result *r, const struct dataset *d, const int64_t *order)
{
    const struct bench_case *c = r->c;
    bool first = skips_last_layer && d->task->kind != TASK_SPAN && !d->causal;

    for (int64_t k = 0; k < c->rounds; k++) {
        int64_t each = c->batch * c->steps,
                from = work_trains(c->work) ? (k + 1) * each : 0;
        for (int64_t i = from; i < from + each; i++)
            count_example(r, k, d->seq[d->first[order[i]]].n, first);
    }
}

/* ---- one case ---- */

/* Where a case's files lie. */
struct files {
    char student[1024], teacher[1024], batches[1024], profile[1024];
};

/* Writes a checkpoint as the sides have it. */
static int write_model(const char *folder, const struct bench_case *c, struct err *err)
{
    struct model *m = NULL;
    const struct task *task;
    bool real;
    int rc = bench_model(&m, c, &task, &real, err) || model_save(m, folder, task, err)
                 ? -1
                 : 0;

    model_free(m);
    return rc;
}

static void name_files(struct files *f, const struct bench_case *c, const struct setup *s)
{
    snprintf(f->student, sizeof f->student, "%s/%s-%s", s->folder, c->model, c->data);
    snprintf(f->teacher, sizeof f->teacher, "%s/%s-%s", s->folder, BENCH_TEACHER,
             c->data);
    snprintf(f->batches, sizeof f->batches, "%s/batches.safetensors", s->folder);
    snprintf(f->profile, sizeof f->profile, "%s/profile-%s-%s-%s-%lld-%s", s->folder,
             work_names[c->work], c->data, c->model, (long long)c->batch,
             c->bf16 ? "bf16" : "f32");
}

/* Writes the checkpoints and the batches for the peer, and counts the work. */
static int prepare(struct result *r, struct files *f, struct err *err)
{
    struct bench_case teacher = *r->c;
    struct model *m = NULL;
    struct dataset *d = NULL;
    const struct task *task;
    struct arena *a = arena_new(err);
    int64_t *order;
    int rc = -1;

    teacher.model = BENCH_TEACHER;
    if (!a || bench_model(&m, r->c, &task, &r->real_model, err) ||
        bench_data(&d, r->c, m, &r->real_data, err))
        goto done;
    order = bench_order(d, r->c, a);
    if (arena_failed(a, err) || write_batches(f->batches, d, order, r->c, a, err) ||
        model_save(m, f->student, d->task, err))
        goto done;
    if ((r->c->work == WORK_KD || r->c->work == WORK_KD_CACHED) &&
        write_model(f->teacher, &teacher, err))
        goto done;
    count_rounds(r, d, order);
    rc = 0;
done:
    dataset_free(d);
    model_free(m);
    arena_free(a);
    return rc;
}

static char *text(const char *s)
{
    return (char *)(uintptr_t)s; /* argv's strings are not written to */
}

struct numbers {
    char batch[24], steps[24], rounds[24], threads[24];
};

static void write_numbers(struct numbers *n, const struct bench_case *c, int threads)
{
    snprintf(n->batch, sizeof n->batch, "%lld", (long long)c->batch);
    snprintf(n->steps, sizeof n->steps, "%lld", (long long)c->steps);
    snprintf(n->rounds, sizeof n->rounds, "%lld", (long long)c->rounds);
    snprintf(n->threads, sizeof n->threads, "%d", threads);
}

static int start_own(struct result *r, const struct setup *s, enum side_kind kind,
                     int threads, struct err *err)
{
    static const char *const kinds[] = {"retort", "limit", "stream"};
    static const char *const alone[] = {"retort by one", "limit by one", ""};
    const struct bench_case *c = r->c;
    bool first = r->n <= SIDE_STREAM;
    struct child *ch = &r->side[r->n++];
    struct numbers n;
    char *argv[] = {
        text(s->self), text("side"),   text(kinds[kind]), text(work_names[c->work]),
        text(c->data), text(c->model), n.batch,           text(c->bf16 ? "bf16" : "f32"),
        n.steps,       n.rounds,       n.threads,         NULL};

    *ch = (struct child){
        .kind = kind, .name = first ? kinds[kind] : alone[kind], .threads = threads};
    write_numbers(&n, c, threads);
    return child_start(ch, argv, err);
}

static int start_peer(struct result *r, const struct setup *s, const char *setting,
                      struct files *f, struct err *err)
{
    const struct bench_case *c = r->c;
    struct child *ch = &r->side[r->n++];
    struct numbers n;
    char *argv[] = {text(s->python),
                    text("tests/bench/peer.py"),
                    f->student,
                    f->batches,
                    text(work_names[c->work]),
                    text(c->bf16 ? "bf16" : "f32"),
                    text(setting),
                    n.threads,
                    n.steps,
                    n.rounds,
                    f->teacher,
                    NULL};

    *ch = (struct child){.kind = SIDE_PEER, .name = setting, .threads = s->threads};
    write_numbers(&n, c, s->threads);
    return child_start(ch, argv, err);
}

/* Is the peer's setting asked for? BENCH_PEERS names them; without it all are. */
static bool peer_wanted(const char *setting)
{
    const char *asked = getenv("BENCH_PEERS");

    return !asked || strstr(asked, setting) != NULL;
}

static int start_peers(struct result *r, const struct setup *s, struct files *f,
                       struct err *err)
{
    static const struct {
        const char *setting;
        unsigned more; /* which cases have it; 0: all */
    } peers[] = {
        {"eager", 0}, {"sdpa", 0}, {"compile", MORE_COMPILE}, {"onnx", MORE_ONNX}};

    for (size_t i = 0; s->python && i < sizeof peers / sizeof *peers; i++)
        if ((!peers[i].more || (r->c->more & peers[i].more)) &&
            peer_wanted(peers[i].setting) && start_peer(r, s, peers[i].setting, f, err))
            return -1;
    return 0;
}

/* All sides at once, so that what takes long to begin does so side by side. */
static int start_sides(struct result *r, const struct setup *s, struct files *f,
                       struct err *err)
{
    for (enum side_kind k = SIDE_OWN; k <= SIDE_STREAM; k++)
        if (start_own(r, s, k, s->threads, err))
            return -1;
    if (r->c->more & MORE_THREADS) {
        if (start_own(r, s, SIDE_OWN, 1, err) || start_own(r, s, SIDE_LIMIT, 1, err))
            return -1;
    } else if (start_peers(r, s, f, err)) {
        return -1;
    }
    for (int64_t i = 0; i < r->n; i++)
        if (child_ready(&r->side[i], err))
            return -1;
    return 0;
}

static int measure(struct result *r, const char *profile, struct err *err)
{
    for (int64_t k = 0; k < r->c->rounds; k++)
        for (int64_t i = 0; i < r->n; i++) { /* another one begins each round */
            struct child *ch = &r->side[(i + k) % r->n];
            if (!ch->cannot[0] && child_round(ch, err))
                return -1;
        }
    for (int64_t i = 0; i < r->n; i++) {
        char base[1100]; /* that of the first side is read */
        snprintf(base, sizeof base, "%s%s", profile, i ? "-one-thread" : "");
        if (r->side[i].kind == SIDE_OWN && child_profile(&r->side[i], base, err))
            return -1;
    }
    for (int64_t i = 0; i < r->n; i++)
        if (!r->side[i].cannot[0] && child_end(&r->side[i], err))
            return -1;
    return 0;
}

static int run_case(struct result *r, const struct setup *s, struct err *err)
{
    struct files f;
    char trace[1100];
    int rc = -1;

    name_files(&f, r->c, s);
    snprintf(trace, sizeof trace, "%s.trace.json", f.profile);
    if (!prepare(r, &f, err) && !start_sides(r, s, &f, err) &&
        !measure(r, f.profile, err) && !result_profile(r, trace, err))
        rc = 0;
    for (int64_t i = 0; i < r->n; i++)
        child_stop(&r->side[i]);
    return rc;
}

/* ---- the run ---- */

static void put_machine(struct json_writer *w, const struct setup *s)
{
    char name[200], date[32];
    time_t now = time(NULL);
    struct tm tm;
    double load;

    processor_name(name, sizeof name);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%MZ", gmtime_r(&now, &tm));
    json_member(w, "date");
    json_str(w, date);
    json_member(w, "processor");
    json_str(w, name);
    json_member(w, "threads");
    json_i64(w, s->threads);
    json_member(w, "build");
    json_str(w, s->build);
    json_member(w, "load_at_start");
    json_num(w, getloadavg(&load, 1) == 1 ? load : (double)NAN);
    json_member(w, "kernels");
    json_str(w, kernels_level());
}

/* A case's result as text: kept from before, or measured now. */
static int case_text(struct strbuf *out, const struct bench_case *c,
                     const struct setup *s, struct err *err)
{
    struct result *r = mem_new(1, sizeof *r, err);
    char *kept = NULL;
    int rc = -1;

    if (!r)
        return -1;
    r->c = c;
    case_name(r->name, sizeof r->name, c);
    kept = kept_load(s, r->name);
    if (kept) {
        printf("%s: measured before\n", r->name);
        strbuf_puts(out, kept);
        rc = 0;
    } else if (!run_case(r, s, err)) {
        result_print(r);
        rc = result_text(out, r, s, err) || kept_save(s, r->name, strbuf_text(out), err)
                 ? -1
                 : 0;
    }
    if (rc)
        err_prefix(err, "%s", r->name);
    free(kept);
    free(r);
    return rc;
}

/* A case that fails does so alone, and is told; how many did. */
static int run_cases(struct json_writer *w, const struct setup *s)
{
    struct bench_case c;
    char name[96];
    int failed = 0;

    for (size_t i = 0; case_at(&c, i); i++) {
        struct strbuf one = STRBUF_INIT;
        struct err err = ERR_INIT;
        case_name(name, sizeof name, &c);
        if (case_kept_alone() && !kept_is(s, name)) {
            printf("%s: not measured yet\n", name);
        } else if (!case_at_hand(&c)) {
            printf("%s: left out, it needs the real checkpoints and data\n", name);
        } else if (case_text(&one, &c, s, &err)) {
            fprintf(stderr, "bench: %s\n", err.text);
            failed++;
        } else {
            json_raw(w, strbuf_text(&one));
        }
        strbuf_release(&one);
    }
    return failed;
}

static int run(const struct setup *s, const char *out, struct err *err)
{
    struct strbuf all = STRBUF_INIT;
    struct json_writer w;
    int failed, rc = -1;

    json_begin(&w, &all, true);
    json_object(&w);
    put_machine(&w, s);
    json_member(&w, "cases");
    json_array(&w);
    failed = run_cases(&w, s);
    json_array_end(&w);
    json_member(&w, "system");
    json_array(&w);
    failed += system_run(&w, s);
    json_array_end(&w);
    json_object_end(&w);
    strbuf_putc(&all, '\n');
    if (strbuf_failed(&all, err) || file_write(out, all.text, (int64_t)all.len, err))
        goto done;
    if (failed)
        err_set(err, ERR_IO, "%d cases failed; the same command measures them again",
                failed);
    rc = failed ? -1 : 0;
done:
    strbuf_release(&all);
    return rc;
}

static int side(char **arg)
{
    struct bench_case c = {.work = work_find(arg[1]),
                           .data = arg[2],
                           .model = arg[3],
                           .batch = atoll(arg[4]),
                           .bf16 = !strcmp(arg[5], "bf16"),
                           .steps = atoll(arg[6]),
                           .rounds = atoll(arg[7])};
    int threads = atoi(arg[8]);

    return !strcmp(arg[0], "limit")    ? side_limit(&c, threads)
           : !strcmp(arg[0], "stream") ? side_stream(&c, threads)
                                       : side_retort(&c, threads);
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
    } else if ((argc == 5 || argc == 6) && !strcmp(argv[1], "run")) {
        s.folder = argv[2];
        s.retort = argv[4];
        s.python = argc == 6 ? argv[5] : NULL;
        rc = file_mkdirs(s.folder, &err) || kept_build(&s, &err) || run(&s, argv[3], &err)
                 ? -1
                 : 0;
    } else {
        fprintf(stderr, "usage: bench run FOLDER RESULT.json RETORT [PYTHON]\n"
                        "       bench report RESULT.json PAGE.md\n");
        return 2;
    }
    if (rc)
        fprintf(stderr, "bench: %s\n", err.text);
    return rc ? err_exit_code(&err) : 0;
}
