/*
 * Data files from strangers: TSV, JSONL, SQuAD, DREAM, multiple choice, plain texts. The
 * first byte says of which task; every example that is read keeps what its task promises.
 */
#include "replay.h"

#include "retort/task.h"
#include "small_dir.h"

/* One for each way of reading. */
static const char *const names[] = {"glue/sst2",
                                    "glue/mrpc",
                                    "glue/stsb",
                                    "squad/v2",
                                    "lm/wikitext-2-raw",
                                    "lm/imdb",
                                    "lm/c4",
                                    "choice/arc-easy",
                                    "choice/boolq",
                                    "choice/openbookqa",
                                    "choice/race-middle",
                                    "choice/dream"};
enum { NAMES = sizeof names / sizeof *names };

static void check(const struct task *task, const struct examples *ex)
{
    for (int64_t i = 0; i < ex->n; i++) {
        const struct example *e = &ex->v[i];
        if (!e->a)
            BUG("%s: an example without a text", task->name);
        if (task->kind == TASK_CLASSES && (e->label < -1 || e->label >= task->labels))
            BUG("%s: label %d", task->name, (int)e->label);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    const struct task *task = task_find(names[size ? data[0] % NAMES : 0]);
    const char *split = task->splits[0], *name = task->files(task, split)[0];
    struct examples *ex = examples_new(&err);
    char path[512], *folder;

    snprintf(path, sizeof path, "%s/%s", fuzz_dir(), name);
    folder = path_dir(path, &err);
    if (!ex || !folder || file_mkdirs(folder, &err))
        BUG("%s", err.text);
    put_file(path, size ? data + 1 : data, size ? size - 1 : 0);
    struct task_source src = {fuzz_dir(), split};
    if (!task->load(task, &src, ex, &err))
        check(task, ex);
    else if (err.code != ERR_INPUT)
        BUG("%s: refused as %d: %s", task->name, (int)err.code, err.text);
    unlink(path);
    free(folder);
    examples_free(ex);
    return 0;
}

FUZZ_MAIN("task_file")
