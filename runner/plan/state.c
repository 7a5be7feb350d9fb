/* What is to be done for each job, why, and what that took the last time. */
#include "state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "retort/pins.h"

#define SIBLINGS_READ_MAX 8 /* runs opened for the sake of one sentence */
#define EXPLAINED_MAX 500   /* jobs compared with all runs; nobody reads more reasons */

static const char *day(struct arena *arena, double at)
{
    time_t t = (time_t)at;
    struct tm tm;

    if (!(at > 0) || !gmtime_r(&t, &tm))
        return "earlier";
    return arena_printf(arena, "%04d-%02d-%02d", tm.tm_year + 1900, tm.tm_mon + 1,
                        tm.tm_mday);
}

/* The value of "name=" in "a=1 b=2", up to the next space; labels may hold spaces, so
 * only for messages. */
static bool next_pair(const char **text, const char **pair, size_t *len)
{
    while (**text == ' ')
        (*text)++;
    *pair = *text;
    *len = strcspn(*text, " ");
    *text += *len;
    return *len > 0;
}

static bool has_pair(const char *text, const char *pair, size_t len)
{
    const char *p;
    size_t n;

    while (next_pair(&text, &p, &n))
        if (n == len && !strncmp(p, pair, n))
            return true;
    return false;
}

/* Pairs of `a` that `b` lacks; the last one found in *pair. */
static int64_t differences(const char *a, const char *b, const char **pair, size_t *len)
{
    const char *p;
    int64_t count = 0;
    size_t n;

    while (next_pair(&a, &p, &n))
        if (!has_pair(b, p, n)) {
            count++;
            *pair = p;
            *len = n;
        }
    return count;
}

/* "epochs is 3, was 2": the first option, or other member, that two
 * identities differ in. */
static const char *first_difference(struct arena *arena, const struct json *now,
                                    const struct json *was, const char *prefix)
{
    for (const struct json *m = json_first(now); m; m = json_next(m)) {
        const struct json *old = json_get(was, json_key(m));
        struct strbuf a = STRBUF_INIT, b = STRBUF_INIT;
        const char *text = NULL;
        json_canonical(m, &a);
        if (old)
            json_canonical(old, &b);
        if (strcmp(strbuf_text(&a), strbuf_text(&b))) {
            if (!strcmp(json_key(m), "inputs"))
                text = "an input changed";
            else if (json_get(m, "job")) /* an option that a selection brings */
                text = arena_printf(arena, "%s%s is chosen among others", prefix,
                                    json_key(m));
            else if (json_kind(m) == JSON_OBJECT && old)
                text = first_difference(arena, m, old, "");
            else if (old)
                text = arena_printf(arena, "%s%s is %.80s, was %.80s", prefix,
                                    json_key(m), strbuf_text(&a), strbuf_text(&b));
            else
                text = arena_printf(arena, "%s%s is new", prefix, json_key(m));
        }
        strbuf_release(&a);
        strbuf_release(&b);
        if (text)
            return text;
    }
    return NULL;
}

struct json_doc *quiet_json(const char *text)
{
    struct diags *diags = diags_new(NULL);
    struct json_doc *doc =
        diags && text ? json_parse(text, (int64_t)strlen(text), "identity", diags) : NULL;

    diags_free(diags);
    return doc;
}

/* Reads the sibling's identity and compares. NULL: no difference found, or it cannot be
 * read. */
static const char *compare_identity(struct states *s, const struct job *job,
                                    const struct run_info *old)
{
    struct arena *arena = s->pl->plan->arena;
    struct err quiet = ERR_INIT;
    struct run *run = NULL;
    const char *text = NULL;

    if (s->opened++ >= SIBLINGS_READ_MAX ||
        run_open(&run, s->pl->store, old->id, false, &quiet))
        return NULL;
    struct json_doc *now = quiet_json(job->resolved);
    struct json_doc *was = quiet_json(run_head_text(run, "resolved"));
    if (now && was)
        text = first_difference(arena, json_root(now), json_root(was), "");
    json_doc_free(now);
    json_doc_free(was);
    run_close(run);
    return text;
}

/* The sealed run most like this job: same spec and stage, fewest differing variables,
 * newest. */
const struct run_info *nearest_run(const struct states *s, const struct job *job,
                                   int64_t *diff)
{
    const struct run_info *best = NULL;
    const char *pair;
    size_t len;

    for (int64_t i = 0; i < s->n; i++) {
        const struct run_info *r = &s->run[i];
        if (r->state != RUN_SEALED || strcmp(r->stage, job->stage) ||
            strcmp(r->name, s->pl->sp->name) || strcmp(r->method, job->method->name))
            continue;
        int64_t d = differences(job->variables, r->variables, &pair, &len);
        if (!best || d < *diff || (d == *diff && r->ended > best->ended)) {
            best = r;
            *diff = d;
        }
    }
    return best;
}

static bool input_is_new(const struct states *s, const struct job *job)
{
    for (int64_t i = 0; i < job->n_needs; i++)
        if (s->pl->plan->job[job->needs[i]].state == JOB_RUN)
            return true;
    return false;
}

static const char *why_run(struct states *s, const struct job *job)
{
    struct arena *arena = s->pl->plan->arena;
    const char *pair = NULL, *old = NULL, *text;
    int64_t diff = 0;
    size_t len = 0, old_len = 0, name;
    const struct run_info *near =
        s->explained++ < EXPLAINED_MAX ? nearest_run(s, job, &diff) : NULL;

    if (!near)
        return "new";
    if (diff == 0) {
        text = input_is_new(s, job) ? "an input changed" : compare_identity(s, job, near);
        return arena_printf(arena, "%s in %.*s",
                            text ? text : "it differs from what was made", ID_SHORT,
                            near->id);
    }
    (void)differences(job->variables, near->variables, &pair, &len);
    (void)differences(near->variables, job->variables, &old, &old_len);
    name = strcspn(pair, "=");
    if (diff > 1 || !old || strncmp(old, pair, name + 1) || name >= len)
        return "new";
    return arena_printf(arena, "%.*s is %.*s, was %.*s in %.*s", (int)name, pair,
                        (int)(len - name - 1), pair + name + 1, (int)(old_len - name - 1),
                        old + name + 1, ID_SHORT, near->id);
}

/* Does the sealed run hold what the job's record asks for? */
static bool record_covered(struct states *s, const struct job *job)
{
    struct err quiet = ERR_INIT;
    struct run *run = NULL;
    struct record_options have, want;
    bool yes;

    if (!strcmp(job->record, "{}"))
        return true;
    yes = !run_open(&run, s->pl->store, job->id, false, &quiet) &&
          !record_parse(&want, job->record, &quiet) &&
          !record_parse(&have, run_head_text(run, "record"), &quiet) &&
          record_covers(&have, &want) && !run_check_parts(run, &quiet);
    run_close(run);
    return yes;
}

/* "built at 1a2b3c4d5e, this is 5e4d3c2b1a" if the run was made by other code than this,
 * or if that cannot be told. */
static const char *other_code(struct states *s, const struct job *job)
{
    struct arena *arena = s->pl->plan->arena;
    struct build_info now = build_info();
    struct err quiet = ERR_INIT;
    struct run *run = NULL;
    struct json_doc *pins = NULL;
    const struct json *at = NULL;
    const char *was = NULL, *why = NULL;
    bool dirty = false;

    if (!run_open(&run, s->pl->store, job->id, false, &quiet))
        pins = quiet_json(run_head_text(run, "pins"));
    if (pins && (at = json_get(json_root(pins), "git")) && (at = json_get(at, "build"))) {
        was = json_get(at, "commit") ? json_string(json_get(at, "commit")) : NULL;
        dirty = json_get(at, "dirty") && json_bool(json_get(at, "dirty"));
    }
    if (!was || !*was || !*now.commit)
        why = "it is not known which code made it";
    else if (strcmp(was, now.commit) != 0)
        why = arena_printf(arena, "built at %.10s, this is %.10s", was, now.commit);
    else if (dirty || now.dirty)
        why = arena_printf(arena, "built at %.10s with changes", was);
    json_doc_free(pins);
    run_close(run);
    return why;
}

static void set_sealed(struct states *s, struct job *job, const struct run_info *info)
{
    struct arena *arena = s->pl->plan->arena;
    const char *class = s->pl->opt ? s->pl->opt->env_class : NULL;
    const char *code =
        s->pl->opt && s->pl->opt->rerun_on_code ? other_code(s, job) : NULL;

    job->seconds = info->seconds;
    job->bytes = info->bytes;
    if (s->pl->opt && s->pl->opt->rerun) {
        job->state = JOB_RERUN;
        job->why = arena_printf(arena, "asked for; sealed %s", day(arena, info->ended));
    } else if (code) {
        job->state = JOB_RERUN;
        job->why = code;
    } else if (!record_covered(s, job)) {
        job->state = JOB_RERUN;
        job->bytes = expect_bytes(s, job, info, 1);
        job->why = "its record lacks what \"record\" asks for";
    } else {
        bool other = class && *info->env_class && strcmp(class, info->env_class);
        job->state = JOB_CACHED;
        job->why = arena_printf(arena, "sealed %s, run %.*s%s", day(arena, info->ended),
                                ID_SHORT, info->id,
                                other ? ", in another environment class" : "");
    }
}

static void set_partial(struct states *s, struct job *job, const struct run_info *info)
{
    struct arena *arena = s->pl->plan->arena;
    const char *class = s->pl->opt ? s->pl->opt->env_class : NULL;

    job->state = JOB_RUN;
    if (class && *info->env_class && strcmp(class, info->env_class)) {
        job->why = "its checkpoint is of another environment class";
    } else if (info->step > 0) {
        job->state = JOB_RESUME;
        job->step = info->step;
        job->why = arena_printf(arena, "%.200s",
                                *info->failure ? info->failure : "it was stopped");
    } else {
        job->why = arena_printf(arena, "begun, no checkpoint; %.200s",
                                *info->failure ? info->failure : "it was stopped");
    }
}

/* Which candidate a selection took; -1: it has not run. */
static int64_t chosen_by(struct states *s, const char *id)
{
    struct err quiet = ERR_INIT;
    struct run *run = NULL;
    struct array chosen;
    int64_t at = -1;

    if (map_at(&s->chosen_at, id, -1) >= 0)
        return map_at(&s->chosen_at, id, -1) - 1;
    if (s->pl->store && !run_open(&run, s->pl->store, id, false, &quiet)) {
        struct artifact *a = run_artifact(run);
        if (!a->array(a->ctx, "/select/chosen", &chosen, &quiet) &&
            chosen.dtype == DT_I32 && shape_count(chosen.shape) == 1)
            at = *(const int32_t *)chosen.data;
    }
    run_close(run);
    (void)map_at(&s->chosen_at, id, at + 1);
    return at;
}

/* "new; alpha 0.5, lr by best": which options are chosen, and what, once it is known. */
static void tell_choices(struct states *s, struct job *job)
{
    struct arena *arena = s->pl->plan->arena;

    for (int64_t i = 0; job->why && job->state != JOB_CACHED && i < job->n_choices; i++) {
        const struct job_choice *c = &job->choice[i];
        bool last =
            i + 1 == job->n_choices || strcmp(job->choice[i + 1].from_id, c->from_id);
        int64_t at = chosen_by(s, c->from_id);
        job->why = arena_printf(arena, "%s%s%s%s%s%s%s", job->why, i ? ", " : "; ",
                                c->option->name, at >= 0 && at < c->n ? " " : "",
                                at >= 0 && at < c->n ? c->text[at] : "",
                                last ? " by " : "", last ? c->from : "");
    }
}

static int set_state(struct states *s, struct job *job, struct err *err)
{
    struct run_info info = {0};

    job->state = JOB_RUN;
    if (!s->pl->store) {
        job->why = "new";
        tell_choices(s, job);
        return 0;
    }
    if (store_stat(s->pl->store, job->id, &info, err))
        return -1;
    switch (info.state) {
    case RUN_SEALED:
        set_sealed(s, job, &info);
        break;
    case RUN_PARTIAL:
        set_partial(s, job, &info);
        break;
    case RUN_ACTIVE:
        job->why = "another process works on it now";
        break;
    case RUN_DAMAGED:
        job->state = JOB_RERUN;
        job->why = "its run file is damaged";
        break;
    case RUN_ABSENT:
        job->why = why_run(s, job);
        break;
    }
    tell_choices(s, job);
    if (isnan(job->seconds))
        expect(s, job);
    /* What a checkpoint saves of it; a part may have been done twice. */
    if (job->state == JOB_RESUME && job->seconds > info.seconds)
        job->seconds -= info.seconds;
    return 0;
}

static void states_release(struct states *s)
{
    map_release(&s->size_at);
    map_release(&s->like);
    map_release(&s->chosen_at);
    free(s->size);
    free(s->run);
}

int plan_states(struct planner *pl, struct err *err)
{
    struct states s = {.pl = pl};
    int rc = 0;

    if (pl->store && store_list(pl->store, &s.run, &s.n, err))
        return -1;
    for (int64_t j = 0; j < pl->plan->n && !rc; j++) {
        rc = set_state(&s, &pl->plan->job[j], err);
        if (!rc && !pl->plan->job[j].why)
            rc = err_set(err, ERR_MEMORY, "not enough memory for the plan");
    }
    states_release(&s);
    return rc;
}
