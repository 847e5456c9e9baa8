/*
 * The split virtqueue (virtio 1.2 §2.7), and the only reader of rings: a chain that virtq_next()
 * hands out was copied, checked and translated once, completely, so that no device looks at a
 * descriptor.
 *
 *     descriptor table   what to transfer: address, length, flags, next; or a table of such
 *     available ring     the driver's: heads of chains for the device
 *     used ring          the device's: heads given back, with how many bytes it wrote
 *
 * Belongs to the device's thread, under the device's lock (device.h).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vm/memory.h"

#define VIRTQ_SIZE_MAX 256
#define VIRTQ_SEGMENTS_MAX 260 /* of a chain: a block request of 256 pages, header and status */

/* What the driver set up, and where the device is; what a snapshot keeps. */
struct virtq_state {
    uint64_t descriptors, available, used; /* guest-physical */
    uint16_t size;
    bool ready;
    uint16_t next_available; /* the next head to read */
    uint16_t next_used;
};

struct virtq {
    const struct memory *memory;
    struct virtq_state state;
    uint16_t size_max;
    bool event_idx;     /* VIRTIO_F_EVENT_IDX was negotiated */
    uint16_t signalled; /* next_used when the driver was last interrupted */
    bool has_signalled;
};

/* One request: first what the device reads, then what it writes. */
struct virtq_chain {
    uint16_t head;
    unsigned readable, writable; /* segments */
    uint64_t readable_bytes, writable_bytes;
    struct iovec segments[VIRTQ_SEGMENTS_MAX]; /* readable ones first */
    uint64_t addresses[VIRTQ_SEGMENTS_MAX];
};

/* A chain that was filled and waits to be given back. */
struct virtq_used {
    uint16_t head;
    uint32_t length;
};

/* A queue that is not ready until the driver places it; reset: as it was at first. */
void virtq_init(struct virtq *queue, const struct memory *memory, uint16_t size_max);
void virtq_reset(struct virtq *queue);

/* The next chain: 1, or 0 when the driver has added none. Negative when the ring is broken: the
 * device must stop and say so (device_break()): -ERANGE for an index that ran away, -EINVAL for
 * descriptors that break a rule, -EFAULT for addresses that are not RAM. */
int virtq_next(struct virtq *queue, struct virtq_chain *chain);

/* Whether the driver has added something that virtq_next() would see. */
bool virtq_has_next(const struct virtq *queue);

/* Takes back the last virtq_next(): the chain will be handed out again. */
void virtq_unget(struct virtq *queue);

/* Gives a chain back; `written` bytes of its writable part were written. False when the used ring
 * is no RAM. Chains may be given back in any order. */
bool virtq_push(struct virtq *queue, const struct virtq_chain *chain, uint64_t written);

/* The two halves of virtq_push(), for chains that are filled first and given back later: tells
 * memory what was written, and gives back the head. */
void virtq_tell_written(
        const struct virtq *queue, const struct virtq_chain *chain, uint64_t written);
bool virtq_push_head(struct virtq *queue, uint16_t head, uint64_t written);

/* Whether the driver wants an interrupt for what was pushed since the last time it did (§2.7.7). */
bool virtq_wants_interrupt(struct virtq *queue);

/* Asks the driver to notify, or not to, when it adds something. After asking, look once more with
 * virtq_has_next(): it may have added in between. */
void virtq_want_notify(struct virtq *queue, bool want);

/* Copies out of the readable part from `offset` on; returns how many bytes there were. */
size_t virtq_read(const struct virtq_chain *chain, size_t offset, void *to, size_t length);

/* Copies into the writable part from `offset` on; returns how many bytes found room. */
size_t virtq_write(const struct virtq_chain *chain, size_t offset, const void *from, size_t length);

/* The readable or writable segments from a byte offset on, at most `length` bytes, into `iov` of
 * VIRTQ_SEGMENTS_MAX entries; returns how many. The bytes they cover go to `*ret_bytes`. */
size_t virtq_slice(const struct virtq_chain *chain, bool writable, uint64_t offset, uint64_t length,
        struct iovec *iov, uint64_t *ret_bytes);
