#include "vm/memory.h"

#include "test.h"

TEST(memory_gate_takes_only_whole_ranges_of_ram)
{
    struct memory memory;
    const uint64_t size = (uint64_t)2 << 20;

    CHECK_INT(memory_init(&memory, size, NULL), 0);
    CHECK(memory_at(&memory, 0, size) == memory.regions[0].host);
    CHECK(memory_at(&memory, size - 1, 1) == memory.regions[0].host + size - 1);
    CHECK(!memory_at(&memory, size - 1, 2));
    CHECK(!memory_at(&memory, size, 1));
    CHECK(!memory_at(&memory, 0, 0));
    CHECK(!memory_at(&memory, 0, UINT64_MAX));
    CHECK(!memory_at(&memory, UINT64_MAX, 2));
    CHECK(!memory_at(&memory, 1, UINT64_MAX));
    memory_free(&memory);
}

TEST(memory_above_the_hole_is_another_region)
{
    struct memory memory;

    CHECK_INT(memory_init(&memory, MEMORY_LOW_MAX + MEMORY_PAGE, NULL), 0);
    CHECK_INT(memory.count, 2);
    CHECK(!memory_at(&memory, MEMORY_LOW_MAX, 1));
    CHECK(!memory_at(&memory, MEMORY_LOW_MAX - 1, 2));
    CHECK(memory_at(&memory, MEMORY_HIGH_BASE, MEMORY_PAGE));
    CHECK(!memory_at(&memory, MEMORY_HIGH_BASE, MEMORY_PAGE + 1));
    CHECK(!memory_at(&memory, MEMORY_HIGH_BASE - 1, 2));
    memory_free(&memory);
}

TEST(memory_sizes_are_checked)
{
    struct memory memory;

    CHECK_INT(memory_init(&memory, 4095, NULL), -EINVAL);
    CHECK_INT(memory_init(&memory, 4096, NULL), -EINVAL);
    CHECK_INT(memory_init(&memory, MEMORY_SIZE_MAX + MEMORY_PAGE, NULL), -EINVAL);
    CHECK_INT(memory_init(&memory, UINT64_MAX, NULL), -EINVAL);
}

TEST(memory_discard_gives_whole_pages_back)
{
    struct memory memory;
    char text[4] = "";

    CHECK_INT(memory_init(&memory, MEMORY_SIZE_MIN, NULL), 0);
    CHECK(memory_write(&memory, 4096, "abc", 4));
    CHECK(!memory_discard(&memory, 4096, 100));
    CHECK(!memory_discard(&memory, 4097, 4096));
    CHECK(!memory_discard(&memory, MEMORY_SIZE_MIN, 4096));
    CHECK(memory_read(&memory, 4096, text, 4));
    CHECK_STR(text, "abc");
    CHECK(memory_discard(&memory, 4096, 4096));
    CHECK(memory_read(&memory, 4096, text, 4));
    CHECK_STR(text, "");
    memory_free(&memory);
}

TEST_MAIN()
