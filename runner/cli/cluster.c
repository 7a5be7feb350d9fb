/* retort run --launch slurm: the command of the tasks, and what was submitted. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "session.h"

const char *const launch_choices[] = {"local", "slurm", NULL};

/* Words of a command line, in one arena. */
struct words {
    const char **v;
    int64_t n;
    struct arena *arena;
};

static void put(struct words *w, const char *name, const char *value)
{
    const char *word = value ? arena_printf(w->arena, "%s%s", name, value)
                             : arena_strdup(w->arena, name);

    if (w->v && word)
        w->v[w->n++] = word;
}

/* The whole path of what is there, or would be. */
static void put_path(struct words *w, const char *name, const char *path)
{
    char *whole = realpath(path, NULL);

    put(w, name, whole ? whole : path);
    free(whole);
}

static void put_program(struct words *w)
{
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);

    path[n > 0 ? n : 0] = '\0';
    put(w, n > 0 ? path : "retort", NULL);
}

static void put_number(struct words *w, const char *name, int64_t x)
{
    char text[32];

    snprintf(text, sizeof text, "%lld", (long long)x);
    if (x)
        put(w, name, text);
}

static void command_of(struct words *w, const struct plan_args *a)
{
    w->v = arena_zalloc(w->arena, (a->set.n + 16) * (int64_t)sizeof *w->v);
    put_program(w);
    put(w, "run", NULL);
    put_path(w, "", a->spec);
    for (int64_t i = 0; i < a->set.n; i++)
        put(w, "--set=", a->set.v[i]);
    put_path(w, "--store=", a->common.store);
    put_number(w, "--jobs=", a->common.jobs);
    put_number(w, "--threads=", a->common.threads);
    if (a->rerun_on)
        put(w, "--rerun-on=", rerun_choices[a->rerun_on]);
    if (a->require_clean)
        put(w, "--require-clean", NULL);
    if (a->profile)
        put_path(w, "--profile=", a->profile);
    if (a->checkpoint_seconds < 60 || a->checkpoint_seconds > 60)
        put(w,
            "--checkpoint-seconds=", arena_printf(w->arena, "%g", a->checkpoint_seconds));
}

static void tell(const struct plan_args *a, const struct slurm_result *r)
{
    if (r->on_their_way && (r->jobs || !a->common.quiet))
        fprintf(stderr, "%lld job%s of an earlier submission %s still on the way.\n",
                (long long)r->on_their_way, r->on_their_way == 1 ? "" : "s",
                r->on_their_way == 1 ? "is" : "are");
    if (!r->jobs) {
        if (!r->on_their_way)
            fprintf(stderr, "All is there: nothing was submitted.\n");
        return;
    }
    fprintf(stderr, "Submitted %lld job%s as %lld task%s of %lld array%s: %s\n",
            (long long)r->jobs, r->jobs == 1 ? "" : "s", (long long)r->tasks,
            r->tasks == 1 ? "" : "s", (long long)r->arrays, r->arrays == 1 ? "" : "s",
            strbuf_text(&r->ids));
    if (a->common.quiet)
        return;
    fprintf(stderr,
            "Logs:    %s\n"
            "Watch:   retort watch %s --store %s\n"
            "Stop:    scancel %s (the same command again goes on)\n",
            strbuf_text(&r->dir), a->spec, a->common.store, strbuf_text(&r->ids));
}

int cluster_submit(const struct plan_args *a, const struct launch *l, struct err *err)
{
    struct words w = {.arena = arena_new(err)};
    struct slurm_result r = {.ids = STRBUF_INIT, .dir = STRBUF_INIT};
    int rc = -1;

    if (w.arena) {
        command_of(&w, a);
        if (!arena_failed(w.arena, err))
            rc = slurm_submit(&r, l, w.v, w.n, err);
    }
    if (!rc)
        tell(a, &r);
    slurm_result_release(&r);
    arena_free(w.arena);
    return rc;
}
