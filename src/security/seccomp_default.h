/*
 * The default seccomp profile, as data: an allow list, everything else EPERM (what a kernel newer
 * than the list brings: ENOSYS where programs probe for it). Not weaker than Docker's: what Docker
 * refuses is refused here.
 */
#pragma once

#include "security/seccomp.h"

/* The profile for a workload with these capabilities (its bounding set, see caps.h). In the arena;
 * large parts are static. */
void seccomp_default_profile(
        struct arena *arena, uint64_t capabilities, struct seccomp_profile *ret);
