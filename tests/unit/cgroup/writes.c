#include "cgroup/writes.h"

#include <stdlib.h>

#include "test.h"

static struct cgroup_writes writes;
static struct error err;

/* "dir/file=value" of all writes, one a line, in the arena. */
static const char *translate(struct arena *arena, const struct cgroup_limits *limits, bool v2)
{
    struct cgroup_dirs dirs = {.unified = v2 ? "/2" : NULL, .unified_controllers = UINT32_MAX};
    const char *text = "";

    for (unsigned i = 0; i < CGROUP_CONTROLLERS && !v2; i++)
        dirs.v1[i] = "/1";
    writes = (struct cgroup_writes){.arena = arena};
    err = (struct error)ERROR_NONE;
    if (cgroup_writes_add(&writes, limits, &dirs, false, &err) < 0)
        return err.text;
    for (size_t i = 0; i < writes.count; i++)
        text = arena_printf(arena, "%s%s=%s;", text, writes.items[i].file, writes.items[i].value);
    return text;
}

TEST(weights_are_converted_at_the_known_points)
{
    CHECK_INT(cgroup_weight_of_shares(2), 1);
    CHECK_INT(cgroup_weight_of_shares(0), 1);
    CHECK_INT(cgroup_weight_of_shares(1024), 100);
    CHECK_INT(cgroup_weight_of_shares(262144), 10000);
    CHECK_INT(cgroup_weight_of_shares(UINT64_MAX), 10000);
    for (uint64_t i = 2; i < 262144; i += 97)
        CHECK(cgroup_weight_of_shares(i) <= cgroup_weight_of_shares(i + 97));
    CHECK_INT(cgroup_io_weight(10), 1);
    CHECK_INT(cgroup_io_weight(1000), 10000);
    CHECK_INT(cgroup_io_weight(500), 4950);
}

TEST(cpu_limits_on_both_versions)
{
    _cleanup_arena_ struct arena arena = {0};
    struct cgroup_limits limits = {.cpu = {.shares = {true, 2048},
                                           .quota = {true, 50000},
                                           .period = {true, 100000},
                                           .burst = {true, 1000},
                                           .idle = {true, 0},
                                           .cpus = "0-1"}};

    CHECK_STR(translate(&arena, &limits, false),
            "cpuset.cpus=0-1;cpu.shares=2048;cpu.cfs_period_us=100000;cpu.cfs_quota_us=50000;"
            "cpu.cfs_burst_us=1000;cpu.idle=0;");
    CHECK_STR(translate(&arena, &limits, true),
            "cpuset.cpus=0-1;cpu.weight=174;cpu.max=50000 100000;cpu.max.burst=1000;cpu.idle=0;");
    limits = (struct cgroup_limits){.cpu = {.period = {true, 20000}, .quota = {true, 0}}};
    CHECK_STR(translate(&arena, &limits, true), "cpu.max=max 20000;");
    limits = (struct cgroup_limits){.cpu = {.quota = {true, -1}}};
    CHECK_STR(translate(&arena, &limits, true), "cpu.max=max;");
    CHECK_STR(translate(&arena, &limits, false), "cpu.cfs_quota_us=-1;");
}

TEST(memory_limits_on_both_versions)
{
    _cleanup_arena_ struct arena arena = {0};
    struct cgroup_limits limits = {.memory = {.limit = {true, 100},
                                           .swap = {true, 150},
                                           .reservation = {true, 50},
                                           .disable_oom_killer = {true, false}}};

    CHECK_STR(translate(&arena, &limits, false),
            "memory.limit_in_bytes=100;memory.memsw.limit_in_bytes=150;"
            "memory.soft_limit_in_bytes=50;");
    CHECK_STR(translate(&arena, &limits, true), "memory.max=100;memory.swap.max=50;memory.low=50;");
    limits.memory.swap.value = -1;
    CHECK_STR(
            translate(&arena, &limits, true), "memory.max=100;memory.swap.max=max;memory.low=50;");
    CHECK(writes.items[1].missing_ok);
    limits.memory = (struct cgroup_memory){.swap = {true, 10}};
    CHECK_STR(translate(&arena, &limits, true),
            "memory/swap: a limit of memory and swap together needs a limit of memory");
    limits.memory = (struct cgroup_memory){.swap = {true, 10}, .limit = {true, 20}};
    CHECK(strstr(translate(&arena, &limits, true), "is below that of memory alone"));
    limits.memory = (struct cgroup_memory){.disable_oom_killer = {true, true}};
    CHECK_STR(translate(&arena, &limits, true), "");
    CHECK_INT(writes.unmet_count, 1);
    CHECK_STR(writes.unmet[0].because, "memory/disableOOMKiller");
}

TEST(zero_is_absent_where_it_means_nothing)
{
    _cleanup_arena_ struct arena arena = {0};
    struct cgroup_limits limits = {.cpu = {.shares = {true, 0}, .period = {true, 0}},
            .memory = {.limit = {true, 0}, .swap = {true, 0}, .kernel = {true, 0}},
            .blkio = {.weight = {true, 0}}};

    CHECK_STR(translate(&arena, &limits, false), "");
    CHECK_STR(translate(&arena, &limits, true), "");
    limits = (struct cgroup_limits){.pids = {true, 0}};
    CHECK_STR(translate(&arena, &limits, true), "pids.max=1;");
}

TEST(lists_on_both_versions)
{
    _cleanup_arena_ struct arena arena = {0};
    struct cgroup_throttle throttle = {8, 16, 1000};
    struct cgroup_hugetlb huge = {"2MB", 4096};
    struct cgroup_rdma rdma = {"mlx", {true, 1}, {false, 0}};
    struct cgroup_net_priority priority = {"eth0", 3};
    struct cgroup_limits limits = {
            .blkio = {.read_bps = {&throttle, 1}, .write_iops = {&throttle, 1}},
            .hugetlb = {&huge, 1},
            .rdma = {&rdma, 1}};

    CHECK_STR(translate(&arena, &limits, true),
            "io.max=8:16 rbps=1000;io.max=8:16 wiops=1000;hugetlb.2MB.max=4096;"
            "hugetlb.2MB.rsvd.max=4096;rdma.max=mlx hca_handle=1;");
    limits.net_priorities.items = &priority;
    limits.net_priorities.count = 1;
    CHECK_STR(translate(&arena, &limits, false),
            "blkio.throttle.read_bps_device=8:16 1000;blkio.throttle.write_iops_device=8:16 1000;"
            "hugetlb.2MB.limit_in_bytes=4096;hugetlb.2MB.rsvd.limit_in_bytes=4096;"
            "net_prio.ifpriomap=eth0 3;rdma.max=mlx hca_handle=1;");
    throttle.rate = 0;
    limits = (struct cgroup_limits){.blkio = {.read_bps = {&throttle, 1}}};
    CHECK_STR(translate(&arena, &limits, true), "io.max=8:16 rbps=max;");
}

TEST(weights_know_both_schedulers)
{
    _cleanup_arena_ struct arena arena = {0};
    struct cgroup_weight_device device = {8, 0, {true, 100}, {true, 50}};
    struct cgroup_limits limits = {
            .blkio = {.weight = {true, 500}, .weight_devices = {&device, 1}}};

    CHECK_STR(translate(&arena, &limits, false),
            "blkio.bfq.weight=500;blkio.bfq.weight_device=8:0 100;"
            "blkio.leaf_weight_device=8:0 50;");
    CHECK_STR(writes.items[0].other_file, "blkio.weight");
    CHECK_STR(translate(&arena, &limits, true), "io.bfq.weight=500;io.bfq.weight=8:0 100;");
    CHECK_STR(writes.items[0].other_value, "default 4950");
    CHECK_STR(writes.items[1].other_value, "8:0 910");
    CHECK_STR(writes.unmet[0].because, "blockIO/weightDevice/0");
}

TEST(unified_goes_to_v2_and_where_v1_has_the_same_files)
{
    _cleanup_arena_ struct arena arena = {0};
    struct record_pair pairs[] = {{"memory.high", "9"}, {"cgroup.max.depth", "1"}};
    struct cgroup_limits limits = {.unified = {pairs, 2}};

    CHECK_STR(translate(&arena, &limits, true), "memory.high=9;cgroup.max.depth=1;");
    CHECK_STR(translate(&arena, &limits, false), "");
    CHECK_INT(writes.unmet_count, 2);
    pairs[0] = (struct record_pair){"misc.max", "sev 7"};
    limits.unified.count = 1;
    CHECK_STR(translate(&arena, &limits, true), "misc.max=sev 7;");
    CHECK_STR(translate(&arena, &limits, false), "misc.max=sev 7;");
    CHECK_STR(writes.items[0].dir, "/1");
    pairs[0].key = "memory/../x.y";
    CHECK(strstr(translate(&arena, &limits, true), "is the name of a cgroup v2 file"));
}

TEST_MAIN()
