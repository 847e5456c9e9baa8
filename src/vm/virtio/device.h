/*
 * A virtio device behind the MMIO transport (virtio 1.2 §2.1-2.4, §4.2): the registers, feature
 * negotiation, status and queues, which are the same for every device. What a device does itself is
 * in its virtio_ops.
 *
 * Threads: vCPUs reach the registers; the driver's notifications are handed to the device's loop,
 * whose thread runs notify() and whatever else the device listens to. Everything a device does is
 * under `lock`.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"
#include "vm/bus.h"
#include "vm/irq.h"
#include "vm/state.h"
#include "vm/virtio/virtq.h"

#define VIRTIO_QUEUES_MAX 8
#define VIRTIO_WINDOW 0x200 /* bytes of registers that the guest is told of */

#define VIRTIO_F_INDIRECT_DESC (1ULL << 28)
#define VIRTIO_F_EVENT_IDX (1ULL << 29)
#define VIRTIO_F_VERSION_1 (1ULL << 32)

enum virtio_id {
    VIRTIO_NET = 1,
    VIRTIO_BLOCK = 2,
    VIRTIO_CONSOLE = 3,
    VIRTIO_RNG = 4,
    VIRTIO_BALLOON = 5,
    VIRTIO_VSOCK = 19,
    VIRTIO_FS = 26,
};

struct virtio_device;

/* All run under the device's lock. */
struct virtio_ops {
    const char *name;
    enum virtio_id id;
    unsigned queues;
    uint16_t queue_size;

    /* The driver has added to this queue (or may have). On the loop's thread. */
    void (*notify)(struct virtio_device *device, unsigned queue);

    /* The driver is ready (DRIVER_OK): `device->features` are what was agreed on. NULL: nothing
     * to do. On the loop's thread, before the first notify(). */
    void (*activate)(struct virtio_device *device);

    /* Forget the driver. Requests in flight must not touch memory or queues afterwards. On a vCPU's
     * thread. NULL: nothing to do. */
    void (*reset)(struct virtio_device *device);

    /* The driver has changed the configuration space. NULL: it is read-only. */
    void (*config_written)(struct virtio_device *device);

    /* For a snapshot, with the vCPUs standing still: returns once nothing is in flight that would
     * still touch memory or a disk. -EBUSY and why, when the device has something open that a file
     * cannot hold. NULL: there is never anything. */
    int (*quiesce)(struct virtio_device *device, struct error *err);

    /* What a snapshot keeps of `owner` besides the transport's state. NULL: nothing. */
    const struct state_table *extra;

    /* What it keeps that has no fixed length, in a form of the device's own; adding nothing is
     * fine. load() gets the same bytes, hostile ones, before anything runs: negative when they make
     * no sense. NULL, both: nothing. */
    void (*save)(struct virtio_device *device, struct buf *out);
    int (*load)(struct virtio_device *device, const void *data, size_t length, struct error *err);

    /* The state was restored from a snapshot; what stands behind the device may be another than
     * then. Before anything runs. NULL: the driver need not know. */
    void (*restored)(struct virtio_device *device);
};

/* What a snapshot keeps. */
struct virtio_state {
    uint32_t status;
    uint32_t features_select, driver_select;
    uint64_t features; /* accepted by the driver */
    uint32_t queue_select;
    uint32_t interrupt; /* InterruptStatus */
    uint32_t generation;
    struct virtq_state queues[VIRTIO_QUEUES_MAX];
};

struct virtio_device {
    const struct virtio_ops *ops;
    void *owner; /* the device proper */
    pthread_mutex_t lock;
    const struct memory *memory;
    struct loop *loop;
    struct irq_line irq;
    uint64_t offered; /* features; VERSION_1, INDIRECT_DESC and EVENT_IDX are always offered */
    uint64_t features;
    struct virtio_state state;
    struct virtq queues[VIRTIO_QUEUES_MAX];
    void *config; /* the device's configuration space, little-endian */
    size_t config_size;

    int notify_fd; /* eventfd that the loop listens to */
    struct loop_source *notify_source;
    atomic_uint notified; /* bit for each queue, and VIRTIO_ACTIVATE */
};

#define VIRTIO_ACTIVATE (1U << 31)

extern const struct bus_ops virtio_bus_ops;

/* What a device is made with; all belongs to the machine. */
struct virtio_place {
    const struct memory *memory;
    struct loop *loop; /* the one whose thread the device works on */
    struct irq_line irq;
};

/* Start values. `config` is the device's own memory. */
int virtio_init(struct virtio_device *device, const struct virtio_ops *ops, void *owner,
        const struct virtio_place *place, uint64_t features, void *config, size_t config_size,
        struct error *err);

/* After its loop's thread has ended. */
void virtio_fini(struct virtio_device *device);

/* Whether the driver took this feature (a mask of one bit). */
bool virtio_has(const struct virtio_device *device, uint64_t feature);

/* Interrupts the driver if it wants to hear of what was pushed to this queue. */
void virtio_signal(struct virtio_device *device, struct virtq *queue);

/* The configuration space has changed: tells the driver. */
void virtio_config_changed(struct virtio_device *device);

/* The driver broke a rule: DEVICE_NEEDS_RESET; the device does nothing more until it is reset. */
void virtio_break(struct virtio_device *device);
bool virtio_is_live(const struct virtio_device *device);

/* Calls notify() for this queue again, after others on the loop had their turn. */
void virtio_again(struct virtio_device *device, unsigned queue);

/* The usual notify(): hands every chain of a queue to `serve`, which returns the bytes written, and
 * gives it back; ends when the ring is empty, or broken. */
void virtio_serve_queue(struct virtio_device *device, unsigned queue_index,
        struct virtq_chain *chain,
        uint64_t (*serve)(struct virtio_device *device, struct virtq_chain *chain));

/* For snapshots, while no vCPU runs: takes the device's lock and waits for what is in flight; on
 * failure the lock is not held. */
int virtio_hold(struct virtio_device *device, struct error *err);
void virtio_release(struct virtio_device *device);

/* State out, of a device that is held, and in, of one that has not worked yet; `number` tells it
 * from the machine's other devices. -EINVAL when the snapshot's device is of another kind. */
void virtio_save(struct virtio_device *device, unsigned number, struct buf *out);
int virtio_restore(struct virtio_device *device, unsigned number, const struct state *state,
        struct error *err);
