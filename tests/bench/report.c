/*
 * docs/performance.md from the results of a run: the goals and what became of them, then
 * the figures.
 */
#include "bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "retort/file.h"
#include "retort/json.h"

/* ---- reading results ---- */

static double median_of(const struct json *v, const char *name)
{
    return json_number(json_get(json_get(v, name), "median"));
}

static const struct json *case_of(const struct json *root, const char *name)
{
    for (const struct json *c = json_first(json_get(root, "cases")); c; c = json_next(c))
        if (!strcmp(json_string(json_get(c, "name")), name))
            return c;
    return NULL;
}

static const struct json *side_of(const struct json *c, const char *name)
{
    for (const struct json *s = json_first(json_get(c, "sides")); s; s = json_next(s))
        if (name && !strcmp(json_string(json_get(s, "name")), name))
            return s;
    return NULL;
}

static const struct json *figure_of(const struct json *root, const char *what)
{
    for (const struct json *g = json_first(json_get(root, "system")); g; g = json_next(g))
        for (const struct json *f = json_first(json_get(g, "figures")); f;
             f = json_next(f))
            if (!strcmp(json_string(json_get(f, "what")), what))
                return f;
    return NULL;
}

/* ---- where a case's time goes ---- */

enum { OTHERS_MAX = 64 };

/* An operation that is no product of weights, forward and backward together. */
struct other {
    const char *name;
    double seconds, bytes;
};

struct time_split {
    double all, products, flops; /* seconds, of them in products, and their work */
    struct other other[OTHERS_MAX];
    int others;
};

static void add_other(struct time_split *t, const char *name, double seconds,
                      double bytes)
{
    int i = 0;

    while (i < t->others && strcmp(t->other[i].name, name) != 0)
        i++;
    if (i == OTHERS_MAX)
        return;
    if (i == t->others)
        t->other[t->others++] = (struct other){.name = name};
    t->other[i].seconds += seconds;
    t->other[i].bytes += bytes;
}

static int longest_first(const void *a, const void *b)
{
    const struct other *x = a, *y = b;

    return (x->seconds < y->seconds) - (x->seconds > y->seconds);
}

static struct time_split split_time(const struct json *c)
{
    struct time_split t = {0};

    for (const struct json *l = json_first(json_get(c, "profile")); l; l = json_next(l)) {
        const char *name = json_string(json_get(l, "name"));
        double s = json_number(json_get(l, "seconds"));
        double flops = json_number(json_get(l, "flops"));
        t.all += s;
        if (flops > 0 && strcmp(name, "attention") != 0) {
            t.products += s;
            t.flops += flops;
        } else {
            add_other(&t, name, s, json_number(json_get(l, "bytes")));
        }
    }
    qsort(t.other, (size_t)t.others, sizeof *t.other, longest_first);
    return t;
}

/* ---- the goals ---- */

enum quantity { TIMES, SHARE, MEMORY, THREADS };

struct goal {
    const char *work; /* as people say it; NULL: the same as above */
    const char *name; /* of the case */
    enum quantity quantity;
    double value;
};

/* clang-format off */
static const struct goal goals[] = {
    {"fine-tuning, MRPC lengths, batch 32, f32", "train mrpc minilm batch 32 f32", TIMES, 3},
    {"",                                         "train mrpc minilm batch 32 f32", SHARE, 0.75},
    {"the same, bf16",                           "train mrpc minilm batch 32 bf16", TIMES, 3.5},
    {"fine-tuning, SST-2 lengths, f32",          "train sst2 minilm batch 32 f32", TIMES, 5},
    {"the same, bf16",                           "train sst2 minilm batch 32 bf16", TIMES, 5},
    {"evaluation, f32",                          "eval mrpc minilm batch 32 f32", TIMES, 2.5},
    {"evaluation, bf16",                         "eval mrpc minilm batch 32 bf16", TIMES, 2},
    {"ablation of all heads",                    "ablate mrpc minilm batch 16 f32", TIMES, 8},
    {"fine-tuning, 768 wide, length 384, f32",   "train squad base batch 8 f32", TIMES, 1.5},
    {"",                                         "train squad base batch 8 f32", SHARE, 0.8},
    {"the same, bf16",                           "train squad base batch 8 bf16", TIMES, 1.5},
    {"",                                         "train squad base batch 8 bf16", SHARE, 0.8},
    {"decoder, 12 x 768, 1,024 tokens, f32",     "train text gpt2 batch 1 f32", TIMES, 1.5},
    {"the same, bf16",                           "train text gpt2 batch 1 bf16", TIMES, 1.5},
    {"peak memory, fine-tuning, f32",            "train mrpc minilm batch 32 f32", MEMORY, 0.5},
    {"peak memory, fine-tuning, bf16",           "train mrpc minilm batch 32 bf16", MEMORY, 0.5},
    {"1 to 2 threads, fine-tuning, f32",         "train mrpc minilm batch 32 f32 by threads", THREADS, 1.9},
    {"1 to 2 threads, fine-tuning, bf16",        "train mrpc minilm batch 32 bf16 by threads", THREADS, 1.9},
    {"1 to 2 threads, evaluation, f32",          "eval mrpc minilm batch 32 f32 by threads", THREADS, 1.9},
};
/* clang-format on */

static const char *const measures[] = {"times_best_peer", "share_of_limit",
                                       "memory_of_best_peer", "times_one_thread"};

/* The products' part of the time and their speed, and what takes most of the rest. */
static void explain_time(struct strbuf *out, const struct json *c)
{
    struct time_split t = split_time(c);
    double stream = median_of(side_of(c, "stream"), "gbytes");

    strbuf_printf(out, "products take %.0f %% of the time, at %.0f of %.0f GFLOP/s",
                  100 * t.products / t.all, t.flops / t.products / 1e9,
                  median_of(side_of(c, "limit"), "gflops"));
    for (int i = 0; i < t.others && i < 3; i++) {
        const struct other *o = &t.other[i];
        strbuf_printf(out, "%s %s %.1f %%", i ? "," : ";", o->name,
                      100 * o->seconds / t.all);
        if (o->bytes > 0 && o->seconds > 0)
            strbuf_printf(out, " at %.0f of %.0f GB/s", o->bytes / o->seconds / 1e9,
                          stream);
    }
}

/* Where ONNX Runtime is the fastest: how PyTorch itself compares. */
static void explain_torch(struct strbuf *out, const struct json *c)
{
    static const char *const settings[] = {"eager", "sdpa", "compile"};
    double best = 0, own = median_of(side_of(c, "retort"), "tokens_per_second");
    const char *name = NULL;

    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        double v = median_of(side_of(c, settings[i]), "tokens_per_second");
        if (v > best) {
            best = v;
            name = settings[i];
        }
    }
    if (name && !strcmp(json_string(json_get(c, "best_peer")), "onnx"))
        strbuf_printf(out, "%.2fx PyTorch (%s); ", own / best, name);
}

static void explain(struct strbuf *out, const struct json *c, enum quantity q, bool met)
{
    const struct json *peer = side_of(c, json_string(json_get(c, "best_peer")));

    if (q == TIMES)
        explain_torch(out, c);
    if (q == TIMES && !met)
        strbuf_printf(out, "at 100 %% of the product limit %.2fx; ",
                      median_of(c, "times_best_peer_at_limit"));
    if ((q == TIMES || q == SHARE) && !met)
        explain_time(out, c);
    if (q == MEMORY)
        strbuf_printf(out, "%.0f / %.0f MB",
                      json_number(json_get(side_of(c, "retort"), "peak_bytes")) / 1e6,
                      json_number(json_get(peer, "peak_bytes")) / 1e6);
    if (q == THREADS)
        strbuf_printf(out, "bits %s; bare products by as many threads %.2fx",
                      json_bool(json_get(c, "equal_bits")) ? "equal" : "NOT equal",
                      median_of(c, "limit_times_one_thread"));
}

static void put_value(struct strbuf *out, enum quantity q, double v)
{
    if (q == TIMES || q == THREADS)
        strbuf_printf(out, "%.2fx", v);
    else
        strbuf_printf(out, "%.0f %%", 100 * v);
}

static void put_goal(struct strbuf *out, const struct json *root, const struct goal *g)
{
    static const char *const of[] = {"PyTorch", "of the limit", "of PyTorch's",
                                     "one thread"};
    const struct json *c = case_of(root, g->name);
    const struct json *m = json_get(c, measures[g->quantity]);
    double v =
        g->quantity == MEMORY ? json_number(m) : json_number(json_get(m, "median"));
    bool most = g->quantity == MEMORY, met = most ? v <= g->value : v >= g->value;

    strbuf_printf(out, "| %s | %s ", g->work, most ? "at most" : "at least");
    put_value(out, g->quantity, g->value);
    strbuf_printf(out, " %s | ", of[g->quantity]);
    if (!m) {
        strbuf_puts(out, "not in this run | | |\n");
        return;
    }
    put_value(out, g->quantity, v);
    if (g->quantity == TIMES)
        strbuf_printf(out, " (%s)", json_string(json_get(c, "best_peer")));
    strbuf_printf(out, " | %s | ", met ? "met" : "**not met**");
    explain(out, c, g->quantity, met);
    strbuf_puts(out, " |\n");
}

static void put_figure(struct strbuf *out, const struct json *f)
{
    const struct json *goal = json_get(f, "goal");
    const char *unit = json_string(json_get(f, "unit"));
    double v = median_of(f, "value"), most = json_number(goal);

    strbuf_printf(out, "| %s | ", json_string(json_get(f, "what")));
    if (json_kind(goal) == JSON_NUMBER)
        strbuf_printf(out, "at most %g %s", most, unit);
    strbuf_printf(out, " | %.3g %s | %s | %s |\n", v, unit,
                  json_kind(goal) != JSON_NUMBER ? ""
                  : v <= most                    ? "met"
                                                 : "**not met**",
                  json_string(json_get(f, "note")));
}

static void put_goals(struct strbuf *out, const struct json *root)
{
    strbuf_puts(out, "## Goals\n\n| work | goal | measured | | what stops it, or what "
                     "it says |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < sizeof goals / sizeof *goals; i++)
        put_goal(out, root, &goals[i]);
    for (const struct json *g = json_first(json_get(root, "system")); g; g = json_next(g))
        for (const struct json *f = json_first(json_get(g, "figures")); f;
             f = json_next(f))
            put_figure(out, f);
    if (!figure_of(root, "`retort --version`"))
        strbuf_puts(out, "\nStart, planning and recording are not in this run.\n");
}

/* ---- the figures ---- */

static void put_row(struct strbuf *out, const struct json *c)
{
    const struct json *own = side_of(c, "retort"), *limit = side_of(c, "limit");
    const char *peer_name = json_string(json_get(c, "best_peer"));
    const struct json *peer = side_of(c, peer_name), *x = json_get(c, "times_best_peer");

    strbuf_printf(out, "| %s | %s%s | %s%s | %lld | %s | %.0f | %.0f | %.0f | %.0f %% |",
                  json_string(json_get(c, "work")), json_string(json_get(c, "data")),
                  json_bool(json_get(c, "data_is_real")) ? "" : "*",
                  json_string(json_get(c, "model")),
                  json_bool(json_get(c, "model_is_real")) ? "" : "*",
                  (long long)json_int(json_get(c, "batch")),
                  json_string(json_get(c, "dtype")), median_of(own, "tokens_per_second"),
                  median_of(own, "gflops"), median_of(limit, "gflops"),
                  100 * median_of(c, "share_of_limit"));
    if (peer)
        strbuf_printf(out,
                      " %s | %.0f | **%.2f** (%.2f-%.2f) | %.2f | %.2f | %.0f / %.0f |\n",
                      peer_name, median_of(peer, "tokens_per_second"),
                      json_number(json_get(x, "median")), json_number(json_get(x, "low")),
                      json_number(json_get(x, "high")),
                      json_number(json_get(c, "times_best_peer_at_best")),
                      median_of(c, "times_best_peer_by_cpu"),
                      json_number(json_get(own, "peak_bytes")) / 1e6,
                      json_number(json_get(peer, "peak_bytes")) / 1e6);
    else
        strbuf_printf(out, " | | | | | %.0f / |\n",
                      json_number(json_get(own, "peak_bytes")) / 1e6);
}

static const char explanation[] =
    "\n## Figures\n\n"
    "All sides do the same batches in turns, round by round. Figures are medians over "
    "the\n"
    "rounds; the ratio is taken round by round and stands with its lowest and highest\n"
    "value, then that of the fastest rounds of each, then that of processor time, which\n"
    "bears other work on the machine. Tokens are real ones, without padding; GFLOP/s "
    "are\n"
    "useful operations of the model on them. The limit is oneDNN's bare products of the\n"
    "same shapes in the same rounds; the share of it counts operations really done.\n"
    "Training is the whole loop: dropout, clipping, AdamW. The peer's setting is its\n"
    "fastest one. kd: a student learns from gte-small, which runs alongside; kd-cached:\n"
    "from what it said before. A star marks drawn data or weights, where the real were\n"
    "not at hand.\n\n"
    "| work | data | model | batch | type | tok/s | GFLOP/s | limit | share | peer "
    "| its tok/s | times peer | at best | by CPU | MB, own / peer |\n"
    "|---|---|---|---:|---|---:|---:|---:|---:|---|---:|---|---:|---:|---|\n";

static bool by_threads(const struct json *c)
{
    return json_get(c, "times_one_thread") != NULL;
}

/* Each peer's tokens a second, or why it cannot. */
static void put_peers(struct strbuf *out, const struct json *root)
{
    strbuf_puts(out,
                "\n## The peer's settings\n\nTokens a second. eager, sdpa: attention "
                "of transformers; compile: `torch.compile` with dynamic shapes; "
                "onnx: ONNX Runtime.\n\n"
                "| | eager | sdpa | compile | onnx |\n|---|---:|---:|---:|---:|\n");
    for (const struct json *c = json_first(json_get(root, "cases")); c;
         c = json_next(c)) {
        static const char *const settings[] = {"eager", "sdpa", "compile", "onnx"};
        if (by_threads(c) || !json_get(c, "best_peer"))
            continue;
        strbuf_printf(out, "| %s |", json_string(json_get(c, "name")));
        for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
            const struct json *s = side_of(c, settings[i]);
            const char *cannot = json_string(json_get(s, "cannot"));
            if (cannot)
                strbuf_printf(out, " %s |", cannot);
            else if (s)
                strbuf_printf(out, " %.0f |", median_of(s, "tokens_per_second"));
            else
                strbuf_puts(out, " |");
        }
        strbuf_putc(out, '\n');
    }
}

/* One round of a case by operation: the longest of them. */
static void put_profile(struct strbuf *out, const struct json *root, const char *name)
{
    const struct json *c = case_of(root, name);
    struct time_split t = split_time(c);
    int rows = 0;

    if (!c || t.all <= 0)
        return;
    strbuf_printf(out,
                  "\n### %s\n\nOne round, profiled; the product limit was %.0f GFLOP/s, "
                  "memory gave %.1f GB/s.\n\n"
                  "| | share | GFLOP/s | GB/s |\n|---|---:|---:|---:|\n",
                  name, median_of(side_of(c, "limit"), "gflops"),
                  median_of(side_of(c, "stream"), "gbytes"));
    for (const struct json *l = json_first(json_get(c, "profile")); l && rows < 10;
         l = json_next(l), rows++) {
        double s = json_number(json_get(l, "seconds"));
        double flops = json_number(json_get(l, "flops"));
        double bytes = json_number(json_get(l, "bytes"));
        strbuf_printf(out, "| %s%s | %.1f %% |", json_string(json_get(l, "name")),
                      json_bool(json_get(l, "back")) ? ", back" : "", 100 * s / t.all);
        strbuf_printf(out, flops > 0 ? " %.0f |" : " |", flops / s / 1e9);
        strbuf_printf(out, bytes > 0 ? " %.1f |\n" : " |\n", bytes / s / 1e9);
    }
}

static void put_profiles(struct strbuf *out, const struct json *root)
{
    strbuf_puts(out,
                "\n## Where the time goes\n\nBytes are what an operation must move "
                "at least; more than memory gives means that a cache gave it. Products "
                "are the linear maps; their limit is that of the bare products.\n");
    put_profile(out, root, "train mrpc minilm batch 32 f32");
    put_profile(out, root, "train mrpc minilm batch 32 bf16");
    put_profile(out, root, "train sst2 minilm batch 32 bf16");
    put_profile(out, root, "eval mrpc minilm batch 32 bf16");
}

static const char *about_peer(const struct json *cases)
{
    for (const struct json *c = json_first(cases); c; c = json_next(c))
        for (const struct json *s = json_first(json_get(c, "sides")); s; s = json_next(s))
            if (json_get(s, "about"))
                return json_string(json_get(s, "about"));
    return "no peer in this run";
}

static void put_page(struct strbuf *out, const struct json *root)
{
    const struct json *cases = json_get(root, "cases");

    strbuf_printf(
        out,
        "# Performance\n\nMade by `make bench` on %s: %s, %lld threads, kernels "
        "%s; beside it %s. Load of the machine when it began: %.1f. The same by "
        "`BENCH=full make bench`; without it a shorter list. What a build has measured "
        "it does not measure again (`BENCH_AGAIN=1` does).\n\n",
        json_string(json_get(root, "date")), json_string(json_get(root, "processor")),
        (long long)json_int(json_get(root, "threads")),
        json_string(json_get(root, "kernels")), about_peer(cases),
        json_number(json_get(root, "load_at_start")));
    put_goals(out, root);
    strbuf_puts(out, explanation);
    for (const struct json *c = json_first(cases); c; c = json_next(c))
        if (!by_threads(c))
            put_row(out, c);
    put_peers(out, root);
    put_profiles(out, root);
}

int report_write(const char *json, const char *markdown, struct err *err)
{
    struct json_doc *doc = json_parse_file(json, err);
    struct strbuf out = STRBUF_INIT;
    int rc = -1;

    if (!doc)
        return -1;
    put_page(&out, json_root(doc));
    if (!strbuf_failed(&out, err))
        rc = file_write(markdown, out.text, (int64_t)out.len, err);
    strbuf_release(&out);
    json_doc_free(doc);
    return rc;
}
