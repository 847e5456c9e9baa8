#include "vm/virtio/device.h"

#include "vm/virtio/balloon.h"
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

/* What a driver does, with one queue. */
static void drive(struct virtio_device *device)
{
    put(device, 0x70, 3);
    put(device, 0x24, 1);
    put(device, 0x20, 1);
    put(device, 0x70, 11);
    put(device, 0x30, 0);
    put(device, 0x38, 4);
    put(device, 0x80, 0x1000);
    put(device, 0x90, 0x2000);
    put(device, 0xa0, 0x3000);
    put(device, 0x44, 1);
    put(device, 0x70, 15);
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
    drive(from);
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
    drive(balloon_device(balloon));
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
