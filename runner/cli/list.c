/* retort list methods|tasks|metrics [NAME]: the registries, from their tables. */
#include <stdio.h>
#include <string.h>

#include "retort/method.h"
#include "retort/task.h"
#include "verbs.h"

struct args {
    struct common common;
    const char *what, *name;
};

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

static int run(const void *given)
{
    const struct args *args = given;
    const char *what = args->what;

    if (!strcmp(what, "methods") && args->name)
        return method(args->name);
    if (!strcmp(what, "methods"))
        for (const struct method *const *m = method_list(); *m; m++)
            printf("%-18s %s\n", (*m)->name, (*m)->summary);
    else if (!strcmp(what, "tasks"))
        for (const struct task *const *t = task_list(); *t; t++)
            printf("%-18s %s\n", (*t)->name, (*t)->summary);
    else
        for (const struct metric *const *m = metric_list(); *m; m++)
            printf("%-18s %s\n", (*m)->name, (*m)->summary);
    return 0;
}

static const char *const words[] = {"methods", "tasks", "metrics", NULL};
static const struct operand operands[] = {
    {.name = "WHAT",
     .choices = words,
     .help = "methods, tasks or metrics",
     .offset = offsetof(struct args, what)},
    {.name = "NAME",
     .optional = true,
     .help = "a method: its options and inputs",
     .offset = offsetof(struct args, name)},
    OPERAND_END,
};

const struct verb verb_list = {
    .name = "list",
    .group = "Retort itself",
    .summary = "methods, tasks, metrics",
    .operands = operands,
    .size = sizeof(struct args),
    .run = run,
};
