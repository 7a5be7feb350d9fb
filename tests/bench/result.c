/*
 * What the rounds of a case say: medians, ratios round by round, shares of the limit; as
 * JSON and for the eye.
 */
#include "driver.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- statistics ---- */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

struct spread spread_of(const double *v, int64_t n)
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

/* The side of a kind with so many threads (0: any), or NULL. */
static const struct child *side_of(const struct result *r, enum side_kind kind,
                                   int threads)
{
    for (int64_t i = 0; i < r->n; i++)
        if (r->side[i].kind == kind && (!threads || r->side[i].threads == threads))
            return &r->side[i];
    return NULL;
}

/* The peer's fastest setting, or NULL. */
static const struct child *best_peer(const struct result *r)
{
    const struct child *best = NULL;
    double least = 0;

    for (int64_t i = 0; i < r->n; i++) {
        const struct child *ch = &r->side[i];
        if (ch->kind != SIDE_PEER || ch->cannot[0])
            continue;
        double t = spread_of(ch->seconds, r->c->rounds).median;
        if (!best || t < least) {
            best = ch;
            least = t;
        }
    }
    return best;
}

/* Share of the limit: operations done in a second here and there. */
static struct spread share_of_limit(const struct result *r)
{
    const struct child *limit = side_of(r, SIDE_LIMIT, 0);
    double mine[ROUNDS_MAX], most[ROUNDS_MAX];

    for (int64_t k = 0; k < r->c->rounds; k++) {
        mine[k] = r->flops[k].done / r->side[0].seconds[k];
        most[k] = limit->value[k] / limit->seconds[k];
    }
    return ratio_of(r, mine, most, 1);
}

/* Tokens a second would be so many times the peer's, did the products run at the limit
 * and nothing else cost a thing. */
static struct spread times_at_limit(const struct result *r, const struct child *peer)
{
    const struct child *limit = side_of(r, SIDE_LIMIT, 0);
    double v[ROUNDS_MAX];

    for (int64_t k = 0; k < r->c->rounds; k++)
        v[k] =
            peer->seconds[k] * (limit->value[k] / limit->seconds[k]) / r->flops[k].done;
    return spread_of(v, r->c->rounds);
}

/* ---- the profile ---- */

static struct lap_sum *lap_of(struct result *r, const char *name, bool back)
{
    int most = (int)(sizeof r->lap / sizeof *r->lap);

    for (int i = 0; i < r->laps; i++)
        if (r->lap[i].back == back && !strcmp(r->lap[i].name, name))
            return &r->lap[i];
    if (r->laps == most)
        return &r->lap[most - 1];
    snprintf(r->lap[r->laps].name, sizeof r->lap->name, "%s", name);
    r->lap[r->laps].back = back;
    return &r->lap[r->laps++];
}

static int longest_first(const void *a, const void *b)
{
    const struct lap_sum *x = a, *y = b;

    return (x->seconds < y->seconds) - (x->seconds > y->seconds);
}

int result_profile(struct result *r, const char *trace, struct err *err)
{
    struct json_doc *doc = json_parse_file(trace, err);

    if (!doc)
        return -1;
    for (const struct json *e = json_first(json_get(json_root(doc), "traceEvents")); e;
         e = json_next(e)) {
        const char *kind = json_string(json_get(e, "cat"));
        const struct json *args = json_get(e, "args");
        if (!kind)
            continue;
        struct lap_sum *l =
            lap_of(r, json_string(json_get(e, "name")), !strcmp(kind, "backward"));
        l->seconds += json_number(json_get(e, "dur")) * 1e-6;
        l->flops += json_number(json_get(args, "flops"));
        l->bytes += json_number(json_get(args, "bytes"));
    }
    qsort(r->lap, (size_t)r->laps, sizeof *r->lap, longest_first);
    json_doc_free(doc);
    return 0;
}

/* ---- as JSON ---- */

void put_spread(struct json_writer *w, const char *name, struct spread s)
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

static void put_text(struct json_writer *w, const char *name, const char *text)
{
    json_member(w, name);
    json_str(w, text);
}

static void put_rates(struct json_writer *w, const struct result *r,
                      const struct child *ch)
{
    double full[ROUNDS_MAX];
    bool counted = ch->kind == SIDE_OWN || ch->kind == SIDE_PEER;

    for (int64_t k = 0; k < r->c->rounds; k++)
        full[k] = counted ? r->flops[k].full : ch->value[k];
    if (counted)
        put_spread(w, "tokens_per_second", ratio_of(r, r->tokens, ch->seconds, 1));
    put_spread(w, ch->kind == SIDE_STREAM ? "gbytes" : "gflops",
               ratio_of(r, full, ch->seconds, 1e-9));
    put_list(w, "seconds", ch->seconds, ch->rounds);
    put_list(w, "cpu_seconds", ch->cpu, ch->rounds);
    put_list(w,
             counted                   ? "loss"
             : ch->kind == SIDE_STREAM ? "bytes"
                                       : "operations",
             ch->value, ch->rounds);
    json_member(w, "peak_bytes");
    json_num(w, ch->peak);
}

static void put_side(struct json_writer *w, const struct result *r,
                     const struct child *ch)
{
    json_object(w);
    put_text(w, "name", ch->name);
    json_member(w, "threads");
    json_i64(w, ch->threads);
    if (ch->about[0])
        put_text(w, "about", ch->about);
    if (ch->digest[0])
        put_text(w, "digest", ch->digest);
    if (ch->cannot[0])
        put_text(w, "cannot", ch->cannot);
    else
        put_rates(w, r, ch);
    json_object_end(w);
}

static void put_peer(struct json_writer *w, const struct result *r,
                     const struct child *peer)
{
    put_text(w, "best_peer", peer->name);
    put_spread(w, "times_best_peer", ratio_of(r, peer->seconds, r->side[0].seconds, 1));
    put_spread(w, "times_best_peer_by_cpu", ratio_of(r, peer->cpu, r->side[0].cpu, 1));
    put_spread(w, "times_best_peer_at_limit", times_at_limit(r, peer));
    json_member(w, "times_best_peer_at_best");
    json_num(w, ratio_at_best(r, &r->side[0], peer));
    json_member(w, "memory_of_best_peer");
    json_num(w, r->side[0].peak / peer->peak);
}

/* One thread against all: times faster, and equal bits. */
static void put_threads(struct json_writer *w, const struct result *r)
{
    const struct child *own = &r->side[0], *one = side_of(r, SIDE_OWN, 1);
    const struct child *limit = side_of(r, SIDE_LIMIT, 0);
    const struct child *limit_one = side_of(r, SIDE_LIMIT, 1);

    put_spread(w, "times_one_thread", ratio_of(r, one->seconds, own->seconds, 1));
    put_spread(w, "limit_times_one_thread",
               ratio_of(r, limit_one->seconds, limit->seconds, 1));
    json_member(w, "equal_bits");
    json_flag(
        w, !memcmp(own->value, one->value, (size_t)r->c->rounds * sizeof *own->value) &&
               !strcmp(own->digest, one->digest));
}

static void put_profile(struct json_writer *w, const struct result *r)
{
    json_member(w, "profile");
    json_array(w);
    for (int i = 0; i < r->laps; i++) {
        const struct lap_sum *l = &r->lap[i];
        json_object(w);
        put_text(w, "name", l->name);
        json_member(w, "back");
        json_flag(w, l->back);
        json_member(w, "seconds");
        json_num(w, l->seconds);
        json_member(w, "flops");
        json_num(w, l->flops);
        json_member(w, "bytes");
        json_num(w, l->bytes);
        json_object_end(w);
    }
    json_array_end(w);
}

static void put_case(struct json_writer *w, const struct result *r)
{
    const struct bench_case *c = r->c;

    put_text(w, "work", work_names[c->work]);
    put_text(w, "data", c->data);
    json_member(w, "data_is_real");
    json_flag(w, r->real_data);
    put_text(w, "model", c->model);
    json_member(w, "model_is_real");
    json_flag(w, r->real_model);
    json_member(w, "batch");
    json_i64(w, c->batch);
    put_text(w, "dtype", c->bf16 ? "bf16" : "f32");
    json_member(w, "batches_per_round");
    json_i64(w, c->steps);
    put_list(w, "tokens", r->tokens, c->rounds);
}

int result_text(struct strbuf *out, const struct result *r, const struct setup *s,
                struct err *err)
{
    const struct child *peer = best_peer(r);
    struct json_writer w;
    time_t now = time(NULL);
    struct tm tm;
    char date[32];

    strftime(date, sizeof date, "%Y-%m-%dT%H:%MZ", gmtime_r(&now, &tm));
    json_begin(&w, out, true);
    json_object(&w);
    put_text(&w, "name", r->name);
    put_text(&w, "build", s->build);
    put_text(&w, "how", s->how);
    put_text(&w, "date", date);
    put_case(&w, r);
    put_spread(&w, "share_of_limit", share_of_limit(r));
    if (peer)
        put_peer(&w, r, peer);
    if (r->c->more & MORE_THREADS)
        put_threads(&w, r);
    json_member(&w, "sides");
    json_array(&w);
    for (int64_t i = 0; i < r->n; i++)
        put_side(&w, r, &r->side[i]);
    json_array_end(&w);
    put_profile(&w, r);
    json_object_end(&w);
    return strbuf_failed(out, err);
}

/* ---- for the eye ---- */

static void print_side(const struct result *r, const struct child *ch)
{
    bool counted = ch->kind == SIDE_OWN || ch->kind == SIDE_PEER;
    double work[ROUNDS_MAX];

    printf("  %-20s", ch->name);
    if (ch->cannot[0]) {
        printf(" cannot: %s\n", ch->cannot);
        return;
    }
    for (int64_t k = 0; k < r->c->rounds; k++)
        work[k] = counted ? r->flops[k].full : ch->value[k];
    if (counted) {
        struct spread t = ratio_of(r, r->tokens, ch->seconds, 1);
        printf(" %8.0f tok/s (%5.0f-%5.0f)", t.median, t.low, t.high);
    } else {
        printf(" %28s", "");
    }
    printf(" %7.1f %s %7.0f MB\n", ratio_of(r, work, ch->seconds, 1e-9).median,
           ch->kind == SIDE_STREAM ? "GB/s    " : "GFLOP/s ", ch->peak / 1e6);
}

void result_print(const struct result *r)
{
    const struct child *peer = best_peer(r);

    printf("%s\n", r->name);
    for (int64_t i = 0; i < r->n; i++)
        print_side(r, &r->side[i]);
    printf("  share of the limit %.0f %%", 100 * share_of_limit(r).median);
    if (peer) {
        struct spread x = ratio_of(r, peer->seconds, r->side[0].seconds, 1);
        printf(", %.2f times %s (%.2f-%.2f; fastest rounds %.2f; at the limit %.2f), "
               "memory %.2f of it",
               x.median, peer->name, x.low, x.high, ratio_at_best(r, &r->side[0], peer),
               times_at_limit(r, peer).median, r->side[0].peak / peer->peak);
    }
    if (r->c->more & MORE_THREADS) {
        const struct child *one = side_of(r, SIDE_OWN, 1);
        printf(", %.2f times one thread",
               ratio_of(r, one->seconds, r->side[0].seconds, 1).median);
    }
    printf("\n");
    fflush(stdout);
}
