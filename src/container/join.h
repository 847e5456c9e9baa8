/*
 * The steps by which a further process gets into a running container: taking hold of its first
 * process on the host, and joining its namespaces in the child. Used by exec and by mounts.
 */
#pragma once

#include "plan/plan.h"

struct container_target {
    pid_t init; /* the container's first process, as the host sees it */
    int pidfd_slot;
    int root_slot;  /* of its root; -1: the mount namespace gives the root */
    uint64_t kinds; /* CLONE_NEW* joined by the child itself */
};

/* Host: fills the slots. -ESRCH: "container not running". */
void container_target_open_step(struct plan *plan, const struct container_target *target);

/* Child: joins, and changes into the root when there is a slot for it. */
void container_target_join_step(struct plan *plan, const struct container_target *target);
