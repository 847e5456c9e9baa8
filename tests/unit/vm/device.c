#include "vm/virtio/device.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "vm/virtio/balloon.h"
#include "vm/virtio/net.h"
#include "vm/virtio/rng.h"

#include "test.h"

static unsigned pulses;

static void pulse(void *chip, unsigned pin)
{
    (void)chip;
    (void)pin;
    pulses++;
}

struct setup {
    struct memory memory;
    struct loop *loop;
    struct virtio_place place;
};

static bool set_up(struct setup *setup)
{
    bool good = memory_init(&setup->memory, MEMORY_SIZE_MIN, NULL) == 0 &&
                loop_new(&setup->loop, NULL) == 0;

    setup->place = (struct virtio_place){&setup->memory, setup->loop, {pulse, NULL, 0}};
    pulses = 0;
    return good;
}

static void tear_down(struct setup *setup)
{
    loop_free(setup->loop);
    memory_free(&setup->memory);
}

static void put(struct virtio_device *device, uint64_t offset, uint32_t value)
{
    virtio_bus_ops.write(device, offset, 4, value);
}

/* What a driver does, with so many queues. */
static void drive(struct virtio_device *device, uint32_t queues)
{
    put(device, 0x70, 3);
    put(device, 0x24, 1);
    put(device, 0x20, 1);
    put(device, 0x70, 11);
    for (uint32_t i = 0; i < queues; i++) {
        put(device, 0x30, i);
        put(device, 0x38, 4);
        put(device, 0x80, 0x1000 + i * 0x4000);
        put(device, 0x90, 0x2000 + i * 0x4000);
        put(device, 0xa0, 0x3000 + i * 0x4000);
        put(device, 0x44, 1);
    }
    put(device, 0x70, 15);
}

static uint32_t get(struct virtio_device *device, uint64_t offset, unsigned size)
{
    return (uint32_t)virtio_bus_ops.read(device, offset, size);
}

/* virtio 1.2 5.1.4: the status is behind the address; interrupt bit 1 is of the configuration. */
TEST(a_spare_network_device_comes_up_with_its_tap)
{
    _cleanup_arena_ struct arena arena = {0};
    struct net_config config = {.wire = WIRE_NONE, .mac = {2, 0x56, 0x49, 0x56, 1, 2}};
    struct setup setup;
    struct net *net;
    int pipes[2];

    CHECK(set_up(&setup));
    CHECK_INT(net_new(&setup.place, &config, &net, NULL), 0);
    struct virtio_device *device = net_device(net);
    drive(device, 2);
    CHECK(virtio_is_live(device));
    CHECK(net_is_spare(net));
    CHECK_INT(get(device, 0x106, 2), 0);
    CHECK_STR(net_device_text(net, &arena), "02:56:49:56:01:02");
    CHECK_INT(pipe(pipes), 0);
    CHECK_INT(net_connect(net, pipes[0], "vv0", NULL), -EINVAL); /* no tap */
    close(pipes[1]);
    CHECK(net_is_spare(net));
    CHECK_INT(pulses, 0);
    CHECK_INT(net_connect(net, open("/dev/null", O_RDWR | O_CLOEXEC), "vv0", NULL), 0);
    CHECK(!net_is_spare(net));
    CHECK_STR(net_tap(net), "vv0");
    CHECK_INT(get(device, 0x106, 2), 1);
    CHECK_INT(get(device, 0x60, 4) & 2, 2);
    CHECK(pulses > 0 && virtio_is_live(device));
    put(device, 0x64, 3);
    net_disconnect(net);
    CHECK(net_is_spare(net) && !net_tap(net));
    CHECK_INT(get(device, 0x106, 2), 0);
    CHECK_INT(get(device, 0x60, 4) & 2, 2);
    net_free(net);
    tear_down(&setup);
}

TEST(device_state_goes_round)
{
    struct setup setup;
    struct balloon *first, *second;
    _cleanup_buf_ struct buf buf = {0}, again = {0};
    struct state state;

    CHECK(set_up(&setup));
    CHECK_INT(balloon_new(&setup.place, &first, NULL), 0);
    CHECK_INT(balloon_new(&setup.place, &second, NULL), 0);
    struct virtio_device *from = balloon_device(first), *to = balloon_device(second);
    drive(from, 1);
    balloon_set_target(first, 1 << 20);
    CHECK_INT(virtio_hold(from, NULL), 0);
    virtio_save(from, 3, &buf);
    virtio_release(from);
    CHECK_INT(state_open(&state, buf.data, buf.length, NULL), 0);
    CHECK_INT(virtio_restore(to, 3, &state, NULL), 0);
    CHECK(virtio_is_live(to));
    CHECK(virtio_has(to, VIRTIO_F_VERSION_1));
    CHECK_INT(to->queues[0].state.size, 4);
    CHECK_INT(to->queues[0].state.used, 0x3000);
    CHECK(to->queues[0].state.ready);
    CHECK_INT(virtio_bus_ops.read(to, 0x100, 4), 256); /* pages of the target */
    virtio_save(to, 3, &again);
    CHECK_INT(again.length, buf.length);
    CHECK(memcmp(again.data, buf.data, buf.length) == 0);
    balloon_free(first);
    balloon_free(second);
    tear_down(&setup);
}

TEST(device_of_another_kind_is_refused)
{
    struct setup setup;
    struct balloon *balloon;
    struct rng *rng;
    _cleanup_buf_ struct buf buf = {0};
    struct state state;
    struct error err = ERROR_NONE;

    CHECK(set_up(&setup));
    CHECK_INT(balloon_new(&setup.place, &balloon, NULL), 0);
    CHECK_INT(rng_new(&setup.place, &rng, NULL), 0);
    drive(balloon_device(balloon), 1);
    virtio_save(balloon_device(balloon), 0, &buf);
    CHECK_INT(state_open(&state, buf.data, buf.length, NULL), 0);
    CHECK_INT(virtio_restore(rng_device(rng), 0, &state, &err), -EINVAL);
    CHECK(strstr(err.text, "virtio-rng, device 0: the snapshot has another kind of device"));
    CHECK(!virtio_is_live(rng_device(rng)));
    balloon_free(balloon);
    rng_free(rng);
    tear_down(&setup);
}

TEST_MAIN()
