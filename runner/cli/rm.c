/*
 * retort rm RUN...: removes runs.
 *
 * Nothing is removed unless all can be: none that works, and none that a run which stays
 * refers to (its unchanged tensors are in the other's file), unless --force.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "query.h"
#include "verbs.h"

struct args {
    struct common common;
    struct string_list runs;
    bool yes, force;
};

struct removal {
    const struct args *args;
    struct store *store;
    struct run_info *goes; /* n, each once */
    int64_t n;
    struct run_info *all;
    int64_t n_all;
};

static bool is_among(const struct removal *r, const char *id)
{
    for (int64_t i = 0; i < r->n; i++)
        if (!strncmp(r->goes[i].id, id, 64))
            return true;
    return false;
}

/* What refers goes before what it refers to, should it be interrupted on the way. */
static int newest_first(const void *pa, const void *pb)
{
    const struct run_info *a = pa, *b = pb;

    return a->started > b->started ? -1 : a->started < b->started;
}

static int find_all(struct removal *r, struct err *err)
{
    const struct string_list *names = &r->args->runs;

    r->goes = mem_new(names->n, sizeof *r->goes, err);
    if (!r->goes)
        return -1;
    for (int64_t i = 0; i < names->n; i++) {
        char id[65];
        if (find_run(r->store, names->v[i], id, err))
            return -1;
        if (is_among(r, id))
            continue;
        if (store_stat(r->store, id, &r->goes[r->n], err))
            return -1;
        if (r->goes[r->n].state == RUN_ACTIVE)
            return err_set(err, ERR_LOCKED,
                           "run %.10s is being worked on; stop that first", id);
        if (r->goes[r->n].state == RUN_ABSENT)
            return err_set(err, ERR_MISSING, "%s: run %.10s is not there any more",
                           store_dir(r->store), id);
        r->n++;
    }
    qsort(r->goes, (size_t)r->n, sizeof *r->goes, newest_first);
    return 0;
}

static const struct run_info *named_in(const struct removal *r, const char *origins)
{
    for (int64_t k = 0; k < r->n; k++)
        if (strstr(origins, r->goes[k].id))
            return &r->goes[k];
    return NULL;
}

/* Which of those that go does the run refer to, by the run itself? */
static const struct run_info *opened_needs(const struct removal *r, const char *id)
{
    const struct run_info *found = NULL;
    struct err err = ERR_INIT;
    struct run *run = NULL;

    if (run_open(&run, r->store, id, true, &err))
        return NULL;
    for (int64_t i = 0; i < run_item_count(run) && !found; i++)
        if (run_item(run, i)->origin)
            found = named_in(r, run_item(run, i)->origin);
    run_close(run);
    return found;
}

/* The same, by the catalog if it knows the run. NULL: none. A damaged run has no
 * references that could be followed. */
static const struct run_info *needed_by(const struct removal *r,
                                        const struct run_info *from)
{
    struct err err = ERR_INIT;
    char *origins =
        from->state == RUN_SEALED ? store_origins(r->store, from->id, &err) : NULL;
    const struct run_info *found = NULL;

    if (origins)
        found = named_in(r, origins);
    else if (from->state != RUN_DAMAGED)
        found = opened_needs(r, from->id);
    free(origins);
    return found;
}

static int check_references(struct removal *r, struct err *err)
{
    enum { NAMED = 5 };
    struct strbuf who = STRBUF_INIT;
    int64_t n = 0;
    int rc = 0;

    for (int64_t i = 0; i < r->n_all; i++) {
        const struct run_info *from = &r->all[i], *to;
        if (is_among(r, from->id) || !(to = needed_by(r, from)))
            continue;
        if (n++ < NAMED)
            strbuf_printf(&who, "\n  %.10s (%s, %s %s) holds tensors of %.10s", from->id,
                          from->name, from->stage, from->variables, to->id);
    }
    if (n > NAMED)
        strbuf_printf(&who, "\n  and %lld more", (long long)(n - NAMED));
    if (n)
        rc = err_set(
            err, ERR_NEGATIVE,
            "nothing was removed, others need it:%s\nRemove them too, or give --force "
            "(their tensors are lost then)",
            strbuf_text(&who));
    strbuf_release(&who);
    return rc;
}

static bool confirmed(const struct removal *r)
{
    char answer[16];

    for (int64_t i = 0; i < r->n && i < 20; i++)
        fprintf(stderr, "  %.10s  %-8s  %s  %s  %s\n", r->goes[i].id,
                run_state_word(r->goes[i].state), r->goes[i].name, r->goes[i].stage,
                r->goes[i].variables);
    if (r->n > 20)
        fprintf(stderr, "  and %lld more\n", (long long)(r->n - 20));
    fprintf(stderr, "Remove %s? [y/N] ", r->n == 1 ? "this run" : "these runs");
    return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

static int ask(const struct removal *r, struct err *err)
{
    if (r->args->yes)
        return 0;
    if (!isatty(0))
        return err_set(err, ERR_INPUT,
                       "nobody can be asked here; give --yes to remove %lld run%s",
                       (long long)r->n, r->n == 1 ? "" : "s");
    return confirmed(r) ? 0 : err_set(err, ERR_NEGATIVE, "nothing was removed");
}

static int remove_all(const struct removal *r, struct err *err)
{
    int64_t bytes = 0;
    char size[32];

    for (int64_t i = 0; i < r->n; i++) {
        if (store_remove(r->store, r->goes[i].id, err))
            return err_prefix(err, "%lld of %lld runs were removed", (long long)i,
                              (long long)r->n);
        bytes += r->goes[i].bytes;
    }
    bytes_text(size, bytes);
    if (!r->args->common.quiet)
        fprintf(stderr, "%lld run%s removed, %s\n", (long long)r->n, r->n == 1 ? "" : "s",
                size);
    return 0;
}

static int run(const void *given)
{
    struct removal r = {.args = given};
    struct err err = ERR_INIT;

    if (store_open(&r.store, r.args->common.store, false, &err) || find_all(&r, &err) ||
        store_list(r.store, &r.all, &r.n_all, &err) ||
        (!r.args->force && check_references(&r, &err)) || ask(&r, &err))
        ;
    else
        remove_all(&r, &err);
    free(r.all);
    free(r.goes);
    store_close(r.store);
    return err_is_set(&err) ? tell_error(&err) : 0;
}

#define AT(field) offsetof(struct args, field)
static const struct operand operands[] = {
    {.name = "RUN", .many = true, .help = RUN_HELP, .offset = AT(runs)},
    OPERAND_END,
};
static const struct flag flags[] = {
    {.name = "yes",
     .letter = 'y',
     .type = OPT_BOOL,
     .help = "do not ask",
     .offset = AT(yes)},
    {.name = "force",
     .type = OPT_BOOL,
     .help = "also what other runs refer to; those cannot be read whole then",
     .offset = AT(force)},
    FLAG_END,
};

const struct verb verb_rm = {
    .name = "rm",
    .group = "Runs",
    .summary = "remove runs",
    .operands = operands,
    .flags = flags,
    .common = COMMON_STORE | COMMON_QUIET,
    .about = "A run that is being worked on is never removed, and one that others refer "
             "to only with "
             "--force: what does not change along the way (the tensors under a mask) is "
             "kept once, in the run that made it.",
    .size = sizeof(struct args),
    .run = run,
};
