/*
 * One worker process, as its launcher sees it: started by posix_spawn from the running
 * executable (never forked: a fork of a program with threads inherits their locks), with
 * a socket to talk over and a pipe for what it prints.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "workers.h"

extern char **environ;

static int spawn(pid_t *pid, int socket, int err_fd, struct err *err)
{
    char program[] = "/proc/self/exe", name[] = "retort", verb[] = "worker";
    char *argv[] = {name, verb, NULL};
    posix_spawn_file_actions_t files;
    int rc;

    if (posix_spawn_file_actions_init(&files))
        return err_set(err, ERR_MEMORY, "not enough memory for a worker");
    /* Errors come back from posix_spawn itself. dup2 takes away close-on-exec, also where
     * both numbers are the same. */
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, err_fd, 2);
    posix_spawn_file_actions_adddup2(&files, 2, 1);
    posix_spawn_file_actions_adddup2(&files, socket, WORKER_FD);
    errno = posix_spawn(pid, program, &files, NULL, argv, environ);
    rc = errno ? err_errno(err, "%s: a worker cannot be started", program) : 0;
    posix_spawn_file_actions_destroy(&files);
    return rc;
}

/* The pipe's end must not be where the socket goes. */
static int move_away(int fd)
{
    int other;

    if (fd != WORKER_FD)
        return fd;
    other = fcntl(fd, F_DUPFD_CLOEXEC, WORKER_FD + 1);
    close(fd);
    return other;
}

int worker_start(struct worker *w, const struct strbuf *order, int threads,
                 double checkpoint_seconds, struct err *err)
{
    int pair[2] = {-1, -1}, pipes[2] = {-1, -1}, rc = -1;
    struct wire hello = {.type = WIRE_HELLO,
                         .a = threads,
                         .b = (int64_t)(1e3 * checkpoint_seconds),
                         .text = strbuf_text(order),
                         .len = (int64_t)order->len};

    memset(w, 0, sizeof *w);
    w->job = -1;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) ||
        pipe2(pipes, O_CLOEXEC)) {
        err_errno(err, "a worker cannot be started");
        goto done;
    }
    pipes[1] = move_away(pipes[1]);
    if (spawn(&w->pid, pair[1], pipes[1], err))
        goto done;
    fcntl(pipes[0], F_SETFL, O_NONBLOCK);
    w->fd = pair[0];
    w->err_fd = pipes[0];
    pair[0] = pipes[0] = -1;
    w->state = WORKER_STARTING;
    /* If it is dead already, its end of the stream will say so. */
    wire_send(w->fd, &hello);
    rc = 0;
done:
    for (int i = 0; i < 2; i++) {
        if (pair[i] >= 0)
            close(pair[i]);
        if (pipes[i] >= 0)
            close(pipes[i]);
    }
    return rc;
}

static void describe(char *how, size_t size, const struct worker *w, int status)
{
    if (WIFSIGNALED(status))
        snprintf(how, size, "worker %ld was killed by signal %d (%s)%s", (long)w->pid,
                 WTERMSIG(status), strsignal(WTERMSIG(status)),
                 WTERMSIG(status) == SIGKILL
                     ? "; if nobody did that, memory ran out: use fewer --jobs, or "
                       "smaller batches"
                     : "");
    else
        snprintf(how, size, "worker %ld ended by itself with code %d", (long)w->pid,
                 WEXITSTATUS(status));
    if (w->last[0]) {
        size_t at = strlen(how);
        snprintf(how + at, size - at, "; it said: %s", w->last);
    }
}

bool worker_reap(struct worker *w, char *how, size_t size)
{
    int status = 0;

    how[0] = '\0';
    if (w->state == WORKER_NONE)
        return true;
    close(w->fd);
    close(w->err_fd);
    while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    describe(how, size, w, status);
    wire_release(&w->in);
    strbuf_release(&w->said);
    w->state = WORKER_NONE;
    return status == 0;
}

void worker_dismiss(struct worker *w)
{
    shutdown(w->fd, SHUT_RDWR);
}
