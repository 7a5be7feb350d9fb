/*
 * How long a job will take and how much disk: as an earlier run of its like.
 *
 * First the run of the same spec and stage that is nearest in its variables; where the
 * number of epochs or steps was another, its figures are scaled. Else a run of any spec
 * that has the same size: method, options, task, and inputs of the same sizes; seeds do
 * not count. Without either it is not known.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "retort/hash.h"
#include "state.h"

#define CANDIDATES_MAX 8 /* of other specs, for one job: the newest */
#define NEAREST_MAX 2000 /* jobs compared with all runs */

/* The identity of a stored run, or NULL. */
static struct json_doc *identity_of(struct states *s, const char *id)
{
    struct err quiet = ERR_INIT;
    struct run *run = NULL;
    struct json_doc *doc;

    if (s->read++ >= STATES_READ_MAX || run_open(&run, s->pl->store, id, false, &quiet))
        return NULL;
    doc = quiet_json(run_head_text(run, "resolved"));
    run_close(run);
    return doc;
}

/* ---- sizes ---- */

static const char *size_of(struct states *s, const char *id);

static const char *word(const struct json *object, const char *key)
{
    const struct json *v = json_get(object, key);

    return v ? json_string(v) : NULL;
}

/* Jobs by their sizes, tasks and folders as they are named. */
static bool put_inputs(struct states *s, const struct json *inputs, struct strbuf *sb)
{
    for (const struct json *in = inputs ? json_first(inputs) : NULL; in;
         in = json_next(in)) {
        strbuf_printf(sb, "\n%s:", json_key(in));
        for (const struct json *v = json_first(in); v; v = json_next(v)) {
            const char *id = word(v, "job"), *size = id ? size_of(s, id) : NULL;
            if (id && !size)
                return false;
            if (id)
                strbuf_puts(sb, size);
            else
                json_canonical(v, sb);
        }
    }
    return true;
}

/* A digest of all that decides the amount of work, in the plan's arena; NULL: not known.
 */
static const char *digest_size(struct states *s, const struct json_doc *doc)
{
    const struct json *root = json_root(doc), *options = json_get(root, "options");
    const char *method = word(root, "do"), *out = NULL;
    struct strbuf sb = STRBUF_INIT;
    char hex[SHA256_HEX];

    strbuf_puts(&sb, method ? method : "");
    if (options)
        json_canonical(options, &sb);
    if (put_inputs(s, json_get(root, "inputs"), &sb) && !strbuf_failed(&sb, NULL)) {
        sha256_text(hex, strbuf_text(&sb), sb.len);
        out = arena_strdup(s->pl->plan->arena, hex);
    }
    strbuf_release(&sb);
    return out;
}

static const struct job *job_of_id(struct states *s, const char *id)
{
    int64_t at = map_at(&s->pl->ids, id, -1);

    return at >= 0 ? &s->pl->plan->job[at] : NULL;
}

/* Of a job of the plan or a run of the store; remembered. */
static const char *size_of(struct states *s, const char *id)
{
    const struct job *job = job_of_id(s, id);
    int64_t at = map_at(&s->size_at, id, -1);
    const char *key, *size = NULL;
    struct json_doc *doc;

    if (at >= 0)
        return s->size[at];
    doc = job ? quiet_json(job->resolved) : identity_of(s, id);
    if (doc)
        size = digest_size(s, doc);
    json_doc_free(doc);
    key = arena_strdup(s->pl->plan->arena, id);
    if (key &&
        !mem_grow((void **)&s->size, s->n_sizes, &s->cap_sizes, sizeof *s->size, NULL)) {
        s->size[s->n_sizes] = size;
        map_at(&s->size_at, key, s->n_sizes++);
    }
    return size;
}

/* The newest runs of the method, whatever spec they are of. */
static const struct run_info *same_size(struct states *s, const struct job *job)
{
    const char *size = NULL;
    int tried = 0;

    for (int64_t i = s->n; i-- > 0 && tried < CANDIDATES_MAX;) {
        const struct run_info *r = &s->run[i];
        const char *other;
        if (r->state != RUN_SEALED || strcmp(r->method, job->method->name))
            continue;
        tried++;
        size = size ? size : size_of(s, job->id);
        other = size ? size_of(s, r->id) : NULL;
        if (other && !strcmp(size, other))
            return r;
    }
    return NULL;
}

/* ---- scaling ---- */

/* max_steps where it is set, else epochs; 0: the stage has neither. */
static double amount(const struct json *options, bool *steps)
{
    const struct json *max = json_get(options, "max_steps"),
                      *epochs = json_get(options, "epochs");

    *steps = max && json_number(max) > 0;
    return *steps ? json_number(max) : epochs ? json_number(epochs) : 0;
}

/* Work of the job over that of the run; NaN: they cannot be compared. */
static double ratio_to(struct states *s, const struct job *job, const struct run_info *r)
{
    struct json_doc *now = quiet_json(job->resolved);
    const struct json *opt = now ? json_get(json_root(now), "options") : NULL;
    bool steps, was_steps;
    double want = opt ? amount(opt, &steps) : 0, ratio = 1;

    if (want > 0) {
        struct json_doc *then = identity_of(s, r->id);
        const struct json *was = then ? json_get(json_root(then), "options") : NULL;
        double had = was ? amount(was, &was_steps) : 0;
        if (was)
            ratio = had > 0 && steps == was_steps ? want / had : (double)NAN;
        json_doc_free(then);
    }
    json_doc_free(now);
    return ratio;
}

/* Where a plan is so large that comparing takes too long: the newest of the stage. */
static const struct run_info *newest_run(struct states *s, const struct job *job)
{
    int64_t at = map_at(&s->like, job->stage, -1);

    if (at < 0) {
        for (at = s->n; at-- > 0;)
            if (s->run[at].state == RUN_SEALED && !strcmp(s->run[at].stage, job->stage) &&
                !strcmp(s->run[at].name, s->pl->sp->name) &&
                !strcmp(s->run[at].method, job->method->name))
                break;
        map_at(&s->like, job->stage, at < 0 ? s->n : at);
    }
    return at >= 0 && at < s->n ? &s->run[at] : NULL;
}

void expect(struct states *s, struct job *job)
{
    const struct run_info *r;
    double ratio = 1;
    int64_t diff = 0;

    r = s->compared++ < NEAREST_MAX ? nearest_run(s, job, &diff) : newest_run(s, job);
    if (r)
        ratio = ratio_to(s, job, r);
    else
        r = same_size(s, job);
    if (!r || isnan(ratio))
        return;
    job->seconds = r->seconds * ratio;
    job->bytes = expect_bytes(s, job, r, ratio);
}
