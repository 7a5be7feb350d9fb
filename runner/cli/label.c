/* retort label RUN NAME, retort note RUN TEXT: what people call runs and say of them. */
#include <stdlib.h>
#include <string.h>

#include "query.h"
#include "verbs.h"

struct args {
    struct common common;
    const char *run, *text;
    bool remove;
};

/* A label must not be taken for the start of an id, nor tear the lines of a list. */
static int check_label(const char *label, struct err *err)
{
    size_t n = strlen(label);

    if (!n)
        return err_set(err, ERR_INPUT, "the label is empty; --remove takes one away");
    for (const char *s = label; *s; s++)
        if ((unsigned char)*s <= ' ' || *s == 0x7f)
            return err_set(err, ERR_INPUT,
                           "\"%s\": a label has no blanks and no control characters",
                           label);
    if (!strcmp(label, "latest"))
        return err_set(err, ERR_INPUT, "\"latest\" always means the run started last");
    if (n >= 4 && strspn(label, "0123456789abcdef") == n)
        return err_set(
            err, ERR_INPUT,
            "\"%s\" could be the start of a run's id; put another letter in it", label);
    return 0;
}

/* The run that has the label now loses it: say so. */
static int tell_move(struct store *store, const char *label, const char *id,
                     struct err *err)
{
    struct run_info *list;
    int64_t n;

    if (store_list(store, &list, &n, err))
        return -1;
    for (int64_t i = 0; i < n; i++)
        if (!strcmp(list[i].label, label) && strcmp(list[i].id, id) != 0)
            fprintf(stderr, "retort: run %.10s was called \"%s\" until now\n", list[i].id,
                    label);
    free(list);
    return 0;
}

static int set_label(const void *given)
{
    const struct args *a = given;
    struct err err = ERR_INIT;
    struct store *store = NULL;
    char id[65];

    if (!a->text == !a->remove)
        err_set(&err, ERR_INPUT, "give a NAME, or --remove");
    else if ((a->text && check_label(a->text, &err)) ||
             store_open(&store, a->common.store, false, &err) ||
             find_run(store, a->run, id, &err) ||
             (a->text && tell_move(store, a->text, id, &err)))
        ;
    else
        store_label(store, id, a->text ? a->text : "", &err);
    store_close(store);
    return err_is_set(&err) ? tell_error(&err) : 0;
}

static int print_notes(struct store *store, const char *id, struct err *err)
{
    struct strbuf text = STRBUF_INIT;
    char *notes;

    if (store_notes(store, id, &notes, err))
        return -1;
    strbuf_puts(&text, notes);
    free(notes);
    clean_text(&text);
    return print_text(&text) ? err_set(err, ERR_MEMORY, "out of memory") : 0;
}

/* A note is one line of a list: line ends become blanks. */
static int add_note(struct store *store, const char *id, const char *text,
                    struct err *err)
{
    char *line = mem_strdup(text, err);
    int rc;

    if (!line)
        return -1;
    for (char *s = line; *s; s++)
        if ((unsigned char)*s < ' ' || *s == 0x7f)
            *s = ' ';
    rc = strspn(line, " ") == strlen(line)
             ? err_set(err, ERR_INPUT,
                       "the note is empty; without TEXT the notes are shown")
             : store_note(store, id, line, err);
    free(line);
    return rc;
}

static int set_note(const void *given)
{
    const struct args *a = given;
    struct err err = ERR_INIT;
    struct store *store = NULL;
    char id[65];

    if (!store_open(&store, a->common.store, false, &err) &&
        !find_run(store, a->run, id, &err)) {
        if (a->text)
            add_note(store, id, a->text, &err);
        else
            print_notes(store, id, &err);
    }
    store_close(store);
    return err_is_set(&err) ? tell_error(&err) : 0;
}

#define AT(field) offsetof(struct args, field)
static const struct operand label_operands[] = {
    {.name = "RUN", .help = RUN_HELP, .offset = AT(run)},
    {.name = "NAME",
     .optional = true,
     .help = "what it is to be called; a label names one run, given to another it moves",
     .offset = AT(text)},
    OPERAND_END,
};
static const struct operand note_operands[] = {
    {.name = "RUN", .help = RUN_HELP, .offset = AT(run)},
    {.name = "TEXT",
     .optional = true,
     .help = "one more note; without it the notes are shown",
     .offset = AT(text)},
    OPERAND_END,
};
static const struct flag label_flags[] = {
    {.name = "remove",
     .type = OPT_BOOL,
     .help = "take its label away",
     .offset = AT(remove)},
    FLAG_END,
};

const struct verb verb_label = {
    .name = "label",
    .group = "Runs",
    .summary = "give a run a name",
    .synopsis = "[options] RUN NAME\n[options] RUN --remove",
    .operands = label_operands,
    .flags = label_flags,
    .common = COMMON_STORE,
    .size = sizeof(struct args),
    .run = set_label,
};

const struct verb verb_note = {
    .name = "note",
    .group = "Runs",
    .summary = "write something down about a run",
    .operands = note_operands,
    .common = COMMON_STORE,
    .size = sizeof(struct args),
    .run = set_note,
};
