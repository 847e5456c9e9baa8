/*
 * Each virtio device driven by bytes: what a hostile guest writes to its registers and rings. The
 * input is a list of actions; memory is small, so that random addresses often hit something. The
 * first byte chooses the device.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/loop.h"
#include "vm/disk/disk.h"
#include "vm/virtio/balloon.h"
#include "vm/virtio/blk.h"
#include "vm/virtio/console.h"
#include "vm/virtio/net.h"
#include "vm/virtio/rng.h"
#include "vm/virtio/vsock.h"

#define ACTIONS_MAX 400

struct input {
    const uint8_t *data;
    size_t left;
};

/* The device under test, whichever it is. */
struct bench {
    struct memory memory;
    struct loop *loop;
    struct virtio_device *device;
    void *owner;
    void (*free)(void *owner);
    int peer;
};

static uint64_t take(struct input *input, size_t bytes)
{
    uint64_t value = 0;

    for (size_t i = 0; i < bytes && input->left; i++, input->left--)
        value = value << 8 | *input->data++;
    return value;
}

static void make_blk(struct bench *bench, const struct virtio_place *place)
{
    struct blk_config config = {.serial = "fuzz"};
    struct disk_config disk = {.file = {memfd_create("disk", MFD_CLOEXEC), "disk"}};
    struct blk *blk;

    if (ftruncate(disk.file.fd, 1 << 20) < 0 || disk_open(&disk, &config.disk, NULL) < 0 ||
            blk_new(place, &config, &blk, NULL) < 0)
        abort();
    bench->device = blk_device(blk);
    bench->owner = blk;
    bench->free = (void (*)(void *))blk_free;
}

static void make_net(struct bench *bench, const struct virtio_place *place)
{
    struct net_config config = {.mac = {2}};
    struct net *net;
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0 ||
            wire_open_fd(&config.wire, ends[0], true, NULL) < 0 ||
            net_new(place, &config, &net, NULL) < 0)
        abort();
    bench->peer = ends[1];
    bench->device = net_device(net);
    bench->owner = net;
    bench->free = (void (*)(void *))net_free;
}

static void make_vsock(struct bench *bench, const struct virtio_place *place)
{
    struct vsock_config config = {.cid = 3, .listen_fd = -1, .agent_fd = -1};
    struct vsock *vsock;
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
        abort();
    config.agent_fd = ends[0];
    bench->peer = ends[1];
    if (vsock_new(place, &config, &vsock, NULL) < 0)
        abort();
    bench->device = vsock_device(vsock);
    bench->owner = vsock;
    bench->free = (void (*)(void *))vsock_free;
}

static void make_console(struct bench *bench, const struct virtio_place *place)
{
    struct console_config config = {.input = -1, .output = -1};
    struct console *console;

    if (console_new(place, &config, &console, NULL) < 0)
        abort();
    bench->device = console_device(console);
    bench->owner = console;
    bench->free = (void (*)(void *))console_free;
}

static void make_rng(struct bench *bench, const struct virtio_place *place)
{
    struct rng *rng;

    if (rng_new(place, &rng, NULL) < 0)
        abort();
    bench->device = rng_device(rng);
    bench->owner = rng;
    bench->free = (void (*)(void *))rng_free;
}

static void make_balloon(struct bench *bench, const struct virtio_place *place)
{
    struct balloon *balloon;

    if (balloon_new(place, &balloon, NULL) < 0)
        abort();
    bench->device = balloon_device(balloon);
    bench->owner = balloon;
    bench->free = (void (*)(void *))balloon_free;
}

static void (*const makers[])(struct bench *bench, const struct virtio_place *place) = {
        make_blk, make_net, make_vsock, make_console, make_rng, make_balloon};

/* Runs what the loop has to do now, and no more. */
static void stop_loop(struct loop *loop, void *data)
{
    (void)data;
    loop_quit(loop, 0);
}

static void run_loop(struct bench *bench)
{
    if (loop_add_timer(bench->loop, 0, stop_loop, NULL, NULL) == 0)
        loop_run(bench->loop);
}

static void write_register(struct bench *bench, uint64_t offset, unsigned size, uint64_t value)
{
    virtio_bus_ops.write(bench->device, offset, size, value);
}

/* A driver's usual start, so that inputs need not find it: the rings lie where random bytes are
 * likely to be written. */
static void set_up_driver(struct bench *bench)
{
    write_register(bench, 0x70, 4, 3);
    for (uint32_t half = 0; half < 2; half++) {
        write_register(bench, 0x14, 4, half);
        uint64_t features = virtio_bus_ops.read(bench->device, 0x10, 4);
        write_register(bench, 0x24, 4, half);
        write_register(bench, 0x20, 4, features);
    }
    write_register(bench, 0x70, 4, 11);
    for (uint32_t i = 0; i < bench->device->ops->queues; i++) {
        write_register(bench, 0x30, 4, i);
        write_register(bench, 0x38, 4, 8);
        write_register(bench, 0x80, 4, 0x1000 * (i + 1));
        write_register(bench, 0x90, 4, 0x1000 * (i + 1) + 0x400);
        write_register(bench, 0xa0, 4, 0x1000 * (i + 1) + 0x800);
        write_register(bench, 0x44, 4, 1);
    }
    write_register(bench, 0x70, 4, 15);
}

/* A descriptor, and its index in the available ring. */
static void add_chain(struct bench *bench, struct input *input)
{
    uint64_t ring = 0x1000 * (1 + take(input, 1) % bench->device->ops->queues);
    uint64_t slot = take(input, 1) % 8;
    uint64_t address = take(input, 2) * 16;
    uint32_t length = (uint32_t)take(input, 2);
    uint16_t flags = (uint16_t)take(input, 1) & 7, next = (uint16_t)take(input, 1) % 9, index = 0;

    memory_write(&bench->memory, ring + slot * 16, &address, 8);
    memory_write(&bench->memory, ring + slot * 16 + 8, &length, 4);
    memory_write(&bench->memory, ring + slot * 16 + 12, &flags, 2);
    memory_write(&bench->memory, ring + slot * 16 + 14, &next, 2);
    memory_read(&bench->memory, ring + 0x402, &index, 2);
    memory_write(
            &bench->memory, ring + 0x404 + 2 * (uint64_t)(index % 8), &(uint16_t){slot & 7}, 2);
    index++;
    memory_write(&bench->memory, ring + 0x402, &index, 2);
}

static void act(struct bench *bench, struct input *input)
{
    uint8_t bytes[64];
    uint64_t value = take(input, 1);

    switch (value % 7) {
    case 0:
        write_register(bench, take(input, 2) % 0x200, 1U << take(input, 1) % 4, take(input, 4));
        break;
    case 1:
        (void)virtio_bus_ops.read(bench->device, take(input, 2) % 0x200, 1U << take(input, 1) % 4);
        break;
    case 2:
        value = take(input, 3) % (1 << 20);
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = (uint8_t)take(input, 1);
        memory_write(&bench->memory, value, bytes, sizeof(bytes));
        break;
    case 3:
        add_chain(bench, input);
        break;
    case 4:
        write_register(bench, 0x50, 4, take(input, 1) % VIRTIO_QUEUES_MAX);
        run_loop(bench);
        break;
    case 5:
        set_up_driver(bench);
        break;
    default:
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = (uint8_t)take(input, 1);
        if (bench->peer >= 0)
            (void)send(bench->peer, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    struct bench bench = {.peer = -1};

    if (memory_init(&bench.memory, MEMORY_SIZE_MIN, NULL) < 0 || loop_new(&bench.loop, NULL) < 0)
        abort();
    struct virtio_place place = {.memory = &bench.memory, .loop = bench.loop};
    makers[take(&input, 1) % (sizeof(makers) / sizeof(makers[0]))](&bench, &place);
    set_up_driver(&bench);
    for (int i = 0; i < ACTIONS_MAX && input.left; i++)
        act(&bench, &input);
    run_loop(&bench);
    bench.free(bench.owner);
    loop_free(bench.loop);
    if (bench.peer >= 0)
        close(bench.peer);
    memory_free(&bench.memory);
    return 0;
}
