/*
 * Methods: one file in methods/ and one line METHOD(name) in methods/list.def.
 *
 *     const struct method method_prune_heads = {
 *         .name = "prune/heads", .summary = "...", .paper = "...", .version = 1,
 *         .options = options, .options_size = sizeof(struct options), .inputs = inputs,
 *         .outputs = OUTPUT_MODEL, .run = run,
 *     };
 *
 * Help, checks, the JSON Schema, `retort list methods` and the manual follow from the
 * row.
 */
#ifndef RETORT_METHOD_H
#define RETORT_METHOD_H

#include "retort/option.h"
#include "retort/stage.h"

/* Kinds of artifacts, as bits: what an input takes, what a method gives. */
enum kind {
    KIND_MODEL = 1,     /* a run with /model, or a Hugging Face folder */
    KIND_TASK = 2,      /* a task's name */
    KIND_SCORES = 4,    /* /scores/...: importance, ablation */
    KIND_EVAL = 8,      /* /eval/...: predictions and metrics */
    KIND_STATS = 16,    /* /stats/...: correlations, summaries */
    KIND_FEATURES = 32, /* /features/...: what a teacher said of examples */
    KIND_CHOICE = 64, /* /select/chosen: a number, from 0, of the stage's first input that
                         * takes many; options of other stages can hang on it */
};

struct input {
    const char *name; /* key in the spec */
    unsigned kinds;
    bool required;
    bool many; /* takes a list, or all points of `over` */
    const char *help;
};
#define INPUT_END                                                                        \
    {                                                                                    \
        0                                                                                \
    }

/* A default that the authors' code has and the paper has not: taken where a stage says
 * "as": "code". */
struct option_default {
    const char *option;
    const char *def; /* JSON text */
};

struct method {
    const char *name;
    const char *summary; /* one line */
    const char *paper;   /* "Michel, Levy & Neubig 2019 (arXiv:1905.10650)" or NULL */
    int64_t version;     /* numeric version: raise it when the numbers change; part of the
                            job's id */
    const struct option *options;
    size_t options_size;
    const struct input *inputs;
    unsigned outputs; /* bits of enum kind */
    unsigned records; /* of "record": bits of enum record_kind */
    bool uses_seed;   /* if not, the seed is not in the id, and equal jobs of all seeds
                         merge */
    bool impure;      /* latency, an endpoint: the id holds a nonce */
    int (*run)(struct stage *st); /* 0 or -1 with st->err */
    /* Further checks of parsed options ("n:m needs m >= n"): 0, or -1 with a message. May
     * be NULL. */
    int (*check)(const void *options, struct err *err);
    /* Of `records`, what there is with these options: a request for more makes no run
     * anew. NULL: all. */
    unsigned (*recorded)(const void *options);
    /* Where the code differs from the paper; ends with a NULL name. NULL: one reading
     * only. */
    const struct option_default *code;
    /* Options that came when runs of the method were stored already: at their defaults
     * they are no part of the identity, so those runs still count. NULL-terminated, or
     * NULL. */
    const char *const *later;
};

/*
 * A method outside of the tree: a shared object, built against these headers alone, that
 * `--plugin FILE.so` loads. It ends with
 *
 *     RETORT_PLUGIN(&method_mine, &method_other)
 *
 * and calls what the headers declare, which it finds in the program. The digest of the
 * file is part of the ids of its jobs.
 */
#define RETORT_PLUGIN_ABI 1
struct retort_plugin {
    int64_t abi;
    size_t method_size, stage_size; /* another layout is another program */
    const struct method *const *methods;
};
#define RETORT_PLUGIN(...)                                                               \
    extern const struct retort_plugin retort_plugin;                                     \
    static const struct method *const retort_plugin_methods[] = {__VA_ARGS__, NULL};     \
    const struct retort_plugin retort_plugin = {                                         \
        RETORT_PLUGIN_ABI, sizeof(struct method), sizeof(struct stage),                  \
        retort_plugin_methods};
/* Of the SHA-256 `digest` as text. ERR_INPUT if the name is taken. */
int method_add(const struct method *method, const char *digest, struct err *err);
/* The digest of the plug-in that has it; NULL: it is built in. */
const char *method_plugin(const struct method *method);

/* The registry, NULL-terminated in the order of list.def; by name, or NULL. */
const struct method *const *method_list(void);
const struct method *method_find(const char *name);
/* For tests: this NULL-terminated list in place of list.def's; NULL: back to it. Not
 * thread-safe. */
void method_use(const struct method *const *list);

#endif
