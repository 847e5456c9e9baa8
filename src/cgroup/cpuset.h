/*
 * The CPUs and memory nodes of a control group on v1, and how they are shared (cpuset(7)). Part of
 * stats.h.
 */
#pragma once

#include "base/record.h"

struct cgroup_stats_cpuset {
    RECORD_LIST(uint64_t) cpus;
    RECORD_LIST(uint64_t) mems;
    uint64_t cpu_exclusive, mem_hardwall, mem_exclusive;
    uint64_t memory_migrate, memory_spread_page, memory_spread_slab, memory_pressure;
    uint64_t sched_load_balance;
    int64_t sched_relax_domain_level; /* -1: the system's */
};

extern const struct record cgroup_stats_cpuset_record;

/* Reads all of it from a directory of the cpuset hierarchy, into the arena. What is missing is 0.
 */
struct cgroup_stats_cpuset *cgroup_cpuset_read(struct arena *arena, const char *dir);
