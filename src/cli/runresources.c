#include "cli/runresources.h"

#include <inttypes.h>

#include "base/cleanup.h"
#include "spec/defaults.h"

#define PERIOD_DEFAULT 100000 /* microseconds */
#define QUOTA_LEAST 1000
#define CPUS_MOST 8192

static const struct option_row rows[] = {
        RUN_ROW('m', "memory", OPTION_TEXT, memory, "BYTES", "Most memory, as in 512m"),
        RUN_ROW(0, "memory-reservation", OPTION_TEXT, memory_reservation, "BYTES",
                "What is left to it when memory is short"),
        RUN_ROW(0, "memory-swap", OPTION_TEXT, memory_swap, "BYTES",
                "Most memory and swap together; -1: no limit for swap"),
        RUN_ROW(0, "memory-swappiness", OPTION_NUMBER, memory_swappiness, "0-100",
                "How readily its memory is swapped out"),
        RUN_ROW(0, "oom-kill-disable", OPTION_FLAG, oom_kill_disable, NULL,
                "Pause instead of killing when memory runs out (cgroup v1)"),
        RUN_ROW(0, "cpus", OPTION_TEXT, cpus, "N", "Most CPUs, as in 1.5"),
        RUN_ROW('c', "cpu-shares", OPTION_COUNT, cpu_shares, "N",
                "Weight against others, 1024 is usual"),
        RUN_ROW(0, "cpu-quota", OPTION_NUMBER, cpu_quota, "USEC", "CPU time in each period"),
        RUN_ROW(0, "cpu-period", OPTION_COUNT, cpu_period, "USEC", "Length of a period"),
        RUN_ROW(0, "cpu-burst", OPTION_COUNT, cpu_burst, "USEC",
                "Unused CPU time that may be saved up"),
        RUN_ROW(0, "cpu-rt-runtime", OPTION_NUMBER, cpu_rt_runtime, "USEC",
                "Realtime CPU time in each period"),
        RUN_ROW(0, "cpu-rt-period", OPTION_COUNT, cpu_rt_period, "USEC",
                "Length of a realtime period"),
        RUN_ROW(0, "cpuset-cpus", OPTION_TEXT, cpuset_cpus, "LIST", "CPUs to run on, as in 0-3,7"),
        RUN_ROW(0, "cpuset-mems", OPTION_TEXT, cpuset_mems, "LIST", "Memory nodes to use"),
        RUN_ROW(0, "pids-limit", OPTION_NUMBER, pids_limit, "N", "Most processes; -1: no limit"),
        RUN_ROW(0, "blkio-weight", OPTION_COUNT, blkio_weight, "10-1000", "Weight for block I/O"),
        RUN_ROW(0, "blkio-weight-device", OPTION_LIST, blkio_weight_device, "PATH:WEIGHT",
                "The same, for one device"),
        RUN_ROW(0, "device-read-bps", OPTION_LIST, device_read_bps, "PATH:RATE",
                "Most bytes read a second"),
        RUN_ROW(0, "device-write-bps", OPTION_LIST, device_write_bps, "PATH:RATE",
                "Most bytes written a second"),
        RUN_ROW(0, "device-read-iops", OPTION_LIST, device_read_iops, "PATH:RATE",
                "Most reads a second"),
        RUN_ROW(0, "device-write-iops", OPTION_LIST, device_write_iops, "PATH:RATE",
                "Most writes a second"),
        RUN_ROW(0, "device-cgroup-rule", OPTION_LIST, device_cgroup_rule, "RULE",
                "Devices to allow, as in 'c 10:229 rw'"),
        RUN_ROW(0, "hugetlb-limit", OPTION_LIST, hugetlb_limit, "SIZE=BYTES",
                "Most memory in huge pages, as in 2MB=64m"),
        RUN_ROW(0, "cgroup-conf", OPTION_LIST, cgroup_conf, "KEY=VALUE",
                "Any file of cgroup v2, as in memory.high=1g"),
        RUN_ROW(0, "cgroup-parent", OPTION_TEXT, cgroup_parent, "PATH",
                "The control group to be placed in"),
        RUN_ROW(0, "cgroup-manager", OPTION_CHOICE, cgroup_manager, "cgroupfs|systemd",
                "Who makes the control group: viv itself, or systemd as a scope"),
};
const struct option_table run_resources_table = OPTION_TABLE("Resources", rows);

/* Bytes; 0 and "" leave the limit alone. `minus_one`: -1 is allowed and means no limit. */
static int read_size(
        const char *flag, const char *text, bool minus_one, struct opt_i64 *ret, struct error *err)
{
    uint64_t bytes;

    if (str_empty(text))
        return 0;
    if (minus_one && str_equal(text, "-1")) {
        *ret = (struct opt_i64){true, -1};
        return 0;
    }
    if (str_to_bytes(text, &bytes, err) < 0)
        return error_prefix(err, "--%s", flag);
    if (bytes > INT64_MAX)
        return error_set(err, ERANGE, "--%s %s: larger than 8 EiB", flag, text);
    if (bytes > 0)
        *ret = (struct opt_i64){true, (int64_t)bytes};
    return 0;
}

/* Without a word about swap it gets as much of it as of memory. */
static int settle_swap(const struct run_flags *flags, struct spec_memory *memory, struct error *err)
{
    int64_t limit = memory->limit.value;

    if (flags->memory_swap && memory->swap.value > 0 && limit <= 0)
        return error_set(err, EINVAL,
                "--memory-swap %s limits memory and swap together: give --memory too",
                flags->memory_swap);
    if (memory->swap.value > 0 && memory->swap.value < limit)
        return error_set(err, EINVAL,
                "--memory-swap %s is memory and swap together, and cannot be less than --memory %s",
                flags->memory_swap, flags->memory);
    if (limit > 0 && limit <= INT64_MAX / 2 && !memory->swap.set)
        memory->swap = (struct opt_i64){true, 2 * limit};
    return 0;
}

static int apply_memory(struct run_build *build, struct error *err)
{
    const struct run_flags *flags = build->flags;
    struct spec_memory *memory = &build->spec->linux.resources.memory;
    const struct opt_i64 *swappiness = &flags->memory_swappiness;

    if (read_size("memory", flags->memory, false, &memory->limit, err) < 0 ||
            read_size("memory-reservation", flags->memory_reservation, false, &memory->reservation,
                    err) < 0 ||
            read_size("memory-swap", flags->memory_swap, true, &memory->swap, err) < 0)
        return -EINVAL;
    if (memory->reservation.value > memory->limit.value && memory->limit.value > 0 &&
            flags->memory_reservation)
        return error_set(err, EINVAL, "--memory-reservation %s cannot be more than --memory %s",
                flags->memory_reservation, flags->memory ? flags->memory : "of the bundle");
    if ((flags->memory || flags->memory_swap) && settle_swap(flags, memory, err) < 0)
        return -EINVAL;
    if (swappiness->set && swappiness->value != -1) {
        if (swappiness->value < 0 || swappiness->value > 100)
            return error_set(err, EINVAL,
                    "--memory-swappiness %" PRId64 ": write a number from 0 to 100",
                    swappiness->value);
        memory->swappiness = (struct opt_u64){true, (uint64_t)swappiness->value};
    }
    if (flags->oom_kill_disable)
        memory->disableOOMKiller = (struct opt_bool){true, true};
    return 0;
}

/* "1.5" CPUs are a quota of 1.5 periods. */
static int apply_cpus(struct run_build *build, struct spec_cpu *cpu, struct error *err)
{
    const struct run_flags *flags = build->flags;
    double cpus;

    if (!flags->cpus)
        return 0;
    if (flags->cpu_quota.set || flags->cpu_period.set)
        return error_set(err, EINVAL,
                "--cpus says quota and period: leave out --cpu-quota and --cpu-period");
    if (str_to_double(flags->cpus, &cpus) < 0 || !(cpus >= 0 && cpus <= CPUS_MOST))
        return error_set(err, EINVAL, "--cpus %s: write a number of CPUs, as in 1.5", flags->cpus);
    int64_t quota = (int64_t)(cpus * PERIOD_DEFAULT + 0.5);
    if (cpus > 0 && quota < QUOTA_LEAST)
        return error_set(
                err, EINVAL, "--cpus %s is less than the kernel can do: 0.01", flags->cpus);
    if (cpus > 0) {
        cpu->quota = (struct opt_i64){true, quota};
        cpu->period = (struct opt_u64){true, PERIOD_DEFAULT};
    }
    return 0;
}

static int apply_cpu(struct run_build *build, struct error *err)
{
    const struct run_flags *flags = build->flags;
    struct spec_cpu *cpu = &build->spec->linux.resources.cpu;

    if (flags->cpu_shares.value > 0)
        cpu->shares = flags->cpu_shares;
    if (flags->cpu_quota.value != 0)
        cpu->quota = flags->cpu_quota;
    if (flags->cpu_period.value > 0)
        cpu->period = flags->cpu_period;
    if (flags->cpu_burst.set)
        cpu->burst = flags->cpu_burst;
    if (flags->cpu_rt_runtime.value != 0)
        cpu->realtimeRuntime = flags->cpu_rt_runtime;
    if (flags->cpu_rt_period.value > 0)
        cpu->realtimePeriod = flags->cpu_rt_period;
    if (!str_empty(flags->cpuset_cpus))
        cpu->cpus = flags->cpuset_cpus;
    if (!str_empty(flags->cpuset_mems))
        cpu->mems = flags->cpuset_mems;
    return apply_cpus(build, cpu, err);
}

static int add_block_limit(struct run_build *build, const char *flag, const char *text,
        enum run_limit_kind kind, struct error *err)
{
    const char *colon = strrchr(text, ':');
    uint64_t rate = 0;

    if (!colon || text[0] != '/')
        return error_set(err, EINVAL, "--%s %s: write the device's path and a number, as in %s",
                flag, text,
                kind == RUN_WEIGHT      ? "/dev/sda:500"
                : kind <= RUN_WRITE_BPS ? "/dev/sda:10m"
                                        : "/dev/sda:1000");
    bool bytes = kind == RUN_READ_BPS || kind == RUN_WRITE_BPS;
    if (bytes ? str_to_bytes(colon + 1, &rate, err) < 0
              : str_to_u64(colon + 1, 10, &rate) < 0 &&
                            error_set(err, EINVAL, "\"%s\" is not a number", colon + 1) < 0)
        return error_prefix(err, "--%s %s", flag, text);
    if (kind == RUN_WEIGHT && (rate < 10 || rate > 1000))
        return error_set(err, EINVAL, "--%s %s: the weight is not between 10 and 1000", flag, text);
    struct run_block_limit *limit = RECORD_APPEND(build->arena, &build->choices->block_limits);
    *limit = (struct run_block_limit){
            kind, arena_strndup(build->arena, text, (size_t)(colon - text)), rate};
    return 0;
}

static int apply_block_io(struct run_build *build, struct error *err)
{
    const struct run_flags *flags = build->flags;
    const struct {
        const char *flag;
        const struct strv *list;
        enum run_limit_kind kind;
    } lists[] = {
            {"blkio-weight-device", &flags->blkio_weight_device, RUN_WEIGHT},
            {"device-read-bps", &flags->device_read_bps, RUN_READ_BPS},
            {"device-write-bps", &flags->device_write_bps, RUN_WRITE_BPS},
            {"device-read-iops", &flags->device_read_iops, RUN_READ_IOPS},
            {"device-write-iops", &flags->device_write_iops, RUN_WRITE_IOPS},
    };
    uint64_t weight = flags->blkio_weight.value;

    if (weight != 0 && (weight < 10 || weight > 1000))
        return error_set(
                err, EINVAL, "--blkio-weight %" PRIu64 " is not between 10 and 1000", weight);
    if (weight != 0)
        build->spec->linux.resources.blockIO.weight = (struct opt_u32){true, (uint32_t)weight};
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
        for (size_t j = 0; j < lists[i].list->count; j++)
            if (add_block_limit(build, lists[i].flag, lists[i].list->words[j], lists[i].kind, err) <
                    0)
                return -EINVAL;
    return 0;
}

/* A device's number in a rule; "*" is all. */
static int read_number(const char *text, struct opt_i64 *ret)
{
    uint32_t number;

    if (str_equal(text, "*"))
        return 0;
    if (str_to_u32(text, &number) < 0)
        return -EINVAL;
    *ret = (struct opt_i64){true, number};
    return 0;
}

/* "c 10:229 rwm" */
static int add_device_rule(struct run_build *build, const char *text, struct error *err)
{
    struct strv words = {0};
    const char *major;
    const char *minor;
    struct spec_device_rule rule = {.allow = true};

    strv_split(build->arena, &words, text, ' ');
    bool good = words.count == 3 && strlen(words.words[0]) == 1 && strchr("abc", *words.words[0]) &&
                run_split(build->arena, words.words[1], ':', &major, &minor) == 0 &&
                read_number(major, &rule.major) == 0 && read_number(minor, &rule.minor) == 0 &&
                !words.words[2][strspn(words.words[2], "rwm")];
    if (!good)
        return error_set(err, EINVAL,
                "--device-cgroup-rule \"%s\": write type, numbers and access, as in \"c 10:229 "
                "rwm\"; the type is a, b or c",
                text);
    rule.type = words.words[0];
    rule.access = words.words[2];
    *spec_add_device_rule(build->arena, &build->spec->linux.resources, true, NULL) = rule;
    return 0;
}

/* "2MB=64m"; a colon does as well */
static int add_hugetlb_limit(struct run_build *build, const char *text, struct error *err)
{
    const char *size;
    const char *bytes;
    struct spec_hugepage_limit limit = {0};

    if (run_split(build->arena, text, strchr(text, '=') ? '=' : ':', &size, &bytes) < 0)
        return error_set(err, EINVAL,
                "--hugetlb-limit %s: write the page size and the limit, as in 2MB=64m", text);
    if (str_to_bytes(bytes, &limit.limit, err) < 0)
        return error_prefix(err, "--hugetlb-limit %s", text);
    limit.pageSize = str_ends(size, "B") ? size : arena_printf(build->arena, "%sB", size);
    struct spec_hugepage_limit *slot =
            RECORD_APPEND(build->arena, &build->spec->linux.resources.hugepageLimits);
    *slot = limit;
    return 0;
}

static int add_cgroup_conf(struct run_build *build, const char *text, struct error *err)
{
    const char *key;
    const char *value;

    if (run_split(build->arena, text, '=', &key, &value) < 0 || !strchr(key, '.') ||
            strchr(key, '/'))
        return error_set(err, EINVAL,
                "--cgroup-conf %s: write a file of the control group and its value, as in "
                "memory.high=1g",
                text);
    spec_map_set(build->arena, &build->spec->linux.resources.unified, key, value);
    return 0;
}

static int apply_lists(struct run_build *build, struct error *err)
{
    const struct {
        const struct strv *list;
        int (*add)(struct run_build *build, const char *text, struct error *err);
    } lists[] = {
            {&build->flags->device_cgroup_rule, add_device_rule},
            {&build->flags->hugetlb_limit, add_hugetlb_limit},
            {&build->flags->cgroup_conf, add_cgroup_conf},
    };

    for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
        for (size_t j = 0; j < lists[i].list->count; j++)
            if (lists[i].add(build, lists[i].list->words[j], err) < 0)
                return -EINVAL;
    return 0;
}

int run_resources_apply(struct run_build *build, struct error *err)
{
    const struct opt_i64 *pids = &build->flags->pids_limit;

    if (apply_memory(build, err) < 0 || apply_cpu(build, err) < 0 || apply_block_io(build, err) < 0)
        return -EINVAL;
    if (pids->value < -1)
        return error_set(err, EINVAL,
                "--pids-limit %" PRId64 ": write a number, or -1 for no limit", pids->value);
    if (pids->set)
        build->spec->linux.resources.pids.limit =
                (struct opt_i64){true, pids->value == 0 ? -1 : pids->value};
    build->choices->cgroup_parent = build->flags->cgroup_parent;
    build->choices->cgroup_manager = build->flags->cgroup_manager;
    return apply_lists(build, err);
}
