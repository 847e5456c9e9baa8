#include "spec/check_resources.h"

#include <ctype.h>
#include <inttypes.h>

#include "base/cleanup.h"
#include "spec/rule.h"

#define MAJOR_MAX 4095    /* 12 bits in the kernel's dev_t */
#define MINOR_MAX 1048575 /* 20 bits */
#define SHARES_MIN 2
#define SHARES_MAX 262144
#define QUOTA_MIN 1000 /* microseconds, as the three below */
#define PERIOD_MIN 1000
#define PERIOD_MAX 1000000
#define WEIGHT_MIN 10
#define WEIGHT_MAX 1000

void check_device_numbers(struct record_report *report, const struct record_place *place,
        int64_t major, int64_t minor, int64_t min)
{
    rule_range(report, RECORD_MEMBER(place, "major"), major, min, MAJOR_MAX, "");
    rule_range(report, RECORD_MEMBER(place, "minor"), minor, min, MINOR_MAX, "");
}

static void check_device_rule(struct record_report *report, const struct record_place *place,
        const struct spec_device_rule *rule)
{
    static const char *const type_list[] = {"a", "c", "b"};
    static const struct spec_words types = {type_list, ARRAY_SIZE(type_list)};

    if (!str_empty(rule->type))
        rule_one_of(report, RECORD_MEMBER(place, "type"), rule->type, &types, "device type");
    check_device_numbers(report, place, rule->major.set ? rule->major.value : -1,
            rule->minor.set ? rule->minor.value : -1, -1);
    if (rule->access && rule->access[strspn(rule->access, "rwm")])
        record_fault(report, RECORD_MEMBER(place, "access"),
                "\"%.64s\" has letters other than r (read), w (write) and m (mknod)", rule->access);
}

static void check_bytes(struct record_report *report, const struct record_place *place,
        const char *name, const struct opt_i64 *value)
{
    if (value->set && value->value < -1)
        record_fault(report, RECORD_MEMBER(place, name),
                "%" PRId64 " bytes: write a size, or -1 for no limit", value->value);
}

static void check_memory(struct record_report *report, const struct record_place *place,
        const struct spec_memory *memory)
{
    check_bytes(report, place, "limit", &memory->limit);
    check_bytes(report, place, "reservation", &memory->reservation);
    check_bytes(report, place, "swap", &memory->swap);
    check_bytes(report, place, "kernel", &memory->kernel);
    check_bytes(report, place, "kernelTCP", &memory->kernelTCP);
    if (memory->swap.value > 0 && memory->limit.value > 0 &&
            memory->swap.value < memory->limit.value)
        record_fault(report, RECORD_MEMBER(place, "swap"),
                "%" PRId64 " bytes of memory and swap together are less than the memory limit, "
                "%" PRId64,
                memory->swap.value, memory->limit.value);
    if (memory->reservation.value > 0 && memory->limit.value > 0 &&
            memory->reservation.value > memory->limit.value)
        record_warn(report, RECORD_MEMBER(place, "reservation"),
                "%" PRId64 " bytes are above the memory limit, %" PRId64 ", and have no effect",
                memory->reservation.value, memory->limit.value);
    if (memory->swappiness.set && memory->swappiness.value > 100)
        record_fault(report, RECORD_MEMBER(place, "swappiness"),
                "%" PRIu64 " is not between 0 and 100", memory->swappiness.value);
}

/* 0 is what engines write for "not given". */
static void check_unsigned(struct record_report *report, const struct record_place *place,
        const struct opt_u64 *value, uint64_t min, uint64_t max, const char *unit)
{
    if (value->set && value->value != 0 && (value->value < min || value->value > max))
        record_fault(report, place, "%" PRIu64 "%s is not between %" PRIu64 " and %" PRIu64,
                value->value, unit, min, max);
}

static void check_quota(
        struct record_report *report, const struct record_place *place, const struct spec_cpu *cpu)
{
    const struct opt_i64 *quota = &cpu->quota;

    if (quota->set && quota->value < -1)
        record_fault(report, RECORD_MEMBER(place, "quota"),
                "%" PRId64 " microseconds: write a time, or -1 for no limit", quota->value);
    if (quota->value > 0 && quota->value < QUOTA_MIN)
        record_fault(report, RECORD_MEMBER(place, "quota"),
                "%" PRId64 " microseconds are less than the kernel's minimum, %d", quota->value,
                QUOTA_MIN);
    if (cpu->burst.set && quota->value > 0 && cpu->burst.value > (uint64_t)quota->value)
        record_fault(report, RECORD_MEMBER(place, "burst"),
                "%" PRIu64 " microseconds are more than the quota, %" PRId64, cpu->burst.value,
                quota->value);
}

static void check_cpu(
        struct record_report *report, const struct record_place *place, const struct spec_cpu *cpu)
{
    check_unsigned(
            report, RECORD_MEMBER(place, "shares"), &cpu->shares, SHARES_MIN, SHARES_MAX, "");
    check_unsigned(report, RECORD_MEMBER(place, "period"), &cpu->period, PERIOD_MIN, PERIOD_MAX,
            " microseconds");
    check_quota(report, place, cpu);
    if (cpu->realtimeRuntime.set && cpu->realtimeRuntime.value < -1)
        record_fault(report, RECORD_MEMBER(place, "realtimeRuntime"),
                "%" PRId64 " microseconds: write a time, or -1 for no limit",
                cpu->realtimeRuntime.value);
    if (cpu->realtimeRuntime.value > 0 && cpu->realtimePeriod.value > 0 &&
            (uint64_t)cpu->realtimeRuntime.value > cpu->realtimePeriod.value)
        record_fault(report, RECORD_MEMBER(place, "realtimeRuntime"),
                "%" PRId64 " microseconds are more than realtimePeriod, %" PRIu64,
                cpu->realtimeRuntime.value, cpu->realtimePeriod.value);
    rule_number_list(report, RECORD_MEMBER(place, "cpus"), cpu->cpus);
    rule_number_list(report, RECORD_MEMBER(place, "mems"), cpu->mems);
    if (cpu->idle.set)
        rule_range(report, RECORD_MEMBER(place, "idle"), cpu->idle.value, 0, 1, "");
}

static void check_weight(struct record_report *report, const struct record_place *place,
        const struct opt_u32 *weight)
{
    if (weight->set && weight->value != 0)
        rule_range(report, place, weight->value, WEIGHT_MIN, WEIGHT_MAX, "");
}

static void check_throttle(struct record_report *report, const struct record_place *place,
        const char *name, const struct spec_throttle_list *list)
{
    const struct record_place *here = RECORD_MEMBER(place, name);

    for (size_t i = 0; i < list->count; i++)
        check_device_numbers(
                report, RECORD_ITEM(here, i), list->items[i].major, list->items[i].minor, 0);
}

static void check_block_io(struct record_report *report, const struct record_place *place,
        const struct spec_block_io *io)
{
    const struct record_place *devices = RECORD_MEMBER(place, "weightDevice");

    check_weight(report, RECORD_MEMBER(place, "weight"), &io->weight);
    check_weight(report, RECORD_MEMBER(place, "leafWeight"), &io->leafWeight);
    for (size_t i = 0; i < io->weightDevice.count; i++) {
        const struct spec_weight_device *device = &io->weightDevice.items[i];
        const struct record_place *here = RECORD_ITEM(devices, i);
        check_device_numbers(report, here, device->major, device->minor, 0);
        check_weight(report, RECORD_MEMBER(here, "weight"), &device->weight);
        check_weight(report, RECORD_MEMBER(here, "leafWeight"), &device->leafWeight);
    }
    check_throttle(report, place, "throttleReadBpsDevice", &io->throttleReadBpsDevice);
    check_throttle(report, place, "throttleWriteBpsDevice", &io->throttleWriteBpsDevice);
    check_throttle(report, place, "throttleReadIOPSDevice", &io->throttleReadIOPSDevice);
    check_throttle(report, place, "throttleWriteIOPSDevice", &io->throttleWriteIOPSDevice);
}

/* "2MB": a power of two, without leading zeros. */
static bool is_page_size(const char *text)
{
    char *end = NULL;

    if (!isdigit((unsigned char)*text) || *text == '0')
        return false;
    unsigned long number = strtoul(text, &end, 10);
    return number < 1048576 && (number & (number - 1)) == 0 && *end && strchr("KMG", *end) &&
           str_equal(end + 1, "B");
}

static void check_hugepages(struct record_report *report, const struct record_place *place,
        const struct spec_resources *resources)
{
    for (size_t i = 0; i < resources->hugepageLimits.count; i++) {
        const char *size = resources->hugepageLimits.items[i].pageSize;
        const struct record_place *item = RECORD_ITEM(place, i);
        const struct record_place *here = RECORD_MEMBER(item, "pageSize");
        if (size && !is_page_size(size))
            record_fault(report, here,
                    "\"%.64s\" is not a page size: write a power of two with KB, MB or GB, as in "
                    "\"2MB\"",
                    size);
        for (size_t j = 0; size && j < i; j++)
            if (str_equal(size, resources->hugepageLimits.items[j].pageSize))
                record_fault(report, here,
                        "%.64s was given before, in entry %zu: give each page size once", size, j);
    }
}

static void check_unified(struct record_report *report, const struct record_place *place,
        const struct record_map *map)
{
    for (size_t i = 0; i < map->count; i++) {
        const char *key = map->items[i].key;
        if (!*key || strchr(key, '/') || !strchr(key, '.') || key[0] == '.')
            record_fault(report, RECORD_MEMBER(place, key),
                    "\"%.64s\" is not a file of a control group: write CONTROLLER.NAME, as in "
                    "\"memory.high\"",
                    key);
    }
}

static void check_network(struct record_report *report, const struct record_place *place,
        const struct spec_network *network)
{
    const struct record_place *list = RECORD_MEMBER(place, "priorities");

    for (size_t i = 0; i < network->priorities.count; i++) {
        const struct record_place *here = RECORD_ITEM(list, i);
        if (network->priorities.items[i].name)
            rule_interface(report, RECORD_MEMBER(here, "name"), network->priorities.items[i].name);
    }
}

void check_resources(struct record_report *report, const struct record_place *place,
        const struct spec_resources *resources)
{
    const struct record_place *devices = RECORD_MEMBER(place, "devices");
    const struct record_place *pids = RECORD_MEMBER(place, "pids");
    const struct record_place *rdma = RECORD_MEMBER(place, "rdma");

    for (size_t i = 0; i < resources->devices.count; i++)
        check_device_rule(report, RECORD_ITEM(devices, i), &resources->devices.items[i]);
    check_memory(report, RECORD_MEMBER(place, "memory"), &resources->memory);
    check_cpu(report, RECORD_MEMBER(place, "cpu"), &resources->cpu);
    if (resources->pids.limit.set && resources->pids.limit.value < -1)
        record_fault(report, RECORD_MEMBER(pids, "limit"),
                "%" PRId64 " processes: write a number, or -1 for no limit",
                resources->pids.limit.value);
    check_block_io(report, RECORD_MEMBER(place, "blockIO"), &resources->blockIO);
    check_hugepages(report, RECORD_MEMBER(place, "hugepageLimits"), resources);
    check_network(report, RECORD_MEMBER(place, "network"), &resources->network);
    for (size_t i = 0; i < resources->rdma.count; i++)
        if (!*resources->rdma.items[i].device || strchr(resources->rdma.items[i].device, ' '))
            record_fault(report, RECORD_MEMBER(rdma, resources->rdma.items[i].device),
                    "the device's name is empty or has a blank: write one of "
                    "/sys/class/infiniband");
    check_unified(report, RECORD_MEMBER(place, "unified"), &resources->unified);
}
