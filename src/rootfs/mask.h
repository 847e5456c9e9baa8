/*
 * Paths of the root that are hidden (an empty file or an empty read-only directory over them) or
 * made read-only. runtime-spec config-linux.md#masked-paths. The file is the host's /dev/null,
 * proven by its device number, for the root's own may be anything (CVE-2025-31133).
 */
#pragma once

#include "plan/plan.h"
#include "rootfs/rootfs.h"

/* In the child, before the root is entered: what covers, then one step for each path. */
void mask_add(struct plan *plan, const struct rootfs *rootfs);
