#include "check.h"

#include "retort/mem.h"

static void new_memory_is_zero_and_absurd_sizes_fail(void **state)
{
    struct err err = ERR_INIT;
    unsigned char *p = mem_new(100, 3, &err);

    (void)state;
    assert_non_null(p);
    for (int i = 0; i < 300; i++)
        assert_int_equal(p[i], 0);
    free(p);
    p = mem_new(0, 8, &err);
    assert_non_null(p);
    free(p);
    assert_null(mem_new(INT64_MAX / 2, 4, &err));
    assert_int_equal(err.code, ERR_MEMORY);
    err_clear(&err);
    assert_null(mem_new(-1, 1, &err));
    assert_int_equal(err.code, ERR_MEMORY);
}

static void a_growing_array_keeps_its_elements(void **state)
{
    struct err err = ERR_INIT;
    void *array = NULL;
    int64_t capacity = 0;

    (void)state;
    for (int64_t i = 0; i < 1000; i++) {
        assert_ok(mem_grow(&array, i, &capacity, sizeof i, &err), &err);
        assert_true(capacity > i);
        ((int64_t *)array)[i] = i;
    }
    for (int64_t i = 0; i < 1000; i++)
        assert_int_equal(((int64_t *)array)[i], i);
    free(array);
}

static void texts_are_copied_and_printed(void **state)
{
    struct err err = ERR_INIT;
    char *a = mem_strdup("abc", &err), *b = mem_strndup("abc", 2, &err),
         *c = mem_printf(&err, "%s-%d", "x", 7);

    (void)state;
    assert_string_equal(a, "abc");
    assert_string_equal(b, "ab");
    assert_string_equal(c, "x-7");
    free(a);
    free(b);
    free(c);
}

static void products_are_checked(void **state)
{
    struct err err = ERR_INIT;
    int64_t n = 0;

    (void)state;
    assert_ok(mem_product(&n, 3000000000, 3000000000, &err), &err);
    assert_true(n == 9000000000000000000);
    assert_fails(mem_product(&n, INT64_MAX / 2, 3, &err), &err, ERR_INPUT, "too large");
    assert_fails(mem_product(&n, -1, 3, &err), &err, ERR_INPUT, "too large");
}

static void arena_memory_is_aligned_and_apart(void **state)
{
    struct err err = ERR_INIT;
    struct arena *arena = arena_new(&err);
    unsigned char *p[200];

    (void)state;
    for (int i = 0; i < 200; i++) {
        p[i] = arena_alloc(arena, i * 1000);
        assert_non_null(p[i]);
        assert_int_equal((uintptr_t)p[i] % 64, 0);
        memset(p[i], i, (size_t)i * 1000);
    }
    for (int i = 1; i < 200; i++)
        assert_true(p[i][0] == i && p[i][i * 1000 - 1] == i);
    assert_true(arena_used(arena) >= 199 * 200 / 2 * 1000);
    assert_ok(arena_failed(arena, &err), &err);
    arena_free(arena);
}

static void a_rewind_gives_back_what_came_after_the_mark(void **state)
{
    struct err err = ERR_INIT;
    struct arena *arena = arena_new(&err);
    char *kept = arena_strdup(arena, "kept");
    struct arena_mark mark = arena_mark(arena);
    int64_t used = arena_used(arena);

    (void)state;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 40; i++)
            assert_non_null(arena_zalloc(arena, (40 - i) * 100000));
        arena_rewind(arena, mark);
        assert_int_equal(arena_used(arena), used);
    }
    assert_string_equal(kept, "kept");
    assert_string_equal(arena_printf(arena, "%d+%d", 1, 2), "1+2");
    assert_true(arena_peak(arena) >= 820 * 100000);
    arena_clear(arena);
    assert_int_equal(arena_used(arena), 0);
    arena_free(arena);
}

static void a_failure_sticks_to_the_arena(void **state)
{
    struct err err = ERR_INIT;
    struct arena *arena = arena_new(&err);

    (void)state;
    assert_non_null(arena_alloc(arena, 10));
    assert_null(arena_alloc(arena, INT64_MAX));
    assert_null(arena_alloc(arena, 10));
    arena_clear(arena);
    assert_null(arena_zalloc(arena, 10));
    assert_fails(arena_failed(arena, &err), &err, ERR_MEMORY, "no memory for");
    arena_free(arena);
    arena_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_memory_is_zero_and_absurd_sizes_fail),
        cmocka_unit_test(a_growing_array_keeps_its_elements),
        cmocka_unit_test(texts_are_copied_and_printed),
        cmocka_unit_test(products_are_checked),
        cmocka_unit_test(arena_memory_is_aligned_and_apart),
        cmocka_unit_test(a_rewind_gives_back_what_came_after_the_mark),
        cmocka_unit_test(a_failure_sticks_to_the_arena),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
