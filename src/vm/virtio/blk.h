/*
 * virtio-blk (virtio 1.2 §5.2) on a disk image: read, write, flush, discard, write zeroes, serial
 * number. One queue, on the device's own thread.
 *
 * With a ring (io_uring, disk/ring.h) transfers and flushes are on their way side by side and are
 * answered as they end, which virtio allows: a driver that needs an order waits for the first
 * before it asks for the second, and a flush promises what was answered before it was asked for.
 * What needs the disk's own work (a cluster to be taken, discards) is done between them. Without a
 * ring each request is served before the next is looked at.
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
    bool with_ring; /* where the host offers it; then blk_end() has to be the thread's last work,
                       and resets and snapshots come from other threads */
};

/* A block device (virtio 1.2 5.2); belongs to the caller. */
int blk_new(const struct virtio_place *place, const struct blk_config *config, struct blk **ret,
        struct error *err);
void blk_free(struct blk *blk);
struct virtio_device *blk_device(struct blk *blk);

/* Waits for what is on its way; nothing begins afterwards. On the device's thread (worker.h). */
void blk_end(void *owner);

struct blk_stats {
    bool has_ring;
    int ring_error;    /* errno: why there is none; 0: none was wanted */
    uint64_t requests; /* served in all */
    uint64_t deepest;  /* the most that were on the ring at a time */
};

/* On any thread. */
struct blk_stats blk_get_stats(struct blk *blk);
