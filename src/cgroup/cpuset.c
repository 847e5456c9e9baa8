#include "cgroup/cpuset.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "cgroup/flat.h"

#define NUMBERS_MAX 4096 /* more CPUs than a kernel is built for are not told */

#define AT(member_) offsetof(struct cgroup_stats_cpuset, member_)
static const struct {
    const char *file;
    size_t offset;
} sources[] = {
        {"cpuset.cpu_exclusive", AT(cpu_exclusive)},
        {"cpuset.mem_hardwall", AT(mem_hardwall)},
        {"cpuset.mem_exclusive", AT(mem_exclusive)},
        {"cpuset.memory_migrate", AT(memory_migrate)},
        {"cpuset.memory_spread_page", AT(memory_spread_page)},
        {"cpuset.memory_spread_slab", AT(memory_spread_slab)},
        {"cpuset.memory_pressure", AT(memory_pressure)},
        {"cpuset.sched_load_balance", AT(sched_load_balance)},
};
#undef AT

/* "0-2,5" as its numbers. */
static uint64_t *read_numbers(struct arena *arena, const char *dir, const char *file, size_t *count)
{
    char *rest = cgroup_flat_text(arena, dir, file);
    uint64_t *numbers = arena_new_array(arena, uint64_t, NUMBERS_MAX);
    char *word;

    *count = 0;
    while (rest && (word = strsep(&rest, ",\n"))) {
        char *end;
        unsigned long first = strtoul(word, &end, 10);
        unsigned long last = *end == '-' ? strtoul(end + 1, NULL, 10) : first;
        for (; *word && first <= last && *count < NUMBERS_MAX; first++)
            numbers[(*count)++] = first;
    }
    return numbers;
}

struct cgroup_stats_cpuset *cgroup_cpuset_read(struct arena *arena, const char *dir)
{
    struct cgroup_stats_cpuset *cpuset = arena_new(arena, struct cgroup_stats_cpuset);
    const char *level = cgroup_flat_text(arena, dir, "cpuset.sched_relax_domain_level");

    cpuset->cpus.items = read_numbers(arena, dir, "cpuset.cpus", &cpuset->cpus.count);
    cpuset->mems.items = read_numbers(arena, dir, "cpuset.mems", &cpuset->mems.count);
    for (size_t i = 0; i < ARRAY_SIZE(sources); i++)
        *(uint64_t *)((char *)cpuset + sources[i].offset) =
                cgroup_flat_number(dir, sources[i].file).value;
    cpuset->sched_relax_domain_level = level ? strtol(level, NULL, 10) : 0;
    return cpuset;
}

/* runc's names, in its order */
#define ALWAYS(member_) FIELD_WRITTEN(struct cgroup_stats_cpuset, member_, FIELD_U64)
static const struct field fields[] = {
        FIELD(struct cgroup_stats_cpuset, cpus, FIELD_U64S),
        ALWAYS(cpu_exclusive),
        FIELD(struct cgroup_stats_cpuset, mems, FIELD_U64S),
        ALWAYS(mem_hardwall),
        ALWAYS(mem_exclusive),
        ALWAYS(memory_migrate),
        ALWAYS(memory_spread_page),
        ALWAYS(memory_spread_slab),
        ALWAYS(memory_pressure),
        ALWAYS(sched_load_balance),
        FIELD_WRITTEN(struct cgroup_stats_cpuset, sched_relax_domain_level, FIELD_I64),
};
const struct record cgroup_stats_cpuset_record = RECORD(struct cgroup_stats_cpuset, fields);
