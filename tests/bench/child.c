/*
 * A side's process, and the lines spoken with it (bench.h).
 */
#include "driver.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

int child_start(struct child *ch, char *const argv[], struct err *err)
{
    posix_spawn_file_actions_t act;
    int in[2], out[2], rc;

    if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
        return err_errno(err, "pipe");
    posix_spawn_file_actions_init(&act);
    posix_spawn_file_actions_adddup2(&act, in[0], 0);
    posix_spawn_file_actions_adddup2(&act, out[1], 1);
    rc = posix_spawnp(&ch->pid, argv[0], &act, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&act);
    close(in[0]);
    close(out[1]);
    ch->to = fdopen(in[1], "w");
    ch->from = fdopen(out[0], "r");
    if (rc || !ch->to || !ch->from)
        return err_set(err, ERR_IO, "%s: %s", argv[0], strerror(rc));
    return 0;
}

void child_stop(struct child *ch)
{
    if (ch->to)
        fclose(ch->to);
    if (ch->from)
        fclose(ch->from);
    if (ch->pid > 0) {
        kill(ch->pid, SIGTERM);
        waitpid(ch->pid, NULL, 0);
    }
    ch->to = ch->from = NULL;
    ch->pid = 0;
}

static int child_line(struct child *ch, char *line, int size, struct err *err)
{
    if (!fgets(line, size, ch->from))
        return err_set(err, ERR_IO, "%s ended before its work was done", ch->name);
    return 0;
}

int child_ready(struct child *ch, struct err *err)
{
    char line[256];

    for (;;) {
        if (ch->kind == SIDE_PEER && !fgets(line, sizeof line, ch->from))
            snprintf(line, sizeof line, "cannot do it: ended before it was ready");
        else if (ch->kind != SIDE_PEER && child_line(ch, line, sizeof line, err))
            return -1;
        if (!strncmp(line, "about ", 6))
            snprintf(ch->about, sizeof ch->about, "%.*s", (int)strcspn(line + 6, "\n"),
                     line + 6);
        if (!strncmp(line, "cannot ", 7)) {
            snprintf(ch->cannot, sizeof ch->cannot, "%.*s", (int)strcspn(line + 7, "\n"),
                     line + 7);
            child_stop(ch);
            return 0;
        }
        if (!strncmp(line, "ready", 5))
            return 0;
    }
}

int child_round(struct child *ch, struct err *err)
{
    char line[256];
    int64_t r = ch->rounds++;

    fputs("go\n", ch->to);
    fflush(ch->to);
    if (child_line(ch, line, sizeof line, err))
        return -1;
    if (sscanf(line, "round %lf %lf %lf", &ch->seconds[r], &ch->cpu[r], &ch->value[r]) !=
        3)
        return err_set(err, ERR_IO, "%s said \"%s\" after a round", ch->name, line);
    return 0;
}

int child_profile(struct child *ch, const char *base, struct err *err)
{
    char line[256];

    fprintf(ch->to, "profile %s\n", base);
    fflush(ch->to);
    if (child_line(ch, line, sizeof line, err))
        return -1;
    if (strncmp(line, "profiled", 8) != 0)
        return err_set(err, ERR_IO, "%s said \"%s\" after it was profiled", ch->name,
                       line);
    return 0;
}

int child_end(struct child *ch, struct err *err)
{
    char line[256];

    fputs("end\n", ch->to);
    fflush(ch->to);
    if (child_line(ch, line, sizeof line, err))
        return -1;
    if (sscanf(line, "digest %64s", ch->digest) == 1 &&
        child_line(ch, line, sizeof line, err))
        return -1;
    if (sscanf(line, "peak %lf", &ch->peak) != 1)
        return err_set(err, ERR_IO, "%s said \"%s\" at its end", ch->name, line);
    return 0;
}
