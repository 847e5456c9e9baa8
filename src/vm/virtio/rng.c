#include "vm/virtio/rng.h"

#include <stdlib.h>
#include <sys/random.h>

#define QUEUE_SIZE 8
#define REQUEST_MAX 65536

struct rng {
    struct virtio_device device;
    struct virtq_chain chain;
};

static uint64_t serve(struct virtio_device *device, struct virtq_chain *chain)
{
    uint64_t written = 0;

    (void)device;
    for (unsigned i = chain->readable; i < chain->readable + chain->writable; i++) {
        const struct iovec *segment = &chain->segments[i];
        size_t length = segment->iov_len < REQUEST_MAX ? segment->iov_len : REQUEST_MAX;
        ssize_t n = getrandom(segment->iov_base, length, 0);
        if (n > 0)
            written += (uint64_t)n;
        if (n != (ssize_t)segment->iov_len || written >= REQUEST_MAX)
            break;
    }
    return written;
}

static void rng_notify(struct virtio_device *device, unsigned queue)
{
    struct rng *rng = device->owner;

    virtio_serve_queue(device, queue, &rng->chain, serve);
}

static const struct virtio_ops rng_ops = {
        .name = "virtio-rng",
        .id = VIRTIO_RNG,
        .queues = 1,
        .queue_size = QUEUE_SIZE,
        .notify = rng_notify,
};

int rng_new(const struct virtio_place *place, struct rng **ret, struct error *err)
{
    struct rng *rng = calloc(1, sizeof(*rng));

    if (!rng)
        return error_set(err, ENOMEM, "out of memory");
    int r = virtio_init(&rng->device, &rng_ops, rng, place, 0, NULL, 0, err);
    if (r < 0) {
        rng_free(rng);
        return r;
    }
    *ret = rng;
    return 0;
}

void rng_free(struct rng *rng)
{
    virtio_fini(&rng->device);
    free(rng);
}

struct virtio_device *rng_device(struct rng *rng)
{
    return &rng->device;
}
