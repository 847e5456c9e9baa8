/*
 * Network interfaces and a sandbox's network namespace: its loopback, and interfaces of the host
 * that move in. Appends steps; see ns/steps.h for their place in the order.
 */
#pragma once

#include "plan/plan.h"

/* Child: the interface `lo` of a new network namespace up. */
void ns_add_loopback(struct plan *plan, const char *because);

/* Host: moves an interface of the host's namespace into the child's, renames it, gives it back the
 * global addresses that it had, and brings it up. Undo moves it back under its old name. */
struct ns_net_device {
    const char *name;     /* on the host */
    const char *new_name; /* inside; NULL: unchanged */
};
void ns_add_net_device(struct plan *plan, const struct ns_net_device *device, const char *because);
