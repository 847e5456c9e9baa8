/*
 * KVM's paravirtual clock, offered by `emu` as well: the guest learns the TSC's frequency and the
 * time of day from it, with no timer chip to calibrate against (Linux Documentation/virt/kvm/x86/
 * msr.rst). Belongs to its vCPU's thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "vm/memory.h"

#define PVCLOCK_MSR_WALL_OLD 0x11
#define PVCLOCK_MSR_SYSTEM_OLD 0x12
#define PVCLOCK_MSR_WALL 0x4b564d00
#define PVCLOCK_MSR_SYSTEM 0x4b564d01

/* CPUID 0x40000001 eax: both pairs of MSRs, no delays at ports, the clock is stable across vCPUs */
#define PVCLOCK_CPUID_FEATURES (1U << 0 | 1U << 1 | 1U << 3 | 1U << 24)

/* A moment on both clocks. */
struct pvclock_now {
    uint64_t tsc;      /* the guest's */
    uint64_t guest_ns; /* since the machine was started */
    uint64_t tsc_khz;
};

/* Writes the vCPU's time page: `msr` is what the guest wrote to MSR_SYSTEM. Lost when the address
 * is not RAM. */
void pvclock_write_system(const struct memory *memory, uint64_t msr, const struct pvclock_now *now);

/* Writes the time of day at which the machine was started. */
void pvclock_write_wall(const struct memory *memory, uint64_t msr, uint64_t guest_ns);
