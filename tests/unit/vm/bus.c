#include "vm/bus.h"

#include "test.h"

static uint64_t last_offset, last_value;

static uint64_t on_read(void *device, uint64_t offset, unsigned size)
{
    (void)device;
    (void)size;
    last_offset = offset;
    return 0x1122334455667788;
}

static void on_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
    (void)device;
    (void)size;
    last_offset = offset;
    last_value = value;
}

static const struct bus_ops ops = {"test", on_read, on_write};

TEST(bus_finds_the_device)
{
    struct bus bus = {0};

    CHECK_INT(bus_add(&bus, 0x100, 8, &ops, NULL, NULL), 0);
    CHECK_INT(bus_add(&bus, 0x107, 1, &ops, NULL, NULL), -EEXIST);
    CHECK_INT(bus_add(&bus, 0x108, 8, &ops, NULL, NULL), 0);
    CHECK_INT(bus_read(&bus, 0x104, 2), 0x7788);
    CHECK_INT(last_offset, 4);
    bus_write(&bus, 0x10f, 1, 0x1ff);
    CHECK_INT(last_offset, 7);
    CHECK_INT(last_value, 0xff);
}

TEST(bus_gives_ones_where_nobody_answers)
{
    struct bus bus = {0};

    bus_add(&bus, 0x100, 8, &ops, NULL, NULL);
    CHECK_INT(bus_read(&bus, 0xff, 1), 0xff);
    CHECK_INT(bus_read(&bus, 0x106, 4), 0xffffffff); /* over the end */
    CHECK(bus_read(&bus, 0x200, 8) == UINT64_MAX);
    bus_write(&bus, 0x200, 8, 1);
}

TEST(bus_has_a_cap)
{
    struct bus bus = {0};

    for (unsigned i = 0; i < BUS_RANGES_MAX; i++)
        CHECK_INT(bus_add(&bus, i * 16, 16, &ops, NULL, NULL), 0);
    CHECK_INT(bus_add(&bus, 0x10000, 1, &ops, NULL, NULL), -ENOSPC);
}

TEST_MAIN()
