/* Spec, store and plan of a command. */
#include <stdio.h>
#include <string.h>

#include "retort/file.h"
#include "retort/pins.h"
#include "session.h"

const struct operand plan_operands[] = {
    {.name = "SPEC",
     .help = "the experiment, a JSON file (docs/spec.md)",
     .offset = offsetof(struct plan_args, spec)},
    OPERAND_END,
};

const char *const rerun_choices[] = {"never", "code", NULL};

struct session_options session_options_of(const struct plan_args *a, bool create)
{
    return (struct session_options){.spec = a->spec,
                                    .store = a->common.store,
                                    .set = a->set.v,
                                    .n_set = a->set.n,
                                    .states = true,
                                    .create = create,
                                    .rerun_on_code = a->rerun_on == RERUN_CODE};
}

/* A plan alone makes no store. */
static int open_store(struct session *s, const struct session_options *opt,
                      struct err *err)
{
    if (!opt->create && !file_exists(opt->store))
        return 0;
    return store_open(&s->store, opt->store, opt->create, err);
}

int session_open(struct session *s, const struct session_options *opt, struct err *err)
{
    /* Workers find what the one that sent them has fetched. */
    bool fetch = opt->create && opt->n_files == 0;
    struct plan_options plan = {.env_class = s->env_class,
                                .rerun_on_code = opt->rerun_on_code,
                                .download = fetch,
                                .progress = fetch};

    memset(s, 0, sizeof *s);
    s->diags = diags_new(err);
    if (!s->diags || env_class(s->env_class, err))
        return -1;
    s->spec = spec_load_given(opt->spec, opt->file, opt->n_files, opt->set, opt->n_set,
                              s->diags);
    if (s->spec && open_store(s, opt, err))
        return -1;
    if (s->spec)
        s->plan = plan_new(s->spec, opt->states ? s->store : NULL, &plan, s->diags);
    if (s->plan)
        return 0;
    if (diags_count(s->diags))
        diags_first_to_err(s->diags, err);
    return err_set(err, ERR_INPUT, "%s: no plan can be made", opt->spec);
}

void session_close(struct session *s)
{
    plan_free(s->plan);
    spec_free(s->spec);
    store_close(s->store);
    diags_free(s->diags);
}

int session_tell(const struct session *s, const struct err *err)
{
    struct strbuf sb = STRBUF_INIT;
    int64_t n = s->diags ? diags_count(s->diags) : 0;

    if (!n)
        return tell_error(err);
    diags_print(s->diags, &sb);
    fputs(strbuf_text(&sb), stderr);
    fprintf(stderr, "%lld error%s, nothing was run.\n", (long long)n, n == 1 ? "" : "s");
    strbuf_release(&sb);
    return err_exit_code(&(struct err){.code = diags_code(s->diags)});
}
