/* How stages are tied: what a `from` names is there and of the right kind, and none waits
 * for itself. (Options that a selection brings: choices.c.) */
#include "tree.h"

#include <stdlib.h>
#include <string.h>

static void check_ref(struct spec *sp, const struct node *tree,
                      const struct stage_decl *st, const struct input_decl *in,
                      const struct ref *ref)
{
    const struct node *target = node_get(tree, ref->stage);
    const struct stage_decl *from = target ? stage_read(sp, target) : NULL;
    const char **names;
    unsigned outputs;

    if (!target) {
        if ((names = stage_names(sp, tree)))
            node_error(sp, ref->node, "no stage is named \"%s\"%s", ref->stage,
                       did_you_mean(sp, ref->stage, names));
        return;
    }
    if (!from || !from->method)
        return;
    outputs = from->method->outputs;
    if (ref->output != ~0u && !(outputs & ref->output))
        node_error(sp, ref->node, "stage \"%s\" (%s) gives %s, not %s", ref->stage,
                   from->method->name, kind_text(sp, outputs),
                   kind_text(sp, ref->output));
    else if (!(outputs & ref->output & in->input->kinds))
        node_error(sp, ref->node, "\"%s\" of %s takes %s; stage \"%s\" (%s) gives %s",
                   in->input->name, st->method->name, kind_text(sp, in->input->kinds),
                   ref->stage, from->method->name, kind_text(sp, outputs));
}

struct walk {
    struct spec *sp;
    const struct node *tree;
    struct map index;
    unsigned char *mark; /* 0 new, 1 on the way, 2 done */
    const char **way;    /* names on the way */
    int64_t depth;
};

static void tell_cycle(struct walk *w, const char *stage, const struct node *place)
{
    struct strbuf sb = STRBUF_INIT;
    int64_t i = w->depth;

    while (i > 0 && strcmp(w->way[i - 1], stage))
        i--;
    for (i = i ? i - 1 : 0; i < w->depth; i++)
        strbuf_printf(&sb, "%s -> ", w->way[i]);
    strbuf_puts(&sb, stage);
    node_error(w->sp, place, "stages wait for each other in a circle: %s",
               strbuf_text(&sb));
    strbuf_release(&sb);
}

static void visit(struct walk *w, const struct node *stage);

static void follow(struct walk *w, const char *stage, const struct node *place)
{
    const struct node *next = stage ? node_get(w->tree, stage) : NULL;
    int64_t at = next ? map_at(&w->index, next->key, -1) : -1;

    if (at >= 0 && w->mark[at] == 1)
        tell_cycle(w, stage, place);
    else if (at >= 0)
        visit(w, next);
}

static void visit(struct walk *w, const struct node *stage)
{
    int64_t i = map_at(&w->index, stage->key, -1);
    const struct stage_decl *st = stage_read(w->sp, stage);

    if (i < 0 || w->mark[i] == 2 || !st)
        return;
    w->mark[i] = 1;
    w->way[w->depth++] = stage->key;
    for (int64_t k = 0; k < st->n_inputs; k++)
        for (int64_t r = 0; r < st->input[k].n; r++)
            follow(w, st->input[k].ref[r].stage, st->input[k].ref[r].node);
    for (int64_t k = 0; k < st->n_choices; k++)
        follow(w, st->choice[k].from, st->choice[k].node);
    w->depth--;
    w->mark[i] = 2;
}

static int check_cycles(struct spec *sp, const struct node *tree)
{
    struct walk w = {.sp = sp, .tree = tree};
    int64_t n = node_count(tree), i = 0;
    int rc = -1;

    w.mark = mem_new(n + 1, 1, &sp->err);
    w.way = mem_new(n + 1, sizeof(*w.way), &sp->err);
    if (!w.mark || !w.way)
        goto done;
    for (const struct node *m = tree->first; m; m = m->next)
        if (map_at(&w.index, m->key, i++) == -2)
            goto done;
    for (const struct node *m = tree->first; m; m = m->next)
        visit(&w, m);
    rc = 0;
done:
    map_release(&w.index);
    free(w.mark);
    free(w.way);
    return rc;
}

void stages_check(struct spec *sp)
{
    for (int64_t c = 0; c < sp->n_combos; c++) {
        const struct node *tree = sp->tree[c];
        for (const struct node *m = tree->first; m; m = m->next) {
            const struct stage_decl *st = stage_read(sp, m);
            for (int64_t k = 0; st && k < st->n_inputs; k++)
                for (int64_t r = 0; r < st->input[k].n; r++)
                    if (st->input[k].ref[r].stage)
                        check_ref(sp, tree, st, &st->input[k], &st->input[k].ref[r]);
        }
        if (check_cycles(sp, tree))
            return;
        for (const struct node *m = tree->first; m; m = m->next)
            choices_check(sp, tree, stage_read(sp, m));
    }
}
