/*
 * What is measured: the table of cases.
 */
#include "driver.h"

#include <stdlib.h>
#include <string.h>

struct entry {
    int size; /* the smallest run that it belongs to */
    struct bench_case c;
};

enum { QUICK, DEFAULT, FULL };

/* clang-format off */
static const struct entry entries[] = {
    {QUICK,   {WORK_TRAIN, "mrpc",  "minilm",    32, false, 2, 5, MORE_COMPILE}},
    {QUICK,   {WORK_TRAIN, "mrpc",  "minilm",    32, true,  2, 5, MORE_COMPILE}},
    {DEFAULT, {WORK_TRAIN, "sst2",  "minilm",    32, false, 4, 5, MORE_COMPILE}},
    {DEFAULT, {WORK_TRAIN, "sst2",  "minilm",    32, true,  4, 5, MORE_COMPILE}},
    {DEFAULT, {WORK_EVAL,  "mrpc",  "minilm",    32, false, 8, 5, MORE_COMPILE | MORE_ONNX}},
    {DEFAULT, {WORK_EVAL,  "mrpc",  "minilm",    32, true,  8, 5, MORE_COMPILE}},
    {DEFAULT, {WORK_TRAIN, "mrpc",  "minilm",    32, false, 2, 5, MORE_THREADS}},
    {FULL,    {WORK_ABLATE, "mrpc", "minilm",    16, false, 1, 3, 0}},
    {FULL,    {WORK_TRAIN, "squad", "base",       8, false, 1, 3, 0}},
    {FULL,    {WORK_TRAIN, "squad", "base",       8, true,  1, 3, 0}},
    {FULL,    {WORK_TRAIN, "text",  "gpt2",       1, false, 1, 3, 0}},
    {FULL,    {WORK_TRAIN, "text",  "gpt2",       1, true,  1, 3, 0}},
    {FULL,    {WORK_KD,    "mrpc",  "minilm",    32, false, 2, 3, 0}},
    {FULL,    {WORK_KD,    "mrpc",  "minilm",    32, true,  2, 3, 0}},
    {FULL,    {WORK_KD_CACHED, "mrpc", "minilm", 32, false, 2, 3, 0}},
    {FULL,    {WORK_KD_CACHED, "mrpc", "minilm", 32, true,  2, 3, 0}},
    {FULL,    {WORK_TRAIN, "mrpc",  "minilm",    32, true,  2, 5, MORE_THREADS}},
    {FULL,    {WORK_EVAL,  "mrpc",  "minilm",    32, false, 8, 5, MORE_THREADS}},
    {FULL,    {WORK_EVAL,  "sst2",  "minilm",    32, false, 32, 3, MORE_ONNX}},
    {FULL,    {WORK_EVAL,  "sst2",  "minilm",    32, true,  32, 3, 0}},
    {FULL,    {WORK_TRAIN, "mrpc",  "gte-small", 32, false, 1, 3, 0}},
    {FULL,    {WORK_TRAIN, "mrpc",  "gte-small", 32, true,  1, 3, 0}},
    {FULL,    {WORK_TRAIN, "sst2",  "gte-small", 32, false, 2, 3, 0}},
    {FULL,    {WORK_TRAIN, "sst2",  "gte-small", 32, true,  2, 3, 0}},
    {FULL,    {WORK_EVAL,  "mrpc",  "gte-small", 32, false, 4, 3, MORE_ONNX}},
    {FULL,    {WORK_EVAL,  "mrpc",  "gte-small", 32, true,  4, 3, 0}},
    {FULL,    {WORK_TRAIN, "squad", "minilm",    16, false, 1, 3, 0}},
    {FULL,    {WORK_TRAIN, "squad", "minilm",    16, true,  1, 3, 0}},
    {FULL,    {WORK_TRAIN, "mrpc",  "minilm",    16, false, 4, 3, 0}},
    {FULL,    {WORK_TRAIN, "mrpc",  "minilm",    16, true,  4, 3, 0}},
    {FULL,    {WORK_TRAIN, "mrpc",  "minilm",    64, false, 1, 3, 0}},
    {FULL,    {WORK_TRAIN, "mrpc",  "minilm",    64, true,  1, 3, 0}},
};
/* clang-format on */

void case_name(char *out, size_t size, const struct bench_case *c)
{
    snprintf(out, size, "%s %s %s batch %lld %s%s", work_names[c->work], c->data,
             c->model, (long long)c->batch, c->bf16 ? "bf16" : "f32",
             c->more & MORE_THREADS ? " by threads" : "");
}

bool case_kept_alone(void)
{
    const char *asked = getenv("BENCH");

    return asked && !strcmp(asked, "kept");
}

bool case_wanted(int size, const char *name)
{
    const char *asked = getenv("BENCH"), *only = getenv("BENCH_ONLY");
    int most = case_kept_alone()                  ? FULL
               : asked && !strcmp(asked, "full")  ? FULL
               : asked && !strcmp(asked, "quick") ? QUICK
                                                  : DEFAULT;

    return only ? strstr(name, only) != NULL : size <= most;
}

bool case_at(struct bench_case *c, size_t i)
{
    const char *rounds = getenv("BENCH_ROUNDS");
    char name[96];

    for (size_t k = 0; k < sizeof entries / sizeof *entries; k++) {
        case_name(name, sizeof name, &entries[k].c);
        if (!case_wanted(entries[k].size, name) || i-- > 0)
            continue;
        *c = entries[k].c;
        if (rounds && atoi(rounds) > 0 && atoi(rounds) <= ROUNDS_MAX)
            c->rounds = atoi(rounds);
        return true;
    }
    return false;
}

bool case_at_hand(const struct bench_case *c)
{
    bool teacher = c->work == WORK_KD || c->work == WORK_KD_CACHED;
    char path[1024];

    if (c->work != WORK_ABLATE && !teacher)
        return true;
    return bench_model_dir(path, sizeof path, c->model) &&
           bench_data_dir(path, sizeof path, c) &&
           (!teacher || bench_model_dir(path, sizeof path, BENCH_TEACHER));
}
