/* Delivery of exceptions and interrupts through the guest's tables. For this folder only. */
#pragma once

#include "cpu/state.h"

enum interrupt_kind {
    INTERRUPT_EXCEPTION, /* of the CPU's own */
    INTERRUPT_EXTERNAL,  /* NMI or the controller's */
    INTERRUPT_SOFTWARE,  /* INT n, INT3, INTO: the gate's privilege is checked */
};

struct interrupt {
    uint8_t vector;
    enum interrupt_kind kind;
    bool has_error;
    uint32_t error;
    bool fault; /* the pushed flags get RF */
};

/* Pushes the state and goes to the handler; cpu->rip is the address to come back to. May raise a
 * fault of its own. */
void interrupt_deliver(struct cpu *cpu, const struct interrupt *interrupt);

/* Becomes CS at a privilege level; the stack becomes what it says. */
void become_code(struct cpu *cpu, const struct cpu_segment *code, unsigned level);
