/*
 * retort verify [RUN...] and retort fsck: what is in the store, against what was written.
 * Both look at the same things; fsck mends.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "query.h"
#include "resume.h"
#include "verbs.h"

struct args {
    struct common common;
    struct string_list runs; /* verify's */
    const char *resume;      /* and this */
    int64_t times;
    bool check; /* fsck's */
};

struct telling {
    const struct args *args;
    bool mend;
    struct json_writer json;
    struct strbuf out;
    struct check_counts sum;
};

static const char *const kinds[] = {
    [FOUND_NOTE] = "note", [FOUND_LEFTOVER] = "leftover", [FOUND_DAMAGE] = "damage"};

static void tell_json(struct telling *t, const struct check_finding *f)
{
    json_object(&t->json);
    json_member(&t->json, "kind");
    json_str(&t->json, kinds[f->kind]);
    json_member(&t->json, "run");
    json_str(&t->json, f->id[0] ? f->id : NULL);
    json_member(&t->json, "path");
    json_str(&t->json, f->path);
    json_member(&t->json, "text");
    json_str(&t->json, f->text);
    json_member(&t->json, "mended");
    json_flag(&t->json, f->mended);
    json_member(&t->json, "deed");
    json_str(&t->json, f->deed);
    json_object_end(&t->json);
}

/* "damage: runs/ab/...: is damaged: ...: mended: byte 17 ..." */
static void tell(void *ctx, const struct check_finding *f)
{
    struct telling *t = ctx;
    bool named = !strncmp(f->text, f->path, strlen(f->path));

    if (t->args->common.json) {
        tell_json(t, f);
        return;
    }
    if (f->kind == FOUND_NOTE && t->args->common.quiet)
        return;
    strbuf_printf(&t->out, "%-8s  %s%s%s", kinds[f->kind], named ? "" : f->path,
                  named ? "" : ": ", f->text);
    if (f->deed[0])
        strbuf_printf(&t->out, "\n          %s%s", f->mended ? "mended: " : "", f->deed);
    strbuf_putc(&t->out, '\n');
}

static void add_counts(struct check_counts *to, const struct check_counts *c)
{
    to->sealed += c->sealed;
    to->partial += c->partial;
    to->skipped += c->skipped;
    to->bytes += c->bytes;
    to->leftovers += c->leftovers;
    to->damages += c->damages;
    to->mended += c->mended;
}

static int check_all(struct telling *t, struct store *store, struct err *err)
{
    const struct check_options opt = {t->mend, tell, t};
    const struct string_list *runs = &t->args->runs;
    struct check_counts one;
    char id[65];

    for (int64_t i = 0; i < runs->n; i++) {
        if (find_run(store, runs->v[i], id, err) ||
            store_check(&one, store, id, &opt, err))
            return -1;
        add_counts(&t->sum, &one);
    }
    if (runs->n)
        return 0;
    if (store_check(&one, store, NULL, &opt, err))
        return -1;
    add_counts(&t->sum, &one);
    return 0;
}

static void count(struct strbuf *out, int64_t n, const char *one, const char *many)
{
    strbuf_printf(out, "%lld %s", (long long)n, n == 1 ? one : many);
}

static void tell_sum(struct telling *t)
{
    const struct check_counts *s = &t->sum;
    char bytes[32];

    bytes_text(bytes, s->bytes);
    count(&t->out, s->sealed, "sealed run", "sealed runs");
    strbuf_puts(&t->out, ", ");
    count(&t->out, s->partial, "unfinished", "unfinished");
    if (s->skipped)
        strbuf_printf(&t->out, ", %lld worked on and not looked at",
                      (long long)s->skipped);
    strbuf_printf(&t->out, ", %s read: ", bytes);
    if (!s->damages && !s->leftovers)
        strbuf_puts(&t->out, "all is as it was written\n");
    else
        strbuf_printf(&t->out,
                      "%lld damaged, %lld left by processes that died, %lld %s\n",
                      (long long)s->damages, (long long)s->leftovers,
                      (long long)s->mended, "mended");
    if (!t->mend && (s->damages || s->leftovers))
        strbuf_puts(&t->out, "retort fsck mends what can be mended.\n");
}

static void sum_json(struct telling *t)
{
    const struct {
        const char *name;
        int64_t n;
    } members[] = {
        {"sealed", t->sum.sealed},   {"partial", t->sum.partial},
        {"skipped", t->sum.skipped}, {"bytes", t->sum.bytes},
        {"damages", t->sum.damages}, {"leftovers", t->sum.leftovers},
        {"mended", t->sum.mended},
    };

    json_array_end(&t->json);
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        json_member(&t->json, members[i].name);
        json_i64(&t->json, members[i].n);
    }
    json_object_end(&t->json);
    strbuf_putc(&t->out, '\n');
}

/* What is left over harms nothing; damage that stays is exit code 1. */
static int look(const struct args *args, bool mend)
{
    struct telling t = {.args = args, .mend = mend, .out = STRBUF_INIT};
    struct store *store = NULL;
    struct err err = ERR_INIT;
    int rc;

    if (args->common.json) {
        json_begin(&t.json, &t.out, true);
        json_object(&t.json);
        json_member(&t.json, "findings");
        json_array(&t.json);
    }
    rc =
        store_open(&store, args->common.store, false, &err) || check_all(&t, store, &err);
    store_close(store);
    if (rc) {
        strbuf_release(&t.out);
        return tell_error(&err);
    }
    if (args->common.json)
        sum_json(&t);
    else
        tell_sum(&t);
    clean_text(&t.out);
    rc = print_text(&t.out);
    if (rc)
        return rc;
    return t.sum.damages > (mend ? t.sum.mended : 0) ? 1 : 0;
}

static int run_verify(const void *given)
{
    const struct args *args = given;
    struct err err = ERR_INIT;

    if (!args->resume)
        return look(args, false);
    const struct resume_options opt = {args->resume, args->times, args->common.threads,
                                       args->common.jobs};
    if (args->runs.n)
        err_set(&err, ERR_INPUT, "with --resume no RUN is given: a sweep is made anew");
    return args->runs.n || verify_resume(&opt, &err) ? tell_error(&err) : 0;
}

static int run_fsck(const void *given)
{
    const struct args *args = given;

    return look(args, !args->check);
}

static const struct operand operands[] = {
    {.name = "RUN",
     .many = true,
     .optional = true,
     .help = RUN_HELP "; none: the whole store",
     .offset = offsetof(struct args, runs)},
    OPERAND_END,
};

static const struct flag verify_flags[] = {
    {.name = "resume",
     .type = OPT_STRING,
     .value = "SPEC",
     .help = "run a spec in a folder of its own, whole and then with kills at random "
             "moments, and compare: nothing of the store is looked at",
     .offset = offsetof(struct args, resume)},
    {.name = "times",
     .type = OPT_INT,
     .value = "N",
     .def = "5",
     .min = 1,
     .max = 1e6,
     .help = "how often --resume does that",
     .offset = offsetof(struct args, times)},
    FLAG_END,
};

const struct verb verb_verify = {
    .name = "verify",
    .group = "The store",
    .summary = "check that runs are as they were written",
    .operands = operands,
    .flags = verify_flags,
    .common = COMMON_STORE | COMMON_QUIET | COMMON_JSON | COMMON_JOBS | COMMON_THREADS,
    .about =
        "Reads every byte of the runs: seals, digests of results, snapshots, references "
        "to "
        "other runs, and that the id is the hash of what was asked for; journals and "
        "checkpoints of unfinished runs; the catalog against the runs. Nothing is "
        "changed.\n\nThe exit code is 1 if something is damaged. What a process that was "
        "killed left behind is told and is no damage.",
    .size = sizeof(struct args),
    .run = run_verify,
};

static const struct flag fsck_flags[] = {
    {.name = "check",
     .letter = 'n',
     .type = OPT_BOOL,
     .help = "change nothing: the same as retort verify",
     .offset = offsetof(struct args, check)},
    FLAG_END,
};

const struct verb verb_fsck = {
    .name = "fsck",
    .group = "The store",
    .summary = "find what is damaged in the store, and mend it",
    .flags = fsck_flags,
    .common = COMMON_STORE | COMMON_QUIET | COMMON_JSON,
    .about = "Looks at what retort verify looks at, and mends: by copies that are "
             "checked before "
             "they take the place of what was damaged, never in place. Where one byte of "
             "a file "
             "is wrong, its checksum tells which, and the file is made whole. Of "
             "checkpoints that "
             "are worse the one before serves; a run that is worse is left as it is, and "
             "`retort "
             "run` makes it again. What processes that died left behind is removed. Runs "
             "that are "
             "worked on are left alone, so this may run beside a sweep.\n\nThe exit code "
             "is 1 if "
             "damage is left.",
    .size = sizeof(struct args),
    .run = run_fsck,
};
