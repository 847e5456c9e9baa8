/*
 * What a process may use and how it is scheduled: limits, scheduling policy, I/O priority, CPU
 * affinity, memory policy, personality. A pid of 0 is the caller. See door.h for the returns.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

/* The kernel's struct sched_attr (sched_setattr(2)); libc has none. */
struct sys_sched_attr {
    uint32_t size;
    uint32_t sched_policy;
    uint64_t sched_flags;
    int32_t sched_nice;
    uint32_t sched_priority;
    uint64_t sched_runtime; /* nanoseconds, and the two below */
    uint64_t sched_deadline;
    uint64_t sched_period;
    uint32_t sched_util_min;
    uint32_t sched_util_max;
};

int sys_prlimit(pid_t pid, int resource, const struct rlimit64 *limit, struct rlimit64 *ret_old);
int sys_sched_setattr(pid_t pid, const struct sys_sched_attr *attributes);
int sys_sched_getattr(pid_t pid, struct sys_sched_attr *ret);

/* `mask` is an array of 64-bit words, `size` its bytes. */
int sys_sched_setaffinity(pid_t pid, size_t size, const uint64_t *mask);

int sys_ioprio_set(pid_t pid, unsigned class_number, unsigned level);
int sys_ioprio_get(pid_t pid); /* class << 13 | level */

/* `nodes` is an array of 64-bit words with `bits` bits in use. */
int sys_set_mempolicy(int mode, const uint64_t *nodes, size_t bits);
int sys_get_mempolicy(int *ret_mode, uint64_t *nodes, size_t bits);
int sys_personality(unsigned long persona);
