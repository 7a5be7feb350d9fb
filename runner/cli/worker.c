/* retort worker: what `retort run` starts to have its jobs done. Not for people. */
#include <string.h>

#include "session.h"

static int serve(struct worker_link *link, const struct worker_order *order,
                 struct session *s, struct err *err)
{
    const struct session_options opt = {.spec = order->spec,
                                        .store = order->store,
                                        .create = true,
                                        .set = order->set,
                                        .n_set = order->n_set,
                                        .file = order->file,
                                        .n_files = order->n_files};
    struct job_run run = {.pins = order->pins,
                          .checkpoint_seconds = order->checkpoint_seconds};
    char digest[65];
    int rc = -1;

    if (session_open(s, &opt, err) || plan_digest(digest, s->plan, err))
        goto done;
    if (strcmp(digest, order->digest)) {
        err_set(err, ERR_INPUT,
                "data that %s names changed after this run began: what had begun was "
                "finished, and nothing more was; run again, for the changed data",
                order->spec);
        goto done;
    }
    run.plan = s->plan;
    run.store = s->store;
    run.env_class = s->env_class;
    run.profile = order->profile;
    run.pool = pool_new(order->threads, err);
    if (run.pool)
        rc = worker_serve(link, &run, err);
    pool_free(run.pool);
done:
    if (rc)
        worker_refuse(link, err);
    return rc;
}

static int run_worker(const void *args)
{
    struct worker_link *link = NULL;
    struct worker_order order;
    struct session s = {.plan = NULL};
    struct err err = ERR_INIT;

    (void)args;
    if (worker_connect(&link, &order, &err))
        return tell_error(&err);
    int rc = serve(link, &order, &s, &err) ? err_exit_code(&err) : 0;
    session_close(&s);
    worker_free(link);
    return rc;
}

struct worker_args {
    struct common common;
};

const struct verb verb_worker = {
    .name = "worker",
    .summary = "do jobs for retort run, which starts it",
    .size = sizeof(struct worker_args),
    .run = run_worker,
};
