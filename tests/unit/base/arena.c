#include "base/arena.h"

#include "base/buf.h"
#include "base/cleanup.h"
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

/* A text is written where it fits, else into a new block; what is given out next is zeros. */
TEST(arena_prints_at_the_end_of_a_block)
{
    for (size_t left = 16; left <= 256; left += 16) {
        _cleanup_arena_ struct arena arena = {0};
        (void)arena_alloc(&arena, 16384 - left);
        char *text = arena_printf(&arena, "%0100d", 7);
        CHECK_INT(strlen(text), 100);
        CHECK_INT(text[99], '7');
        unsigned char *next = arena_alloc(&arena, 16);
        for (size_t i = 0; i < 16; i++)
            CHECK_INT(next[i], 0);
        CHECK_INT(strlen(text), 100);
    }
}

TEST(buf_prints_what_fits_and_what_does_not)
{
    _cleanup_buf_ struct buf buf = {.max = 200};

    for (int i = 0; i < 19; i++)
        buf_printf(&buf, "%010d", i);
    CHECK_INT(buf.length, 190);
    CHECK_STR(buf_text(&buf) + 180, "0000000018");
    buf_printf(&buf, "%020d", 1);
    CHECK(buf.overflow);
    CHECK_INT(strlen(buf_text(&buf)), 190);
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
