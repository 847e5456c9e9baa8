/*
 * The child's way into its root: the mount tree made its own, the root attached, and at last
 * entered by pivot_root(2), after which nothing of the old tree is left. See rootfs.h for the
 * order.
 */
#pragma once

#include "plan/plan.h"
#include "rootfs/rootfs.h"

/* `propagation` is what the old tree gets: MS_PRIVATE or MS_SLAVE. */
void enter_add_tree(struct plan *plan, const struct rootfs *rootfs, uint64_t propagation);

/* `propagation` is what the new root gets in the end, 0: none. */
void enter_add_root(
        struct plan *plan, const struct rootfs *rootfs, uint64_t propagation, bool recursive);
