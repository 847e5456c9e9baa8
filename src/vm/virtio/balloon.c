#include "vm/virtio/balloon.h"

#include <linux/virtio_balloon.h>
#include <stdlib.h>

#define QUEUE_SIZE 128
#define PAGE_NUMBERS_MAX 256 /* what Linux sends at once */

/* Queues are numbered without gaps: statistics and hints are not offered, so reporting is third. */
enum { QUEUE_INFLATE, QUEUE_DEFLATE, QUEUE_REPORTING, QUEUES };

struct balloon {
    struct virtio_device device;
    struct virtio_balloon_config config;
    uint64_t inflated, reported; /* bytes */
    struct virtq_chain chain;
};

static uint64_t inflate(struct virtio_device *device, struct virtq_chain *chain)
{
    struct balloon *balloon = device->owner;
    uint32_t numbers[PAGE_NUMBERS_MAX];
    size_t length = virtq_read(chain, 0, numbers, sizeof(numbers));

    for (size_t i = 0; i < length / sizeof(numbers[0]); i++)
        if (memory_discard(
                    device->memory, (uint64_t)numbers[i] << VIRTIO_BALLOON_PFN_SHIFT, MEMORY_PAGE))
            balloon->inflated += MEMORY_PAGE;
    return 0;
}

/* The guest takes pages back by touching them. */
static uint64_t deflate(struct virtio_device *device, struct virtq_chain *chain)
{
    struct balloon *balloon = device->owner;
    uint64_t bytes = chain->readable_bytes / sizeof(uint32_t) * MEMORY_PAGE;

    balloon->inflated -= bytes < balloon->inflated ? bytes : balloon->inflated;
    return 0;
}

/* Each writable segment is a free range. */
static uint64_t report(struct virtio_device *device, struct virtq_chain *chain)
{
    struct balloon *balloon = device->owner;

    for (unsigned i = chain->readable; i < chain->readable + chain->writable; i++)
        if (memory_discard(device->memory, chain->addresses[i], chain->segments[i].iov_len))
            balloon->reported += chain->segments[i].iov_len;
    return 0;
}

static void balloon_notify(struct virtio_device *device, unsigned queue)
{
    static uint64_t (*const serve[QUEUES])(
            struct virtio_device * device, struct virtq_chain * chain) = {inflate, deflate, report};
    struct balloon *balloon = device->owner;

    virtio_serve_queue(device, queue, &balloon->chain, serve[queue]);
}

/* The driver writes `actual` as it goes; nothing follows from that. */
static void balloon_config_written(struct virtio_device *device)
{
    (void)device;
}

static const struct state_field extra_fields[] = {
        STATE_FIELD(struct balloon, config.num_pages),
        STATE_FIELD(struct balloon, config.actual),
        STATE_FIELD(struct balloon, inflated),
        STATE_FIELD(struct balloon, reported),
};
static const struct state_table extra = STATE_TABLE("balloon", extra_fields);

static const struct virtio_ops balloon_ops = {
        .name = "virtio-balloon",
        .id = VIRTIO_BALLOON,
        .queues = QUEUES,
        .queue_size = QUEUE_SIZE,
        .notify = balloon_notify,
        .config_written = balloon_config_written,
        .extra = &extra,
};

int balloon_new(const struct virtio_place *place, struct balloon **ret, struct error *err)
{
    struct balloon *balloon = calloc(1, sizeof(*balloon));

    if (!balloon)
        return error_set(err, ENOMEM, "out of memory");
    int r = virtio_init(&balloon->device, &balloon_ops, balloon, place,
            1ULL << VIRTIO_BALLOON_F_DEFLATE_ON_OOM | 1ULL << VIRTIO_BALLOON_F_REPORTING,
            &balloon->config, sizeof(balloon->config), err);
    if (r < 0) {
        balloon_free(balloon);
        return r;
    }
    *ret = balloon;
    return 0;
}

void balloon_free(struct balloon *balloon)
{
    virtio_fini(&balloon->device);
    free(balloon);
}

struct virtio_device *balloon_device(struct balloon *balloon)
{
    return &balloon->device;
}

void balloon_set_target(struct balloon *balloon, uint64_t bytes)
{
    pthread_mutex_lock(&balloon->device.lock);
    balloon->config.num_pages = (uint32_t)(bytes >> VIRTIO_BALLOON_PFN_SHIFT);
    virtio_config_changed(&balloon->device);
    pthread_mutex_unlock(&balloon->device.lock);
}

void balloon_get_given(struct balloon *balloon, uint64_t *ret_inflated, uint64_t *ret_reported)
{
    pthread_mutex_lock(&balloon->device.lock);
    *ret_inflated = balloon->inflated;
    *ret_reported = balloon->reported;
    pthread_mutex_unlock(&balloon->device.lock);
}
