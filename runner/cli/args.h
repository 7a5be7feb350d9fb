/*
 * Command lines from tables.
 *
 * Each verb is a row: its name, its operands, its options. The parser, --help, `retort
 * help`, the manual page and what else speaks of the command line read these rows, so
 * none of them can tell a different story.
 *
 *     struct ls_args {
 *         struct common common;  (first in every verb's struct: --store, --threads ...)
 *         struct string_list where;
 *         bool reverse;
 *     };
 *     static const struct flag flags[] = {
 *         {.name = "where", .type = OPT_STRINGS, .value = "TEST", .help = "...",
 *          .offset = offsetof(struct ls_args, where)},
 *         {.name = "reverse", .letter = 'r', .type = OPT_BOOL, .help = "...",
 *          .offset = offsetof(struct ls_args, reverse)},
 *         FLAG_END,
 *     };
 *
 * The types are those of retort/option.h. On a command line OPT_BOOL takes no value,
 * OPT_STRINGS may be given again and collects; OPT_INTS is not used. Written are --name
 * VALUE and --name=VALUE, -x, -x VALUE, -xVALUE and several letters in one (-qv); options
 * and operands in any order; after `--` all are operands. A value that begins with "-"
 * and is no number wants the "=".
 */
#ifndef RETORT_ARGS_H
#define RETORT_ARGS_H

#include "retort/option.h"
#include "retort/strbuf.h"

struct flag {
    const char *name; /* "store": without the dashes */
    char letter;      /* 'q', or 0 */
    enum option_type type;
    const char *value; /* what help calls it: "DIR"; NULL for OPT_BOOL and OPT_ENUM */
    const char *def;   /* as it would be typed; NULL: 0, NULL, false, the first choice */
    double min, max;   /* OPT_INT, OPT_REAL; both 0: no bounds */
    const char *const *choices;
    const char *help; /* no full stop, no default */
    size_t offset;
};
/* clang-format off */
#define FLAG_END {0}
/* clang-format on */

/* What follows the options. One at most: const char * at `offset`, NULL if it was left
 * out; with `many`: struct string_list. */
struct operand {
    const char *name; /* "SPEC" */
    const char *help;
    bool optional, many;        /* many: one or more (or none, if optional) */
    const char *const *choices; /* words it is one of, or NULL */
    size_t offset;
};
/* clang-format off */
#define OPERAND_END {0}
/* clang-format on */

/* Options that several verbs have, written once. */
enum common_bits {
    COMMON_STORE = 1,
    COMMON_THREADS = 2,
    COMMON_JOBS = 4,
    COMMON_QUIET = 8,
    COMMON_VERBOSE = 16,
    COMMON_JSON = 32,
    COMMON_PLUGIN = 64,
};
struct common {
    const char *store; /* never NULL: --store, else RETORT_STORE, else runs */
    int64_t threads;   /* 0: as many as there are cores */
    int64_t jobs;      /* 0: left to the verb */
    struct string_list plugins;
    bool quiet, verbose, json;
};

struct verb {
    const char *name;
    const char *group;    /* heading it stands under; NULL: not for people, not shown */
    const char *summary;  /* one line, no full stop */
    const char *synopsis; /* lines that replace the one made from the table, or NULL */
    const struct operand *operands; /* NULL: none */
    const struct flag *flags;       /* NULL: none of its own */
    unsigned common;                /* enum common_bits */
    const char *about; /* paragraphs, "\n\n" between them; lines that begin with a blank
                        * stay as they are. NULL: the summary says all */
    size_t size;       /* of the struct that is filled */
    int (*run)(const void *args); /* returns the exit code */
};

/*
 * Fills the verb's struct: *out, to be freed by args_free. argv[0] is the verb's name;
 * the strings stay argv's own. Returns 0; 1 if --help was asked for (*out is NULL then);
 * -1 with ERR_INPUT that says what is wrong and what would be right.
 */
int args_parse(void **out, const struct verb *v, int argc, char **argv, struct err *err);
void args_free(void *args, const struct verb *v);

/* All options of a verb, its own before the common ones; i from 0, NULL after the last.
 * The common ones lie at the same offsets in every verb's struct. */
const struct flag *args_flag(const struct verb *v, int64_t i);

/* "--jobs N" or "-q, --quiet", as help shows it. */
void args_put_flag(struct strbuf *out, const struct flag *f);
/* "SPEC", "[RUN...]". */
void args_put_operand(struct strbuf *out, const struct operand *o);
/* The verb's usage lines, each with "retort NAME" at its head and a newline at its end.
 */
void args_put_synopsis(struct strbuf *out, const struct verb *v, const char *indent);

#endif
