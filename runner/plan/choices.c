/* Options that a selection among runs brings: which values can come, and that each of
 * them fits. */
#include "plan.h"

#include <string.h>

const struct job_input *job_candidates(const struct job *job)
{
    const struct input *list = job->method->inputs;

    if (!(job->method->outputs & KIND_CHOICE))
        return NULL;
    for (const struct input *in = list; in && in->name; in++)
        for (int64_t i = 0; in->many && i < job->n_inputs; i++)
            if (!strcmp(job->input[i].name, in->name))
                return &job->input[i];
    return NULL;
}

bool candidates_agree(struct planner *pl, const struct stage_decl *st,
                      const struct job *job)
{
    const struct job_input *first = job_candidates(job);

    for (int64_t k = 0; first && k < st->n_inputs; k++) {
        const struct job_input *in = &job->input[k];
        bool same = in->n == first->n;
        if (in == first || !st->input[k].input->many)
            continue;
        for (int64_t i = 0; same && i < in->n; i++)
            same = in->point[i] == first->point[i];
        if (same)
            continue;
        node_error(pl->sp, st->input[k].node,
                   "\"%s\" and \"%s\" must stand for the same points, one by one; here "
                   "are %lld and %lld",
                   first->name, in->name, (long long)first->n, (long long)in->n);
        return false;
    }
    return true;
}

/* The value that the choice's stage has at a point, or NULL. */
static const struct node *value_at(struct planner *pl, const struct choice *c,
                                   int64_t point)
{
    const struct node *tree = pl->sp->tree[point / pl->sp->n_seeds];
    const struct node *stage = node_get(tree, c->stage);
    const struct stage_decl *st = stage ? stage->decl : NULL;

    if (!st) {
        node_error(pl->sp, c->node,
                   "\"%s\" chooses among points of which one has no stage \"%s\"",
                   c->from, c->stage);
        return NULL;
    }
    for (int64_t i = 0; i < st->n_choices; i++)
        if (!strcmp(st->choice[i].option->name, c->name)) {
            node_error(pl->sp, c->node,
                       "\"%s.%s\" is itself what \"%s\" brings; take it from there",
                       c->stage, c->name, st->choice[i].from);
            return NULL;
        }
    for (const struct option *o = st->method->options; o && o->name; o++)
        if (!strcmp(o->name, c->name))
            return st->value[o - st->method->options];
    return NULL;
}

/* The values of all candidates; false with errors told. */
static bool read_values(struct planner *pl, struct job_choice *out,
                        const struct stage_decl *st, const struct choice *c,
                        const struct job_input *in)
{
    struct arena *arena = pl->plan->arena;
    bool ok = true;

    for (int64_t i = 0; i < in->n && ok; i++) {
        const struct node *v = value_at(pl, c, in->point[i] - pl->sp->points);
        void *options = arena_zalloc(arena, (int64_t)st->method->options_size + 8);
        ok = v && options && option_read(pl->sp, st->method, c->option, v, options) &&
             (out->text[i] = node_canonical(pl->sp, v)) != NULL;
        out->options[i] = options;
    }
    return ok;
}

int choice_plan(struct planner *pl, struct job_choice *out, const struct stage_decl *st,
                const struct choice *c, const struct job *chooser, struct json_writer *w)
{
    struct arena *arena = pl->plan->arena;
    const struct job_input *in = job_candidates(chooser);

    if (!in)
        return -1;
    *out = (struct job_choice){.option = c->option, .from = c->from, .n = in->n};
    out->from_id = arena_strdup(arena, chooser->id); /* jobs move while they are made */
    out->options = arena_zalloc(arena, (in->n + 1) * (int64_t)sizeof(*out->options));
    out->text = arena_zalloc(arena, (in->n + 1) * (int64_t)sizeof(*out->text));
    if (!out->from_id || !out->options || !out->text || !read_values(pl, out, st, c, in))
        return -1;
    json_object(w);
    json_member(w, "job");
    json_str(w, out->from_id);
    json_member(w, "values");
    json_array(w);
    for (int64_t i = 0; i < in->n; i++)
        json_raw(w, out->text[i]);
    json_array_end(w);
    json_object_end(w);
    return 0;
}

void job_choose(void *options, const struct job_choice *c, int64_t chosen)
{
    static const size_t bytes[] = {
        [OPT_INT] = sizeof(int64_t),
        [OPT_REAL] = sizeof(double),
        [OPT_BOOL] = sizeof(bool),
        [OPT_STRING] = sizeof(char *),
        [OPT_ENUM] = sizeof(int),
        [OPT_INTS] = sizeof(struct int_list),
        [OPT_STRINGS] = sizeof(struct string_list),
    };
    size_t at = c->option->offset;

    memcpy((char *)options + at, (const char *)c->options[chosen] + at,
           bytes[c->option->type]);
}

/* Options of one selection come together, so all that can come is tried; of several
 * selections each value is tried at least once. */
bool choices_fit(struct planner *pl, const struct stage_decl *st, const struct job *job)
{
    size_t size = st->method->options_size;
    void *all = arena_zalloc(pl->plan->arena, (int64_t)size + 8);
    int64_t most = 0;

    for (int64_t k = 0; k < job->n_choices; k++)
        most = job->choice[k].n > most ? job->choice[k].n : most;
    for (int64_t i = 0; all && i < most; i++) {
        memcpy(all, st->options, size);
        for (int64_t k = 0; k < job->n_choices; k++)
            job_choose(all, &job->choice[k],
                       i < job->choice[k].n ? i : job->choice[k].n - 1);
        if (!options_check(pl->sp, st, all))
            return false;
    }
    return all != NULL;
}
