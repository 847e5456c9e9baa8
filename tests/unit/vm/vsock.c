#include "vm/virtio/vsock.h"

#include <linux/virtio_vsock.h>

#include "test.h"

/* The driver's side of a receiving and a transmitting ring, which both use event indices. */

#define SIZE 4
#define RINGS 0x1000 /* a page for each: descriptors, available ring, used ring */
#define TRANSMIT 0x3000
#define AVAILABLE 0x400
#define USED 0x800
#define BUFFERS 0x10000
#define PACKET 0x20000
#define CID 3

static struct memory memory;
static struct loop *loop;
static struct virtio_device *device;

static void put(uint64_t offset, uint32_t value)
{
    virtio_bus_ops.write(device, offset, 4, value);
}

static void put16(uint64_t address, uint16_t value)
{
    memory_write(&memory, address, &value, sizeof(value));
}

static uint16_t get16(uint64_t address)
{
    uint16_t value = 0;

    memory_read(&memory, address, &value, sizeof(value));
    return value;
}

static void set_up_queue(
        uint32_t number, uint64_t ring, uint64_t buffer, uint32_t length, bool write)
{
    struct {
        uint64_t address;
        uint32_t length;
        uint16_t flags, next;
    } descriptor = {buffer, length, write ? 2 : 0, 0};

    memory_write(&memory, ring, &descriptor, sizeof(descriptor));
    put(0x30, number);
    put(0x38, SIZE);
    put(0x80, (uint32_t)ring);
    put(0x90, (uint32_t)ring + AVAILABLE);
    put(0xa0, (uint32_t)ring + USED);
    put(0x44, 1);
}

/* Each entry of both available rings is descriptor 0: the rings begin as zeroes. */
static void set_up(void)
{
    put(0x70, 3);
    put(0x24, 0);
    put(0x20, 1U << 29); /* event indices */
    put(0x24, 1);
    put(0x20, 1); /* version 1 */
    put(0x70, 11);
    set_up_queue(0, RINGS, BUFFERS, 4096, true);
    set_up_queue(1, TRANSMIT, PACKET, sizeof(struct virtio_vsock_hdr), false);
    put(0x70, 15);
}

static void on_timer(struct loop *ours, void *data)
{
    (void)data;
    loop_quit(ours, 0);
}

static void run_loop(void)
{
    CHECK_INT(loop_add_timer(loop, 1000, on_timer, NULL, NULL), 0);
    CHECK_INT(loop_run(loop), 0);
}

static void notify(uint32_t queue)
{
    put(0x50, queue);
    run_loop();
}

/* A packet of no connection, which is answered by a reset. */
static void send_stray(uint16_t number)
{
    struct virtio_vsock_hdr header = {.src_cid = CID,
            .dst_cid = 2,
            .src_port = number,
            .dst_port = 7,
            .type = VIRTIO_VSOCK_TYPE_STREAM,
            .op = VIRTIO_VSOCK_OP_RW};

    memory_write(&memory, PACKET, &header, sizeof(header));
    put16(TRANSMIT + AVAILABLE + 2, number);
    notify(1);
}

TEST(vsock_asks_to_be_told_of_buffers_when_it_has_none)
{
    const struct vsock_config config = {.cid = CID, .listen_fd = -1, .agent_fd = -1};
    struct virtio_vsock_hdr answer = {0};
    struct virtio_place place;
    struct vsock *vsock;

    CHECK_INT(memory_init(&memory, MEMORY_SIZE_MIN, NULL), 0);
    CHECK_INT(loop_new(&loop, NULL), 0);
    place = (struct virtio_place){.memory = &memory, .loop = loop};
    CHECK_INT(vsock_new(&place, &config, &vsock, NULL), 0);
    device = vsock_device(vsock);
    set_up();
    put16(RINGS + AVAILABLE + 2, 1);
    send_stray(1);
    CHECK_INT(get16(RINGS + USED + 2), 1);
    memory_read(&memory, BUFFERS, &answer, sizeof(answer));
    CHECK_INT(answer.op, VIRTIO_VSOCK_OP_RST);
    CHECK_INT(answer.dst_port, 1);
    send_stray(2);
    CHECK_INT(get16(RINGS + USED + 2), 1);
    CHECK_INT(get16(RINGS + USED + 4 + 8 * SIZE), 1); /* the event index */
    put16(RINGS + AVAILABLE + 2, 2);
    notify(0);
    CHECK_INT(get16(RINGS + USED + 2), 2);
    memory_read(&memory, BUFFERS, &answer, sizeof(answer));
    CHECK_INT(answer.dst_port, 2);
    vsock_free(vsock);
    loop_free(loop);
    memory_free(&memory);
}

TEST_MAIN()
