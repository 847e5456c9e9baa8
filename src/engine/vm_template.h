/* A machine's template (template.h) as a step of its plan. For vm.c and vm_steps.c. */
#pragma once

#include "engine/vm.h"

/* host: looks for a template that the machine can go on from. Nothing for machines without. */
void vm_step_template(struct plan *plan, struct vm *vm);

/* Whether the machine goes on from one, or from its own snapshot; then its descriptor is
 * run->fds[vm->template_slot]. */
bool vm_has_template(const struct vm *vm, const struct plan_run *run);

/* The machine is up and its agent waits: keeps it as the template if it was booted. Failing is no
 * failure of the workload's. */
void vm_keep_template(const struct vm *vm, const struct plan_run *run);
