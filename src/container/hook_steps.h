/* Hooks as steps of a plan. */
#pragma once

#include "plan/plan.h"
#include "spec/spec.h"
#include "spec/state.h"

/*
 * Appends one step for each hook of the list. `state` is what they read on their standard input,
 * with the status given here and the container's pid; it outlives the plan.
 */
void container_hook_steps(struct plan *plan, enum step_place place,
        const struct spec_hook_list *hooks, const char *name, const struct spec_state *state,
        enum spec_status status);
