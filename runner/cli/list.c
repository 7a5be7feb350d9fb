/* retort list methods|tasks|metrics [NAME]: the registries, from their tables. */
#include <stdio.h>
#include <string.h>

#include "retort/method.h"
#include "retort/task.h"
#include "verbs.h"

static int usage(FILE *to)
{
    fputs("usage: retort list methods|tasks|metrics [NAME]\n\n"
          "With a name: the options and inputs of a method.\n",
          to);
    return to == stderr ? 2 : 0;
}

static void print_option(const struct option *o)
{
    printf("  %-18s %-10s %s", o->name, o->def ? o->def : "required", o->help);
    for (int64_t i = 0; o->choices && o->choices[i]; i++)
        printf("%s%s", i ? ", " : " (", o->choices[i]);
    if (o->choices)
        putchar(')');
    if (o->min < o->max)
        printf(" [%g, %g]", o->min, o->max);
    putchar('\n');
}

static int method(const char *name)
{
    const struct method *m = method_find(name);

    if (!m) {
        fprintf(stderr,
                "retort: no method is named \"%s\"; `retort list methods` shows all\n",
                name);
        return 3;
    }
    printf("%s: %s\n", m->name, m->summary);
    if (m->paper)
        printf("Paper: %s\n", m->paper);
    printf("\nInputs\n");
    for (const struct input *in = m->inputs; in->name; in++)
        printf("  %-18s %-10s %s\n", in->name, in->required ? "required" : "", in->help);
    printf("\nOptions and their defaults\n");
    for (const struct option *o = m->options; o->name; o++)
        print_option(o);
    return 0;
}

int verb_list(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";

    if (!strcmp(what, "--help"))
        return usage(stdout);
    if (!strcmp(what, "methods") && argc == 3)
        return method(argv[2]);
    if (argc != 2)
        return usage(stderr);
    if (!strcmp(what, "methods")) {
        for (const struct method *const *m = method_list(); *m; m++)
            printf("%-18s %s\n", (*m)->name, (*m)->summary);
    } else if (!strcmp(what, "tasks")) {
        for (const struct task *const *t = task_list(); *t; t++)
            printf("%-18s %s\n", (*t)->name, (*t)->summary);
    } else if (!strcmp(what, "metrics")) {
        for (const struct metric *const *m = metric_list(); *m; m++)
            printf("%-18s %s\n", (*m)->name, (*m)->summary);
    } else {
        return usage(stderr);
    }
    return 0;
}
