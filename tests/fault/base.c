#include "fail_alloc.h"

#include <unistd.h>

#include "retort/file.h"
#include "retort/hash.h"
#include "retort/mem.h"
#include "retort/pool.h"
#include "retort/strbuf.h"

static int write_read_and_remove(void *ctx, struct err *err)
{
    const char *dir = ctx;
    char **list = NULL, *text = NULL;
    char *sub = path_join(dir, "a/b", err);
    char *path = sub ? path_join(sub, "f", err) : NULL;
    int64_t n = 0;
    int rc = -1;

    if (!path || file_mkdirs(sub, err) || file_write(path, "abc", 3, err))
        goto done;
    if (file_read(&text, &n, path, 100, err) || file_list(&list, sub, err))
        goto done;
    rc = n == 3 && list[0] && strcmp(text, "abc") == 0 ? 0 : -2;
done:
    if (file_remove(sub ? sub : "", err) && rc == 0)
        rc = -1;
    file_list_free(list);
    free(text);
    free(path);
    free(sub);
    return rc;
}

static int build_text(void *ctx, struct err *err)
{
    struct strbuf sb = STRBUF_INIT;

    (void)ctx;
    for (int i = 0; i < 200; i++) {
        strbuf_printf(&sb, "%d,", i);
        strbuf_double(&sb, i / 7.0);
    }
    char *text = strbuf_take(&sb, err);
    free(text);
    return text ? 0 : -1;
}

static int fill_arena(void *ctx, struct err *err)
{
    struct arena *arena = arena_new(err);
    int rc = -1;

    (void)ctx;
    for (int i = 0; arena && i < 20; i++) {
        char *text = arena_printf(arena, "%d", i);
        char *room = arena_zalloc(arena, 300000);
        if (text && room)
            room[299999] = text[0];
    }
    if (arena && !arena_failed(arena, err))
        rc = 0;
    arena_free(arena);
    return rc;
}

static int digest_file(void *ctx, struct err *err)
{
    char hex[SHA256_HEX];

    (void)ctx;
    return sha256_file(hex, "/proc/self/cmdline", err);
}

static void count_one(void *ctx, int64_t task)
{
    ((int *)ctx)[task]++;
}

static int use_pool(void *ctx, struct err *err)
{
    int counts[20] = {0};
    struct pool *pool = pool_new(1, err);

    (void)ctx;
    if (!pool)
        return -1;
    pool_run(pool, 20, count_one, counts);
    pool_free(pool);
    return counts[19] == 1 ? 0 : -2;
}

static void files_survive_each_failing_allocation(void **state)
{
    struct err err = ERR_INIT;
    char dir[] = "/tmp/retort-fault-XXXXXX";

    (void)state;
    assert_non_null(mkdtemp(dir));
    fail_each_alloc(write_read_and_remove, dir);
    assert_ok(file_remove(dir, &err), &err);
}

static void texts_survive_each_failing_allocation(void **state)
{
    (void)state;
    fail_each_alloc(build_text, NULL);
}

static void arenas_survive_each_failing_allocation(void **state)
{
    (void)state;
    fail_each_alloc(fill_arena, NULL);
}

static void digests_survive_each_failing_allocation(void **state)
{
    (void)state;
    fail_each_alloc(digest_file, NULL);
}

static void pools_survive_each_failing_allocation(void **state)
{
    (void)state;
    fail_each_alloc(use_pool, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_survive_each_failing_allocation),
        cmocka_unit_test(texts_survive_each_failing_allocation),
        cmocka_unit_test(arenas_survive_each_failing_allocation),
        cmocka_unit_test(digests_survive_each_failing_allocation),
        cmocka_unit_test(pools_survive_each_failing_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
