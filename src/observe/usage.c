#include "observe/usage.h"

#include <fcntl.h>
#include <time.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/json.h"
#include "engine/connect.h"
#include "engine/vm_call.h"
#include "observe/format.h"
#include "observe/style.h"
#include "observe/table.h"

#define SHORT_ID 12

struct reading {
    const char *name;
    bool alive;
    struct sandbox sandbox;
    struct cgroup_stats stats;
    uint64_t cpu_before;
    double cpu_percent;
};

/* Who was named and is not there is an error; who is gone meanwhile is none. */
static int collect(struct engine *engine, const struct usage_choice *choice,
        const struct strv *names, struct reading *readings, size_t *ret_count, struct error *err)
{
    bool named = choice->names.count > 0;
    const char *name;
    size_t count = 0;

    strv_foreach (name, names) {
        struct reading *reading = &readings[count];
        int r = engine_find(engine, name, &reading->sandbox, named ? err : NULL);
        if (r < 0 && named)
            return r;
        if (r < 0)
            continue;
        bool alive = sandbox_has_run(&reading->sandbox) && reading->sandbox.status != SPEC_STOPPED;
        if (!alive && !choice->all) {
            sandbox_close(&reading->sandbox);
            continue;
        }
        reading->alive = alive;
        reading->name = reading->sandbox.meta.name;
        count++;
    }
    *ret_count = count;
    return 0;
}

/* One reading now; one that has ended meanwhile uses nothing. */
static void look(struct engine *engine, struct reading *reading)
{
    if (reading->alive)
        workload_stats(&reading->sandbox.container, engine->arena, &reading->stats, NULL);
}

static void measure(
        struct engine *engine, struct reading *readings, size_t count, unsigned interval_ms)
{
    struct timespec pause = {interval_ms / 1000, (long)(interval_ms % 1000) * 1000000};
    struct timespec before;
    struct timespec after;

    clock_gettime(CLOCK_MONOTONIC, &before);
    for (size_t i = 0; interval_ms && i < count; i++) {
        look(engine, &readings[i]);
        readings[i].cpu_before = readings[i].stats.cpu.usage_ns.value;
    }
    if (interval_ms)
        nanosleep(&pause, NULL);
    clock_gettime(CLOCK_MONOTONIC, &after);
    double elapsed =
            (double)(after.tv_sec - before.tv_sec) * 1e9 + (double)(after.tv_nsec - before.tv_nsec);
    for (size_t i = 0; i < count; i++) {
        struct reading *reading = &readings[i];
        look(engine, reading);
        if (interval_ms && elapsed > 0)
            reading->cpu_percent =
                    (double)(reading->stats.cpu.usage_ns.value - reading->cpu_before) * 100 /
                    elapsed;
    }
}

static const char *pressure_text(struct arena *arena, const struct cgroup_pressure *pressure)
{
    return pressure ? arena_printf(arena, "%.2f%%", (double)pressure->some.avg10 / 100) : "-";
}

struct traffic {
    uint64_t received, sent; /* bytes, as the sandbox sees them */
};

/* What a table of interfaces (/proc/PID/net/dev) counts: of all but lo, or of the named one, whose
 * other end is the sandbox's. */
static void add_traffic(
        struct engine *engine, const char *path, const char *named, struct traffic *traffic)
{
    _cleanup_buf_ struct buf text = {0};
    struct strv lines = {0};
    const char *line;

    if (io_read_file_at(AT_FDCWD, path, &text) < 0)
        return;
    strv_split(engine->arena, &lines, buf_text(&text), '\n');
    strv_foreach (line, &lines) {
        char name[32];
        unsigned long long received;
        unsigned long long sent;
        if (sscanf(line, " %31[^: ]: %llu %*u %*u %*u %*u %*u %*u %*u %llu", name, &received,
                    &sent) != 3 ||
                !(named ? str_equal(name, named) : !str_equal(name, "lo")))
            continue;
        traffic->received += named ? sent : received;
        traffic->sent += named ? received : sent;
    }
}

/* Of its own interfaces: inside, or of a machine at the host's ends. */
static struct traffic count_traffic(struct engine *engine, const struct reading *reading)
{
    const struct sandbox *sandbox = &reading->sandbox;
    const struct net_request *network = &sandbox->meta.network;
    struct traffic traffic = {0};
    struct net_leases leases = {0};

    if (!reading->alive || (!network->joins.count && !network->pasta))
        return traffic;
    if (!str_equal(sandbox->meta.isolation, "vm")) {
        const char *path =
                arena_printf(engine->arena, "/proc/%d/net/dev", sandbox->container.state.pid);
        add_traffic(engine, path, NULL, &traffic);
        return traffic;
    }
    sandbox_leases(engine, sandbox->meta.id, &leases, NULL);
    for (size_t i = 0; i < leases.count; i++)
        add_traffic(engine, "/proc/self/net/dev", leases.items[i].device, &traffic);
    return traffic;
}

static const char *pair_text(struct arena *arena, uint64_t one, uint64_t other)
{
    return arena_printf(arena, "%s / %s", table_bytes(arena, one), table_bytes(arena, other));
}

static void add_memory(
        struct arena *arena, const struct cgroup_stats *stats, struct json_object *row)
{
    const struct opt_u64 *limit = &stats->memory.limit;
    uint64_t used = stats->memory.usage.value;
    const char *most = limit->set ? table_bytes(arena, limit->value) : "none";
    double share = limit->set && limit->value ? (double)used * 100 / (double)limit->value : 0;

    json_add_str(row, "Memory", table_bytes(arena, used));
    json_add_str(row, "Limit", most);
    json_add_str(row, "MemUsage", arena_printf(arena, "%s / %s", table_bytes(arena, used), most));
    json_add_str(row, "MemPerc", limit->set ? arena_printf(arena, "%.2f%%", share) : "-");
}

/* What templates see: Docker's members, and our own. */
static struct json_object *row_json(
        struct engine *engine, const struct reading *reading, bool whole)
{
    struct arena *arena = engine->arena;
    const struct cgroup_stats *stats = &reading->stats;
    const char *id = reading->sandbox.meta.id ? reading->sandbox.meta.id : "";
    struct json_object *row = json_object_new_object();
    struct traffic traffic = count_traffic(engine, reading);
    uint64_t read = 0;
    uint64_t written = 0;

    for (size_t i = 0; i < stats->io.count; i++) {
        read += stats->io.items[i].read_bytes;
        written += stats->io.items[i].write_bytes;
    }
    json_add_str(row, "Name", reading->name);
    json_add_str(row, "Container", reading->name);
    json_add_str(row, "ID", whole ? id : arena_strndup(arena, id, SHORT_ID));
    json_add_str(row, "CPUPerc", arena_printf(arena, "%.1f%%", reading->cpu_percent));
    json_add_str(row, "Throttled",
            arena_printf(arena, "%.1f s", (double)stats->cpu.throttled_ns.value / 1e9));
    add_memory(arena, stats, row);
    json_add_str(row, "PIDs", arena_printf(arena, "%llu", (unsigned long long)stats->pids.value));
    json_add_str(row, "NetIO", pair_text(arena, traffic.received, traffic.sent));
    json_add_str(row, "BlockIO", pair_text(arena, read, written));
    json_add_str(row, "OOMKills",
            arena_printf(arena, "%llu", (unsigned long long)stats->memory.oom_kills.value));
    json_add_str(row, "CPUPressure", pressure_text(arena, stats->cpu.pressure));
    json_add_str(row, "MemoryPressure", pressure_text(arena, stats->memory.pressure));
    return row;
}

static void print_json(const struct reading *readings, size_t count, FILE *out)
{
    _cleanup_json_ struct json_object *array = json_object_new_array();

    for (size_t i = 0; i < count; i++) {
        struct json_object *row = record_write(&cgroup_stats_record, &readings[i].stats);
        json_add_str(row, "name", readings[i].name);
        json_object_object_add(row, "cpu_percent", json_object_new_double(readings[i].cpu_percent));
        json_object_array_add(array, row);
    }
    style_print_line(out, json_text_pretty(array));
}

static const char usual[] =
        "{{.Name}}\t{{.CPUPerc}}\t{{.Throttled}}\t{{.Memory}}\t{{.Limit}}\t{{.PIDs}}\t{{.NetIO}}\t"
        "{{.BlockIO}}\t{{.OOMKills}}\t{{.CPUPressure}}\t{{.MemoryPressure}}";
static const char *const heading_names[] = {"CPUPerc", "CPU", "PIDs", "PROCESSES", "NetIO",
        "RECEIVED / SENT", "BlockIO", "READ / WRITTEN", "OOMKills", "OOM KILLS", "CPUPressure",
        "CPU PRESSURE", "MemUsage", "MEMORY / LIMIT", "MemPerc", "MEMORY %", NULL};

static int print(struct engine *engine, const struct usage_choice *choice,
        const struct reading *readings, size_t count, FILE *out, struct error *err)
{
    const struct format_list list = {.usual = usual, .names = heading_names};
    _cleanup_json_ struct json_object *rows = json_object_new_array();

    if (str_equal(choice->format, "json")) {
        print_json(readings, count, out);
        return 0;
    }
    for (size_t i = 0; i < count; i++)
        json_object_array_add(rows, row_json(engine, &readings[i], choice->whole));
    return format_print(engine->arena, choice->format, &list, rows, out, err);
}

int usage_print(
        struct engine *engine, const struct usage_choice *choice, FILE *out, struct error *err)
{
    struct strv names = choice->names;
    size_t count = 0;
    int r = 0;

    if (!names.count)
        r = engine_list(engine, &names, err);
    if (r < 0)
        return r;
    struct reading *readings = arena_new_array(engine->arena, struct reading, names.count);
    r = collect(engine, choice, &names, readings, &count, err);
    if (r == 0) {
        measure(engine, readings, count, choice->interval_ms);
        r = print(engine, choice, readings, count, out, err);
    }
    for (size_t i = 0; i < count; i++)
        sandbox_close(&readings[i].sandbox);
    return r;
}
