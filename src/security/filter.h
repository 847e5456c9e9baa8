/*
 * Loading a seccomp filter into the process that becomes the workload, and handing its notify
 * descriptor to the agent that answers calls. Used by security.c only.
 */
#pragma once

#include "plan/plan.h"
#include "security/parts.h"
#include "security/seccomp.h"

/* Connects to the agent's socket, into the slot; in the host, whose paths these are. */
int filter_step_connect(struct plan *plan, enum step_place place, const char *because,
        const char *path, int slot, struct error *err);

/*
 * Loads the filter. With a listener the notify descriptor and the container process's state
 * (runtime-spec config-linux.md#seccomp) go to the socket in the slot. That is done by a second
 * thread, made before the filter and not under it, so that a profile may notify or refuse any call:
 * the workload's own thread calls nothing between seccomp(2) and the next step.
 */
int filter_step_load(struct plan *plan, enum step_place place, const char *because,
        const struct seccomp_filter *filter, const struct security_listener *listener, int slot,
        int proc_slot, struct error *err);
