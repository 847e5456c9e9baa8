/* events: what a container uses, again and again, and when it runs out of memory; in the JSON of
 * runc's `events`, a line each. */
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cgroup/blkio.h"
#include "cgroup/group.h"
#include "cgroup/stats.h"
#include "engine/vm_call.h"
#include "oci/command.h"
#include "oci/words.h"
#include "sys/process.h"

#define INTERVAL_MS 5000
#define INTERVAL_MAX_MS 86400000

struct events {
    bool stats;
    struct opt_i64 interval; /* nanoseconds */
};

static const struct option_row rows[] = {
        OPTION(0, "stats", OPTION_FLAG, struct events, stats, NULL, "tells once, and ends"),
        OPTION(0, "interval", OPTION_TIME, struct events, interval, "TIME",
                "how often (default 5s)"),
};
static const struct option_table table = OPTION_TABLE("Options", rows);

static void add_u64(struct json_object *object, const char *key, uint64_t value)
{
    json_object_object_add(object, key, json_object_new_uint64(value));
}

/* Left out when it is zero, as Go's omitempty does. */
static void add_some(struct json_object *object, const char *key, uint64_t value)
{
    if (value)
        add_u64(object, key, value);
}

static void add_numbers(
        struct json_object *object, const char *key, const uint64_t *items, size_t count)
{
    struct json_object *array = count ? json_object_new_array() : NULL;

    for (size_t i = 0; i < count; i++)
        json_object_array_add(array, json_object_new_uint64(items[i]));
    if (array)
        json_object_object_add(object, key, array);
}

static struct json_object *add_object(struct json_object *parent, const char *key)
{
    struct json_object *object = json_object_new_object();

    json_object_object_add(parent, key, object);
    return object;
}

/* Averages are in percent. */
static void add_pressure_line(
        struct json_object *parent, const char *key, const struct cgroup_pressure_line *line)
{
    struct json_object *object = add_object(parent, key);

    json_object_object_add(object, "avg10", json_object_new_double((double)line->avg10 / 100));
    json_object_object_add(object, "avg60", json_object_new_double((double)line->avg60 / 100));
    json_object_object_add(object, "avg300", json_object_new_double((double)line->avg300 / 100));
    add_u64(object, "total", line->total_us);
}

static void add_pressure(struct json_object *parent, const struct cgroup_pressure *pressure)
{
    if (!pressure)
        return;
    struct json_object *object = add_object(parent, "psi");
    add_pressure_line(object, "some", &pressure->some);
    add_pressure_line(object, "full", &pressure->full);
}

static void add_cpu(struct json_object *data, const struct cgroup_stats_cpu *cpu)
{
    struct json_object *object = add_object(data, "cpu");
    struct json_object *usage = add_object(object, "usage");
    struct json_object *throttling = add_object(object, "throttling");

    add_some(usage, "total", cpu->usage_ns.value);
    add_numbers(usage, "percpu", cpu->percpu_ns.items, cpu->percpu_ns.count);
    add_numbers(usage, "percpu_kernel", cpu->percpu_system_ns.items, cpu->percpu_system_ns.count);
    add_numbers(usage, "percpu_user", cpu->percpu_user_ns.items, cpu->percpu_user_ns.count);
    add_u64(usage, "kernel", cpu->system_ns.value);
    add_u64(usage, "user", cpu->user_ns.value);
    add_some(throttling, "periods", cpu->periods.value);
    add_some(throttling, "throttledPeriods", cpu->throttled_periods.value);
    add_some(throttling, "throttledTime", cpu->throttled_ns.value);
    add_pressure(object, cpu->pressure);
}

/* No limit, as the kernel has it: v1's counters end at the last whole page. */
static uint64_t no_limit(bool v1)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

    return v1 ? (uint64_t)INT64_MAX / page * page : UINT64_MAX;
}

struct memory_entry {
    struct opt_u64 limit, usage, peak, failures;
};

static void add_memory_entry(
        struct json_object *memory, const char *key, const struct memory_entry *from, bool v1)
{
    struct json_object *entry = add_object(memory, key);
    uint64_t unlimited = from->usage.set ? no_limit(v1) : 0;

    add_u64(entry, "limit", from->limit.set ? from->limit.value : unlimited);
    add_some(entry, "usage", from->usage.value);
    add_some(entry, "max", from->peak.value);
    add_u64(entry, "failcnt", from->failures.value);
}

/* Swap with the memory, as v1 counts it; v2 counts it alone. */
static struct memory_entry swap_entry(const struct cgroup_stats_memory *memory, bool v1)
{
    struct memory_entry entry = {
            memory->swap_limit, memory->swap_usage, memory->swap_peak, memory->swap_failures};

    if (v1 || !entry.usage.set)
        return entry;
    entry.usage.value += memory->usage.value;
    entry.limit.set = entry.limit.set && memory->limit.set;
    entry.limit.value += memory->limit.value;
    return entry;
}

static void add_memory(struct json_object *data, const struct cgroup_stats_memory *memory, bool v1)
{
    struct json_object *object = add_object(data, "memory");
    struct memory_entry usage = {memory->limit, memory->usage, memory->peak, memory->failures};
    struct memory_entry swap = swap_entry(memory, v1);
    struct memory_entry kernel = {memory->kernel_limit, memory->kernel_usage, memory->kernel_peak,
            memory->kernel_failures};
    struct memory_entry tcp = {memory->kernel_tcp_limit, memory->kernel_tcp_usage,
            memory->kernel_tcp_peak, memory->kernel_tcp_failures};

    add_some(object, "cache", memory->cache.value);
    add_memory_entry(object, "usage", &usage, v1);
    add_memory_entry(object, "swap", &swap, v1);
    add_memory_entry(object, "kernel", &kernel, v1);
    add_memory_entry(object, "kernelTCP", &tcp, v1);
    struct json_object *raw = add_object(object, "raw");
    for (size_t i = 0; i < memory->raw.count; i++)
        add_u64(raw, memory->raw.items[i].name, memory->raw.items[i].value);
    add_pressure(object, memory->pressure);
}

static void add_row(struct json_object *array, const struct cgroup_blkio_row *row)
{
    struct json_object *entry = json_object_new_object();

    add_some(entry, "major", row->major);
    add_some(entry, "minor", row->minor);
    if (*row->op)
        json_add_str(entry, "op", row->op);
    add_some(entry, "value", row->value);
    json_object_array_add(array, entry);
}

static void add_io_entry(struct json_object *array, const struct cgroup_stats_io_device *device,
        const char *op, uint64_t value)
{
    struct cgroup_blkio_row row = {device->major, device->minor, op, value};

    add_row(array, &row);
}

/* v1's as they are. */
static void add_rows(struct json_object *object, const struct cgroup_blkio_rows *v1_rows)
{
    for (size_t i = 0; i < v1_rows->count; i++) {
        const struct cgroup_blkio_file *file = &v1_rows->files[i];
        struct json_object *array = json_object_new_array();
        for (size_t j = 0; j < file->rows.count; j++)
            add_row(array, &file->rows.items[j]);
        json_object_object_add(object, file->name, array);
    }
}

static void add_io(struct json_object *data, const struct cgroup_stats *stats,
        const struct cgroup_blkio_rows *v1_rows)
{
    struct json_object *object = add_object(data, "blkio");

    add_rows(object, v1_rows);
    if (stats->io.count && !v1_rows->count) {
        struct json_object *bytes = json_object_new_array();
        struct json_object *operations = json_object_new_array();
        for (size_t i = 0; i < stats->io.count; i++) {
            const struct cgroup_stats_io_device *device = &stats->io.items[i];
            add_io_entry(bytes, device, "Read", device->read_bytes);
            add_io_entry(bytes, device, "Write", device->write_bytes);
            add_io_entry(bytes, device, "Discard", device->discard_bytes);
            add_io_entry(operations, device, "Read", device->read_ops);
            add_io_entry(operations, device, "Write", device->write_ops);
            add_io_entry(operations, device, "Discard", device->discard_ops);
        }
        json_object_object_add(object, "ioServiceBytesRecursive", bytes);
        json_object_object_add(object, "ioServicedRecursive", operations);
    }
    add_pressure(object, stats->io_pressure);
}

static void add_rest(struct json_object *data, const struct cgroup_stats *stats)
{
    struct json_object *pids = add_object(data, "pids");

    add_some(pids, "current", stats->pids.value);
    add_some(pids, "limit", stats->pids_limit.value);
    struct json_object *hugetlb = add_object(data, "hugetlb");
    for (size_t i = 0; i < stats->hugetlb.count; i++) {
        const struct cgroup_stats_hugetlb *pages = &stats->hugetlb.items[i];
        struct json_object *entry = add_object(hugetlb, pages->page_size);
        add_some(entry, "usage", pages->usage);
        add_some(entry, "max", pages->peak);
        add_u64(entry, "failcnt", pages->failures);
    }
    add_object(data, "intel_rdt");
    json_object_object_add(data, "network_interfaces", NULL);
}

/* Zeros where v2 has no such files, as runc tells it. */
static void add_cpuset(struct json_object *data, const struct cgroup_stats_cpuset *cpuset)
{
    static const struct cgroup_stats_cpuset none;

    json_object_object_add(
            data, "cpuset", record_write(&cgroup_stats_cpuset_record, cpuset ? cpuset : &none));
}

static void print_event(const char *type, const char *id, struct json_object *data)
{
    _cleanup_json_ struct json_object *event = json_object_new_object();

    json_add_str(event, "type", type);
    json_add_str(event, "id", id);
    if (data)
        json_object_object_add(event, "data", data);
    printf("%s\n", json_text(event));
    fflush(stdout);
}

static int print_stats(const struct container *container, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    struct cgroup_stats stats = {0};
    struct cgroup_blkio_rows v1_rows = {0};
    int r = workload_stats(container, &arena, &stats, err);

    if (r < 0)
        return r;
    if (!vm_is(container))
        cgroup_blkio_read(&container->state.cgroup, &arena, &v1_rows);
    bool v1 = cgroup_saved_v1(&container->state.cgroup, CGROUP_MEMORY);
    struct json_object *data = json_object_new_object();
    add_cpu(data, &stats.cpu);
    add_cpuset(data, stats.cpuset);
    add_memory(data, &stats.memory, v1);
    add_io(data, &stats, &v1_rows);
    add_rest(data, &stats);
    print_event("stats", container->state.id, data);
    return 0;
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* v1 tells of the moment at which memory runs out, before anything is killed; v2 of any change of
 * memory.events, so that the count has to say whether it was this. The end of the group is told
 * too, after which the count cannot be read. */
static void tell_oom(const struct container *container, int fd, uint64_t *known)
{
    const struct cgroup_saved *group = &container->state.cgroup;
    char dropped[4096];
    uint64_t kills = *known;

    if (read(fd, dropped, sizeof(dropped)) <= 0 || cgroup_oom_kills(group, &kills) < 0)
        return;
    if (cgroup_saved_v1(group, CGROUP_MEMORY) || kills > *known)
        print_event("oom", container->state.id, NULL);
    *known = kills;
}

/* Until the container has ended. */
static int follow(const struct container *container, int64_t interval, struct error *err)
{
    _cleanup_close_ int pidfd = sys_pidfd_open(container->state.pid, 0);
    _cleanup_close_ int oom = -1;
    uint64_t kills = 0;
    int64_t next = now_ms() + interval;

    if (pidfd < 0)
        return error_sys(err, -pidfd, "watch container %s", container->state.id);
    cgroup_oom_kills(&container->state.cgroup, &kills);
    if (cgroup_oom_watch(&container->state.cgroup, &oom, NULL) < 0)
        oom = -1;
    struct pollfd fds[2] = {{.fd = pidfd, .events = POLLIN}, {.fd = oom, .events = POLLIN}};
    for (;;) {
        int64_t left = next - now_ms();
        int ready = poll(fds, 2, left > 0 ? (int)left : 0);
        if (ready < 0 && errno != EINTR)
            return error_sys(err, errno, "watch container %s", container->state.id);
        if (ready > 0 && fds[1].revents)
            tell_oom(container, oom, &kills);
        if (ready > 0 && fds[0].revents)
            return 0;
        if (now_ms() < next)
            continue;
        next += interval;
        if (print_stats(container, err) < 0)
            return container_status(container) == SPEC_STOPPED ? 0 : -err->errnum;
    }
}

int oci_events(struct oci *oci, int argc, char **argv, struct error *err)
{
    static const struct option_command command = {.name = "viv-oci events",
            .usage = "CONTAINER-ID",
            .about = "Tells what a container uses, and when it runs out of memory, until it ends.",
            .least = 1,
            .most = 1,
            .tables = {&table}};
    _cleanup_container_ struct container container = {0};
    struct events events = {0};
    int r = oci_read_id(&command, argc, argv, oci, &events, &container, err);

    if (r != 0)
        return r < 0 ? r : 0;
    int64_t interval = events.interval.set ? events.interval.value / 1000000 : INTERVAL_MS;
    if (interval < 1 || interval > INTERVAL_MAX_MS)
        return error_set(err, EINVAL, "duration interval must be greater than 0");
    if (container_status(&container) == SPEC_STOPPED)
        return error_set(err, ESRCH, "container with id %s is not running", container.state.id);
    return events.stats ? print_stats(&container, err) : follow(&container, interval, err);
}
