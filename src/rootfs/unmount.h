/* Taking a mount away from a root that is in use; see inroot.h for how its place is found. */
#pragma once

#include "plan/plan.h"

/* Child: unmounts what is mounted on `target`, which goes when nobody uses it any more. -EINVAL
 * when nothing is mounted there. */
void unmount_add(
        struct plan *plan, const char *target, int root_slot, int proc_slot, const char *because);
