/* Methods of our own for the tests of specs and plans: they run nothing. */
#ifndef RETORT_TESTS_SPEC_METHODS_H
#define RETORT_TESTS_SPEC_METHODS_H

#include <unistd.h>

#include "check.h"
#include "retort/file.h"
#include "retort/spec.h"

struct fake_options {
    int64_t epochs;
    double ratio, lr;
    const char *split;
    int order;
    bool fast;
};

static int run_nothing(struct stage *st)
{
    (void)st;
    return 0;
}

/* clang-format off */
static const char *const orders[] = {"importance", "random", NULL};
static const struct option train_options[] = {
    {"epochs", OPT_INT, "3", 1, 1000, NULL, NULL, "passes over the data", offsetof(struct fake_options, epochs)},
    {"lr", OPT_REAL, "5e-5", 0, 1, NULL, NULL, "learning rate", offsetof(struct fake_options, lr)},
    {"split", OPT_STRING, "\"train\"", 0, 0, NULL, NULL, "data", offsetof(struct fake_options, split)},
    {"fast", OPT_BOOL, "false", 0, 0, NULL, NULL, "in a hurry", offsetof(struct fake_options, fast)},
    OPTION_END,
};
static const struct option prune_options[] = {
    {"ratio", OPT_REAL, "0.5", 0, 1, NULL, NULL, "share removed", offsetof(struct fake_options, ratio)},
    {"order", OPT_ENUM, "\"importance\"", 0, 0, orders, NULL, "who goes first", offsetof(struct fake_options, order)},
    OPTION_END,
};
static const struct input start_inputs[] = {{"task", KIND_TASK, true, false, "what for"}, INPUT_END};
static const struct input train_inputs[] = {
    {"model", KIND_MODEL, true, false, "where to start"}, {"task", KIND_TASK, true, false, "what to learn"}, INPUT_END,
};
static const struct input prune_inputs[] = {
    {"model", KIND_MODEL, true, false, "what to prune"}, {"scores", KIND_SCORES, false, false, "by these"}, INPUT_END,
};
static const struct input mean_inputs[] = {{"eval", KIND_EVAL, true, true, "results"}, INPUT_END};
static const struct option_default train_code[] = {{"lr", "2e-5"}, {NULL, NULL}};
/* clang-format on */

static const struct method fake_start = {.name = "start",
                                         .summary = "a new model",
                                         .version = 1,
                                         .options_size = sizeof(struct fake_options),
                                         .inputs = start_inputs,
                                         .outputs = KIND_MODEL,
                                         .uses_seed = true,
                                         .run = run_nothing};
static const struct method fake_train = {.name = "finetune",
                                         .summary = "train",
                                         .version = 1,
                                         .options = train_options,
                                         .options_size = sizeof(struct fake_options),
                                         .inputs = train_inputs,
                                         .outputs = KIND_MODEL,
                                         .uses_seed = true,
                                         .run = run_nothing,
                                         .code = train_code};
static const struct method fake_heads = {.name = "analyze/heads",
                                         .summary = "score",
                                         .version = 1,
                                         .options = train_options,
                                         .options_size = sizeof(struct fake_options),
                                         .inputs = train_inputs,
                                         .outputs = KIND_SCORES,
                                         .run = run_nothing};
static const struct method fake_prune = {.name = "prune/heads",
                                         .summary = "prune",
                                         .version = 1,
                                         .options = prune_options,
                                         .options_size = sizeof(struct fake_options),
                                         .inputs = prune_inputs,
                                         .outputs = KIND_MODEL,
                                         .run = run_nothing};
static const struct method fake_eval = {.name = "evaluate",
                                        .summary = "score",
                                        .version = 1,
                                        .options = train_options,
                                        .options_size = sizeof(struct fake_options),
                                        .inputs = train_inputs,
                                        .outputs = KIND_EVAL,
                                        .run = run_nothing};
static const struct method fake_mean = {.name = "mean",
                                        .summary = "average",
                                        .version = 1,
                                        .options_size = sizeof(struct fake_options),
                                        .inputs = mean_inputs,
                                        .outputs = KIND_STATS,
                                        .run = run_nothing};
static const struct method *const fakes[] = {
    &fake_start, &fake_train, &fake_heads, &fake_prune, &fake_eval, &fake_mean, NULL};

/* A folder for the test's specs; the tests run in it, so messages show plain names. */
static char scratch[64];

static int begin(void **state)
{
    (void)state;
    method_use(fakes);
    strcpy(scratch, "/tmp/retort-spec-XXXXXX");
    return mkdtemp(scratch) && !chdir(scratch) ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    method_use(NULL);
    return chdir("/") || file_remove(scratch, NULL) ? -1 : 0;
}

static void put(const char *name, const char *text)
{
    struct err err = ERR_INIT;

    assert_ok(file_write(name, text, (int64_t)strlen(text), &err), &err);
}

/* Loads with at most one --set; errors come out in *told (free it), "" if there are none.
 */
static inline struct spec *load_with(const char *name, const char *set, char **told)
{
    struct err err = ERR_INIT;
    struct diags *diags = diags_new(&err);
    struct strbuf sb = STRBUF_INIT;
    struct spec *spec = spec_load(name, &set, set ? 1 : 0, diags);

    diags_print(diags, &sb);
    assert_int_equal(spec == NULL, diags_count(diags) > 0);
    diags_free(diags);
    *told = sb.text ? strbuf_take(&sb, &err) : mem_strdup("", &err);
    strbuf_release(&sb);
    return spec;
}

static inline struct spec *load_ok(const char *text, const char *set)
{
    char *told = NULL;

    put("s.json", text);
    struct spec *spec = load_with("s.json", set, &told);
    if (*told)
        fail_msg("%s", told);
    free(told);
    return spec;
}

/* The spec must fail with a message that has this part. */
static inline void refused_with(const char *text, const char *set, const char *part)
{
    char *told = NULL;

    put("s.json", text);
    struct spec *spec = load_with("s.json", set, &told);
    if (spec || !strstr(told, part))
        fail_msg("wanted \"%s\", got: %s", part, told);
    free(told);
}

static inline void refused(const char *text, const char *part)
{
    refused_with(text, NULL, part);
}

#define START "\"start\": {\"do\": \"start\", \"task\": \"synth/agreement\"}"
#define TRAIN                                                                            \
    "\"teacher\": {\"do\": \"finetune\", \"model\": {\"from\": \"start\"}, \"task\": "   \
    "\"synth/agreement\"}"
#define PRUNE "\"pruned\": {\"do\": \"prune/heads\", \"model\": {\"from\": \"teacher\"}}"
#define RESULT                                                                           \
    "\"result\": {\"do\": \"evaluate\", \"model\": {\"from\": \"pruned\"}, \"task\": "   \
    "\"synth/agreement\", \"split\": \"dev\"}"
#define STAGES "\"stages\": {" START ", " TRAIN ", " PRUNE ", " RESULT "}"
#define SPEC(rest) "{\"retort\": 1, " STAGES rest "}"
#define STAGE(one) "{\"retort\": 1, \"stages\": {" START ", " TRAIN ", " one "}}"

#endif
