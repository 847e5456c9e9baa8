#include "base/arena.h"

#include "base/str.h"
#include "test.h"

TEST(arena_memory_is_zeroed_and_aligned)
{
    _cleanup_arena_ struct arena arena = {0};

    for (size_t size = 1; size < 40000; size = size * 3 + 1) {
        unsigned char *data = arena_alloc(&arena, size);
        CHECK_INT((uintptr_t)data % _Alignof(max_align_t), 0);
        for (size_t i = 0; i < size; i++)
            CHECK_INT(data[i], 0);
        memset(data, 0xff, size);
    }
}

TEST(arena_grow_keeps_what_was_there)
{
    _cleanup_arena_ struct arena arena = {0};
    size_t capacity = 0;
    int *numbers = NULL;

    for (int i = 0; i < 1000; i++) {
        numbers = arena_grow(&arena, numbers, (size_t)i, &capacity, sizeof(*numbers));
        numbers[i] = i;
    }
    for (int i = 0; i < 1000; i++)
        CHECK_INT(numbers[i], i);
}

TEST(arena_is_usable_after_free)
{
    struct arena arena = {0};

    CHECK_STR(arena_printf(&arena, "%d-%s", 7, "x"), "7-x");
    arena_free(&arena);
    CHECK_INT(arena.used, 0);
    CHECK_STR(arena_strdup(&arena, "again"), "again");
    arena_free(&arena);
}

TEST_MAIN()
