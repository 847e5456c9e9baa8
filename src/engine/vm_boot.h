/* The start of a machine, from viv-vmm's to the agent's first words. For vm.c and vm_steps.c. */
#pragma once

#include "engine/vm.h"

/* How long the agent in a machine may take for an answer that the host waits for. A limit for what
 * hangs, not for what is slow: a machine on the software CPU of a busy host takes minutes to boot.
 */
#define VM_PATIENCE_MS 600000

/* Carries the steps of the machine: waits for the agent's hello and welcomes it. What viv-vmm and
 * the guest's kernel said meanwhile goes into the error. */
int vm_carry_machine(
        struct plan_run *run, size_t from, size_t to, int64_t *ret_ns, struct error *err);
