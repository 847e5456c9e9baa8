#include "container/build_parts.h"

/* What every container may use, with or without a device of its own
 * (runtime-spec config-linux.md#default-devices, and the terminals behind them). */
static const struct cgroup_device_rule default_rules[] = {
        {true, 'c', {false, 0}, {false, 0}, "m"}, /* making nodes is harmless without opening */
        {true, 'b', {false, 0}, {false, 0}, "m"},
        {true, 'c', {true, 1}, {true, 3}, "rwm"},    /* null */
        {true, 'c', {true, 1}, {true, 5}, "rwm"},    /* zero */
        {true, 'c', {true, 1}, {true, 7}, "rwm"},    /* full */
        {true, 'c', {true, 1}, {true, 8}, "rwm"},    /* random */
        {true, 'c', {true, 1}, {true, 9}, "rwm"},    /* urandom */
        {true, 'c', {true, 5}, {true, 0}, "rwm"},    /* tty */
        {true, 'c', {true, 5}, {true, 2}, "rwm"},    /* ptmx */
        {true, 'c', {true, 136}, {false, 0}, "rwm"}, /* pts */
};

#define DEFAULT_RULES (sizeof(default_rules) / sizeof(default_rules[0]))

static void build_device_rules(
        struct arena *arena, const struct spec_resources *resources, struct cgroup_limits *ret)
{
    size_t count = resources->devices.count;

    ret->devices.items =
            arena_new_array(arena, struct cgroup_device_rule, count + DEFAULT_RULES + 1);
    ret->devices.items[ret->devices.count++] = (struct cgroup_device_rule){.type = 'a'};
    for (size_t i = 0; i < count; i++) {
        const struct spec_device_rule *rule = &resources->devices.items[i];
        ret->devices.items[ret->devices.count++] = (struct cgroup_device_rule){rule->allow,
                str_empty(rule->type) ? 'a' : rule->type[0], rule->major, rule->minor,
                rule->access};
    }
    for (size_t i = 0; i < DEFAULT_RULES; i++)
        ret->devices.items[ret->devices.count++] = default_rules[i];
}

static struct opt_u64 widen(struct opt_u32 from)
{
    return (struct opt_u64){from.set, from.value};
}

static cgroup_throttle_list build_throttle(
        struct arena *arena, const struct spec_throttle_list *from)
{
    cgroup_throttle_list list = {
            arena_new_array(arena, struct cgroup_throttle, from->count), from->count};

    for (size_t i = 0; i < from->count; i++)
        list.items[i] = (struct cgroup_throttle){(uint32_t)from->items[i].major,
                (uint32_t)from->items[i].minor, from->items[i].rate};
    return list;
}

static void build_blkio(
        struct arena *arena, const struct spec_block_io *from, struct cgroup_blkio *ret)
{
    ret->weight = widen(from->weight);
    ret->leaf_weight = widen(from->leafWeight);
    ret->weight_devices.count = from->weightDevice.count;
    ret->weight_devices.items =
            arena_new_array(arena, struct cgroup_weight_device, from->weightDevice.count);
    for (size_t i = 0; i < from->weightDevice.count; i++) {
        const struct spec_weight_device *device = &from->weightDevice.items[i];
        ret->weight_devices.items[i] = (struct cgroup_weight_device){(uint32_t)device->major,
                (uint32_t)device->minor, widen(device->weight), widen(device->leafWeight)};
    }
    ret->read_bps = build_throttle(arena, &from->throttleReadBpsDevice);
    ret->write_bps = build_throttle(arena, &from->throttleWriteBpsDevice);
    ret->read_iops = build_throttle(arena, &from->throttleReadIOPSDevice);
    ret->write_iops = build_throttle(arena, &from->throttleWriteIOPSDevice);
}

static void build_rest(
        struct arena *arena, const struct spec_resources *from, struct cgroup_limits *ret)
{
    ret->pids = from->pids.limit;
    ret->hugetlb.count = from->hugepageLimits.count;
    ret->hugetlb.items = arena_new_array(arena, struct cgroup_hugetlb, from->hugepageLimits.count);
    for (size_t i = 0; i < from->hugepageLimits.count; i++)
        ret->hugetlb.items[i] = (struct cgroup_hugetlb){
                from->hugepageLimits.items[i].pageSize, from->hugepageLimits.items[i].limit};
    ret->net_class = widen(from->network.classID);
    ret->net_priorities.count = from->network.priorities.count;
    ret->net_priorities.items =
            arena_new_array(arena, struct cgroup_net_priority, from->network.priorities.count);
    for (size_t i = 0; i < from->network.priorities.count; i++)
        ret->net_priorities.items[i] = (struct cgroup_net_priority){
                from->network.priorities.items[i].name, from->network.priorities.items[i].priority};
    ret->rdma.count = from->rdma.count;
    ret->rdma.items = arena_new_array(arena, struct cgroup_rdma, from->rdma.count);
    for (size_t i = 0; i < from->rdma.count; i++)
        ret->rdma.items[i] = (struct cgroup_rdma){from->rdma.items[i].device,
                widen(from->rdma.items[i].hcaHandles), widen(from->rdma.items[i].hcaObjects)};
    ret->unified = from->unified;
}

void build_limits(struct arena *arena, const struct spec_resources *resources, bool default_devices,
        struct cgroup_limits *ret)
{
    *ret = (struct cgroup_limits){0};
    ret->cpu = (struct cgroup_cpu){
            .shares = resources->cpu.shares,
            .quota = resources->cpu.quota,
            .period = resources->cpu.period,
            .burst = resources->cpu.burst,
            .idle = resources->cpu.idle,
            .realtime_runtime = resources->cpu.realtimeRuntime,
            .realtime_period = resources->cpu.realtimePeriod,
            .cpus = resources->cpu.cpus,
            .mems = resources->cpu.mems,
    };
    ret->memory = (struct cgroup_memory){
            .limit = resources->memory.limit,
            .reservation = resources->memory.reservation,
            .swap = resources->memory.swap,
            .kernel = resources->memory.kernel,
            .kernel_tcp = resources->memory.kernelTCP,
            .swappiness = resources->memory.swappiness,
            .disable_oom_killer = resources->memory.disableOOMKiller,
            .use_hierarchy = resources->memory.useHierarchy,
            .check_before_update = resources->memory.checkBeforeUpdate,
    };
    build_blkio(arena, &resources->blockIO, &ret->blkio);
    build_rest(arena, resources, ret);
    if (default_devices)
        build_device_rules(arena, resources, ret);
}
