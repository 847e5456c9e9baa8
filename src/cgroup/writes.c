#include "cgroup/writes.h"

#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/path.h"
#include "sys/cgroup.h"

/* What has the same files on v1 as on v2, so that a name of v2 says what is meant there too. */
#define SAME_FILES ((1U << CGROUP_RDMA) | (1U << CGROUP_MISC))

/* One translation on its way. */
struct translation {
    struct cgroup_writes *writes;
    const struct cgroup_limits *limits;
    const struct cgroup_dirs *dirs;
    bool update;
    bool unified; /* of the limit at hand */
    const char *fault;
};

/* The text to write, or NULL when nothing needs writing (or t->fault is set). */
typedef const char *(*format_fn)(struct translation *t, int64_t value);

uint64_t cgroup_weight_of_shares(uint64_t shares)
{
    if (shares <= 2)
        return 1;
    if (shares >= 262144)
        return 10000;
    double l = log2((double)shares);
    double exponent = (l * l + 125 * l) / 612 - 7.0 / 34;
    return (uint64_t)ceil(pow(10, exponent) - 1e-9); /* so that 1024 is 100 and not 101 */
}

uint64_t cgroup_io_weight(uint64_t blkio_weight)
{
    if (blkio_weight <= 10)
        return 1;
    return blkio_weight >= 1000 ? 10000 : 1 + (blkio_weight - 10) * 9999 / 990;
}

static const char *format_number(struct translation *t, int64_t value)
{
    return arena_printf(t->writes->arena, "%" PRId64, value);
}

/* Negative: no limit, which v1 writes as -1 and v2 as "max". */
static const char *format_limit(struct translation *t, int64_t value)
{
    if (value < 0)
        return t->unified ? "max" : "-1";
    return format_number(t, value);
}

static const char *format_max(struct translation *t, int64_t value)
{
    return value < 0 ? "max" : format_number(t, value);
}

/* A group without room for one process could not hold any: 0 is as 1, as with the other runtimes.
 */
static const char *format_pids(struct translation *t, int64_t value)
{
    return format_max(t, value == 0 ? 1 : value);
}

static const char *format_shares(struct translation *t, int64_t value)
{
    return format_number(t, t->unified ? (int64_t)cgroup_weight_of_shares((uint64_t)value) : value);
}

static const char *format_quota(struct translation *t, int64_t value)
{
    const struct opt_u64 *period = &t->limits->cpu.period;
    const char *quota = format_limit(t, value);

    if (!t->unified || !period->set || !period->value)
        return quota;
    return arena_printf(t->writes->arena, "%s %" PRIu64, quota, period->value);
}

static const char *format_period(struct translation *t, int64_t value)
{
    const struct opt_i64 *quota = &t->limits->cpu.quota;

    if (!t->unified)
        return format_number(t, value);
    if (quota->set && quota->value)
        return NULL; /* written with the quota */
    return arena_printf(t->writes->arena, "max %" PRId64, value);
}

/* v2 counts swap alone, the configuration memory and swap together. */
static const char *format_swap(struct translation *t, int64_t value)
{
    const struct opt_i64 *limit = &t->limits->memory.limit;

    if (!t->unified || value < 0)
        return format_limit(t, value);
    if (!limit->set || limit->value <= 0)
        t->fault = "a limit of memory and swap together needs a limit of memory";
    else if (value < limit->value)
        t->fault = "the limit of memory and swap together is below that of memory alone";
    return t->fault ? NULL : format_number(t, value - limit->value);
}

/* What the kernel does anyway is not written. */
static const char *format_oom(struct translation *t, int64_t value)
{
    return value || (t->update && !t->unified) ? format_number(t, value) : NULL;
}

static const char *format_hierarchy(struct translation *t, int64_t value)
{
    return t->unified && value ? NULL : format_number(t, value);
}

enum kind { KIND_I64, KIND_U64, KIND_BOOL, KIND_TEXT };
enum {
    ZERO_IS_ABSENT = 1,
    UNLIMITED_IF_MISSING = 2, /* "max", "-1" and 0 need no file: there is nothing to limit */
    VERIFY = 4,
};

static const struct row {
    const char *because;
    enum cgroup_controller controller;
    enum kind kind;
    size_t offset;
    const char *v1, *v2; /* NULL: that version has no such thing */
    format_fn format;
    unsigned flags;
} rows[] = {
#define AT(member_) offsetof(struct cgroup_limits, member_)
        {"cpu/cpus", CGROUP_CPUSET, KIND_TEXT, AT(cpu.cpus), "cpuset.cpus", "cpuset.cpus", NULL, 0},
        {"cpu/mems", CGROUP_CPUSET, KIND_TEXT, AT(cpu.mems), "cpuset.mems", "cpuset.mems", NULL, 0},
        {"cpu/shares", CGROUP_CPU, KIND_U64, AT(cpu.shares), "cpu.shares", "cpu.weight",
                format_shares, ZERO_IS_ABSENT},
        {"cpu/period", CGROUP_CPU, KIND_U64, AT(cpu.period), "cpu.cfs_period_us", "cpu.max",
                format_period, ZERO_IS_ABSENT},
        {"cpu/quota", CGROUP_CPU, KIND_I64, AT(cpu.quota), "cpu.cfs_quota_us", "cpu.max",
                format_quota, ZERO_IS_ABSENT},
        {"cpu/burst", CGROUP_CPU, KIND_U64, AT(cpu.burst), "cpu.cfs_burst_us", "cpu.max.burst",
                format_number, 0},
        {"cpu/realtimePeriod", CGROUP_CPU, KIND_U64, AT(cpu.realtime_period), "cpu.rt_period_us",
                NULL, format_number, ZERO_IS_ABSENT},
        {"cpu/realtimeRuntime", CGROUP_CPU, KIND_I64, AT(cpu.realtime_runtime), "cpu.rt_runtime_us",
                NULL, format_number, ZERO_IS_ABSENT},
        {"cpu/idle", CGROUP_CPU, KIND_I64, AT(cpu.idle), "cpu.idle", "cpu.idle", format_number, 0},
        {"memory/limit", CGROUP_MEMORY, KIND_I64, AT(memory.limit), "memory.limit_in_bytes",
                "memory.max", format_limit, ZERO_IS_ABSENT},
        {"memory/swap", CGROUP_MEMORY, KIND_I64, AT(memory.swap), "memory.memsw.limit_in_bytes",
                "memory.swap.max", format_swap, ZERO_IS_ABSENT | UNLIMITED_IF_MISSING},
        {"memory/reservation", CGROUP_MEMORY, KIND_I64, AT(memory.reservation),
                "memory.soft_limit_in_bytes", "memory.low", format_limit, ZERO_IS_ABSENT},
        {"memory/kernel", CGROUP_MEMORY, KIND_I64, AT(memory.kernel), "memory.kmem.limit_in_bytes",
                NULL, format_limit, ZERO_IS_ABSENT | VERIFY},
        {"memory/kernelTCP", CGROUP_MEMORY, KIND_I64, AT(memory.kernel_tcp),
                "memory.kmem.tcp.limit_in_bytes", NULL, format_limit, ZERO_IS_ABSENT | VERIFY},
        {"memory/min", CGROUP_MEMORY, KIND_I64, AT(memory.min), NULL, "memory.min", format_max, 0},
        {"memory/low", CGROUP_MEMORY, KIND_I64, AT(memory.low), NULL, "memory.low", format_max, 0},
        {"memory/high", CGROUP_MEMORY, KIND_I64, AT(memory.high), NULL, "memory.high", format_max,
                0},
        {"memory/swappiness", CGROUP_MEMORY, KIND_U64, AT(memory.swappiness), "memory.swappiness",
                NULL, format_number, 0},
        {"memory/disableOOMKiller", CGROUP_MEMORY, KIND_BOOL, AT(memory.disable_oom_killer),
                "memory.oom_control", NULL, format_oom, 0},
        {"memory/useHierarchy", CGROUP_MEMORY, KIND_BOOL, AT(memory.use_hierarchy),
                "memory.use_hierarchy", NULL, format_hierarchy, 0},
        {"pids/limit", CGROUP_PIDS, KIND_I64, AT(pids), "pids.max", "pids.max", format_pids, 0},
        {"network/classID", CGROUP_NET_CLS, KIND_U64, AT(net_class), "net_cls.classid", NULL,
                format_number, 0},
#undef AT
};

static bool row_value(const struct row *row, const struct cgroup_limits *limits, int64_t *ret)
{
    const char *at = (const char *)limits + row->offset;
    const struct opt_i64 *i64 = (const void *)at;
    const struct opt_u64 *u64 = (const void *)at;
    const struct opt_bool *flag = (const void *)at;

    switch (row->kind) {
    case KIND_I64:
        *ret = i64->value;
        return i64->set;
    case KIND_U64:
        *ret = u64->value > INT64_MAX ? INT64_MAX : (int64_t)u64->value;
        return u64->set;
    case KIND_BOOL:
        *ret = flag->value;
        return flag->set;
    case KIND_TEXT:
        break;
    }
    return false;
}

static void add_unmet(
        struct translation *t, const char *because, const char *why, const char *remedy)
{
    struct cgroup_writes *writes = t->writes;

    writes->unmet = arena_grow(writes->arena, writes->unmet, writes->unmet_count,
            &writes->unmet_capacity, sizeof(*writes->unmet));
    writes->unmet[writes->unmet_count++] = (struct cgroup_unmet){because, why, remedy};
}

/* The directory of the controller, NULL when there is none (then it is noted). */
static const char *find_dir(
        struct translation *t, enum cgroup_controller controller, const char *because)
{
    const struct cgroup_dirs *dirs = t->dirs;

    t->unified = !dirs->v1[controller];
    if (dirs->v1[controller])
        return dirs->v1[controller];
    if (dirs->unified && (dirs->unified_controllers & (1U << controller)))
        return dirs->unified;
    const char *why = dirs->why_not[controller];
    const char *remedy = dirs->remedy[controller];
    add_unmet(t, because,
            why ? why
                : arena_printf(t->writes->arena, "this host has no %s controller mounted",
                          cgroup_controller_name(controller)),
            remedy ? remedy : "see /proc/cgroups for what the kernel has, and mount it");
    return NULL;
}

static void push(struct translation *t, const struct cgroup_write *write)
{
    struct cgroup_writes *writes = t->writes;

    writes->items = arena_grow(
            writes->arena, writes->items, writes->count, &writes->capacity, sizeof(*writes->items));
    writes->items[writes->count++] = *write;
}

static void no_such_file(
        struct translation *t, enum cgroup_controller controller, const char *because)
{
    add_unmet(t, because,
            arena_printf(t->writes->arena, "cgroup %s has nothing of that kind for %s",
                    t->unified ? "v2" : "v1", cgroup_controller_name(controller)),
            t->unified ? "leave it out on this host, or use the v2 files through \"unified\""
                       : "leave it out on this host, it needs cgroup v2");
}

/* The value as text; NULL: not to be written. */
static const char *row_text(struct translation *t, const struct row *row)
{
    int64_t value = 0;

    if (row->kind == KIND_TEXT) {
        const char *text = *(const char *const *)((const char *)t->limits + row->offset);
        return str_empty(text) ? NULL : text;
    }
    if (!row_value(row, t->limits, &value) || (!value && (row->flags & ZERO_IS_ABSENT)))
        return NULL;
    bool v1 = t->dirs->v1[row->controller];
    t->unified = !v1 && t->dirs->unified;
    return row->format(t, value);
}

static void add_row(struct translation *t, const struct row *row)
{
    const char *value = row_text(t, row);

    if (!value)
        return;
    const char *dir = find_dir(t, row->controller, row->because);
    if (!dir)
        return;
    const char *file = t->unified ? row->v2 : row->v1;
    if (!file) {
        no_such_file(t, row->controller, row->because);
        return;
    }
    bool nothing = str_equal(value, "max") || str_equal(value, "-1") || str_equal(value, "0");
    struct cgroup_write write = {.controller = row->controller,
            .because = row->because,
            .dir = dir,
            .file = file,
            .value = value,
            .missing_ok = (row->flags & UNLIMITED_IF_MISSING) && nothing,
            .verify = row->flags & VERIFY};
    push(t, &write);
}

/* BFQ's file where that scheduler is in the kernel; the older one, or io.weight, elsewhere. */
static void add_weight(struct translation *t, const char *because, const char *device,
        uint64_t weight, const char *v1_file)
{
    struct arena *arena = t->writes->arena;
    const char *dir = find_dir(t, CGROUP_BLKIO, because);

    if (!dir)
        return;
    struct cgroup_write write = {CGROUP_BLKIO, because, dir};
    write.value = arena_printf(arena, "%s%" PRIu64, device, weight);
    if (t->unified) {
        write.file = "io.bfq.weight";
        write.other_file = "io.weight";
        write.other_value = arena_printf(
                arena, "%s%" PRIu64, *device ? device : "default ", cgroup_io_weight(weight));
    } else {
        write.file = arena_printf(arena, "blkio.bfq.%s", v1_file);
        write.other_file = arena_printf(arena, "blkio.%s", v1_file);
    }
    push(t, &write);
}

/* Only the CFQ scheduler of old kernels knew leaf weights. */
static void add_leaf_weight(struct translation *t, const char *because, const char *device,
        uint64_t weight, const char *v1_file)
{
    const char *dir = find_dir(t, CGROUP_BLKIO, because);

    if (dir && t->unified) {
        no_such_file(t, CGROUP_BLKIO, because);
    } else if (dir) {
        struct cgroup_write write = {CGROUP_BLKIO, because, dir, v1_file,
                arena_printf(t->writes->arena, "%s%" PRIu64, device, weight)};
        push(t, &write);
    }
}

static void add_weights(struct translation *t)
{
    const struct cgroup_blkio *blkio = &t->limits->blkio;
    struct arena *arena = t->writes->arena;

    if (blkio->weight.set && blkio->weight.value)
        add_weight(t, "blockIO/weight", "", blkio->weight.value, "weight");
    if (blkio->leaf_weight.set && blkio->leaf_weight.value)
        add_leaf_weight(t, "blockIO/leafWeight", "", blkio->leaf_weight.value, "blkio.leaf_weight");
    for (size_t i = 0; i < blkio->weight_devices.count; i++) {
        const struct cgroup_weight_device *item = &blkio->weight_devices.items[i];
        const char *device = arena_printf(arena, "%u:%u ", item->major, item->minor);
        const char *because = arena_printf(arena, "blockIO/weightDevice/%zu", i);
        if (item->weight.set && item->weight.value)
            add_weight(t, because, device, item->weight.value, "weight_device");
        if (item->leaf_weight.set && item->leaf_weight.value)
            add_leaf_weight(
                    t, because, device, item->leaf_weight.value, "blkio.leaf_weight_device");
    }
}

static const struct throttle_row {
    const char *because;
    size_t offset;
    const char *v1, *v2_key;
} throttle_rows[] = {
        {"blockIO/throttleReadBpsDevice", offsetof(struct cgroup_blkio, read_bps),
                "blkio.throttle.read_bps_device", "rbps"},
        {"blockIO/throttleWriteBpsDevice", offsetof(struct cgroup_blkio, write_bps),
                "blkio.throttle.write_bps_device", "wbps"},
        {"blockIO/throttleReadIOPSDevice", offsetof(struct cgroup_blkio, read_iops),
                "blkio.throttle.read_iops_device", "riops"},
        {"blockIO/throttleWriteIOPSDevice", offsetof(struct cgroup_blkio, write_iops),
                "blkio.throttle.write_iops_device", "wiops"},
};

static void add_throttles(struct translation *t, const struct throttle_row *row)
{
    const cgroup_throttle_list *list =
            (const void *)((const char *)&t->limits->blkio + row->offset);
    struct arena *arena = t->writes->arena;

    for (size_t i = 0; i < list->count; i++) {
        const struct cgroup_throttle *item = &list->items[i];
        const char *because = arena_printf(arena, "%s/%zu", row->because, i);
        const char *dir = find_dir(t, CGROUP_BLKIO, because);
        if (!dir)
            return;
        struct cgroup_write write = {CGROUP_BLKIO, because, dir, t->unified ? "io.max" : row->v1};
        const char *rate =
                item->rate || !t->unified ? arena_printf(arena, "%" PRIu64, item->rate) : "max";
        write.value = t->unified ? arena_printf(arena, "%u:%u %s=%s", item->major, item->minor,
                                           row->v2_key, rate)
                                 : arena_printf(arena, "%u:%u %s", item->major, item->minor, rate);
        push(t, &write);
    }
}

static bool is_page_size(const char *text)
{
    return !str_empty(text) && strspn(text, "0123456789KMGTB") == strlen(text);
}

/* Reservations are limited too, where the kernel (5.7) counts them: a refusal at mmap, where it can
 * be handled, comes before a SIGBUS at the touch. */
static void add_hugetlb(struct translation *t)
{
    struct arena *arena = t->writes->arena;

    for (size_t i = 0; i < t->limits->hugetlb.count && !t->fault; i++) {
        const struct cgroup_hugetlb *item = &t->limits->hugetlb.items[i];
        const char *because = arena_printf(arena, "hugepageLimits/%zu", i);
        const char *dir = find_dir(t, CGROUP_HUGETLB, because);
        if (!dir)
            return;
        if (!is_page_size(item->page_size)) {
            t->fault = "a page size is written as 2MB or 1GB";
            return;
        }
        const char *end = t->unified ? "max" : "limit_in_bytes";
        struct cgroup_write write = {CGROUP_HUGETLB, because, dir};
        write.value = arena_printf(arena, "%" PRIu64, item->limit);
        write.file = arena_printf(arena, "hugetlb.%s.%s", item->page_size, end);
        push(t, &write);
        write.file = arena_printf(arena, "hugetlb.%s.rsvd.%s", item->page_size, end);
        write.missing_ok = true;
        push(t, &write);
    }
}

static void add_net_priorities(struct translation *t)
{
    for (size_t i = 0; i < t->limits->net_priorities.count; i++) {
        const struct cgroup_net_priority *item = &t->limits->net_priorities.items[i];
        const char *because = arena_printf(t->writes->arena, "network/priorities/%zu", i);
        const char *dir = find_dir(t, CGROUP_NET_PRIO, because);
        if (!dir)
            return;
        struct cgroup_write write = {CGROUP_NET_PRIO, because, dir, "net_prio.ifpriomap",
                arena_printf(t->writes->arena, "%s %u", item->interface, item->priority)};
        push(t, &write);
    }
}

static void add_rdma(struct translation *t)
{
    struct arena *arena = t->writes->arena;

    for (size_t i = 0; i < t->limits->rdma.count; i++) {
        const struct cgroup_rdma *item = &t->limits->rdma.items[i];
        const char *because = arena_printf(arena, "rdma/%s", item->device);
        const char *dir = find_dir(t, CGROUP_RDMA, because);
        if (!dir)
            return;
        const char *text = item->device;
        if (item->handles.set)
            text = arena_printf(arena, "%s hca_handle=%" PRIu64, text, item->handles.value);
        if (item->objects.set)
            text = arena_printf(arena, "%s hca_object=%" PRIu64, text, item->objects.value);
        struct cgroup_write write = {CGROUP_RDMA, because, dir, "rdma.max", text};
        if (text != item->device)
            push(t, &write);
    }
}

static void add_unified_file(struct translation *t, const struct record_pair *pair)
{
    const char *because = arena_printf(t->writes->arena, "unified/%s", pair->key);
    size_t word = strcspn(pair->key, ".");
    const char *controller = arena_strndup(t->writes->arena, pair->key, word);
    uint32_t needs = cgroup_controllers_parse(controller, ',');

    if (strchr(pair->key, '/') || pair->key[word] != '.') {
        t->fault = "a key of \"unified\" is the name of a cgroup v2 file, as memory.high";
    } else if (needs & SAME_FILES) {
        struct cgroup_write write = {(enum cgroup_controller)__builtin_ctz(needs), because};
        write.dir = find_dir(t, write.controller, because);
        write.file = pair->key;
        write.value = pair->value;
        if (write.dir)
            push(t, &write);
    } else if (!t->dirs->unified) {
        add_unmet(t, because, "this host has no cgroup v2 mounted, or it could not be used",
                "use the limit's v1 name");
    } else if (needs && !(t->dirs->unified_controllers & needs)) {
        add_unmet(t, because,
                arena_printf(t->writes->arena, "the %s controller is not in the v2 hierarchy",
                        controller),
                "use the limit's v1 name, or enable the controller in cgroup.subtree_control");
    } else {
        struct cgroup_write write = {
                needs ? (enum cgroup_controller)__builtin_ctz(needs) : CGROUP_CONTROLLERS, because,
                t->dirs->unified, pair->key, pair->value};
        push(t, &write);
    }
}

int cgroup_writes_add(struct cgroup_writes *writes, const struct cgroup_limits *limits,
        const struct cgroup_dirs *dirs, bool update, struct error *err)
{
    struct translation t = {writes, limits, dirs, update, false, NULL};
    const char *because = "";

    for (size_t i = 0; i < ARRAY_SIZE(rows) && !t.fault; i++) {
        because = rows[i].because;
        add_row(&t, &rows[i]);
    }
    if (t.fault)
        return error_set(err, EINVAL, "%s: %s", because, t.fault);
    add_weights(&t);
    for (size_t i = 0; i < ARRAY_SIZE(throttle_rows); i++)
        add_throttles(&t, &throttle_rows[i]);
    add_hugetlb(&t);
    add_net_priorities(&t);
    add_rdma(&t);
    for (size_t i = 0; i < limits->unified.count && !t.fault; i++)
        add_unified_file(&t, &limits->unified.items[i]);
    return t.fault ? error_set(err, EINVAL, "%s", t.fault) : 0;
}

static const struct {
    int errnum;
    const char *file; /* the end of the file's name; "": any */
    const char *advice;
} advice[] = {
        {EBUSY, "cgroup.subtree_control",
                "the cgroup has processes of its own, and then v2 allows no controllers below it; "
                "move them into a cgroup below"},
        {EBUSY, "memory.limit_in_bytes", "the present use is above that, and cannot be reclaimed"},
        {EBUSY, "memory.memsw.limit_in_bytes",
                "the present use is above that, and cannot be reclaimed"},
        {EBUSY, "cgroup.procs",
                "the cgroup has controllers enabled for those below it, so that v2 allows no "
                "processes in it"},
        {EOPNOTSUPP, "cgroup.subtree_control",
                "a threaded cgroup is above, and controllers for whole processes cannot be enabled "
                "below one; choose another parent (cgroup.type tells)"},
        {EOPNOTSUPP, "cgroup.procs",
                "the cgroup is threaded or below a threaded one (cgroup.type tells), and takes no "
                "whole processes"},
        {EINVAL, "cpu.rt_runtime_us",
                "the budgets of all groups in one cgroup together may not be more than its own: "
                "write "
                "more to the cpu.rt_runtime_us above first; and the period must be longer"},
        {EINVAL, "memory.memsw.limit_in_bytes",
                "it may not be below the limit of memory alone (memory.limit_in_bytes)"},
        {EINVAL, "memory.limit_in_bytes",
                "it may not be above the limit of memory and swap together"},
        {EINVAL, "cpu.shares", "the group is idle (cpu.idle), or the value is out of range"},
        {EINVAL, "cpu.weight", "the group is idle (cpu.idle), or the value is out of range"},
        {ERANGE, "cpuset.cpus",
                "this host has no such CPUs: /sys/devices/system/cpu/present lists them"},
        {EACCES, "cpuset.cpus", "the cgroup above does not have all of these"},
        {ENODEV, "", "there is no such device, or it is a partition: whole disks are limited"},
        {EACCES, "",
                "this user may not write it; let the cgroup be delegated to the user "
                "(systemd: Delegate=yes)"},
        {EPERM, "", "not allowed to this user, or above what the cgroup above allows"},
        {EROFS, "", "the cgroup file system is mounted read-only here"},
        {ENOENT, "", "this kernel does not have it"},
        {EINVAL, "", "the kernel does not take this value; see cgroups(7)"},
        {ERANGE, "", "the value is out of the range that the kernel takes"},
        {ENOSPC, "", "CPUs or memory nodes must be set first, or are used up"},
};

static int explain(int errnum, const char *path, const char *value, struct error *err)
{
    error_sys(err, errnum, "write \"%s\" to %s", value, path);
    for (size_t i = 0; i < ARRAY_SIZE(advice); i++)
        if (advice[i].errnum == errnum && str_ends(path, advice[i].file))
            return error_append(err, "; %s", advice[i].advice);
    return -errnum;
}

/* Whether the kernel keeps what was written; sizes are rounded to pages, so a number may differ by
 * less than one. */
static int verify(const char *path, const char *value, struct error *err)
{
    char text[64];
    int64_t asked, kept;

    if (io_read_small_at(AT_FDCWD, path, text, sizeof(text)) < 0)
        return 0;
    if (str_to_i64(value, &asked) < 0 || str_to_i64(text, &kept) < 0 || asked < 0)
        return 0;
    if (kept <= asked && asked - kept < 65536)
        return 0;
    return error_set(err, EOPNOTSUPP,
            "write \"%s\" to %s: the kernel took it and goes on with %s: it no longer has this "
            "limit; leave it out",
            value, path, text);
}

int cgroup_write_apply(const struct cgroup_write *write, struct error *err)
{
    char path[4096];
    const char *value = write->value;

    if (snprintf(path, sizeof(path), "%s/%s", write->dir, write->file) >= (int)sizeof(path))
        return error_set(err, ENAMETOOLONG, "%s/%s: the path is too long", write->dir, write->file);
    int r = sys_cgroup_write(path, value);
    if (r == -ENOENT && write->other_file) {
        snprintf(path, sizeof(path), "%s/%s", write->dir, write->other_file);
        value = write->other_value ? write->other_value : value;
        r = sys_cgroup_write(path, value);
    }
    if (r == -ENOENT && write->missing_ok)
        return 0;
    if (r < 0)
        return explain(-r, path, value, err);
    return write->verify ? verify(path, value, err) : 0;
}

void cgroup_dirs_of_saved(
        const struct cgroup_saved *saved, struct arena *arena, struct cgroup_dirs *ret)
{
    char text[1024];

    *ret = (struct cgroup_dirs){.unified = saved->unified};
    for (unsigned i = 0; i < CGROUP_CONTROLLERS; i++)
        ret->v1[i] = cgroup_saved_v1(saved, i);
    if (!saved->unified)
        return;
    ret->unified_controllers = (1U << CGROUP_FREEZER) | (1U << CGROUP_DEVICES);
    const char *path = path_join(arena, saved->unified, "cgroup.controllers");
    if (io_read_small_at(AT_FDCWD, path, text, sizeof(text)) > 0)
        ret->unified_controllers |= cgroup_controllers_parse(text, ' ');
}
