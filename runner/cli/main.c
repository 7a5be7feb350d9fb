/*
 * retort VERB [options] [arguments]: finds the verb, reads its command line, runs it.
 *
 * Results go to stdout, messages to stderr; exit codes are those of err_exit_code.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "verbs.h"

/* A descriptor that the caller closed would be given to the next file that is opened, and
 * what is printed would land in it. */
static void hold_standard_files(void)
{
    while (fcntl(0, F_GETFD) < 0 || fcntl(1, F_GETFD) < 0 || fcntl(2, F_GETFD) < 0)
        if (open("/dev/null", O_RDONLY) < 0)
            break;
}

/* Nobody reads any more (`retort ls | head`): that is no failure. */
static bool reader_is_gone(void)
{
    struct pollfd p = {.fd = 1, .events = POLLOUT};

    return poll(&p, 1, 0) > 0 && (p.revents & POLLERR);
}

/* What was printed is there only if stdout took all of it. */
static int finish(int rc)
{
    bool failed = ferror(stdout) != 0;

    errno = 0;
    if (fflush(stdout) == 0 && !failed)
        return rc;
    if (errno == EPIPE || reader_is_gone())
        return rc;
    fprintf(stderr, "retort: standard output: %s\n",
            errno ? strerror(errno) : "it could not be written whole");
    return 4;
}

static int run_verb(const struct verb *v, int argc, char **argv)
{
    struct strbuf help = STRBUF_INIT;
    struct err err = ERR_INIT;
    void *args;
    int rc = args_parse(&args, v, argc, argv, &err);

    if (rc > 0) {
        help_verb(&help, v);
        return print_text(&help);
    }
    if (rc < 0) {
        fprintf(stderr, "retort %s: %s\n", v->name, err.text);
        args_put_synopsis(&help, v, "  ");
        fprintf(stderr, "\n%s\nretort %s --help tells more.\n", strbuf_text(&help),
                v->name);
        strbuf_release(&help);
        return err_exit_code(&err);
    }
    rc = plugins_load_given(&err);
    if (!rc && (v->common & COMMON_PLUGIN))
        rc = plugins_load(&((const struct common *)args)->plugins, &err);
    rc = rc ? tell_error(&err) : v->run(args);
    args_free(args, v);
    return rc;
}

static int unknown_verb(const char *name)
{
    const char *near = nearest_name(name, verb_names());

    if (name[0] == '-')
        fprintf(stderr, "retort: unknown option %s; options of a verb follow the verb\n",
                name);
    else if (near)
        fprintf(stderr, "retort: no verb is named \"%s\"; did you mean \"%s\"?\n", name,
                near);
    else
        fprintf(stderr, "retort: no verb is named \"%s\"; `retort help` lists them\n",
                name);
    return 2;
}

static int dispatch(int argc, char **argv)
{
    struct strbuf help = STRBUF_INIT;
    const char *name = argc > 1 ? argv[1] : "";
    const struct verb *v;

    if (argc < 2) {
        help_program(&help);
        fputs(strbuf_text(&help), stderr);
        strbuf_release(&help);
        return 2;
    }
    if (!strcmp(name, "--help") || !strcmp(name, "-h"))
        name = "help";
    if (!strcmp(name, "--version") || !strcmp(name, "-V"))
        name = "version";
    v = verb_find(name);
    return v ? run_verb(v, argc - 1, argv + 1) : unknown_verb(name);
}

int main(int argc, char **argv)
{
    hold_standard_files();
    signal(SIGPIPE, SIG_IGN); /* a reader that left is told by write(), see finish */
    return finish(dispatch(argc, argv));
}
