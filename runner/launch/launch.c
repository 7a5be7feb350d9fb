/*
 * All jobs of a plan, by workers: the loop of the process that a person started.
 *
 * It computes nothing itself, so it always answers: to workers, to signals, to a death.
 * Signals are let in at one place of the loop and while it waits (ppoll), so nothing is
 * ever half done when one comes.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launcher.h"
#include "retort/clock.h"

#define DRAW_SECONDS 0.1
#define TELL_SECONDS 30.0       /* where nothing is drawn: a line about a long job */
#define BEAT_SECONDS 15.0       /* between signs that the sweep is there */
#define HELD_SECONDS 0.5        /* between looks at what another process works on */
#define SAME_SIGNAL_SECONDS 0.3 /* `timeout` and others send a signal twice */

/* ---- signals ---- */

static volatile sig_atomic_t ended_by, end_count, save_count, continue_count;

static void on_end(int sig)
{
    ended_by = sig;
    end_count++;
}

static void on_save(int sig)
{
    (void)sig;
    save_count++;
}

static void on_continue(int sig)
{
    (void)sig;
    continue_count++;
}

static const struct {
    int signal;
    void (*handler)(int sig);
} handled[] = {
    {SIGINT, on_end},   {SIGTERM, on_end},      {SIGHUP, on_end},
    {SIGUSR1, on_save}, {SIGCONT, on_continue},
};
enum { HANDLED = sizeof handled / sizeof *handled };

struct signals {
    sigset_t mask; /* as it was */
    struct sigaction old[HANDLED];
};

/* A program started by nohup goes on without a terminal. */
static void signals_take(struct signals *s)
{
    sigset_t set;

    ended_by = end_count = save_count = continue_count = 0;
    sigemptyset(&set);
    for (int i = 0; i < HANDLED; i++)
        sigaddset(&set, handled[i].signal);
    sigprocmask(SIG_BLOCK, &set, &s->mask);
    for (int i = 0; i < HANDLED; i++) {
        struct sigaction act = {.sa_handler = handled[i].handler};
        int signal = handled[i].signal;
        sigaction(signal, NULL, &s->old[i]);
        if (signal != SIGHUP || s->old[i].sa_handler != SIG_IGN)
            sigaction(signal, &act, NULL);
        sigdelset(&s->mask, signal);
    }
}

static void signals_give(const struct signals *s)
{
    for (int i = 0; i < HANDLED; i++)
        sigaction(handled[i].signal, &s->old[i], NULL);
    sigprocmask(SIG_SETMASK, &s->mask, NULL);
}

/* Those that came while we did other things are dealt with now. */
static void signals_let_in(const struct signals *s)
{
    sigset_t blocked;

    sigprocmask(SIG_SETMASK, &s->mask, &blocked);
    sigprocmask(SIG_SETMASK, &blocked, NULL);
}

static void tell_all(struct launcher *la, enum wire_type what)
{
    for (int i = 0; i < la->workers; i++)
        if (la->w[i].state != WORKER_NONE)
            wire_send(la->w[i].fd, &(struct wire){.type = what});
}

static void stop_all(struct launcher *la)
{
    if (la->stopping)
        return;
    la->stopping = true;
    la->stop_at = clock_seconds();
    tell_all(la, WIRE_STOP);
}

static void kill_all(struct launcher *la)
{
    for (int i = 0; i < la->workers; i++)
        if (la->w[i].state != WORKER_NONE)
            kill(la->w[i].pid, SIGKILL);
    la->at_once = true;
}

static void take_signals(struct launcher *la)
{
    if (continue_count > la->continues_seen) {
        la->continues_seen = continue_count;
        display_forget(la->display);
    }
    if (end_count > la->ends_seen) {
        bool first = !la->out->signal;
        if (!first && clock_seconds() - la->stop_at > SAME_SIGNAL_SECONDS) {
            kill_all(la);
        } else if (first) {
            la->out->signal = ended_by;
            stop_all(la);
            display_line(la->display, TONE_PLAIN,
                         "stopping after a checkpoint; once more to stop at once");
        }
        la->ends_seen = end_count;
    }
    if (save_count > la->saves_seen) {
        la->saves_seen = save_count;
        if (getenv("SLURM_JOB_ID")) {
            la->out->preempted = true;
            stop_all(la);
        } else {
            tell_all(la, WIRE_SAVE);
        }
    }
}

/* ---- handing out ---- */

static void tell_start(struct launcher *la, int64_t job)
{
    const struct job *j = &la->l->plan->job[job];

    if (display_live(la->display))
        return;
    if (j->state == JOB_RESUME)
        tell_job(la, TONE_PLAIN, job, "goes on at step %lld", (long long)j->step);
    else
        tell_job(la, TONE_PLAIN, job, "starts");
}

static void hand_out(struct launcher *la, struct worker *w)
{
    int64_t job = schedule_take(&la->s);
    const struct job *j = &la->l->plan->job[job];

    w->state = WORKER_BUSY;
    w->job = job;
    w->done = w->total = 0;
    w->first_at = 0;
    w->text[0] = '\0';
    w->began = w->told = clock_seconds();
    wire_send(w->fd,
              &(struct wire){.type = WIRE_JOB, .job = job, .a = j->state == JOB_RERUN});
    tell_start(la, job);
}

static bool has_workers(const struct launcher *la)
{
    for (int i = 0; i < la->workers; i++)
        if (la->w[i].state != WORKER_NONE)
            return true;
    return false;
}

/* No more workers can be started: those that there are go on alone. */
static void do_without(struct launcher *la)
{
    if (!has_workers(la)) {
        err_set(&la->fatal, la->no_start.code, "%s", la->no_start.text);
    } else if (!la->told_no_start) {
        la->told_no_start = true;
        display_line(la->display, TONE_BAD, "%s; going on with fewer workers",
                     la->no_start.text);
    }
}

/* As many workers as there are ready jobs, up to the number asked for. */
static void staff(struct launcher *la)
{
    int64_t wanted = la->s.ready;

    for (int i = 0; i < la->workers && la->s.ready; i++)
        if (la->w[i].state == WORKER_IDLE) {
            hand_out(la, &la->w[i]);
            wanted--;
        } else if (la->w[i].state == WORKER_STARTING) {
            wanted--;
        }
    for (int i = 0; i < la->workers && wanted > 0 && !err_is_set(&la->no_start); i++)
        if (la->w[i].state == WORKER_NONE &&
            !worker_start(&la->w[i], &la->order, la->threads, la->l->checkpoint_seconds,
                          &la->no_start))
            wanted--;
    if (err_is_set(&la->no_start))
        do_without(la);
}

/* ---- what another process works on ---- */

static void look_at_held(struct launcher *la)
{
    struct err err = ERR_INIT;
    double now = clock_seconds();

    if (now < la->look_at || !la->s.held)
        return;
    for (int64_t i = 0; i < la->n_held; i++) {
        int64_t job = la->held[i].job;
        const struct job *j = &la->l->plan->job[job];
        struct run_info info;
        err_clear(&err);
        if (!store_stat(la->l->store, j->id, &info, &err) && info.state == RUN_ACTIVE)
            continue;
        if (info.state == RUN_SEALED && j->state != JOB_RERUN) {
            la->out->cached++;
            schedule_done(&la->s, job);
            tell_job(la, TONE_PLAIN, job, "done by the other process");
        } else {
            schedule_back(&la->s, job);
        }
        la->held[i--] = la->held[--la->n_held];
    }
    /* A large journal takes its time to be looked at. */
    la->look_at = clock_seconds() + HELD_SECONDS + 10 * (clock_seconds() - now);
}

static void hold(struct launcher *la, int64_t job, const char *text)
{
    const char *who = strstr(text, "process ");
    struct held *h = &la->held[la->n_held++]; /* there is room for all jobs */

    *h = (struct held){.job = job, .since = clock_seconds()};
    snprintf(h->text, sizeof h->text, "waits for %.*s",
             who ? (int)strcspn(who, ",") : (int)sizeof h->text, who ? who : text);
    schedule_hold(&la->s, job);
    tell_job(la, TONE_PLAIN, job, "%s", h->text);
}

/* ---- what workers say ---- */

static void job_done(struct launcher *la, struct worker *w, bool by_another)
{
    double seconds = clock_seconds() - w->began;

    w->state = WORKER_IDLE;
    schedule_done(&la->s, w->job);
    if (by_another) {
        la->out->cached++;
        tell_job(la, TONE_PLAIN, w->job, "done by another process");
        return;
    }
    la->out->done++;
    times_add(la, w->job, seconds);
    tell_job(la, TONE_PLAIN, w->job, "done in %.1f s", seconds);
}

static void job_failed(struct launcher *la, int64_t job, enum err_code code,
                       const char *why)
{
    int64_t before = la->s.left_out;

    la->out->failed++;
    la->out->refused += code == ERR_IO || code == ERR_MEMORY;
    schedule_failed(&la->s, job);
    tell_job(la, TONE_BAD, job, "failed: %s", why);
    if (la->s.left_out > before)
        tell_job(la, TONE_BAD, job, "%lld job%s that need%s it left out",
                 (long long)(la->s.left_out - before),
                 la->s.left_out - before == 1 ? "" : "s",
                 la->s.left_out - before == 1 ? "s" : "");
}

static void job_not_done(struct launcher *la, struct worker *w, const struct wire *m)
{
    w->state = WORKER_IDLE;
    if (m->a == ERR_LOCKED)
        hold(la, w->job, m->text);
    else if (m->a == ERR_STOPPED && la->stopping)
        schedule_back(&la->s, w->job);
    else if (m->a == ERR_STOPPED)
        job_failed(la, w->job, ERR_STOPPED, "its worker was told to stop by a signal");
    else
        job_failed(la, w->job, (enum err_code)m->a, m->text);
}

static void take_progress(struct launcher *la, struct worker *w, const struct wire *m)
{
    double now = clock_seconds();

    if (w->first_at <= 0) {
        w->first_at = now;
        w->first_done = m->a;
    }
    w->done = m->a;
    w->total = m->b;
    snprintf(w->text, sizeof w->text, "%s", m->text);
    if (!display_live(la->display) && now - w->told >= TELL_SECONDS) {
        char time[32];
        w->told = now;
        tell_job(la, TONE_PLAIN, w->job, "%s  %s left", w->text,
                 display_time(time, time_left(w)));
    }
}

static void take_message(struct launcher *la, struct worker *w, const struct wire *m)
{
    bool busy = w->state == WORKER_BUSY && m->job == w->job;

    if (m->type == WIRE_READY)
        w->state = WORKER_IDLE;
    else if (m->type == WIRE_REFUSED)
        err_set(&la->fatal, (enum err_code)m->a, "%s", m->text);
    else if (busy && m->type == WIRE_PROGRESS)
        take_progress(la, w, m);
    else if (busy && m->type == WIRE_NOTE)
        tell_job(la, TONE_PLAIN, m->job, "%s", m->text);
    else if (busy && m->type == WIRE_SAVED)
        tell_job(la, TONE_PLAIN, m->job, "saved at step %lld", (long long)m->a);
    else if (busy && m->type == WIRE_DONE)
        job_done(la, w, m->a != 0);
    else if (busy && m->type == WIRE_FAILED)
        job_not_done(la, w, m);
}

static void take_said(struct launcher *la, struct worker *w)
{
    char buf[4096];
    ssize_t n;

    while ((n = read(w->err_fd, buf, sizeof buf)) > 0)
        for (ssize_t i = 0; i < n; i++) {
            if (buf[i] != '\n')
                strbuf_putc(&w->said, buf[i]);
            if (w->said.len && (buf[i] == '\n' || w->said.len == sizeof w->last - 1)) {
                snprintf(w->last, sizeof w->last, "%s", strbuf_text(&w->said));
                display_line(la->display, TONE_PLAIN, "%s", w->last);
                strbuf_clear(&w->said);
            }
        }
}

/* To the end of it, which comes with the end of the process. */
static void take_last_words(struct launcher *la, struct worker *w)
{
    fcntl(w->err_fd, F_SETFL, 0);
    take_said(la, w);
}

/* What the dead could not write, for `show` and `log`. */
static void job_died(struct launcher *la, int64_t job, const char *how)
{
    struct err err = ERR_INIT; /* it is told here, too */

    run_died(la->l->store, la->l->plan->job[job].id, how, &err);
    job_failed(la, job, ERR_NEGATIVE, how);
}

static void worker_gone(struct launcher *la, struct worker *w)
{
    char how[768];
    bool starting = w->state == WORKER_STARTING, busy = w->state == WORKER_BUSY;

    take_last_words(la, w);
    /* One that ends in order has not begun a job that it says nothing of: TERM came to it
     * before our message did. */
    bool in_order = worker_reap(w, how, sizeof how);
    if (busy && (la->at_once || in_order))
        schedule_back(&la->s, w->job);
    else if (busy)
        job_died(la, w->job, how);
    else if (starting && !la->stopping)
        err_set(&la->no_start, ERR_IO, "%s before it could work", how);
}

static void take_worker(struct launcher *la, struct worker *w)
{
    struct err err = ERR_INIT;
    struct wire m;
    bool found = true;
    int there = wire_read(&w->in, w->fd);

    while (there > 0 && !wire_next(&w->in, &m, &found, &err) && found)
        take_message(la, w, &m);
    if (err_is_set(&err))
        kill(w->pid, SIGKILL);
    if (there == 0 || err_is_set(&err))
        worker_gone(la, w);
}

/* ---- the loop ---- */

static void wait_for_news(struct launcher *la, const struct signals *sig)
{
    struct pollfd *p = la->poll;
    struct timespec t = {0, (long)(1e9 * DRAW_SECONDS)};
    int n = 0;

    for (int i = 0; i < la->workers; i++) {
        bool there = la->w[i].state != WORKER_NONE;
        p[n++] = (struct pollfd){.fd = there ? la->w[i].fd : -1, .events = POLLIN};
        p[n++] = (struct pollfd){.fd = there ? la->w[i].err_fd : -1, .events = POLLIN};
    }
    if (ppoll(p, (nfds_t)n, &t, &sig->mask) <= 0)
        return;
    for (int i = 0; i < la->workers; i++) {
        if (p[2 * i + 1].revents & POLLIN)
            take_said(la, &la->w[i]);
        if (p[2 * i].revents)
            take_worker(la, &la->w[i]);
    }
}

static bool is_over(const struct launcher *la)
{
    bool idle = !la->s.running;

    if (la->stopping || err_is_set(&la->fatal))
        return idle;
    return idle && !la->s.ready && !la->s.held;
}

static void loop(struct launcher *la, const struct signals *sig)
{
    for (;;) {
        signals_let_in(sig);
        take_signals(la);
        if (!la->stopping && !la->at_once && !err_is_set(&la->fatal)) {
            look_at_held(la);
            staff(la);
        }
        if (is_over(la))
            return;
        if (clock_seconds() >= la->beat_at) {
            store_use_beat(la->l->use);
            la->beat_at = clock_seconds() + BEAT_SECONDS;
        }
        if (clock_seconds() >= la->draw_at) {
            draw(la);
            la->draw_at = clock_seconds() + DRAW_SECONDS;
        }
        wait_for_news(la, sig);
    }
}

/* Their streams end, so they do; all at the same time. */
static void dismiss(struct launcher *la)
{
    char how[768];

    for (int i = 0; i < la->workers; i++)
        if (la->w[i].state != WORKER_NONE)
            worker_dismiss(&la->w[i]);
    for (int i = 0; i < la->workers; i++)
        if (la->w[i].state != WORKER_NONE) {
            take_last_words(la, &la->w[i]);
            worker_reap(&la->w[i], how, sizeof how);
        }
}

/* ---- the whole ---- */

static int prepare(struct launcher *la, struct err *err)
{
    const struct launch *l = la->l;
    char digest[65];
    struct worker_order order = {.spec = l->spec,
                                 .store = store_dir(l->store),
                                 .pins = l->pins,
                                 .digest = digest,
                                 .profile = l->profile,
                                 .set = l->set,
                                 .n_set = l->n_set};

    launch_share(l, &la->workers, &la->threads);
    la->w = mem_new(la->workers, sizeof *la->w, err);
    la->poll = mem_new(2 * la->workers, sizeof *la->poll, err);
    la->row = mem_new(la->workers + l->plan->n, sizeof *la->row, err);
    la->held = mem_new(l->plan->n, sizeof *la->held, err);
    la->display = display_new(l->quiet, err);
    if (!la->w || !la->poll || !la->row || !la->held || !la->display ||
        times_init(la, err))
        return -1;
    for (int64_t i = 0; i < l->plan->n; i++)
        la->out->cached += l->plan->job[i].state == JOB_CACHED;
    return plan_digest(digest, l->plan, err) ||
                   order_pack(&la->order, &order, l->plan->spec, err) ||
                   schedule_init(&la->s, l->plan, la->workers, l->only, err)
               ? -1
               : 0;
}

static void release(struct launcher *la)
{
    display_free(la->display);
    schedule_release(&la->s);
    strbuf_release(&la->order);
    times_release(la);
    free(la->held);
    free(la->row);
    free(la->poll);
    free(la->w);
}

int launch_run(struct launch_result *out, const struct launch *l, struct err *err)
{
    struct launcher la = {.l = l, .out = out, .began = clock_seconds()};
    struct signals sig;
    int rc = -1;

    memset(out, 0, sizeof *out);
    if (prepare(&la, err))
        goto done;
    signals_take(&sig);
    loop(&la, &sig);
    dismiss(&la);
    signals_give(&sig);
    out->left_out = la.s.left_out;
    out->others = la.s.others;
    out->stopped =
        l->plan->n - out->done - out->failed - out->cached - out->left_out - out->others;
    rc = err_is_set(&la.fatal) ? err_set(err, la.fatal.code, "%s", la.fatal.text) : 0;
done:
    out->seconds = clock_seconds() - la.began;
    release(&la);
    return rc;
}
