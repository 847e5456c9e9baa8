/*
 * Resource limits (prlimit(2)) and the OOM killer's score. Raising a hard limit asks for
 * CAP_SYS_RESOURCE in the first user namespace, so these steps run in the host's process where
 * the child has a user namespace of its own. Used by security.c only.
 */
#pragma once

#include <stdint.h>

#include "plan/plan.h"

/* RLIMIT_NOFILE for "RLIMIT_NOFILE"; -1 if there is no such limit. */
int limits_number(const char *name);

/* One limit; soft and hard as prlimit(2), RLIM64_INFINITY (UINT64_MAX) for none. */
int limits_step_rlimit(struct plan *plan, enum step_place place, const char *because,
        const char *name, uint64_t soft, uint64_t hard, struct error *err);

/* Writes <pid>/oom_score_adj below the procfs in the slot; -1000 to 1000. */
int limits_step_oom(struct plan *plan, enum step_place place, const char *because, int proc_slot,
        int64_t score, struct error *err);
