#include "cgroup/stats.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "cgroup/flat.h"

#define NS_PER_US 1000ULL
#define USER_HZ_NS 10000000ULL /* cpuacct.stat counts in ticks of 1/100 s */

/* A row: which member gets which number. With `name`, the line of that name in the file. */
struct source {
    const char *file;
    const char *name;
    size_t offset;
    uint64_t scale; /* 0: 1 */
};

static void read_sources(struct arena *arena, const char *dir, const struct source *sources,
        size_t count, struct cgroup_stats *ret)
{
    const char *file = "";
    const char *text = NULL;

    for (size_t i = 0; i < count; i++) {
        const struct source *source = &sources[i];
        struct opt_u64 *into = (void *)((char *)ret + source->offset);
        struct opt_u64 found = {0};
        if (!source->name) {
            found = cgroup_flat_number(dir, source->file);
        } else {
            if (!str_equal(file, source->file))
                text = cgroup_flat_text(arena, dir, source->file);
            file = source->file;
            found = cgroup_flat_find(text, source->name);
        }
        found.value *= source->scale ? source->scale : 1;
        if (found.set)
            *into = found;
    }
}

#define AT(member_) offsetof(struct cgroup_stats, member_)
static const struct source v1_cpu[] = {
        {"cpu.stat", "nr_periods", AT(cpu.periods), 0},
        {"cpu.stat", "nr_throttled", AT(cpu.throttled_periods), 0},
        {"cpu.stat", "throttled_time", AT(cpu.throttled_ns), 0},
        {"cpu.stat", "nr_bursts", AT(cpu.bursts), 0},
        {"cpu.stat", "burst_time", AT(cpu.burst_ns), 0},
};
static const struct source v1_cpuacct[] = {
        {"cpuacct.usage", NULL, AT(cpu.usage_ns), 0},
        {"cpuacct.stat", "user", AT(cpu.user_ns), USER_HZ_NS},
        {"cpuacct.stat", "system", AT(cpu.system_ns), USER_HZ_NS},
};
static const struct source v2_cpu[] = {
        {"cpu.stat", "usage_usec", AT(cpu.usage_ns), NS_PER_US},
        {"cpu.stat", "user_usec", AT(cpu.user_ns), NS_PER_US},
        {"cpu.stat", "system_usec", AT(cpu.system_ns), NS_PER_US},
        {"cpu.stat", "nr_periods", AT(cpu.periods), 0},
        {"cpu.stat", "nr_throttled", AT(cpu.throttled_periods), 0},
        {"cpu.stat", "throttled_usec", AT(cpu.throttled_ns), NS_PER_US},
        {"cpu.stat", "nr_bursts", AT(cpu.bursts), 0},
        {"cpu.stat", "burst_usec", AT(cpu.burst_ns), NS_PER_US},
};
static const struct source v1_memory[] = {
        {"memory.usage_in_bytes", NULL, AT(memory.usage), 0},
        {"memory.max_usage_in_bytes", NULL, AT(memory.peak), 0},
        {"memory.limit_in_bytes", NULL, AT(memory.limit), 0},
        {"memory.failcnt", NULL, AT(memory.failures), 0},
        {"memory.memsw.usage_in_bytes", NULL, AT(memory.swap_usage), 0},
        {"memory.memsw.max_usage_in_bytes", NULL, AT(memory.swap_peak), 0},
        {"memory.memsw.limit_in_bytes", NULL, AT(memory.swap_limit), 0},
        {"memory.memsw.failcnt", NULL, AT(memory.swap_failures), 0},
        {"memory.kmem.usage_in_bytes", NULL, AT(memory.kernel_usage), 0},
        {"memory.kmem.max_usage_in_bytes", NULL, AT(memory.kernel_peak), 0},
        {"memory.kmem.failcnt", NULL, AT(memory.kernel_failures), 0},
        {"memory.kmem.limit_in_bytes", NULL, AT(memory.kernel_limit), 0},
        {"memory.kmem.tcp.usage_in_bytes", NULL, AT(memory.kernel_tcp_usage), 0},
        {"memory.kmem.tcp.max_usage_in_bytes", NULL, AT(memory.kernel_tcp_peak), 0},
        {"memory.kmem.tcp.failcnt", NULL, AT(memory.kernel_tcp_failures), 0},
        {"memory.kmem.tcp.limit_in_bytes", NULL, AT(memory.kernel_tcp_limit), 0},
        {"memory.stat", "total_cache", AT(memory.cache), 0},
        {"memory.stat", "total_rss", AT(memory.rss), 0},
        {"memory.stat", "total_inactive_file", AT(memory.inactive_file), 0},
        {"memory.stat", "total_pgfault", AT(memory.faults), 0},
        {"memory.stat", "total_pgmajfault", AT(memory.major_faults), 0},
        {"memory.oom_control", "oom_kill", AT(memory.oom_kills), 0},
};
static const struct source v2_memory[] = {
        {"memory.current", NULL, AT(memory.usage), 0},
        {"memory.peak", NULL, AT(memory.peak), 0},
        {"memory.max", NULL, AT(memory.limit), 0},
        {"memory.swap.current", NULL, AT(memory.swap_usage), 0},
        {"memory.swap.peak", NULL, AT(memory.swap_peak), 0},
        {"memory.swap.max", NULL, AT(memory.swap_limit), 0},
        {"memory.swap.events", "fail", AT(memory.swap_failures), 0},
        {"memory.stat", "file", AT(memory.cache), 0},
        {"memory.stat", "anon", AT(memory.rss), 0},
        {"memory.stat", "inactive_file", AT(memory.inactive_file), 0},
        {"memory.stat", "pgfault", AT(memory.faults), 0},
        {"memory.stat", "pgmajfault", AT(memory.major_faults), 0},
        {"memory.stat", "kernel", AT(memory.kernel_usage), 0},
        {"memory.stat", "sock", AT(memory.kernel_tcp_usage), 0},
        {"memory.events", "max", AT(memory.failures), 0},
        {"memory.events", "oom", AT(memory.oom_events), 0},
        {"memory.events", "oom_kill", AT(memory.oom_kills), 0},
};
static const struct source pids[] = {
        {"pids.current", NULL, AT(pids), 0},
        {"pids.max", NULL, AT(pids_limit), 0},
        {"pids.peak", NULL, AT(pids_peak), 0},
        {"pids.events", "max", AT(pids_refused), 0},
};
#undef AT

/* v1 writes "no limit" as the largest multiple of a page. */
static void forget_unlimited(struct opt_u64 *limit)
{
    if (limit->value >= (uint64_t)INT64_MAX - 65535)
        limit->set = false;
}

static void read_percpu(struct arena *arena, const char *dir, struct cgroup_stats_cpu *cpu)
{
    struct strv words = {0};
    char *text = cgroup_flat_text(arena, dir, "cpuacct.usage_percpu");
    char *word;

    if (!text)
        return;
    text[strcspn(text, "\n")] = '\0';
    strv_split(arena, &words, text, ' ');
    cpu->percpu_ns.items = arena_new_array(arena, uint64_t, words.count + 1);
    strv_foreach (word, &words) {
        if (str_to_u64(word, 10, &cpu->percpu_ns.items[cpu->percpu_ns.count]) == 0)
            cpu->percpu_ns.count++;
    }
}

/* "0 4000000 8000000" lines below a heading: the CPU, its time in user space and in the kernel. */
static void read_percpu_parts(struct arena *arena, const char *dir, struct cgroup_stats_cpu *cpu)
{
    char *rest = cgroup_flat_text(arena, dir, "cpuacct.usage_all");
    char *line;
    size_t most = cpu->percpu_ns.count; /* usage_percpu has a number for each CPU too */

    cpu->percpu_user_ns.items = arena_new_array(arena, uint64_t, most + 1);
    cpu->percpu_system_ns.items = arena_new_array(arena, uint64_t, most + 1);
    while (rest && (line = strsep(&rest, "\n"))) {
        unsigned long long user, kernel;
        if (cpu->percpu_user_ns.count >= most || sscanf(line, "%*u %llu %llu", &user, &kernel) != 2)
            continue;
        cpu->percpu_user_ns.items[cpu->percpu_user_ns.count++] = user;
        cpu->percpu_system_ns.items[cpu->percpu_system_ns.count++] = kernel;
    }
}

/* A list that grows; the same shape as every RECORD_LIST. */
struct growing {
    void *items;
    size_t count, capacity;
};

static void *grow(struct arena *arena, struct growing *list, size_t size)
{
    list->items = arena_grow(arena, list->items, list->count, &list->capacity, size);
    void *item = (char *)list->items + list->count++ * size;
    memset(item, 0, size);
    return item;
}

/* "name value" lines, all of them. */
static void read_counters(
        struct arena *arena, const char *dir, const char *file, struct growing *list)
{
    char *rest = cgroup_flat_text(arena, dir, file);
    char *line;

    while (rest && (line = strsep(&rest, "\n"))) {
        uint64_t value;
        const char *name = strsep(&line, " ");
        if (!line || str_to_u64(line, 10, &value) < 0)
            continue;
        struct cgroup_counter *counter = grow(arena, list, sizeof(*counter));
        *counter = (struct cgroup_counter){name, value};
    }
}

static void read_cpu(
        const struct cgroup_saved *saved, struct arena *arena, struct cgroup_stats *ret)
{
    const char *cpu = cgroup_saved_v1(saved, CGROUP_CPU);
    const char *cpuacct = cgroup_saved_v1(saved, CGROUP_CPUACCT);

    /* v2 counts the time of a group even without its controller */
    if (saved->unified)
        read_sources(arena, saved->unified, v2_cpu, ARRAY_SIZE(v2_cpu), ret);
    if (cpu)
        read_sources(arena, cpu, v1_cpu, ARRAY_SIZE(v1_cpu), ret);
    if (cpuacct) {
        read_sources(arena, cpuacct, v1_cpuacct, ARRAY_SIZE(v1_cpuacct), ret);
        read_percpu(arena, cpuacct, &ret->cpu);
        read_percpu_parts(arena, cpuacct, &ret->cpu);
    }
    if (saved->unified)
        ret->cpu.pressure = cgroup_flat_pressure(arena, saved->unified, "cpu.pressure");
}

static void read_memory(
        const struct cgroup_saved *saved, struct arena *arena, struct cgroup_stats *ret)
{
    const char *v1 = cgroup_saved_v1(saved, CGROUP_MEMORY);
    const char *dir = v1 ? v1 : saved->unified;
    struct cgroup_stats_memory *memory = &ret->memory;
    struct growing raw = {0};

    if (v1)
        read_sources(arena, v1, v1_memory, ARRAY_SIZE(v1_memory), ret);
    else if (dir)
        read_sources(arena, dir, v2_memory, ARRAY_SIZE(v2_memory), ret);
    struct opt_u64 *limits[] = {
            &memory->limit, &memory->swap_limit, &memory->kernel_limit, &memory->kernel_tcp_limit};
    for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
        forget_unlimited(limits[i]);
    if (v1) {
        struct opt_u64 hierarchy = cgroup_flat_number(v1, "memory.use_hierarchy");
        memory->hierarchy = (struct opt_bool){hierarchy.set, hierarchy.value};
    }
    if (dir)
        read_counters(arena, dir, "memory.stat", &raw);
    memory->raw.items = raw.items;
    memory->raw.count = raw.count;
    if (saved->unified)
        memory->pressure = cgroup_flat_pressure(arena, saved->unified, "memory.pressure");
}

static struct cgroup_stats_io_device *find_device(
        struct arena *arena, struct growing *list, unsigned major, unsigned minor)
{
    struct cgroup_stats_io_device *items = list->items;

    for (size_t i = 0; i < list->count; i++)
        if (items[i].major == major && items[i].minor == minor)
            return &items[i];
    struct cgroup_stats_io_device *item = grow(arena, list, sizeof(*item));
    item->major = major;
    item->minor = minor;
    return item;
}

static const struct {
    const char *v1, *v2_bytes, *v2_ops;
    size_t bytes, ops;
} directions[] = {
        {"Read", "rbytes", "rios", offsetof(struct cgroup_stats_io_device, read_bytes),
                offsetof(struct cgroup_stats_io_device, read_ops)},
        {"Write", "wbytes", "wios", offsetof(struct cgroup_stats_io_device, write_bytes),
                offsetof(struct cgroup_stats_io_device, write_ops)},
        {"Discard", "dbytes", "dios", offsetof(struct cgroup_stats_io_device, discard_bytes),
                offsetof(struct cgroup_stats_io_device, discard_ops)},
};

/* "7:0 Read 4096" lines. */
static void read_v1_io(struct arena *arena, const char *dir, const char *file, bool operations,
        struct growing *list)
{
    char *rest = cgroup_flat_text(arena, dir, file);
    char *line;

    while (rest && (line = strsep(&rest, "\n"))) {
        unsigned major, minor;
        char word[16];
        unsigned long long value;
        if (sscanf(line, "%u:%u %15s %llu", &major, &minor, word, &value) != 4)
            continue;
        struct cgroup_stats_io_device *device = find_device(arena, list, major, minor);
        for (size_t i = 0; i < ARRAY_SIZE(directions); i++)
            if (str_equal(word, directions[i].v1))
                *(uint64_t *)((char *)device +
                              (operations ? directions[i].ops : directions[i].bytes)) = value;
    }
}

static void set_v2_io(struct cgroup_stats_io_device *device, const char *key, uint64_t value)
{
    for (size_t i = 0; i < ARRAY_SIZE(directions); i++) {
        if (str_equal(key, directions[i].v2_bytes))
            *(uint64_t *)((char *)device + directions[i].bytes) = value;
        if (str_equal(key, directions[i].v2_ops))
            *(uint64_t *)((char *)device + directions[i].ops) = value;
    }
}

/* "7:0 rbytes=4096 wbytes=0 rios=1 …" lines. */
static void read_v2_io(struct arena *arena, const char *dir, struct growing *list)
{
    char *rest = cgroup_flat_text(arena, dir, "io.stat");
    char *line, *word;

    while (rest && (line = strsep(&rest, "\n"))) {
        unsigned major, minor;
        if (sscanf(line, "%u:%u", &major, &minor) != 2)
            continue;
        struct cgroup_stats_io_device *device = find_device(arena, list, major, minor);
        strsep(&line, " ");
        while (line && (word = strsep(&line, " "))) {
            uint64_t value;
            const char *key = strsep(&word, "=");
            if (word && str_to_u64(word, 10, &value) == 0)
                set_v2_io(device, key, value);
        }
    }
}

static void read_io(const struct cgroup_saved *saved, struct arena *arena, struct cgroup_stats *ret)
{
    const char *v1 = cgroup_saved_v1(saved, CGROUP_BLKIO);
    struct growing list = {0};

    if (v1) {
        read_v1_io(arena, v1, "blkio.throttle.io_service_bytes_recursive", false, &list);
        read_v1_io(arena, v1, "blkio.throttle.io_serviced_recursive", true, &list);
    } else if (saved->unified) {
        read_v2_io(arena, saved->unified, &list);
    }
    ret->io.items = list.items;
    ret->io.count = list.count;
    if (saved->unified)
        ret->io_pressure = cgroup_flat_pressure(arena, saved->unified, "io.pressure");
}

/* The page size in "hugetlb.2MB.max" and the like; NULL when the name is another. */
static const char *page_size_of(struct arena *arena, const char *name, const char *end)
{
    const char *size = str_after(name, "hugetlb.");
    size_t length = size ? strcspn(size, ".") : 0;

    return size && str_equal(size + length, end) ? arena_strndup(arena, size, length) : NULL;
}

/* With what is reserved and not yet used, where the kernel counts that. */
static uint64_t hugetlb_number(
        struct arena *arena, const char *dir, const char *size, const char *end)
{
    struct opt_u64 reserved =
            cgroup_flat_number(dir, arena_printf(arena, "hugetlb.%s.rsvd.%s", size, end));

    return reserved.set
                   ? reserved.value
                   : cgroup_flat_number(dir, arena_printf(arena, "hugetlb.%s.%s", size, end)).value;
}

static void read_hugetlb(
        const struct cgroup_saved *saved, struct arena *arena, struct cgroup_stats *ret)
{
    const char *v1 = cgroup_saved_v1(saved, CGROUP_HUGETLB);
    const char *dir = v1 ? v1 : saved->unified;
    struct growing list = {0};
    struct dirent *entry;

    _cleanup_closedir_ DIR *files = dir ? opendir(dir) : NULL;
    while (files && (entry = readdir(files))) {
        const char *size = page_size_of(arena, entry->d_name, v1 ? ".usage_in_bytes" : ".current");
        if (!size)
            continue;
        struct cgroup_stats_hugetlb *item = grow(arena, &list, sizeof(*item));
        item->page_size = size;
        if (v1) {
            item->usage = hugetlb_number(arena, dir, size, "usage_in_bytes");
            item->peak = hugetlb_number(arena, dir, size, "max_usage_in_bytes");
            item->failures = hugetlb_number(arena, dir, size, "failcnt");
        } else {
            const char *events = arena_printf(arena, "hugetlb.%s.events", size);
            item->usage = hugetlb_number(arena, dir, size, "current");
            item->failures = cgroup_flat_value(dir, events, "max").value;
        }
    }
    ret->hugetlb.items = list.items;
    ret->hugetlb.count = list.count;
}

/* "mlx4_0 hca_handle=2 hca_object=max" lines of one file. */
static void read_rdma_file(
        struct arena *arena, const char *dir, const char *file, bool limits, struct growing *list)
{
    char *rest = cgroup_flat_text(arena, dir, file);
    char *line;

    while (rest && (line = strsep(&rest, "\n"))) {
        char device[64], handles[24], objects[24];
        struct cgroup_stats_rdma *item = NULL;
        if (sscanf(line, "%63s hca_handle=%23s hca_object=%23s", device, handles, objects) != 3)
            continue;
        for (size_t i = 0; i < list->count && !item; i++)
            if (str_equal(((struct cgroup_stats_rdma *)list->items)[i].device, device))
                item = &((struct cgroup_stats_rdma *)list->items)[i];
        if (!item)
            item = grow(arena, list, sizeof(*item));
        item->device = arena_strdup(arena, device);
        if (limits) {
            item->handles_limit.set = str_to_u64(handles, 10, &item->handles_limit.value) == 0;
            item->objects_limit.set = str_to_u64(objects, 10, &item->objects_limit.value) == 0;
        } else {
            str_to_u64(handles, 10, &item->handles);
            str_to_u64(objects, 10, &item->objects);
        }
    }
}

static void read_others(
        const struct cgroup_saved *saved, struct arena *arena, struct cgroup_stats *ret)
{
    const char *cpuset_dir = cgroup_saved_v1(saved, CGROUP_CPUSET);
    const char *pids_dir = cgroup_saved_v1(saved, CGROUP_PIDS);
    const char *rdma_dir = cgroup_saved_v1(saved, CGROUP_RDMA);
    const char *misc_dir = cgroup_saved_v1(saved, CGROUP_MISC);
    struct growing rdma = {0}, misc = {0};

    pids_dir = pids_dir ? pids_dir : saved->unified;
    rdma_dir = rdma_dir ? rdma_dir : saved->unified;
    misc_dir = misc_dir ? misc_dir : saved->unified;
    if (pids_dir)
        read_sources(arena, pids_dir, pids, ARRAY_SIZE(pids), ret);
    read_rdma_file(arena, rdma_dir, "rdma.current", false, &rdma);
    read_rdma_file(arena, rdma_dir, "rdma.max", true, &rdma);
    read_counters(arena, misc_dir, "misc.current", &misc);
    ret->rdma.items = rdma.items;
    ret->rdma.count = rdma.count;
    ret->misc.items = misc.items;
    ret->misc.count = misc.count;
    ret->cpuset = cpuset_dir ? cgroup_cpuset_read(arena, cpuset_dir) : NULL;
}

int cgroup_stats_read(const struct cgroup_saved *saved, struct arena *arena,
        struct cgroup_stats *ret, struct error *err)
{
    struct cgroup_stats stats = {0};
    const char *any = cgroup_saved_any(saved);

    if (!any)
        return error_set(err, EOPNOTSUPP, "the sandbox has no cgroup that would count for it");
    if (access(any, F_OK) < 0)
        return error_sys(err, errno, "read the statistics of the cgroup %s", any);
    read_cpu(saved, arena, &stats);
    read_memory(saved, arena, &stats);
    read_io(saved, arena, &stats);
    read_hugetlb(saved, arena, &stats);
    read_others(saved, arena, &stats);
    *ret = stats;
    return 0;
}

static const struct field counter_fields[] = {
        FIELD(struct cgroup_counter, name, FIELD_STR),
        FIELD(struct cgroup_counter, value, FIELD_U64),
};
static const struct record counter_record = RECORD(struct cgroup_counter, counter_fields);

static const struct field line_fields[] = {
        FIELD(struct cgroup_pressure_line, avg10, FIELD_U64),
        FIELD(struct cgroup_pressure_line, avg60, FIELD_U64),
        FIELD(struct cgroup_pressure_line, avg300, FIELD_U64),
        FIELD(struct cgroup_pressure_line, total_us, FIELD_U64),
};
static const struct record line_record = RECORD(struct cgroup_pressure_line, line_fields);

static const struct field pressure_fields[] = {
        FIELD_OF(struct cgroup_pressure, some, "some", FIELD_RECORD, &line_record),
        FIELD_OF(struct cgroup_pressure, full, "full", FIELD_RECORD, &line_record),
};
static const struct record pressure_record = RECORD(struct cgroup_pressure, pressure_fields);

#define CPU(member_) FIELD(struct cgroup_stats_cpu, member_, FIELD_OPT_U64)
static const struct field cpu_fields[] = {
        CPU(usage_ns),
        CPU(user_ns),
        CPU(system_ns),
        FIELD(struct cgroup_stats_cpu, percpu_ns, FIELD_U64S),
        FIELD(struct cgroup_stats_cpu, percpu_user_ns, FIELD_U64S),
        FIELD(struct cgroup_stats_cpu, percpu_system_ns, FIELD_U64S),
        CPU(periods),
        CPU(throttled_periods),
        CPU(throttled_ns),
        CPU(bursts),
        CPU(burst_ns),
        FIELD_OF(struct cgroup_stats_cpu, pressure, "pressure", FIELD_POINTER, &pressure_record),
};
static const struct record cpu_record = RECORD(struct cgroup_stats_cpu, cpu_fields);

#define MEMORY(member_) FIELD(struct cgroup_stats_memory, member_, FIELD_OPT_U64)
static const struct field memory_fields[] = {
        MEMORY(usage),
        MEMORY(peak),
        MEMORY(limit),
        MEMORY(failures),
        MEMORY(swap_usage),
        MEMORY(swap_peak),
        MEMORY(swap_limit),
        MEMORY(swap_failures),
        MEMORY(kernel_usage),
        MEMORY(kernel_peak),
        MEMORY(kernel_failures),
        MEMORY(kernel_limit),
        MEMORY(kernel_tcp_usage),
        MEMORY(kernel_tcp_peak),
        MEMORY(kernel_tcp_failures),
        MEMORY(kernel_tcp_limit),
        MEMORY(cache),
        MEMORY(rss),
        MEMORY(inactive_file),
        MEMORY(faults),
        MEMORY(major_faults),
        MEMORY(oom_events),
        MEMORY(oom_kills),
        FIELD(struct cgroup_stats_memory, hierarchy, FIELD_OPT_BOOL),
        FIELD_OF(struct cgroup_stats_memory, raw, "raw", FIELD_LIST, &counter_record),
        FIELD_OF(struct cgroup_stats_memory, pressure, "pressure", FIELD_POINTER, &pressure_record),
};
static const struct record memory_record = RECORD(struct cgroup_stats_memory, memory_fields);

#define DEVICE(member_, kind_) FIELD(struct cgroup_stats_io_device, member_, kind_)
static const struct field device_fields[] = {
        DEVICE(major, FIELD_U32),
        DEVICE(minor, FIELD_U32),
        DEVICE(read_bytes, FIELD_U64),
        DEVICE(write_bytes, FIELD_U64),
        DEVICE(discard_bytes, FIELD_U64),
        DEVICE(read_ops, FIELD_U64),
        DEVICE(write_ops, FIELD_U64),
        DEVICE(discard_ops, FIELD_U64),
};
static const struct record device_record = RECORD(struct cgroup_stats_io_device, device_fields);

static const struct field hugetlb_fields[] = {
        FIELD(struct cgroup_stats_hugetlb, page_size, FIELD_STR),
        FIELD(struct cgroup_stats_hugetlb, usage, FIELD_U64),
        FIELD(struct cgroup_stats_hugetlb, peak, FIELD_U64),
        FIELD(struct cgroup_stats_hugetlb, failures, FIELD_U64),
};
static const struct record hugetlb_record = RECORD(struct cgroup_stats_hugetlb, hugetlb_fields);

static const struct field rdma_fields[] = {
        FIELD(struct cgroup_stats_rdma, device, FIELD_STR),
        FIELD(struct cgroup_stats_rdma, handles, FIELD_U64),
        FIELD(struct cgroup_stats_rdma, objects, FIELD_U64),
        FIELD(struct cgroup_stats_rdma, handles_limit, FIELD_OPT_U64),
        FIELD(struct cgroup_stats_rdma, objects_limit, FIELD_OPT_U64),
};
static const struct record rdma_record = RECORD(struct cgroup_stats_rdma, rdma_fields);

static const struct field fields[] = {
        FIELD_OF(struct cgroup_stats, cpu, "cpu", FIELD_RECORD, &cpu_record),
        FIELD_OF(struct cgroup_stats, memory, "memory", FIELD_RECORD, &memory_record),
        FIELD_OF(struct cgroup_stats, io, "io", FIELD_LIST, &device_record),
        FIELD_OF(struct cgroup_stats, io_pressure, "io_pressure", FIELD_POINTER, &pressure_record),
        FIELD(struct cgroup_stats, pids, FIELD_OPT_U64),
        FIELD(struct cgroup_stats, pids_limit, FIELD_OPT_U64),
        FIELD(struct cgroup_stats, pids_peak, FIELD_OPT_U64),
        FIELD(struct cgroup_stats, pids_refused, FIELD_OPT_U64),
        FIELD_OF(struct cgroup_stats, hugetlb, "hugetlb", FIELD_LIST, &hugetlb_record),
        FIELD_OF(struct cgroup_stats, rdma, "rdma", FIELD_LIST, &rdma_record),
        FIELD_OF(struct cgroup_stats, misc, "misc", FIELD_LIST, &counter_record),
        FIELD_OF(struct cgroup_stats, cpuset, "cpuset", FIELD_POINTER, &cgroup_stats_cpuset_record),
};
const struct record cgroup_stats_record = RECORD(struct cgroup_stats, fields);
