/*
 * Accelerators: what runs a machine's vCPUs. `kvm` asks the host's kernel, `emu` is our own CPU in
 * this process. Both sit behind one table; everything else of a machine is the same under each.
 *
 * One accelerator belongs to one machine. A vCPU belongs to the thread that calls run() on it; only
 * kick() and deliver() may be called from others meanwhile.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "cpu/cpu.h"
#include "vm/bus.h"
#include "vm/memory.h"
#include "vm/shown.h"

#define ACCEL_CPUS_MAX 64
#define ACCEL_MSRS_MAX 128
#define ACCEL_XSAVE 4096 /* bytes of struct kvm_xsave */

struct ioapic;

/* What an accelerator runs vCPUs in. All belongs to the machine. */
struct accel_config {
    struct memory *memory;
    const struct bus *mmio;
    const struct bus *pio;
    struct ioapic *ioapic; /* gets the accelerator as its sink; told of ends of interrupts */
    unsigned cpus;
    uint64_t tsc_khz;                /* of the guest's time stamp counter; 0: the host's */
    const struct features *features; /* what the guest is shown; all of it is offered */
};

/* Why run() came back. */
enum accel_stop {
    ACCEL_KICKED,   /* kick() */
    ACCEL_SHUTDOWN, /* triple fault */
    ACCEL_FAILED,   /* the error says what the host could not do */
};

/* Where a vCPU stands on its way from power-on; KVM's numbers (KVM_MP_STATE_*). */
enum accel_phase {
    ACCEL_RUNNABLE = 0,
    ACCEL_UNINITIALIZED = 1, /* waits for INIT */
    ACCEL_INIT_RECEIVED = 2, /* waits for STARTUP */
    ACCEL_HALTED = 3,
};

/* All that a snapshot keeps of a vCPU, the same for each accelerator. */
struct accel_vcpu_state {
    struct cpu_state cpu;
    struct cpu_msr msrs[ACCEL_MSRS_MAX];
    uint32_t msr_count;
    uint32_t phase; /* enum accel_phase */
    uint64_t apic_base;
    uint64_t tsc_deadline;
    uint8_t lapic[1024]; /* as KVM_GET_LAPIC has it */
    uint64_t xcr0;       /* 0: the guest has no XSAVE; all there is is in `cpu` */
    uint8_t xsave[ACCEL_XSAVE];
};

/* One moment of the guest's time. */
struct accel_clock {
    uint64_t guest_ns; /* of the paravirtual clock */
    uint64_t tsc;
};

/* Counts of one vCPU since its start. */
struct accel_stats {
    uint64_t exits;        /* times that guest code was left for a device or a host's event */
    uint64_t instructions; /* 0 where nobody counts them */
};

struct accel_ops {
    const char *name;

    /* What guests can be shown here. */
    int (*features)(struct features *ret, struct error *err);

    int (*open)(const struct accel_config *config, void **ret_accel, struct error *err);
    void (*close)(void *accel); /* after its vCPUs */

    /* In the state of power-on: the first is runnable, the others wait for INIT. */
    int (*vcpu_new)(void *accel, unsigned id, void **ret_vcpu, struct error *err);
    void (*vcpu_free)(void *vcpu);

    /* Runs the vCPU on its own thread until something is to be done outside; err says more for a
     * fault. */
    enum accel_stop (*run)(void *vcpu, struct error *err);
    void (*kick)(void *vcpu); /* run() returns soon; the next one does if none is running */

    /* Outside run(). */
    int (*get_state)(void *vcpu, struct accel_vcpu_state *ret, struct error *err);
    int (*set_state)(void *vcpu, const struct accel_vcpu_state *state, struct error *err);

    /* Outside run(). get_unknown(): opcodes that the accelerator does not have, see
     * cpu_get_unknown(); NULL where the silicon has them all. */
    void (*get_stats)(void *vcpu, struct accel_stats *ret);
    size_t (*get_unknown)(void *vcpu, struct cpu_unknown *list, size_t max);

    /* An interrupt message (irq.h). Any thread. */
    void (*deliver)(void *accel, uint64_t address, uint32_t message);

    /* The guest's TSC frequency. */
    uint64_t (*tsc_khz)(void *accel);

    /* The guest's time, for snapshots; no vCPU runs. Setting comes after all set_state() and makes
     * the time go on from there: on all vCPUs alike, their timers with it. */
    int (*get_clock)(void *accel, struct accel_clock *ret, struct error *err);
    int (*set_clock)(void *accel, const struct accel_clock *clock, struct error *err);
};
