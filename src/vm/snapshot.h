/*
 * Snapshots: what a machine is made of as a file (proto/snapshot.h) and back, the same under both
 * accelerators. Used by machine.c only, which passes its parts; owns nothing.
 *
 * Saving needs the vCPUs to stand still. Restoring goes into a machine that was built from a
 * description with the same devices in the same order: what stands behind each of them (files,
 * taps, sockets, the vsock's id) may be another, and the guest is told of what changed.
 */
#pragma once

#include "proto/snapshot.h"
#include "vm/accel.h"
#include "vm/dev/ioapic.h"
#include "vm/dev/serial.h"
#include "vm/slots.h"
#include "vm/state.h"
#include "vm/vcpu.h"

struct snapshot_parts {
    const struct memory *memory;
    const struct accel_ops *ops;
    void *accel;
    struct vcpus *vcpus;
    struct ioapic *ioapic;
    struct serial *serial;
    struct slots *slots;
    struct features features;
};

/* Writes everything. Devices finish what is in flight first, and disks are flushed. -EBUSY when a
 * device has something open that a file cannot hold. */
int snapshot_save(const struct snapshot_parts *parts, int fd, const char *name, const char *label,
        struct error *err);

/* A snapshot that was opened: what has to be known before the machine is built. */
struct snapshot {
    struct proto_snapshot file;
    struct state state;
    const char *name;
    uint64_t tsc_khz;
    struct features features;
    struct accel_clock clock;
};

/* Reads all but the memory; strings and state live in the arena. With `verify` the memory is read
 * once and its checksums compared. Errors as of proto_snapshot_read(). */
int snapshot_open(int fd, const char *name, bool verify, struct arena *arena, struct snapshot *ret,
        struct error *err);

/* Maps the image over a machine's memory: privately, so that the file stays as it is, and read
 * only as the guest touches it. */
int snapshot_map_memory(
        const struct snapshot *snapshot, int fd, const struct memory *memory, struct error *err);

/* Brings the state into a machine that was built and has not run. */
int snapshot_restore(
        const struct snapshot *snapshot, const struct snapshot_parts *parts, struct error *err);
