/*
 * A machine: memory, vCPUs, devices, built from a description in one function that reads like a
 * parts list (machine_build). Owns all of them; used by viv-vmm and by tests.
 *
 * Threads: the one that calls these functions runs the loop, on which the console and the quick
 * devices work; each vCPU has one; so has each disk and each shared folder, whose work may block.
 */
#pragma once

#include "base/error.h"
#include "base/loop.h"
#include "proto/control.h"
#include "proto/machine.h"
#include "vm/accel.h"
#include "vm/confine.h"

struct machine;

enum machine_end_reason {
    MACHINE_RUNS,     /* has not ended */
    MACHINE_POWEROFF, /* ACPI's S5 */
    MACHINE_RESET,    /* ACPI's reset register */
    MACHINE_PANIC,    /* the kernel said so at the pvpanic port */
    MACHINE_CRASH,    /* triple fault */
    MACHINE_EXIT,     /* the debug exit port; `status` is what was written */
    MACHINE_STOPPED,  /* machine_stop() */
    MACHINE_FAILED,   /* the host's fault; `error` tells */
};

struct machine_end {
    enum machine_end_reason reason;
    uint32_t status;
    struct error error;
};

/* "poweroff", "reset" … as proto_machine_end has them. */
const char *machine_end_name(enum machine_end_reason reason);

struct machine_config {
    const struct proto_machine *description; /* outlives the machine */
    const struct accel_ops *accel;
    const char *accel_because; /* for the statistics; outlives the machine, NULL: not known */
    struct loop *loop;
    confine_fn *confine; /* for the machine's own threads; NULL: not confined */

    /* Called once, on the loop's thread, when the machine has ended; its vCPUs stand still. */
    void (*on_end)(void *data, const struct machine_end *end);
    void *data;
};

/* Builds a machine that stands at its first instruction. Errors say which part could not be had. */
int machine_build(const struct machine_config *config, struct machine **ret, struct error *err);

/* Starts the threads. */
int machine_start(struct machine *machine, struct error *err);

/* Ends a running machine from outside; on_end() follows. Any thread. */
void machine_stop(struct machine *machine);

/* Freezes and thaws the vCPUs. Returns when they stand still. On the loop's thread, as all below.
 */
void machine_pause(struct machine *machine);
void machine_resume(struct machine *machine);
bool machine_is_paused(const struct machine *machine);

/* Why the machine has ended, or MACHINE_RUNS. */
enum machine_end_reason machine_end_of(struct machine *machine);

/* Counts since the start; stands still for a moment. Lists live in the arena. */
void machine_get_stats(struct machine *machine, struct arena *arena, struct proto_stats *ret);

/* Writes the machine to a file, over what that held (vm/snapshot.h). It stands still meanwhile, and
 * goes on if it ran. */
int machine_snapshot(
        struct machine *machine, int fd, const char *name, const char *label, struct error *err);

/* Asks the guest to give so many bytes of its memory back in all. -EOPNOTSUPP: no balloon. */
int machine_set_balloon(struct machine *machine, uint64_t bytes, struct error *err);

/* Puts a tap behind a network device that has nothing behind it, and takes it away again: see
 * "connect" and "disconnect" in proto/control.h. The descriptor is taken over, also on failure.
 * `*ret_device` is in the arena. -ENOSPC, -EEXIST, -EINVAL; -ENODEV. */
int machine_connect_net(struct machine *machine, int fd, const char *tap, struct arena *arena,
        const char **ret_device, struct error *err);
int machine_disconnect_net(struct machine *machine, const char *tap, struct arena *arena,
        const char **ret_device, struct error *err);

/* Lists the network devices in `reply->nets`, in the arena. */
void machine_get_nets(
        const struct machine *machine, struct arena *arena, struct proto_control_reply *reply);

/* Stops the threads and gives everything back. NULL is fine. */
void machine_free(struct machine *machine);

/* For the monitor and for tests. */
const struct memory *machine_memory(const struct machine *machine);
