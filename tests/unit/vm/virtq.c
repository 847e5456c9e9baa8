#include "vm/virtio/virtq.h"

#include "test.h"

/* A ring in guest memory as a driver would lay it out, and every way in which a hostile one may. */

#define SIZE 8
#define TABLE 0x1000
#define AVAILABLE 0x2000
#define USED 0x3000
#define INDIRECT 0x4000
#define DATA 0x10000

#define NEXT 1
#define WRITE 2
#define INDIRECT_FLAG 4

struct descriptor {
    uint64_t address;
    uint32_t length;
    uint16_t flags;
    uint16_t next;
};

struct fixture {
    struct memory memory;
    struct virtq queue;
    struct virtq_chain chain;
    uint64_t told; /* bytes that memory was told of */
};

static struct fixture f;

static void on_write(void *data, uint64_t address, uint64_t length)
{
    (void)data;
    (void)address;
    f.told += length;
}

static void set_up(void)
{
    memory_free(&f.memory);
    f = (struct fixture){0};
    memory_init(&f.memory, MEMORY_SIZE_MIN, NULL);
    virtq_init(&f.queue, &f.memory, SIZE);
    f.queue.state = (struct virtq_state){.descriptors = TABLE,
            .available = AVAILABLE,
            .used = USED,
            .size = SIZE,
            .ready = true};
}

static void put16(uint64_t address, uint16_t value)
{
    memory_write(&f.memory, address, &value, sizeof(value));
}

static uint16_t get16(uint64_t address)
{
    uint16_t value = 0;

    memory_read(&f.memory, address, &value, sizeof(value));
    return value;
}

static void put_descriptor(uint64_t table, unsigned index, uint64_t address, uint32_t length,
        uint16_t flags, uint16_t next)
{
    struct descriptor d = {address, length, flags, next};

    memory_write(&f.memory, table + index * sizeof(d), &d, sizeof(d));
}

static void offer(uint16_t head)
{
    uint16_t index = get16(AVAILABLE + 2);

    put16(AVAILABLE + 4 + 2 * (uint64_t)(index % SIZE), head);
    put16(AVAILABLE + 2, (uint16_t)(index + 1));
}

TEST(virtq_hands_out_a_chain_once)
{
    set_up();
    CHECK_INT(virtq_next(&f.queue, &f.chain), 0);
    put_descriptor(TABLE, 0, DATA, 16, NEXT, 1);
    put_descriptor(TABLE, 1, DATA + 0x1000, 512, NEXT | WRITE, 2);
    put_descriptor(TABLE, 2, DATA + 0x2000, 1, WRITE, 0);
    offer(0);
    CHECK(virtq_has_next(&f.queue));
    CHECK_INT(virtq_next(&f.queue, &f.chain), 1);
    CHECK_INT(f.chain.readable, 1);
    CHECK_INT(f.chain.writable, 2);
    CHECK_INT(f.chain.readable_bytes, 16);
    CHECK_INT(f.chain.writable_bytes, 513);
    CHECK_INT(virtq_next(&f.queue, &f.chain), 0);
    f.chain.head = 0;
    CHECK(virtq_push(&f.queue, &f.chain, 513));
    CHECK_INT(get16(USED + 2), 1);
    CHECK_INT(get16(USED + 8), 513);
}

TEST(virtq_transfers_across_segments)
{
    char text[8] = "";

    set_up();
    put_descriptor(TABLE, 0, DATA, 3, NEXT, 1);
    put_descriptor(TABLE, 1, DATA + 0x1000, 3, NEXT, 2);
    put_descriptor(TABLE, 2, DATA + 0x2000, 2, NEXT | WRITE, 3);
    put_descriptor(TABLE, 3, DATA + 0x3000, 2, WRITE, 0);
    memory_write(&f.memory, DATA, "abc", 3);
    memory_write(&f.memory, DATA + 0x1000, "def", 3);
    offer(0);
    CHECK_INT(virtq_next(&f.queue, &f.chain), 1);
    CHECK_INT(virtq_read(&f.chain, 1, text, 4), 4);
    CHECK_STR(text, "bcde");
    CHECK_INT(virtq_read(&f.chain, 4, text, 8), 2);
    CHECK_INT(virtq_write(&f.chain, 1, "xyz", 3), 3);
    memory_read(&f.memory, DATA + 0x3000, text, 2);
    CHECK(!memcmp(text, "yz", 2));
    CHECK_INT(virtq_write(&f.chain, 4, "xyz", 3), 0);
}

TEST(virtq_reads_indirect_tables)
{
    set_up();
    put_descriptor(TABLE, 5, INDIRECT, 32, INDIRECT_FLAG, 0);
    put_descriptor(INDIRECT, 0, DATA, 100, NEXT, 1);
    put_descriptor(INDIRECT, 1, DATA, 200, WRITE, 0);
    offer(5);
    CHECK_INT(virtq_next(&f.queue, &f.chain), 1);
    CHECK_INT(f.chain.head, 5);
    CHECK_INT(f.chain.readable_bytes, 100);
    CHECK_INT(f.chain.writable_bytes, 200);
}

/* One descriptor table for each rule that may be broken; the chain starts at 0. */
static const struct {
    const char *name;
    struct descriptor d[3];
    struct descriptor indirect[2];
    int expected;
} broken[] = {
        {"circle", {{DATA, 1, NEXT, 1}, {DATA, 1, NEXT, 0}}, {{0}}, -EINVAL},
        {"itself", {{DATA, 1, NEXT, 0}}, {{0}}, -EINVAL},
        {"next outside", {{DATA, 1, NEXT, SIZE}}, {{0}}, -EINVAL},
        {"readable after writable", {{DATA, 1, NEXT | WRITE, 1}, {DATA, 1, 0, 0}}, {{0}}, -EINVAL},
        {"not RAM", {{0xfee00000, 16, 0, 0}}, {{0}}, -EFAULT},
        {"end not RAM", {{MEMORY_SIZE_MIN - 1, 2, 0, 0}}, {{0}}, -EFAULT},
        {"wraps round", {{UINT64_MAX - 1, 16, 0, 0}}, {{0}}, -EFAULT},
        {"largest", {{0, UINT32_MAX, 0, 0}}, {{0}}, -EFAULT},
        {"indirect and next", {{INDIRECT, 32, INDIRECT_FLAG | NEXT, 1}}, {{0}}, -EINVAL},
        {"indirect of no length", {{INDIRECT, 0, INDIRECT_FLAG, 0}}, {{0}}, -EINVAL},
        {"indirect of odd length", {{INDIRECT, 17, INDIRECT_FLAG, 0}}, {{0}}, -EINVAL},
        {"indirect of many", {{INDIRECT, 16 * 4096, INDIRECT_FLAG, 0}}, {{0}}, -EINVAL},
        {"indirect outside RAM", {{0xfee00000, 32, INDIRECT_FLAG, 0}}, {{0}}, -EFAULT},
        {"indirect that wraps", {{UINT64_MAX - 15, 32, INDIRECT_FLAG, 0}}, {{DATA, 1, NEXT, 1}},
                -EFAULT},
        {"indirect in indirect", {{INDIRECT, 32, INDIRECT_FLAG, 0}},
                {{INDIRECT, 32, INDIRECT_FLAG, 0}}, -EINVAL},
        {"circle in indirect", {{INDIRECT, 32, INDIRECT_FLAG, 0}},
                {{DATA, 1, NEXT, 1}, {DATA, 1, NEXT, 0}}, -EINVAL},
        {"next outside indirect", {{INDIRECT, 32, INDIRECT_FLAG, 0}}, {{DATA, 1, NEXT, 2}},
                -EINVAL},
};

TEST(virtq_refuses_broken_chains)
{
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        set_up();
        memory_write(&f.memory, TABLE, broken[i].d, sizeof(broken[i].d));
        memory_write(&f.memory, INDIRECT, broken[i].indirect, sizeof(broken[i].indirect));
        offer(0);
        int r = virtq_next(&f.queue, &f.chain);
        if (r != broken[i].expected) {
            test_report(__FILE__, __LINE__, "%s: %d, expected %d", broken[i].name, r,
                    broken[i].expected);
            return;
        }
    }
}

TEST(virtq_refuses_heads_and_indexes_that_ran_away)
{
    set_up();
    offer(SIZE);
    CHECK_INT(virtq_next(&f.queue, &f.chain), -EINVAL);
    set_up();
    put16(AVAILABLE + 2, SIZE + 1);
    CHECK_INT(virtq_next(&f.queue, &f.chain), -ERANGE);
    set_up();
    f.queue.state.available = MEMORY_SIZE_MIN - 2;
    CHECK_INT(virtq_next(&f.queue, &f.chain), -EFAULT);
    set_up();
    f.queue.state.used = MEMORY_SIZE_MIN - 4;
    put_descriptor(TABLE, 0, DATA, 1, 0, 0);
    offer(0);
    CHECK_INT(virtq_next(&f.queue, &f.chain), 1);
    CHECK(!virtq_push(&f.queue, &f.chain, 0));
}

TEST(virtq_tells_memory_only_of_what_was_written)
{
    set_up();
    put_descriptor(TABLE, 0, DATA, 64, NEXT | WRITE, 1);
    put_descriptor(TABLE, 1, DATA + 0x1000, 64, WRITE, 0);
    offer(0);
    CHECK_INT(virtq_next(&f.queue, &f.chain), 1);
    f.memory.on_write = on_write;
    CHECK(virtq_push(&f.queue, &f.chain, 70));
    CHECK_INT(f.told, 70 + 8 + 2); /* the data, the used element and index */
}

TEST(virtq_interrupts_as_the_driver_asked)
{
    set_up();
    CHECK(virtq_wants_interrupt(&f.queue));
    put16(AVAILABLE, 1);
    CHECK(!virtq_wants_interrupt(&f.queue));

    set_up();
    f.queue.event_idx = true;
    CHECK(virtq_wants_interrupt(&f.queue)); /* nothing was told before */
    put16(AVAILABLE + 4 + 2 * SIZE, 1);     /* "when the second was used" */
    virtq_push_head(&f.queue, 0, 0);
    CHECK(!virtq_wants_interrupt(&f.queue));
    virtq_push_head(&f.queue, 0, 0);
    CHECK(virtq_wants_interrupt(&f.queue));
    virtq_push_head(&f.queue, 0, 0);
    CHECK(!virtq_wants_interrupt(&f.queue));
}

TEST(virtq_ring_wraps_round)
{
    set_up();
    put_descriptor(TABLE, 3, DATA, 4, 0, 0);
    for (int i = 0; i < 70000; i++) {
        offer(3);
        CHECK_INT(virtq_next(&f.queue, &f.chain), 1);
        CHECK(virtq_push(&f.queue, &f.chain, 0));
        CHECK_INT(virtq_next(&f.queue, &f.chain), 0);
    }
    CHECK_INT(get16(USED + 2), (uint16_t)70000);
}

TEST_MAIN()
