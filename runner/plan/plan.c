/* From points and stages to jobs with identities. */
#include "plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "retort/fetch.h"
#include "retort/file.h"
#include "retort/hash.h"
#include "retort/ops.h"

enum { OF_NEW = -1, OF_ABSENT = -2, OF_BUSY = -3, OF_BAD = -4 };

static int64_t job_of(struct planner *pl, int64_t point, int64_t stage);

static const struct node *tree_of(const struct planner *pl, int64_t point)
{
    return pl->sp->tree[point / pl->sp->n_seeds];
}

/* ---- over ---- */

static bool is_over(const struct stage_decl *st, const char *var)
{
    for (int64_t i = 0; i < st->n_over; i++)
        if (!strcmp(st->over[i], var))
            return true;
    return false;
}

/* What the point still has when the variables of `over` are forgotten. With "label", the
 * variables that labelled items set are forgotten as well. */
static const char *group_key(struct planner *pl, const struct stage_decl *st,
                             int64_t point)
{
    const struct point *p = &pl->sp->points[point];
    const struct combo *c = &pl->sp->combo[point / pl->sp->n_seeds];
    struct strbuf sb = STRBUF_INIT;
    const char *text = NULL;

    if (!is_over(st, "seed"))
        strbuf_printf(&sb, "%llu\n", (unsigned long long)p->seed);
    if (!is_over(st, "label") && p->label)
        strbuf_printf(&sb, "%s\n", p->label);
    for (int64_t i = 0; i < p->n_vars; i++)
        if (!is_over(st, p->var[i]) && !(c->v[i].labelled && is_over(st, "label")))
            strbuf_printf(&sb, "%s=%s\n", p->var[i], p->value[i]);
    if (!strbuf_failed(&sb, &pl->sp->err))
        text = arena_strdup(pl->plan->arena, strbuf_text(&sb));
    strbuf_release(&sb);
    return text;
}

static int groups_fill(struct planner *pl, const struct stage_decl *st, struct groups *g)
{
    int64_t n = pl->sp->n_points;
    struct map seen = {0};
    int64_t *last = mem_new(n, sizeof(*last), &pl->sp->err);
    int rc = -1;

    g->of = arena_zalloc(pl->plan->arena, n * (int64_t)sizeof(*g->of));
    g->next = arena_zalloc(pl->plan->arena, n * (int64_t)sizeof(*g->next));
    g->first = arena_zalloc(pl->plan->arena, n * (int64_t)sizeof(*g->first));
    g->count = arena_zalloc(pl->plan->arena, n * (int64_t)sizeof(*g->count));
    if (!last || !g->of || !g->next || !g->first || !g->count)
        goto done;
    for (int64_t p = 0; p < n; p++) {
        const char *key = group_key(pl, st, p);
        int64_t at = key ? map_at(&seen, key, -1) : -2;
        if (at == -2 || (at == -1 && map_at(&seen, key, g->n) == -2))
            goto done;
        if (at == -1) {
            at = g->n++;
            g->first[at] = p;
        } else {
            g->next[last[at]] = p;
        }
        g->of[p] = at;
        g->count[at]++;
        g->next[p] = -1;
        last[at] = p;
    }
    rc = 0;
done:
    map_release(&seen);
    free(last);
    return rc;
}

const struct groups *groups_find(struct planner *pl, const struct stage_decl *st)
{
    for (int64_t i = 0; i < pl->n_groups; i++)
        if (!strcmp(pl->groups[i]->key, st->over_key))
            return pl->groups[i];
    if (mem_grow((void **)&pl->groups, pl->n_groups, &pl->cap_groups, sizeof(*pl->groups),
                 &pl->sp->err))
        return NULL;
    struct groups *g = arena_zalloc(pl->plan->arena, sizeof(*g));
    if (!g)
        return NULL;
    g->key = st->over_key;
    if (groups_fill(pl, st, g))
        return NULL;
    pl->groups[pl->n_groups++] = g;
    return g;
}

/* ---- inputs ---- */

int64_t stage_index(const struct spec *sp, const char *name)
{
    for (int64_t i = 0; i < sp->n_stages; i++)
        if (!strcmp(sp->stage[i], name))
            return i;
    return -1;
}

static int input_room(struct planner *pl, struct job_input *in, int64_t n)
{
    struct arena *a = pl->plan->arena;
    int64_t size = (n + 1) * (int64_t)sizeof(char *);

    in->from_id = arena_zalloc(a, size);
    in->path = arena_zalloc(a, size);
    in->value = arena_zalloc(a, size);
    in->digest = arena_zalloc(a, size);
    in->point = arena_zalloc(a, size);
    return in->from_id && in->path && in->value && in->digest && in->point ? 0 : -1;
}

static int add_need(struct planner *pl, struct job *job, int64_t need, int64_t *capacity)
{
    for (int64_t i = 0; i < job->n_needs; i++)
        if (job->needs[i] == need)
            return 0;
    if (mem_grow((void **)&job->needs, job->n_needs, capacity, sizeof(*job->needs),
                 &pl->sp->err))
        return -1;
    job->needs[job->n_needs++] = need;
    return 0;
}

struct making {
    struct planner *pl;
    const struct stage_decl *st;
    struct job *job;
    int64_t point, cap_needs;
    struct json_writer *w;
};

/* The job of another stage, at this point or at all points of the group;
 * each job once. */
static int add_from(struct making *mk, const struct input_decl *d, const struct ref *ref,
                    struct job_input *in)
{
    struct planner *pl = mk->pl;
    int64_t stage = stage_index(pl->sp, ref->stage), begin = in->n;
    const struct groups *g = mk->st->n_over ? groups_find(pl, mk->st) : NULL;
    int64_t p = g ? g->first[g->of[mk->point]] : mk->point;

    if (mk->st->n_over && !g)
        return -1;
    for (; p >= 0; p = g ? g->next[p] : -1) {
        int64_t job = job_of(pl, p, stage);
        bool known = false;
        if (job == OF_ABSENT)
            continue; /* an arm without that stage */
        if (job < 0)
            return -1;
        for (int64_t i = 0; i < in->n && !known; i++)
            known = in->from_id[i] && !strcmp(in->from_id[i], pl->plan->job[job].id);
        if (known)
            continue;
        if (in->n > begin && !d->input->many) {
            node_error(pl->sp, d->node,
                       "\"%s\" of %s takes one, but stage \"%s\" differs over the "
                       "points of \"over\"",
                       d->input->name, mk->st->method->name, ref->stage);
            return -1;
        }
        in->from_id[in->n] = arena_strdup(pl->plan->arena, pl->plan->job[job].id);
        in->point[in->n] = &pl->sp->points[p];
        if (!in->from_id[in->n] || add_need(pl, mk->job, job, &mk->cap_needs))
            return -1;
        json_object(mk->w);
        json_member(mk->w, "job");
        json_str(mk->w, in->from_id[in->n++]);
        json_object_end(mk->w);
    }
    return 0;
}

static int add_ref(struct making *mk, const struct input_decl *d, const struct ref *ref,
                   struct job_input *in)
{
    struct planner *pl = mk->pl;
    struct err err = ERR_INIT;
    char *path;

    if (ref->stage)
        return add_from(mk, d, ref, in);
    in->point[in->n] = &pl->sp->points[mk->point];
    if (ref->task) {
        in->value[in->n] = ref->task->name;
        if (task_identity(pl, mk->st, ref->task, mk->w, &in->digest[in->n], &err)) {
            node_failure(pl->sp, ref->node, &err);
            return -1;
        }
        in->n++;
        return 0;
    }
    if (hub_is_name(ref->path)
            ? hub_folder(pl, &path, ref->path, &err)
            : !(path = path_join(ref->node->source->dir, ref->path, &pl->sp->err))) {
        node_failure(pl->sp, ref->node, &err);
        return -1;
    }
    in->path[in->n] = path ? arena_strdup(pl->plan->arena, path) : NULL;
    free(path);
    if (!in->path[in->n])
        return -1;
    if (!(in->digest[in->n] = digest_folder(pl, in->path[in->n], &err))) {
        node_failure(pl->sp, ref->node, &err);
        return -1;
    }
    json_object(mk->w);
    json_member(mk->w, "folder");
    json_str(mk->w, in->digest[in->n++]);
    json_object_end(mk->w);
    return 0;
}

static int add_inputs(struct making *mk)
{
    struct planner *pl = mk->pl;
    const struct groups *g = mk->st->n_over ? groups_find(pl, mk->st) : NULL;
    int rc = 0;

    if (mk->st->n_over && !g)
        return -1;
    mk->job->input = arena_zalloc(pl->plan->arena, (mk->st->n_inputs + 1) *
                                                       (int64_t)sizeof(*mk->job->input));
    if (!mk->job->input)
        return -1;
    json_member(mk->w, "inputs");
    json_object(mk->w);
    for (int64_t i = 0; i < mk->st->n_inputs; i++) {
        const struct input_decl *d = &mk->st->input[i];
        struct job_input *in = &mk->job->input[mk->job->n_inputs++];
        in->name = d->input->name;
        if (input_room(pl, in, d->n * (g ? g->count[g->of[mk->point]] : 1)))
            return -1;
        json_member(mk->w, in->name);
        json_array(mk->w);
        for (int64_t r = 0; r < d->n; r++)
            rc = add_ref(mk, d, &d->ref[r], in) ? -1 : rc;
        json_array_end(mk->w);
    }
    json_object_end(mk->w);
    return rc;
}

/* ---- jobs ---- */

static uint64_t seed_of(struct planner *pl, const struct stage_decl *st, int64_t point)
{
    const struct groups *g = st->n_over && !st->own_seed ? groups_find(pl, st) : NULL;

    if (st->own_seed)
        return st->seed;
    return pl->sp->points[g ? g->first[g->of[point]] : point].seed;
}

/* What is chosen is in the identity as the job that chooses, and all that it can bring:
 * names of stages are not. */
static int add_choice(struct making *mk, const struct choice *c)
{
    struct planner *pl = mk->pl;
    struct job *job = mk->job;
    int64_t from = job_of(pl, mk->point, stage_index(pl->sp, c->from));

    if (from < 0 || add_need(pl, job, from, &mk->cap_needs))
        return -1;
    return choice_plan(pl, &job->choice[job->n_choices++], mk->st, c,
                       &pl->plan->job[from], mk->w);
}

static int add_options(struct making *mk)
{
    const struct stage_decl *st = mk->st;
    int64_t next = 0;
    int rc = 0;

    if (!st->n_choices) {
        json_raw(mk->w, st->options_json);
        return 0;
    }
    mk->job->choice = arena_zalloc(mk->pl->plan->arena,
                                   st->n_choices * (int64_t)sizeof(*mk->job->choice));
    if (!mk->job->choice)
        return -1;
    json_object(mk->w);
    for (const struct option *o = st->method->options; o->name; o++) {
        if (st->left_out[o - st->method->options])
            continue;
        json_member(mk->w, o->name);
        if (next < st->n_choices && st->choice[next].option == o) {
            if (add_choice(mk, &st->choice[next++])) {
                json_str(mk->w, NULL);
                rc = -1;
            }
        } else {
            node_write(mk->w, st->value[o - st->method->options]);
        }
    }
    json_object_end(mk->w);
    return rc || !choices_fit(mk->pl, st, mk->job) ? -1 : 0;
}

static int write_identity(struct making *mk)
{
    const struct method *m = mk->st->method;
    struct json_writer *w = mk->w;
    int rc;

    json_object(w);
    json_member(w, "do");
    json_str(w, m->name);
    json_member(w, "version");
    json_i64(w, m->version);
    if (method_plugin(m)) {
        json_member(w, "plugin");
        json_str(w, method_plugin(m));
    }
    json_member(w, "ops");
    json_i64(w, ops_numeric_version());
    json_member(w, "device");
    json_str(w, "cpu");
    json_member(w, "options");
    rc = add_options(mk);
    rc = add_inputs(mk) ? -1 : rc;
    if (m->uses_seed) {
        json_member(w, "seed");
        json_i64(w, (int64_t)mk->job->seed);
    }
    json_object_end(w);
    return rc || !candidates_agree(mk->pl, mk->st, mk->job) ? -1 : 0;
}

static int64_t push_job(struct planner *pl, const struct job *job)
{
    struct plan *plan = pl->plan;

    if (mem_grow((void **)&plan->job, plan->n, &pl->cap_jobs, sizeof(*plan->job),
                 &pl->sp->err))
        return -1;
    plan->job[plan->n] = *job;
    return plan->n++;
}

/* Stages that merge may ask for different records: the job keeps what covers both. */
static int share_record(struct planner *pl, int64_t at, const struct job *other)
{
    struct job *job = &pl->plan->job[at];
    struct record_options a, b;

    if (!strcmp(job->record, other->record))
        return 0;
    if (record_parse(&a, job->record, &pl->sp->err) ||
        record_parse(&b, other->record, &pl->sp->err))
        return -1;
    a = record_join(&a, &b);
    job->record = record_text(pl->plan->arena, &a);
    return job->record ? 0 : -1;
}

/* The job with this identity: one that is there, or the new one. */
static int64_t intern(struct planner *pl, struct job *job, const char *raw)
{
    int64_t at = map_at(&pl->identities, raw, -1);
    char *key;

    if (at >= 0)
        return share_record(pl, at, job) ? -1 : at;
    job->resolved = text_canonical(pl->plan->arena, raw, &pl->sp->err);
    key = arena_strdup(pl->plan->arena, raw);
    if (arena_failed(pl->plan->arena, &pl->sp->err))
        return -1;
    if (!job->resolved)
        return -1;
    sha256_text(job->id, job->resolved, strlen(job->resolved));
    at = map_at(&pl->ids, job->id, -1);
    if (at < 0) {
        char *id = arena_strdup(pl->plan->arena, job->id);
        at = push_job(pl, job);
        if (at < 0)
            return -1;
        job->needs = NULL; /* now the plan's */
        if (!id || map_at(&pl->ids, id, at) == -2)
            return -1;
    } else if (share_record(pl, at, job)) {
        return -1;
    }
    return map_at(&pl->identities, key, at) == -2 ? -1 : at;
}

static unsigned recorded(const struct stage_decl *st)
{
    const struct method *m = st->method;

    return m->recorded ? m->recorded(st->options) : m->records;
}

static int64_t make_job(struct planner *pl, const struct stage_decl *st, int64_t point,
                        int64_t stage)
{
    struct strbuf sb = STRBUF_INIT;
    struct json_writer w;
    struct job job = {.stage = pl->sp->stage[stage],
                      .method = st->method,
                      .options = st->options,
                      .uses_seed = st->method->uses_seed,
                      .seconds = (double)NAN,
                      .bytes = -1};
    struct making mk = {pl, st, &job, point, 0, &w};
    struct record_options record =
        record_mask(st->own_record ? &st->record : &pl->sp->record, recorded(st));
    int64_t at = OF_BAD;

    job.record = record_text(pl->plan->arena, &record);
    if (!job.record)
        return OF_BAD;

    job.seed = seed_of(pl, st, point);
    json_begin(&w, &sb, false);
    if (!write_identity(&mk) && !strbuf_failed(&sb, &pl->sp->err))
        at = intern(pl, &job, strbuf_text(&sb));
    free(job.needs);
    strbuf_release(&sb);
    return at >= 0 ? at : OF_BAD;
}

/* What reads all points of a group is one job at each of them: the one that the first
 * point has, if the stage is the same there. */
static int64_t of_group(struct planner *pl, const struct stage_decl *st, int64_t point,
                        int64_t stage)
{
    const struct groups *g = st->n_over && !st->n_choices ? groups_find(pl, st) : NULL;
    int64_t first = g ? g->first[g->of[point]] : point;
    const struct node *node = node_get(tree_of(pl, first), pl->sp->stage[stage]);

    if (first == point || !node || node->decl != st)
        return OF_NEW;
    return pl->plan->of[first * pl->sp->n_stages + stage];
}

static int64_t job_of(struct planner *pl, int64_t point, int64_t stage)
{
    int64_t *of = &pl->plan->of[point * pl->sp->n_stages + stage];
    const struct node *node;

    if (*of == OF_BUSY) {
        node_key_error(pl->sp, node_get(tree_of(pl, point), pl->sp->stage[stage]),
                       "stage \"%s\" waits for itself over the points of \"over\"",
                       pl->sp->stage[stage]);
        return OF_BAD;
    }
    if (*of != OF_NEW)
        return *of;
    node = node_get(tree_of(pl, point), pl->sp->stage[stage]);
    if (!node)
        return *of = OF_ABSENT;
    if (pl->depth > 4 * SPEC_STAGES_MAX)
        return *of = OF_BAD;
    *of = of_group(pl, node->decl, point, stage);
    if (*of >= 0)
        return *of;
    *of = OF_BUSY;
    pl->depth++;
    *of = make_job(pl, node->decl, point, stage);
    pl->depth--;
    return *of;
}

/* ---- what a job serves ---- */

static int serve(struct planner *pl)
{
    struct plan *plan = pl->plan;
    int64_t cells = pl->sp->n_points * pl->sp->n_stages;
    int64_t *fill = mem_new(plan->n, sizeof(*fill), &pl->sp->err);

    if (!fill)
        return -1;
    for (int64_t i = 0; i < cells; i++)
        if (plan->of[i] >= 0)
            plan->job[plan->of[i]].n_points++;
    for (int64_t j = 0; j < plan->n; j++)
        plan->job[j].point = arena_zalloc(plan->arena, (plan->job[j].n_points + 1) *
                                                           (int64_t)sizeof(int64_t));
    for (int64_t i = 0; i < cells; i++) {
        int64_t j = plan->of[i], p = i / pl->sp->n_stages;
        if (j < 0 || !plan->job[j].point ||
            (fill[j] && plan->job[j].point[fill[j] - 1] == p))
            continue;
        plan->job[j].point[fill[j]++] = p;
    }
    for (int64_t j = 0; j < plan->n; j++)
        plan->job[j].n_points = fill[j];
    free(fill);
    return arena_failed(plan->arena, &pl->sp->err);
}

/* "name=value"; a plain word stands without its quotes. */
static void put_variable(struct strbuf *sb, const char *name, const char *value)
{
    size_t n = strlen(value);
    bool word = n > 2 && *value == '"' && !strpbrk(value, " \\=") &&
                strcspn(value + 1, "\"") == n - 2;

    strbuf_printf(sb, "%s%s=", sb->len ? " " : "", name);
    strbuf_add(sb, value + (word ? 1 : 0), word ? n - 2 : n);
}

/* A label holds blanks as it is; one that could be read in two ways is quoted. */
static void put_label(struct strbuf *sb, const char *label)
{
    bool odd = *label == ' ' || strpbrk(label, "=\"\\");

    for (const char *c = label; *c; c++)
        odd = odd || (unsigned char)*c < 0x20;
    strbuf_puts(sb, "label=");
    if (odd)
        json_put_string(sb, label);
    else
        strbuf_puts(sb, label);
}

/* Variables that all of the job's points agree in, and the seed where
 * there are several. */
static int describe(struct planner *pl, struct job *job)
{
    const struct point *p = &pl->sp->points[job->point[0]];
    struct strbuf sb = STRBUF_INIT;
    bool label = p->label != NULL, seed = job->uses_seed;

    for (int64_t i = 1; i < job->n_points; i++) {
        const struct point *q = &pl->sp->points[job->point[i]];
        label = label && q->label && !strcmp(p->label, q->label);
    }
    if (label)
        put_label(&sb, p->label);
    for (int64_t v = 0; v < p->n_vars; v++) {
        bool same = *p->value[v] != '{' && *p->value[v] != '[';
        for (int64_t i = 1; same && i < job->n_points; i++) {
            const struct point *q = &pl->sp->points[job->point[i]];
            same = false;
            for (int64_t k = 0; k < q->n_vars && !same; k++)
                same = !strcmp(q->var[k], p->var[v]) && !strcmp(q->value[k], p->value[v]);
        }
        if (same)
            put_variable(&sb, p->var[v], p->value[v]);
    }
    if (!seed && pl->sp->n_seeds > 1) {
        seed = true;
        for (int64_t i = 1; i < job->n_points; i++)
            seed = seed && pl->sp->points[job->point[i]].seed == p->seed;
        if (seed)
            strbuf_printf(&sb, "%sseed=%llu", sb.len ? " " : "",
                          (unsigned long long)p->seed);
    } else if (seed) {
        strbuf_printf(&sb, "%sseed=%llu", sb.len ? " " : "",
                      (unsigned long long)job->seed);
    }
    job->variables = strbuf_failed(&sb, &pl->sp->err)
                         ? NULL
                         : arena_strdup(pl->plan->arena, strbuf_text(&sb));
    strbuf_release(&sb);
    return job->variables ? 0 : -1;
}

static int build(struct planner *pl)
{
    struct plan *plan = pl->plan;
    struct spec *sp = pl->sp;
    int64_t cells = sp->n_points * sp->n_stages;

    plan->of = arena_zalloc(plan->arena, (cells + 1) * (int64_t)sizeof(*plan->of));
    if (!plan->of)
        return -1;
    for (int64_t i = 0; i < cells; i++)
        plan->of[i] = OF_NEW;
    for (int64_t i = 0; i < cells; i++)
        if (job_of(pl, i / sp->n_stages, i % sp->n_stages) == OF_BAD &&
            !diags_count(sp->diags) && !arena_failed(plan->arena, &sp->err) &&
            !err_is_set(&sp->err))
            BUG("stage \"%s\" of point %lld gives no job and no reason",
                sp->stage[i % sp->n_stages], (long long)(i / sp->n_stages));
    if (diags_count(sp->diags) || err_is_set(&sp->err))
        return -1;
    if (serve(pl))
        return -1;
    for (int64_t j = 0; j < plan->n; j++)
        if (describe(pl, &plan->job[j]))
            return -1;
    for (int64_t i = 0; i < cells; i++)
        plan->of[i] = plan->of[i] < 0 ? -1 : plan->of[i];
    return plan_states(pl, &sp->err);
}

struct plan *plan_new(struct spec *spec, struct store *store,
                      const struct plan_options *opt, struct diags *diags)
{
    struct planner pl = {.sp = spec, .store = store, .opt = opt};
    int64_t before = diags_count(diags);
    int rc = -1;

    pl.data_dir = opt && opt->data_dir ? opt->data_dir : task_data_dir();
    pl.plan = mem_new(1, sizeof(*pl.plan), &spec->err);
    if (pl.plan)
        pl.plan->arena = arena_new(&spec->err);
    spec->diags = diags;
    if (pl.plan && pl.plan->arena) {
        pl.plan->spec = spec;
        rc = build(&pl);
    }
    if (rc && diags_count(diags) == before) {
        diags_add(diags, spec->path, NULL, 0, 0, "%s",
                  *spec->err.text ? spec->err.text : "not enough memory");
        diags_cause(diags, *spec->err.text ? spec->err.code : ERR_MEMORY);
    }
    map_release(&spec->reported);
    spec->diags = NULL;
    map_release(&pl.identities);
    map_release(&pl.ids);
    map_release(&pl.digests);
    free(pl.digest);
    free(pl.groups);
    if (!rc)
        return pl.plan;
    plan_free(pl.plan);
    return NULL;
}

void plan_free(struct plan *plan)
{
    if (!plan)
        return;
    for (int64_t i = 0; i < plan->n; i++)
        free(plan->job[i].needs);
    free(plan->job);
    arena_free(plan->arena);
    free(plan);
}
