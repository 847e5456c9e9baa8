/*
 * How the workload is scheduled: policy, I/O priority, CPU affinity, memory policy; and its
 * personality. Real-time policies ask for CAP_SYS_NICE in the first user namespace, so the first
 * three can run in the host's process. Used by security.c only.
 */
#pragma once

#include <stdbool.h>

#include "plan/plan.h"
#include "security/parts.h"

/* sched_setattr(2). -EINVAL for names and values that do not exist; so below. */
int schedule_step_scheduler(struct plan *plan, enum step_place place, const char *because,
        const struct security_scheduler *scheduler, struct error *err);

/* ioprio_set(2). */
int schedule_step_io_priority(struct plan *plan, enum step_place place, const char *because,
        const struct security_io_priority *priority, struct error *err);

/* sched_setaffinity(2) with a list of CPUs, "0-3,7"; `other`: the child's, set from the host. */
int schedule_step_affinity(struct plan *plan, enum step_place place, const char *because,
        const char *cpus, bool other, struct error *err);

/* set_mempolicy(2). */
int schedule_step_memory_policy(struct plan *plan, enum step_place place, const char *because,
        const struct security_memory_policy *policy, struct error *err);

/* personality(2). */
int schedule_step_personality(struct plan *plan, enum step_place place, const char *because,
        const struct security_personality *personality, struct error *err);
