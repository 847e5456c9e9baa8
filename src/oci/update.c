/* update: other limits for a container that exists. */
#include "container/update.h"

#include <fcntl.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "engine/vm_call.h"
#include "oci/command.h"
#include "oci/words.h"
#include "spec/check.h"

struct update {
    const char *file;
    struct opt_u64 blkio_weight;
    struct opt_u64 cpu_period, cpu_burst, cpu_shares, cpu_rt_period;
    struct opt_i64 cpu_quota, cpu_rt_runtime, cpu_idle, pids;
    const char *cpus, *mems;
    const char *memory, *reservation, *swap, *kernel, *kernel_tcp;
    const char *l3, *bandwidth;
};

#define ROW(letter_, name_, kind_, member_, value_, help_)                                         \
    OPTION(letter_, name_, OPTION_##kind_, struct update, member_, value_, help_)

static const struct option_row rows[] = {
        ROW('r', "resources", TEXT, file, "FILE",
                "linux.resources as JSON, - for standard input; the other options then count for "
                "nothing"),
        ROW(0, "blkio-weight", COUNT, blkio_weight, "WEIGHT", "share of the disks, 10 to 1000"),
        ROW(0, "cpu-period", COUNT, cpu_period, "MICROSECONDS", "the time that the quota is for"),
        ROW(0, "cpu-quota", NUMBER, cpu_quota, "MICROSECONDS", "CPU time in each period"),
        ROW(0, "cpu-burst", COUNT, cpu_burst, "MICROSECONDS", "unused quota that may be kept"),
        ROW(0, "cpu-share", COUNT, cpu_shares, "SHARES", "share of the CPUs, 2 to 262144"),
        ROW(0, "cpu-shares", COUNT, cpu_shares, "SHARES", NULL),
        ROW(0, "cpu-rt-period", COUNT, cpu_rt_period, "MICROSECONDS", "of realtime processes"),
        ROW(0, "cpu-rt-runtime", NUMBER, cpu_rt_runtime, "MICROSECONDS", "of realtime processes"),
        ROW(0, "cpuset-cpus", TEXT, cpus, "LIST", "CPUs that it may use"),
        ROW(0, "cpuset-mems", TEXT, mems, "LIST", "memory nodes that it may use"),
        ROW(0, "cpu-idle", NUMBER, cpu_idle, "0|1", "runs only when nothing else does"),
        ROW(0, "kernel-memory", TEXT, kernel, "BYTES", "of the kernel, where it exists"),
        ROW(0, "kernel-memory-tcp", TEXT, kernel_tcp, "BYTES", "of the kernel's TCP buffers"),
        ROW(0, "memory", TEXT, memory, "BYTES", "the limit; -1 for none"),
        ROW(0, "memory-reservation", TEXT, reservation, "BYTES", "what it should stay below"),
        ROW(0, "memory-swap", TEXT, swap, "BYTES", "memory and swap together; -1 for no limit"),
        ROW(0, "pids-limit", NUMBER, pids, "COUNT", "processes and threads; -1 for no limit"),
        ROW(0, "l3-cache-schema", TEXT, l3, "SCHEMA", "Intel RDT: \"L3:0=f;1=f0\""),
        ROW(0, "mem-bw-schema", TEXT, bandwidth, "SCHEMA", "Intel RDT: \"MB:0=20;1=70\""),
};
static const struct option_table table = OPTION_TABLE("Options", rows);

static int read_resources(
        struct oci *oci, const char *file, struct spec_resources *ret, struct error *err)
{
    _cleanup_buf_ struct buf text = {.max = JSON_SIZE_MAX};
    bool from_stdin = str_equal(file, "-");
    struct strv warnings = {0};
    const char *warning;
    int r = from_stdin ? io_read_fd(0, &text) : io_read_file_at(AT_FDCWD, file, &text);

    if (r < 0)
        return error_sys(err, -r, "read the resources from %s", file);
    r = spec_load_resources(buf_text(&text), text.length, from_stdin ? "standard input" : file,
            oci->arena, ret, &warnings, err);
    strv_foreach (warning, &warnings) {
        log_write(&oci->log, LOG_WARN, "%s", warning);
    }
    return r;
}

/* "64m", or "-1" for no limit. */
static int set_bytes(const char *name, const char *text, struct opt_i64 *ret, struct error *err)
{
    uint64_t bytes;

    if (!text)
        return 0;
    *ret = (struct opt_i64){true, -1};
    if (str_equal(text, "-1"))
        return 0;
    int r = str_to_bytes(text, &bytes, err);
    if (r == 0 && bytes > INT64_MAX)
        r = error_set(err, ERANGE, "%s is too large", text);
    ret->value = (int64_t)bytes;
    return r < 0 ? error_prefix(err, "invalid value for --%s", name) : 0;
}

static int set_memory(const struct update *update, struct spec_memory *memory, struct error *err)
{
    const struct {
        const char *name, *text;
        struct opt_i64 *into;
    } sizes[] = {{"memory", update->memory, &memory->limit},
            {"memory-reservation", update->reservation, &memory->reservation},
            {"memory-swap", update->swap, &memory->swap},
            {"kernel-memory", update->kernel, &memory->kernel},
            {"kernel-memory-tcp", update->kernel_tcp, &memory->kernelTCP}};
    int r = 0;

    for (size_t i = 0; i < ARRAY_SIZE(sizes) && r == 0; i++)
        r = set_bytes(sizes[i].name, sizes[i].text, sizes[i].into, err);
    return r;
}

/* The single options as resources, checked as those of a file are. */
static int set_resources(
        struct oci *oci, const struct update *update, struct spec_resources *ret, struct error *err)
{
    struct record_report report = {.arena = oci->arena};
    int r = set_memory(update, &ret->memory, err);

    if (r < 0)
        return r;
    if (update->blkio_weight.value > UINT32_MAX)
        return error_set(err, ERANGE, "invalid value for --blkio-weight: write 10 to 1000");
    ret->blockIO.weight =
            (struct opt_u32){update->blkio_weight.set, (uint32_t)update->blkio_weight.value};
    ret->cpu = (struct spec_cpu){.shares = update->cpu_shares,
            .quota = update->cpu_quota,
            .burst = update->cpu_burst,
            .period = update->cpu_period,
            .realtimeRuntime = update->cpu_rt_runtime,
            .realtimePeriod = update->cpu_rt_period,
            .cpus = update->cpus,
            .mems = update->mems,
            .idle = update->cpu_idle};
    ret->pids.limit = update->pids;
    spec_check_resources(ret, &report);
    return record_error(&report, "update", err);
}

int oci_update(struct oci *oci, int argc, char **argv, struct error *err)
{
    static const struct option_command command = {.name = "viv-oci update",
            .usage = "CONTAINER-ID",
            .about = "Changes the limits of a container. What is not named stays as it is.",
            .least = 1,
            .most = 1,
            .tables = {&table}};
    _cleanup_container_ struct container container = {0};
    struct update update = {0};
    struct spec_resources resources = {0};
    struct strv lines = {0};
    int r = oci_read_id(&command, argc, argv, oci, &update, &container, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = update.file ? read_resources(oci, update.file, &resources, err)
                    : set_resources(oci, &update, &resources, err);
    if (r == 0)
        r = workload_update(&container, &resources, err);
    if (update.l3)
        strv_add(oci->arena, &lines, update.l3);
    if (update.bandwidth)
        strv_add(oci->arena, &lines, update.bandwidth);
    return r < 0 || !lines.count ? r : container_update_resctrl(&container, &lines, err);
}
