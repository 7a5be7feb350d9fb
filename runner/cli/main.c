/*
 * retort <verb> [options] [file]: finds the verb and runs it.
 *
 * Results go to stdout, messages to stderr; exit codes are those of err_exit_code.
 */
#include <stdio.h>
#include <string.h>

#include "verbs.h"

static int usage(FILE *to)
{
    fputs("usage: retort <verb> [options] [file]\n\n", to);
    for (const struct verb *v = verbs; v->name; v++)
        fprintf(to, "  %-10s %s\n", v->name, v->summary);
    fputs("\nretort <verb> --help tells more of one.\n", to);
    return to == stderr ? 2 : 0;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return usage(stderr);
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
        return usage(stdout);
    for (const struct verb *v = verbs; v->name; v++)
        if (!strcmp(v->name, argv[1]))
            return v->run(argc - 1, argv + 1);
    fprintf(stderr, "retort: no verb is named \"%s\"; `retort --help` lists them\n",
            argv[1]);
    return 2;
}
