/*
 * What a control group may be asked for, as plain data: every resource of the OCI runtime
 * specification (config-linux.md#control-groups) and the files of cgroup v2 that it does not name.
 * Filled by whoever reads a configuration; turned into the writes of this host's kind of hierarchy
 * by writes.h. Owns nothing: lists and strings belong to the filler's arena.
 *
 * An absent value is not touched. As with the other runtimes, 0 counts as absent where 0 has no
 * meaning of its own: shares, quota, period, memory limits, weights.
 */
#pragma once

#include <stdint.h>

#include "base/record.h"

struct cgroup_cpu {
    struct opt_u64 shares;           /* 2 … 262144; becomes cpu.weight on v2 */
    struct opt_i64 quota;            /* microseconds of CPU time in each period; -1: no limit */
    struct opt_u64 period;           /* microseconds */
    struct opt_u64 burst;            /* microseconds that may be saved up */
    struct opt_i64 idle;             /* 1: SCHED_IDLE for the group */
    struct opt_i64 realtime_runtime; /* microseconds; v1 only */
    struct opt_u64 realtime_period;  /* microseconds; v1 only */
    const char *cpus;                /* "0-2,4" */
    const char *mems;
};

struct cgroup_memory {
    struct opt_i64 limit;                /* bytes; -1: no limit */
    struct opt_i64 reservation;          /* bytes: the soft limit of v1, memory.low of v2 */
    struct opt_i64 swap;                 /* bytes of memory and swap together; -1: no limit */
    struct opt_i64 kernel;               /* bytes; v1 only */
    struct opt_i64 kernel_tcp;           /* bytes; v1 only */
    struct opt_i64 low;                  /* bytes; v2 only */
    struct opt_i64 min;                  /* bytes; v2 only */
    struct opt_i64 high;                 /* bytes; v2 only */
    struct opt_u64 swappiness;           /* 0 … 200; v1 only */
    struct opt_bool disable_oom_killer;  /* v1 only */
    struct opt_bool use_hierarchy;       /* v1 only */
    struct opt_bool check_before_update; /* an update below the present use is refused */
};

struct cgroup_weight_device {
    uint32_t major, minor;
    struct opt_u64 weight, leaf_weight;
};

struct cgroup_throttle {
    uint32_t major, minor;
    uint64_t rate; /* bytes or operations each second; 0: no limit */
};

typedef RECORD_LIST(struct cgroup_throttle) cgroup_throttle_list;

struct cgroup_blkio {
    struct opt_u64 weight, leaf_weight; /* 10 … 1000 */
    RECORD_LIST(struct cgroup_weight_device) weight_devices;
    cgroup_throttle_list read_bps, write_bps, read_iops, write_iops;
};

struct cgroup_hugetlb {
    const char *page_size; /* "2MB", "1GB", as in the files' names */
    uint64_t limit;        /* bytes; also set for reservations where the kernel counts them */
};

struct cgroup_net_priority {
    const char *interface;
    uint32_t priority;
};

struct cgroup_rdma {
    const char *device;
    struct opt_u64 handles, objects;
};

struct cgroup_device_rule {
    bool allow;
    char type;                   /* 'a' for both, 'b', 'c' */
    struct opt_i64 major, minor; /* absent or -1: all */
    const char *access;          /* of "rwm"; NULL or "": all three */
};

struct cgroup_limits {
    struct cgroup_cpu cpu;
    struct cgroup_memory memory;
    struct cgroup_blkio blkio;
    struct opt_i64 pids; /* -1: no limit */
    RECORD_LIST(struct cgroup_hugetlb) hugetlb;
    struct opt_u64 net_class; /* 32 bits: 0xAAAABBBB is the class AAAA:BBBB */
    RECORD_LIST(struct cgroup_net_priority) net_priorities;
    RECORD_LIST(struct cgroup_rdma) rdma;
    RECORD_LIST(struct cgroup_device_rule) devices; /* in order; the last that matches decides */
    struct record_map unified; /* v2 file name -> text; those of rdma and misc are v1's too */
};
