/*
 * The virtio devices of a machine: which ones the description asks for, each in its slot of the
 * memory map with its interrupt, and the threads that they work on. Used by machine.c only. Owns
 * the devices.
 */
#pragma once

#include "base/error.h"
#include "base/loop.h"
#include "proto/control.h"
#include "proto/machine.h"
#include "vm/boot/acpi.h"
#include "vm/bus.h"
#include "vm/dev/ioapic.h"
#include "vm/memory.h"
#include "vm/virtio/device.h"
#include "vm/worker.h"

#define SLOTS_BASE 0xd0000000U
#define SLOTS_STRIDE 0x1000U
#define SLOTS_FIRST_PIN 5
#define SLOTS_MAX (IOAPIC_PINS - SLOTS_FIRST_PIN)

struct balloon;

struct slot {
    struct virtio_device *device;
    void *owner;
    void (*free)(void *owner);
    struct worker worker; /* of devices whose work may block */
    bool has_worker;
};

struct slots {
    struct slot list[SLOTS_MAX];
    struct acpi_device places[SLOTS_MAX];
    unsigned count;
    struct balloon *balloon; /* one of the list, or NULL */
};

struct slots_config {
    const struct proto_machine *description;
    const struct memory *memory;
    struct bus *mmio;
    struct ioapic *ioapic;
    struct loop *loop;
    confine_fn *confine; /* for the devices' threads; NULL: they are not confined */
};

/* On failure what was made is given back by slots_free(), as always. */
int slots_build(struct slots *slots, const struct slots_config *config, struct error *err);
void slots_free(struct slots *slots);

/* For snapshots, while no vCPU runs: the devices stand still between the two, with nothing in
 * flight. On failure they go on. */
int slots_hold(struct slots *slots, struct error *err);
void slots_release(struct slots *slots);

/* The state of devices that are held, and of those that have not worked yet. */
void slots_save(struct slots *slots, struct buf *out);
int slots_restore(struct slots *slots, const struct state *state, struct error *err);

/* Starts and stops the devices' threads. */
int slots_start(struct slots *slots, struct error *err);
void slots_stop(struct slots *slots);

/* How each disk's requests are served, and how many there were; strings live in the arena. */
void slots_get_disks(const struct slots *slots, struct arena *arena, struct proto_stats *stats);

/* What the guest has given back, in bytes (balloon.h); zeros without a balloon. */
void slots_get_given(const struct slots *slots, uint64_t *ret_inflated, uint64_t *ret_reported);

/* The network devices; see machine.h. */
int slots_connect_net(struct slots *slots, int fd, const char *tap, struct arena *arena,
        const char **ret_device, struct error *err);
int slots_disconnect_net(struct slots *slots, const char *tap, struct arena *arena,
        const char **ret_device, struct error *err);
void slots_get_nets(
        const struct slots *slots, struct arena *arena, struct proto_control_reply *reply);

/* False without a balloon. */
bool slots_set_balloon(struct slots *slots, uint64_t bytes);

/* Tells ACPI what there is. The arrays stay the slots'. */
void slots_describe(const struct slots *slots, struct acpi_config *acpi);
