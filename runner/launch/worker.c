/*
 * A worker: runs the jobs that its launcher names.
 *
 * The main thread works; a reader thread listens, so that a request to stop or to save is
 * seen between two steps. The end of the stream means that the launcher is gone: the job
 * saves its state and stops. Ctrl-C in a terminal reaches the whole process group; the
 * launcher alone decides what it means, so workers ignore it.
 */
#include "retort/launch.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "retort/clock.h"
#include "retort/hash.h"
#include "workers.h"

#define PROGRESS_SECONDS 0.05

static atomic_int stop_asked, save_asked; /* set by the reader and by TERM */

struct worker_link {
    struct wire_in in;
    pthread_t reader;
    bool reading;
    pthread_mutex_t lock;
    pthread_cond_t news;
    bool gone, has_job;
    struct wire job;
    char *text; /* of the order, and what points into it */
    const char **field;
    struct spec_file *file;
    double told; /* time of the last progress */
};

/* ---- listening ---- */

static void on_term(int sig)
{
    (void)sig;
    stop_asked = 1;
}

/* TERM means the same from a person, from the kernel at the launcher's death, and as a
 * message. */
static void set_signals(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN}, term = {.sa_handler = on_term};
    sigset_t none;

    sigaction(SIGINT, &ignore, NULL);
    sigaction(SIGHUP, &ignore, NULL);
    sigaction(SIGUSR1, &ignore, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
    sigaction(SIGTERM, &term, NULL);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    /* They were blocked when the launcher started us, so that none came before this. */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void take_message(struct worker_link *k, const struct wire *m)
{
    switch (m->type) {
    case WIRE_JOB:
        pthread_mutex_lock(&k->lock);
        k->job = *m;
        k->has_job = true;
        pthread_cond_signal(&k->news);
        pthread_mutex_unlock(&k->lock);
        break;
    case WIRE_SAVE:
        save_asked++;
        break;
    case WIRE_STOP:
        stop_asked = 1;
        break;
    default:
        break;
    }
}

static void *listen_on(void *arg)
{
    struct worker_link *k = arg;
    struct err err = ERR_INIT;
    struct wire m;
    bool found = true;

    do /* something may have come together with the order */
        while (!wire_next(&k->in, &m, &found, &err) && found)
            take_message(k, &m);
    while (!err_is_set(&err) && wire_read(&k->in, WORKER_FD) == 1);
    stop_asked = 1;
    pthread_mutex_lock(&k->lock);
    k->gone = true;
    pthread_cond_signal(&k->news);
    pthread_mutex_unlock(&k->lock);
    return NULL;
}

/* ---- the order: fields, each ended by a NUL ---- */

enum {
    FIXED = 6
}; /* spec, store, digest, pins, profile, number of files; then files, then sets */

static void put_field(struct strbuf *sb, const char *text)
{
    strbuf_add(sb, text, strlen(text) + 1);
}

int order_pack(struct strbuf *sb, const struct worker_order *o, const struct spec *spec,
               struct err *err)
{
    struct spec_file file;
    char number[24];
    int64_t n = 0;

    while (spec_file(spec, n, &file))
        n++;
    snprintf(number, sizeof number, "%lld", (long long)n);
    put_field(sb, o->spec);
    put_field(sb, o->store);
    put_field(sb, o->digest);
    put_field(sb, o->pins);
    put_field(sb, o->profile ? o->profile : "");
    put_field(sb, number);
    for (int64_t i = 0; spec_file(spec, i, &file); i++) {
        put_field(sb, file.path);
        put_field(sb, file.text);
    }
    for (int64_t i = 0; i < o->n_set; i++)
        put_field(sb, o->set[i]);
    return strbuf_failed(sb, err);
}

/* The fields of a text as pointers into it; NULL without memory. */
static const char **split(const char *text, int64_t len, int64_t *n, struct err *err)
{
    const char **field;

    *n = 0;
    for (int64_t i = 0; i < len; i++)
        *n += text[i] == '\0';
    field = mem_new(*n + 1, sizeof *field, err);
    for (int64_t i = 0; field && i < *n; i++, text += strlen(text) + 1)
        field[i] = text;
    return field;
}

static int unpack(struct worker_link *k, struct worker_order *o, const struct wire *m,
                  struct err *err)
{
    int64_t n;

    k->text = mem_new(m->len + 1, 1, err);
    if (!k->text)
        return -1;
    memcpy(k->text, m->text, (size_t)m->len);
    k->field = split(k->text, m->len, &n, err);
    if (!k->field)
        return -1;
    o->n_files = n >= FIXED ? strtoll(k->field[FIXED - 1], NULL, 10) : -1;
    if (o->n_files < 0 || o->n_files > (n - FIXED) / 2)
        return err_set(err, ERR_INPUT, "the launcher's order is not whole");
    k->file = mem_new(o->n_files, sizeof *k->file, err);
    if (!k->file)
        return -1;
    for (int64_t i = 0; i < o->n_files; i++)
        k->file[i] =
            (struct spec_file){k->field[FIXED + 2 * i], k->field[FIXED + 2 * i + 1]};
    o->spec = k->field[0];
    o->store = k->field[1];
    o->digest = k->field[2];
    o->pins = k->field[3];
    o->profile = k->field[4];
    o->file = k->file;
    o->set = k->field + FIXED + 2 * o->n_files;
    o->n_set = n - FIXED - 2 * o->n_files;
    o->threads = (int)m->a;
    o->checkpoint_seconds = 1e-3 * (double)m->b;
    return 0;
}

int worker_connect(struct worker_link **out, struct worker_order *order, struct err *err)
{
    struct worker_link *k = mem_new(1, sizeof *k, err);
    struct wire m = {.type = WIRE_READY};
    int type = 0;
    socklen_t size = sizeof type;
    bool found = false;

    memset(order, 0, sizeof *order);
    if (!k)
        return -1;
    if (getsockopt(WORKER_FD, SOL_SOCKET, SO_TYPE, &type, &size)) {
        err_set(err, ERR_INPUT, "`retort worker` is started by `retort run` alone");
        goto fail;
    }
    set_signals();
    pthread_mutex_init(&k->lock, NULL);
    pthread_cond_init(&k->news, NULL);
    while (!found)
        if (wire_next(&k->in, &m, &found, err) ||
            (!found && wire_read(&k->in, WORKER_FD) != 1))
            goto fail;
    if (m.type != WIRE_HELLO || unpack(k, order, &m, err))
        goto fail;
    *out = k;
    return 0;
fail:
    err_set(err, ERR_IO, "the launcher is gone");
    worker_free(k);
    return -1;
}

void worker_refuse(struct worker_link *k, const struct err *err)
{
    (void)k;
    wire_send(WORKER_FD, &(struct wire){.type = WIRE_REFUSED,
                                        .a = err->code,
                                        .text = err->text,
                                        .len = (int64_t)strlen(err->text) + 1});
}

void worker_free(struct worker_link *k)
{
    if (!k)
        return;
    if (k->reading) {
        shutdown(WORKER_FD, SHUT_RD);
        pthread_join(k->reader, NULL);
    }
    wire_release(&k->in);
    free(k->file);
    free(k->field);
    free(k->text);
    free(k);
}

/* ---- telling ---- */

static void tell(const struct job_run *r, const struct job *job, struct wire m,
                 const char *text)
{
    m.job = job - r->plan->job;
    m.text = text;
    m.len = text ? (int64_t)strlen(text) + 1 : 0;
    wire_send(WORKER_FD, &m); /* if nobody listens, the reader will see it */
}

struct teller {
    struct worker_link *link;
    const struct job_run *r;
};

static void tell_progress(void *ctx, const struct job *job, int64_t done, int64_t total,
                          const char *text)
{
    struct teller *t = ctx;
    double now = clock_seconds();

    if (done < total && now - t->link->told < PROGRESS_SECONDS)
        return;
    t->link->told = now;
    tell(t->r, job, (struct wire){.type = WIRE_PROGRESS, .a = done, .b = total}, text);
}

static void tell_note(void *ctx, const struct job *job, const char *text)
{
    tell(((struct teller *)ctx)->r, job, (struct wire){.type = WIRE_NOTE}, text);
}

static void tell_saved(void *ctx, const struct job *job, int64_t step)
{
    tell(((struct teller *)ctx)->r, job, (struct wire){.type = WIRE_SAVED, .a = step},
         NULL);
}

/* Only the process's end ends a stage that never asks; there is nothing to save. */
static void tell_stopped(void *ctx, const struct job *job)
{
    tell(((struct teller *)ctx)->r, job,
         (struct wire){.type = WIRE_FAILED, .a = ERR_STOPPED}, "stopped");
    _exit(0);
}

/* ---- working ---- */

int plan_digest(char out[65], const struct plan *plan, struct err *err)
{
    struct strbuf sb = STRBUF_INIT;
    int rc;

    strbuf_printf(&sb, "%s\n", spec_name(plan->spec));
    for (int64_t i = 0; i < plan->n; i++) {
        const struct job *j = &plan->job[i];
        strbuf_printf(&sb, "%s %s %s\n%s\n", j->id, j->stage, j->variables, j->record);
    }
    rc = strbuf_failed(&sb, err);
    if (!rc)
        sha256_text(out, strbuf_text(&sb), sb.len);
    strbuf_release(&sb);
    return rc;
}

/* False when there will be no more. */
static bool next_job(struct worker_link *k, struct wire *m)
{
    pthread_mutex_lock(&k->lock);
    while (!k->has_job && !k->gone)
        pthread_cond_wait(&k->news, &k->lock);
    bool have = k->has_job && !k->gone;
    k->has_job = false;
    *m = k->job;
    pthread_mutex_unlock(&k->lock);
    return have;
}

static void run_job(struct job_run *r, const struct wire *m)
{
    const struct job *job = &r->plan->job[m->job];
    struct err err = ERR_INIT;
    int rc;

    r->again = m->a != 0;
    rc = job_execute(r, job, &err);
    if (rc < 0)
        tell(r, job, (struct wire){.type = WIRE_FAILED, .a = err.code}, err.text);
    else
        tell(r, job, (struct wire){.type = WIRE_DONE, .a = rc}, NULL);
}

int worker_serve(struct worker_link *k, struct job_run *r, struct err *err)
{
    struct teller t = {k, r};
    const struct watch watch = {&t, tell_progress, tell_note, tell_saved, tell_stopped};
    struct wire m = {.type = WIRE_READY};

    r->watch = &watch;
    r->stop = &stop_asked;
    r->save = &save_asked;
    if (pthread_create(&k->reader, NULL, listen_on, k))
        return err_set(err, ERR_IO, "no thread can be made");
    k->reading = true;
    wire_send(WORKER_FD, &m);
    while (next_job(k, &m) && !stop_asked) {
        if (m.job < 0 || m.job >= r->plan->n)
            BUG("job %lld of %lld", (long long)m.job, (long long)r->plan->n);
        run_job(r, &m);
    }
    return 0;
}
