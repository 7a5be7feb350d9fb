/*
 * docs/performance.md from the results of a run.
 */
#include "bench.h"

#include <stdio.h>
#include <string.h>

#include "retort/file.h"
#include "retort/json.h"

static double median_of(const struct json *v, const char *name)
{
    return json_number(json_get(json_get(v, name), "median"));
}

static const struct json *side_of(const struct json *c, const char *name)
{
    for (const struct json *s = json_first(json_get(c, "sides")); s; s = json_next(s))
        if (name && !strcmp(json_string(json_get(s, "name")), name))
            return s;
    return NULL;
}

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
                      strchr(peer_name, ' ') + 1, median_of(peer, "tokens_per_second"),
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

static const char *about_peer(const struct json *cases)
{
    for (const struct json *c = json_first(cases); c; c = json_next(c))
        for (const struct json *s = json_first(json_get(c, "sides")); s; s = json_next(s))
            if (json_get(s, "about"))
                return json_string(json_get(s, "about"));
    return "no peer in this run";
}

static const char explanation[] =
    "Both sides do the same batches in turns, round by round. Figures are medians over\n"
    "the rounds; the ratio is taken round by round and stands with its lowest and "
    "highest\n"
    "value, then that of the fastest rounds of each, then that of processor time, which\n"
    "bears other work on the machine. Tokens are real ones, without padding; GFLOP/s "
    "are\n"
    "useful operations of the model on them. The limit is oneDNN's bare products of the\n"
    "same shapes in the same rounds; the share of it counts operations really done.\n"
    "Training is the whole loop: dropout, clipping, AdamW. The peer's setting is its\n"
    "faster one. A star marks drawn data or weights, where the real were not at hand.\n\n"
    "| work | data | model | batch | type | tok/s | GFLOP/s | limit | share | peer "
    "| its tok/s | times peer | at best | by CPU | MB, own / peer |\n"
    "|---|---|---|---:|---|---:|---:|---:|---:|---|---:|---|---:|---:|---|\n";

static void put_page(struct strbuf *out, const struct json *root)
{
    const struct json *cases = json_get(root, "cases");

    strbuf_printf(
        out,
        "# Performance\n\nMade by `make bench` on %s: %s, %lld threads, kernels "
        "%s; beside it %s. Load of the machine when it began: %.1f.\n\n",
        json_string(json_get(root, "date")), json_string(json_get(root, "processor")),
        (long long)json_int(json_get(root, "threads")),
        json_string(json_get(root, "kernels")), about_peer(cases),
        json_number(json_get(root, "load_at_start")));
    strbuf_puts(out, explanation);
    for (const struct json *c = json_first(cases); c; c = json_next(c))
        put_row(out, c);
    strbuf_puts(out,
                "\nThe same by `BENCH=full make bench`; without it a shorter list.\n");
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
