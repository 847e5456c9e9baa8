#include "observe/usage.h"

#include <time.h>

#include "base/json.h"
#include "engine/vm_call.h"
#include "observe/table.h"

struct reading {
    const char *name;
    struct sandbox sandbox;
    struct cgroup_stats stats;
    uint64_t cpu_before;
    double cpu_percent;
};

static int collect(struct engine *engine, const struct strv *names, struct reading *readings,
        size_t *ret_count, bool named, struct error *err)
{
    const char *name;
    size_t count = 0;

    strv_foreach (name, names) {
        struct reading *reading = &readings[count];
        int r = engine_find(engine, name, &reading->sandbox, named ? err : NULL);
        if (r < 0 && named)
            return r;
        if (r < 0 || reading->sandbox.status == SPEC_STOPPED) {
            if (r == 0)
                sandbox_close(&reading->sandbox);
            continue;
        }
        reading->name = reading->sandbox.meta.name;
        count++;
    }
    *ret_count = count;
    return 0;
}

static void measure(
        struct engine *engine, struct reading *readings, size_t count, unsigned interval_ms)
{
    struct timespec pause = {interval_ms / 1000, (long)(interval_ms % 1000) * 1000000};
    struct timespec before;
    struct timespec after;

    clock_gettime(CLOCK_MONOTONIC, &before);
    for (size_t i = 0; interval_ms && i < count; i++)
        if (workload_stats(
                    &readings[i].sandbox.container, engine->arena, &readings[i].stats, NULL) == 0)
            readings[i].cpu_before = readings[i].stats.cpu.usage_ns.value;
    if (interval_ms)
        nanosleep(&pause, NULL);
    clock_gettime(CLOCK_MONOTONIC, &after);
    double elapsed =
            (double)(after.tv_sec - before.tv_sec) * 1e9 + (double)(after.tv_nsec - before.tv_nsec);
    for (size_t i = 0; i < count; i++) {
        struct reading *reading = &readings[i];
        workload_stats(&reading->sandbox.container, engine->arena, &reading->stats, NULL);
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

static void add_row(struct table *table, const struct reading *reading)
{
    struct arena *arena = table->arena;
    const struct cgroup_stats *stats = &reading->stats;
    uint64_t read = 0;
    uint64_t written = 0;

    for (size_t i = 0; i < stats->io.count; i++) {
        read += stats->io.items[i].read_bytes;
        written += stats->io.items[i].write_bytes;
    }
    const char *cells[] = {reading->name, arena_printf(arena, "%.1f%%", reading->cpu_percent),
            arena_printf(arena, "%.1f s", (double)stats->cpu.throttled_ns.value / 1e9),
            table_bytes(arena, stats->memory.usage.value),
            stats->memory.limit.set ? table_bytes(arena, stats->memory.limit.value) : "none",
            arena_printf(arena, "%llu", (unsigned long long)stats->pids.value),
            arena_printf(arena, "%s / %s", table_bytes(arena, read), table_bytes(arena, written)),
            arena_printf(arena, "%llu", (unsigned long long)stats->memory.oom_kills.value),
            pressure_text(arena, stats->cpu.pressure),
            pressure_text(arena, stats->memory.pressure)};
    table_add(table, cells);
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
    fprintf(out, "%s\n", json_text_pretty(array));
}

int usage_print(struct engine *engine, const struct strv *names, bool json, unsigned interval_ms,
        FILE *out, struct error *err)
{
    static const char *const heading[] = {"NAME", "CPU", "THROTTLED", "MEMORY", "LIMIT",
            "PROCESSES", "READ / WRITTEN", "OOM KILLS", "CPU PRESSURE", "MEMORY PRESSURE"};
    struct table table = {.arena = engine->arena, .columns = 10};
    struct strv all = *names;
    size_t count = 0;
    int r = 0;

    if (!names->count)
        r = engine_list(engine, &all, err);
    if (r < 0)
        return r;
    struct reading *readings = arena_new_array(engine->arena, struct reading, all.count);
    r = collect(engine, &all, readings, &count, names->count > 0, err);
    if (r == 0) {
        measure(engine, readings, count, interval_ms);
        table_add(&table, heading);
        for (size_t i = 0; i < count; i++)
            add_row(&table, &readings[i]);
        if (json)
            print_json(readings, count, out);
        else
            table_print(&table, out);
    }
    for (size_t i = 0; i < count; i++)
        sandbox_close(&readings[i].sandbox);
    return r;
}
