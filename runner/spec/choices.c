/*
 * Options that a selection among runs brings:
 *
 *     "lr": {"from": "best", "value": "tuned.lr"}
 *
 * `best` chooses one of several runs that it reads `over` some variables; the option
 * takes the value that stage `tuned` has at the chosen point. Which one that is, is
 * known when `best` has run. Its candidates, and so all values that can come, are
 * known before: they are checked like any others (runner/plan/choices.c).
 */
#include "tree.h"

#include <string.h>

/* What `v` must be is told in one sentence. */
static bool wrong_form(struct spec *sp, const struct node *v, const struct option *o)
{
    node_error(sp, v,
               "\"%s\" is a value, or what a selection brings: {\"from\": \"stage\", "
               "\"value\": \"stage.option\"}",
               o->name);
    return false;
}

bool choice_read(struct spec *sp, struct stage_decl *st, const struct option *o,
                 const struct node *v)
{
    static const char *const keys[] = {"from", "value", NULL};
    const struct node *from = node_get(v, "from"), *value = node_get(v, "value");
    const char *dot;
    struct choice *c;

    for (const struct node *m = v->first; m; m = m->next)
        if (m != from && m != value) {
            node_unknown_key(sp, m, "what a selection brings", keys);
            return false;
        }
    if (!from || from->kind != JSON_STRING || !value || value->kind != JSON_STRING)
        return wrong_form(sp, from && from->kind != JSON_STRING ? from : v, o);
    dot = strchr(value->text, '.');
    if (!dot || dot == value->text || !dot[1])
        return wrong_form(sp, value, o);
    if (option_is_split(o)) {
        node_error(sp, v, "\"%s\" decides which files are read; it cannot be chosen",
                   o->name);
        return false;
    }
    c = &st->choice[st->n_choices++];
    *c = (struct choice){.option = o, .node = v, .from = from->text, .name = dot + 1};
    c->stage = arena_printf(sp->arena, "%.*s", (int)(dot - value->text), value->text);
    return c->stage != NULL;
}

/* A walk from what is chosen from back to what it is made of; each stage is seen once,
 * since stages may share their inputs many times over, or be a circle. */
struct search {
    struct spec *sp;
    const struct node *tree;
    const char *wanted;
    struct map seen;
};

static bool leads_to(struct search *s, const char *of)
{
    const struct node *node = node_get(s->tree, of);
    const struct stage_decl *st = node ? stage_read(s->sp, node) : NULL;

    if (!strcmp(s->wanted, of))
        return true;
    if (!st || map_at(&s->seen, node->key, -1) != -1 ||
        map_at(&s->seen, node->key, 1) == -2)
        return false;
    for (int64_t k = 0; k < st->n_inputs; k++)
        for (int64_t r = 0; r < st->input[k].n; r++)
            if (st->input[k].ref[r].stage && leads_to(s, st->input[k].ref[r].stage))
                return true;
    return false;
}

/* Is the value's stage one of those that make what is chosen from? */
static bool among_candidates(struct spec *sp, const struct node *tree,
                             const struct choice *c, const struct stage_decl *from)
{
    struct search s = {.sp = sp, .tree = tree, .wanted = c->stage};
    bool found = false;

    for (int64_t k = 0; k < from->n_inputs; k++)
        for (int64_t r = 0; from->input[k].input->many && r < from->input[k].n; r++)
            found = found || (from->input[k].ref[r].stage &&
                              leads_to(&s, from->input[k].ref[r].stage));
    map_release(&s.seen);
    return found;
}

static const struct option *option_of(struct spec *sp, const struct choice *c,
                                      const struct stage_decl *st)
{
    const struct node *place = node_get(c->node, "value");
    const struct option *list = st->method->options;
    const char **names;
    int64_t n = 0;

    for (; list && list[n].name; n++)
        if (!strcmp(list[n].name, c->name))
            return &list[n];
    names = arena_zalloc(sp->arena, (n + 1) * (int64_t)sizeof(*names));
    for (int64_t i = 0; names && i < n; i++)
        names[i] = list[i].name;
    if (names)
        node_error(sp, place, "%s (stage \"%s\") has no option \"%s\"%s",
                   st->method->name, c->stage, c->name, did_you_mean(sp, c->name, names));
    return NULL;
}

static const char *type_name(enum option_type type)
{
    static const char *const names[] = {
        [OPT_INT] = "a whole number",        [OPT_REAL] = "a number",
        [OPT_BOOL] = "true or false",        [OPT_STRING] = "a string",
        [OPT_ENUM] = "one of several words", [OPT_INTS] = "a list of whole numbers",
        [OPT_STRINGS] = "a list of strings",
    };

    return names[type];
}

static void check_choice(struct spec *sp, const struct node *tree,
                         const struct stage_decl *st, const struct choice *c)
{
    const struct node *from_at = node_get(c->node, "from"),
                      *value_at = node_get(c->node, "value"),
                      *from = node_get(tree, c->from), *of = node_get(tree, c->stage);
    const struct stage_decl *chooser = from ? stage_read(sp, from) : NULL,
                            *owner = of ? stage_read(sp, of) : NULL;
    const char **names = stage_names(sp, tree);
    const struct option *o;

    if (!names)
        return;
    if (!from)
        node_error(sp, from_at, "no stage is named \"%s\"%s", c->from,
                   did_you_mean(sp, c->from, names));
    else if (chooser && chooser->method && !(chooser->method->outputs & KIND_CHOICE))
        node_error(sp, from_at, "stage \"%s\" (%s) gives %s, not a choice", c->from,
                   chooser->method->name, kind_text(sp, chooser->method->outputs));
    if (!of)
        node_error(sp, value_at, "no stage is named \"%s\"%s", c->stage,
                   did_you_mean(sp, c->stage, names));
    if (!chooser || chooser->bad || !(chooser->method->outputs & KIND_CHOICE) || !owner ||
        owner->bad)
        return;
    if (!among_candidates(sp, tree, c, chooser)) {
        node_error(sp, value_at, "stage \"%s\" takes no part in what \"%s\" chooses from",
                   c->stage, c->from);
        return;
    }
    o = option_of(sp, c, owner);
    if (o && o->type != c->option->type &&
        !(o->type == OPT_INT && c->option->type == OPT_REAL))
        node_error(sp, value_at, "\"%s\" of %s is %s; \"%s\" of %s is %s",
                   c->option->name, st->method->name, type_name(c->option->type), o->name,
                   owner->method->name, type_name(o->type));
}

void choices_check(struct spec *sp, const struct node *tree, const struct stage_decl *st)
{
    for (int64_t i = 0; st && st->method && i < st->n_choices; i++)
        check_choice(sp, tree, st, &st->choice[i]);
}
