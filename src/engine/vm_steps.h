/* The kinds of step that only a machine has. For vm.c. */
#pragma once

#include "engine/vm.h"
#include "proto/agent.h"

/* host: the sockets to the agent. */
void vm_step_sockets(struct plan *plan, struct vm *vm);

/* child: viv-vmm, beside the process that becomes viv-shim. */
void vm_step_start(struct plan *plan, struct vm *vm);

/* machine: its parts. Carried by vm_carry_machine. */
void vm_steps_machine(struct plan *plan, struct vm *vm);

/* child: viv-shim takes over. */
void vm_step_shim(struct plan *plan, struct vm *vm);

/* A filter as it is sent; NULL for NULL. `*into` is what is returned. */
struct agent_filter *vm_filter(
        struct arena *arena, const struct seccomp_filter *filter, struct agent_filter *into);

/* Sends the configuration and waits until the agent has applied the plan. */
int vm_carry_guest(
        struct plan_run *run, size_t from, size_t to, int64_t *ret_ns, struct error *err);
