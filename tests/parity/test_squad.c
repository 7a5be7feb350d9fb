/*
 * SQuAD's whole dev sets as windows of 384 tokens with an overlap of 128: counted and
 * timed here, and, with RETORT_SQUAD_WINDOWS=FILE, written down for squad.py to
 * compare with transformers' fast tokenizer: a line for each window,
 *
 *     id <tab> window <tab> start <tab> end <tab> SHA-256 of its tokens, of where they
 *     begin
 *     and of where they end in the context (bytes, -1 outside of it), of whether each
 *     is in
 *     the window where it has the most context
 */
#include "check.h"

#include <stdlib.h>

#include "retort/clock.h"
#include "retort/file.h"
#include "retort/hash.h"
#include "retort/task.h"

static void put_hash(FILE *out, const void *data, int64_t len)
{
    char hex[SHA256_HEX];

    sha256_text(hex, data, (size_t)len);
    fprintf(out, "\t%.16s", hex);
}

static void write_windows(const struct dataset *d, const char *path)
{
    FILE *out = fopen(path, "a");

    assert_non_null(out);
    for (int64_t i = 0; i < d->n_seq; i++) {
        const struct sequence *s = &d->seq[i];
        int64_t bytes = s->n * (int64_t)sizeof(int32_t);
        fprintf(out, "%s\t%d\t%d\t%d", d->raw->v[s->example].id, (int)s->part,
                (int)s->start, (int)s->end);
        put_hash(out, s->id, bytes);
        put_hash(out, s->from, bytes);
        put_hash(out, s->to, bytes);
        put_hash(out, s->best, s->n);
        fputc('\n', out);
    }
    fclose(out);
}

static void check_dev(const char *shared, const char *name, int64_t questions)
{
    const struct task *task = task_find(name);
    const char *path = getenv("RETORT_SQUAD_WINDOWS");
    char dir[512], model[512];
    struct tokenizer *tok = NULL;
    struct examples *ex;
    struct dataset *d = NULL;
    struct err err = ERR_INIT;
    double begun = clock_seconds(), loaded;

    snprintf(dir, sizeof dir, "%s/data", shared);
    snprintf(model, sizeof model, "%s/models/minilm-l6-h384", shared);
    ex = examples_new(&err);
    assert_ok(task->load(task, &(struct task_source){dir, "dev"}, ex, &err), &err);
    loaded = clock_seconds();
    assert_int_equal(ex->n, questions);
    assert_ok(tokenizer_load(&tok, model, true, &err), &err);
    assert_ok(dataset_encode(&d, task, ex, "dev", tok, 384, 128, &err), &err);
    printf("# %s: %lld questions read in %.2f s, %lld windows of %lld tokens encoded in "
           "%.2f s\n",
           name, (long long)questions, loaded - begun, (long long)d->n_seq,
           (long long)d->n_tokens, clock_seconds() - loaded);
    assert_true(d->n_seq > questions);
    if (path)
        write_windows(d, path);
    dataset_free(d);
    tokenizer_free(tok);
}

static void the_dev_sets_are_read_and_encoded(void **state)
{
    const char *shared = getenv("RETORT_SHARED");

    (void)state;
    if (!shared)
        skip();
    check_dev(shared, "squad/v1", 10570);
    check_dev(shared, "squad/v2", 11873);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_dev_sets_are_read_and_encoded)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
