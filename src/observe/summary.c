#include "observe/summary.h"

#include <inttypes.h>

#include "observe/style.h"

static void print_namespaces(const struct spec *spec, FILE *out)
{
    bool first = true;

    for (size_t i = 0; i < spec->linux.namespaces.count; i++) {
        const struct spec_namespace *item = &spec->linux.namespaces.items[i];
        fprintf(out, "%s%s%s%s", first ? "" : ", ", item->type, str_empty(item->path) ? "" : " of ",
                str_empty(item->path) ? "" : item->path);
        first = false;
    }
    fprintf(out, "%s\n", first ? "none of its own" : "");
}

static void print_ids(const struct spec *spec, bool machine, FILE *out)
{
    const struct spec_id_mappings *maps = &spec->linux.uidMappings;

    if (machine) {
        fprintf(out, "the guest's own: none of them is one of the host's\n");
        return;
    }
    if (!maps->count) {
        fprintf(out, "the host's own: its root is the host's root\n");
        return;
    }
    for (size_t i = 0; i < maps->count; i++)
        fprintf(out, "%s%" PRIu32 "-%" PRIu32 " inside are %" PRIu32 "-%" PRIu32 " outside",
                i ? ", " : "", maps->items[i].containerID,
                maps->items[i].containerID + (maps->items[i].size - 1), maps->items[i].hostID,
                maps->items[i].hostID + (maps->items[i].size - 1));
    fprintf(out, "\n");
}

static void print_limits(const struct spec_resources *resources, FILE *out)
{
    const char *between = "";

    if (resources->memory.limit.set) {
        fprintf(out, "memory %.1f MiB", (double)resources->memory.limit.value / (1 << 20));
        between = ", ";
    }
    if (resources->cpu.quota.set && resources->cpu.quota.value > 0) {
        double period = resources->cpu.period.set ? (double)resources->cpu.period.value : 100000;
        fprintf(out, "%s%.2f CPUs", between, (double)resources->cpu.quota.value / period);
        between = ", ";
    }
    if (resources->cpu.cpus) {
        fprintf(out, "%son CPUs %s", between, resources->cpu.cpus);
        between = ", ";
    }
    if (resources->pids.limit.set) {
        fprintf(out, "%s%" PRId64 " processes", between, resources->pids.limit.value);
        between = ", ";
    }
    fprintf(out, "%s\n", *between ? "" : "none asked for");
}

static void print_rights(const struct spec *spec, bool confined, FILE *out)
{
    const struct spec_capabilities *caps = spec->process->capabilities;

    fprintf(out, "%zu of 41 capabilities, %s, %s\n", caps ? caps->bounding.count : 0,
            spec->linux.seccomp ? "the seccomp profile given"
            : confined          ? "the default seccomp profile"
                                : "no seccomp filter",
            spec->process->noNewPrivileges ? "no new privileges" : "set-uid programs work");
}

void summary_print(const struct spec *spec, const struct sandbox_meta *meta, FILE *out)
{
    const struct style *style = style_for(out);
    const char *bold = style->bold;
    const char *reset = style->reset;
    bool machine = str_equal(meta->isolation, "vm");

    fprintf(out, "%sWhat isolated it%s (%s; `viv explain` tells every step)\n", bold, reset,
            meta->isolation ? meta->isolation : "container");
    if (machine)
        fprintf(out, "  %-12sone of its own, in a machine; what follows is inside it\n", "kernel");
    fprintf(out, "  %-12s", "namespaces");
    print_namespaces(spec, out);
    fprintf(out, "  %-12s", "user ids");
    print_ids(spec, machine, out);
    fprintf(out, "  %-12s", "limits");
    print_limits(&spec->linux.resources, out);
    fprintf(out, "  %-12s", "rights");
    print_rights(spec, meta->confined, out);
    fprintf(out, "  %-12s%s, %zu paths hidden, %zu read-only\n", "files",
            spec->root && spec->root->readonly ? "a read-only root" : "a root of its own",
            spec->linux.maskedPaths.count, spec->linux.readonlyPaths.count);
}
