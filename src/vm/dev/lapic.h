/*
 * A local APIC with its timer, for the accelerator `emu`; under `kvm` the kernel has one (Intel SDM
 * vol. 3 chapter 11; x2APIC §11.12). The registers lie in memory as KVM_GET_LAPIC gives them, so
 * that a snapshot moves between the accelerators.
 *
 * Belongs to its vCPU's thread. Only lapic_accept() and lapic_has_work() may be called by others.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "vm/irq.h"

#define LAPIC_BASE 0xfee00000U
#define LAPIC_SIZE 0x1000U
#define LAPIC_PAGE 0x400U

#define LAPIC_MSR_BASE 0x1b
#define LAPIC_MSR_X2APIC 0x800 /* … 0x8ff */
#define LAPIC_MSR_DEADLINE 0x6e0

#define LAPIC_BASE_BOOT (1ULL << 8) /* the boot processor's */
#define LAPIC_BASE_X2APIC (1ULL << 10)
#define LAPIC_BASE_ENABLED (1ULL << 11)

/* Where an inter-processor interrupt goes besides its destination field. */
enum lapic_shorthand { LAPIC_TO_FIELD, LAPIC_TO_SELF, LAPIC_TO_ALL, LAPIC_TO_OTHERS };

struct lapic_hooks {
    void *data;
    void (*send)(void *data, const struct irq_message *message, enum lapic_shorthand shorthand);
    void (*end_of_interrupt)(void *data, uint8_t vector); /* level-triggered ones */
    uint64_t (*now)(void *data);                          /* nanoseconds, monotonic */
    uint64_t (*tsc)(void *data);                          /* the guest's TSC now */
    uint64_t tsc_khz;
};

struct lapic {
    uint8_t page[LAPIC_PAGE] __attribute__((aligned(16)));
    uint64_t base;         /* MSR IA32_APIC_BASE */
    uint64_t tsc_deadline; /* MSR IA32_TSC_DEADLINE; 0: not armed */
    uint64_t timer_ns;     /* when the timer fires, 0: it does not */
    uint64_t period_ns;    /* of a periodic timer, else 0 */
    struct lapic_hooks hooks;
};

/* As after power-on. */
void lapic_init(struct lapic *lapic, uint32_t id, const struct lapic_hooks *hooks);

/* The number that was given to lapic_init(). */
uint32_t lapic_id(const struct lapic *lapic);

/* Whether a message for this destination is for this APIC. */
bool lapic_is_destination(const struct lapic *lapic, uint32_t destination, bool logical);

/* An interrupt arrives (fixed delivery). Any thread; the caller wakes the vCPU. */
void lapic_accept(struct lapic *lapic, uint8_t vector, bool level);

/* Whether lapic_take() would give a vector. */
int lapic_pending(const struct lapic *lapic);

/* Takes the interrupt in service and returns its vector; -1 if there is none. */
int lapic_take(struct lapic *lapic);

/* Fires the timer if it is due. */
void lapic_run_timer(struct lapic *lapic);

/* The xAPIC registers by offset in the page. */
uint32_t lapic_read(struct lapic *lapic, uint32_t offset);
void lapic_write(struct lapic *lapic, uint32_t offset, uint32_t value);

/* The MSRs IA32_APIC_BASE, IA32_TSC_DEADLINE and x2APIC's; false: general protection fault. */
bool lapic_read_msr(struct lapic *lapic, uint32_t msr, uint64_t *ret);
bool lapic_write_msr(struct lapic *lapic, uint32_t msr, uint64_t value);

/* CR8, which is the task priority's upper half. */
uint64_t lapic_get_cr8(const struct lapic *lapic);
void lapic_set_cr8(struct lapic *lapic, uint64_t value);

/* After the page or the deadline was replaced by a snapshot's: starts the timer again. */
void lapic_resume(struct lapic *lapic);
