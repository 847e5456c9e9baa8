/*
 * What a control group has used, from v1, v2 or both, in one plain struct. Times are nanoseconds,
 * sizes bytes. What a host does not count stays absent. Lists live in the caller's arena.
 */
#pragma once

#include "cgroup/cpuset.h"
#include "cgroup/flat.h"
#include "cgroup/saved.h"

struct cgroup_counter {
    const char *name;
    uint64_t value;
};

struct cgroup_stats_cpu {
    struct opt_u64 usage_ns, user_ns, system_ns;
    /* v1 only */
    RECORD_LIST(uint64_t) percpu_ns;
    RECORD_LIST(uint64_t) percpu_user_ns;
    RECORD_LIST(uint64_t) percpu_system_ns;
    struct opt_u64 periods, throttled_periods, throttled_ns;
    struct opt_u64 bursts, burst_ns;
    struct cgroup_pressure *pressure; /* NULL: not counted */
};

struct cgroup_stats_memory {
    struct opt_u64 usage, peak;
    struct opt_u64 limit; /* absent: none */
    struct opt_u64 failures;
    struct opt_u64 swap_usage, swap_peak, swap_limit, swap_failures; /* v1: with the memory */
    struct opt_u64 kernel_usage, kernel_peak, kernel_failures, kernel_limit;
    struct opt_u64 kernel_tcp_usage, kernel_tcp_peak, kernel_tcp_failures, kernel_tcp_limit;
    struct opt_u64 cache, rss, inactive_file;
    struct opt_u64 faults, major_faults;
    struct opt_u64 oom_events, oom_kills;
    struct opt_bool hierarchy;              /* v1: memory.use_hierarchy */
    RECORD_LIST(struct cgroup_counter) raw; /* memory.stat as it is */
    struct cgroup_pressure *pressure;
};

struct cgroup_stats_io_device {
    uint32_t major, minor;
    uint64_t read_bytes, write_bytes, discard_bytes;
    uint64_t read_ops, write_ops, discard_ops;
};

struct cgroup_stats_hugetlb {
    const char *page_size;
    uint64_t usage, peak, failures;
};

struct cgroup_stats_rdma {
    const char *device;
    uint64_t handles, objects;
    struct opt_u64 handles_limit, objects_limit; /* absent: none */
};

struct cgroup_stats {
    struct cgroup_stats_cpu cpu;
    struct cgroup_stats_memory memory;
    RECORD_LIST(struct cgroup_stats_io_device) io;
    struct cgroup_pressure *io_pressure;
    struct opt_u64 pids, pids_limit, pids_peak;
    struct opt_u64 pids_refused; /* forks that the limit refused */
    RECORD_LIST(struct cgroup_stats_hugetlb) hugetlb;
    RECORD_LIST(struct cgroup_stats_rdma) rdma;
    RECORD_LIST(struct cgroup_counter) misc;
    struct cgroup_stats_cpuset *cpuset; /* v1 only */
};

extern const struct record cgroup_stats_record;

/* Reads all of it. A file that is missing leaves its values absent; a group that is gone is
 * -ENOENT. */
int cgroup_stats_read(const struct cgroup_saved *saved, struct arena *arena,
        struct cgroup_stats *ret, struct error *err);
