/*
 * virtio-blk (virtio 1.2 §5.2) on a disk image: read, write, flush, discard, write zeroes, serial
 * number. One queue, served in order on the device's own thread.
 */
#pragma once

#include "vm/disk/format.h"
#include "vm/limit.h"
#include "vm/virtio/device.h"

struct blk;

struct blk_config {
    struct disk *disk;  /* taken over by blk_new(), also on failure */
    const char *serial; /* at most 20 bytes */
    struct limit_rate rate;
};

/* A block device (virtio 1.2 5.2); belongs to the caller. */
int blk_new(const struct virtio_place *place, const struct blk_config *config, struct blk **ret,
        struct error *err);
void blk_free(struct blk *blk);
struct virtio_device *blk_device(struct blk *blk);
