#include "spec/check_linux.h"

#include <ctype.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "spec/check_resources.h"
#include "spec/check_seccomp.h"
#include "spec/rule.h"

#define FILE_MODE_MAX 07777
#define NANOSECONDS 1000000000
#define OFFSET_MAX 4611686018 /* seconds: half of what the kernel's ktime_t holds */

bool check_has_namespace(const struct spec *spec, const char *type, bool fresh)
{
    const struct spec_namespace *found = spec_namespace_find(spec, type);

    return found && !(fresh && !str_empty(found->path));
}

static void check_namespaces(
        struct record_report *report, const struct record_place *place, const struct spec *spec)
{
    for (size_t i = 0; i < spec->linux.namespaces.count; i++) {
        const struct spec_namespace *namespace = &spec->linux.namespaces.items[i];
        const struct record_place *here = RECORD_ITEM(place, i);
        rule_one_of(report, RECORD_MEMBER(here, "type"), namespace->type, &spec_namespace_types,
                "namespace type");
        if (!str_empty(namespace->path))
            rule_absolute(report, RECORD_MEMBER(here, "path"), namespace->path);
        for (size_t j = 0; namespace->type && j < i; j++)
            if (str_equal(namespace->type, spec->linux.namespaces.items[j].type))
                record_fault(report, RECORD_MEMBER(here, "type"),
                        "namespace \"%.64s\" was given before, in entry %zu: give each once",
                        namespace->type, j);
    }
}

static void check_user_namespace(
        struct record_report *report, const struct record_place *place, const struct spec *spec)
{
    const struct spec_linux *linux = &spec->linux;
    const struct record_place *uids = RECORD_MEMBER(place, "uidMappings");
    const struct record_place *gids = RECORD_MEMBER(place, "gidMappings");

    rule_id_mappings(report, uids, &linux->uidMappings);
    rule_id_mappings(report, gids, &linux->gidMappings);
    if (check_has_namespace(spec, "user", true)) {
        if (linux->uidMappings.count == 0)
            record_fault(report, uids, "a new user namespace needs at least one range of user ids");
        if (linux->gidMappings.count == 0)
            record_fault(
                    report, gids, "a new user namespace needs at least one range of group ids");
    } else if (!check_has_namespace(spec, "user", false) &&
               (linux->uidMappings.count || linux->gidMappings.count)) {
        record_fault(report, linux->uidMappings.count ? uids : gids,
                "ids are mapped, but there is no user namespace: add {\"type\":\"user\"} to "
                "/linux/namespaces");
    }
}

/* The type's bits of a mode; Podman writes them too, as stat(2) gives them. */
static uint32_t type_bits(const char *type)
{
    switch (type ? type[0] : 0) {
    case 'c':
    case 'u':
        return S_IFCHR;
    case 'b':
        return S_IFBLK;
    case 'p':
        return S_IFIFO;
    default:
        return 0;
    }
}

static void check_file_mode(struct record_report *report, const struct record_place *here,
        const struct spec_device *device)
{
    uint32_t mode = device->fileMode.value;
    uint32_t type = mode & ~(uint32_t)FILE_MODE_MAX;

    if (device->fileMode.set && type && type != type_bits(device->type))
        record_fault(report, RECORD_MEMBER(here, "fileMode"),
                "%u is larger than %d (octal 7777): the number is written in decimal", mode,
                FILE_MODE_MAX);
}

static void check_devices(struct record_report *report, const struct record_place *place,
        const struct spec_linux *linux)
{
    static const char *const type_list[] = {"c", "u", "b", "p"};
    static const struct spec_words types = {type_list, ARRAY_SIZE(type_list)};

    for (size_t i = 0; i < linux->devices.count; i++) {
        const struct spec_device *device = &linux->devices.items[i];
        const struct record_place *here = RECORD_ITEM(place, i);
        if (device->path && rule_absolute(report, RECORD_MEMBER(here, "path"), device->path) &&
                rule_path_escapes(device->path))
            record_fault(report, RECORD_MEMBER(here, "path"),
                    "\"%.256s\" leads out of the root by \"..\"", device->path);
        rule_one_of(report, RECORD_MEMBER(here, "type"), device->type, &types, "device type");
        if (!str_equal(device->type, "p"))
            check_device_numbers(report, here, device->major, device->minor, 0);
        check_file_mode(report, here, device);
    }
}

static const char *inner_name(const struct spec_net_device *device)
{
    return str_empty(device->name) ? device->host_name : device->name;
}

static void check_net_devices(
        struct record_report *report, const struct record_place *place, const struct spec *spec)
{
    const struct spec_linux *linux = &spec->linux;

    if (linux->netDevices.count && !check_has_namespace(spec, "network", false))
        record_fault(report, place,
                "devices can only be moved into a network namespace: add {\"type\":\"network\"} to "
                "/linux/namespaces");
    for (size_t i = 0; i < linux->netDevices.count; i++) {
        const struct spec_net_device *device = &linux->netDevices.items[i];
        const struct record_place *here = RECORD_MEMBER(place, device->host_name);
        bool good = rule_interface(report, here, device->host_name);
        if (!str_empty(device->name))
            good &= rule_interface(report, RECORD_MEMBER(here, "name"), device->name);
        for (size_t j = 0; good && j < i; j++)
            if (str_equal(inner_name(device), inner_name(&linux->netDevices.items[j])))
                record_fault(report, RECORD_MEMBER(here, "name"),
                        "\"%.64s\" is already the name of %.64s inside", inner_name(device),
                        linux->netDevices.items[j].host_name);
    }
}

/* Which namespace a kernel parameter belongs to; `prefix` ends in "." or is the whole name. */
static const struct sysctl_owner {
    const char *name;
    const char *namespace;
} sysctl_owners[] = {
        {"kernel.msgmax", "ipc"},
        {"kernel.msgmnb", "ipc"},
        {"kernel.msgmni", "ipc"},
        {"kernel.sem", "ipc"},
        {"kernel.shmall", "ipc"},
        {"kernel.shmmax", "ipc"},
        {"kernel.shmmni", "ipc"},
        {"kernel.shm_rmid_forced", "ipc"},
        {"fs.mqueue.", "ipc"},
        {"kernel.domainname", "uts"},
        {"kernel.hostname", "uts"},
        {"net.", "network"},
        {"user.", "user"},
};

static const char *sysctl_namespace(const char *key)
{
    for (size_t i = 0; i < ARRAY_SIZE(sysctl_owners); i++) {
        const char *name = sysctl_owners[i].name;
        if (str_ends(name, ".") ? str_starts(key, name) : str_equal(key, name))
            return sysctl_owners[i].namespace;
    }
    return NULL;
}

/* sysctl(8) takes "net/ipv4/ip_forward" too; where the first separator is a slash, the two change
 * places. */
static const char *sysctl_dotted(struct arena *arena, const char *key)
{
    char *name = arena_strdup(arena, key);
    size_t first = strcspn(name, "./");

    if (name[first] == '/')
        for (char *at = name; *at; at++)
            *at = (char)(*at == '/' ? '.' : *at == '.' ? '/' : *at);
    return name;
}

static void check_sysctl(
        struct record_report *report, const struct record_place *place, const struct spec *spec)
{
    for (size_t i = 0; i < spec->linux.sysctl.count; i++) {
        const char *key = spec->linux.sysctl.items[i].key;
        const struct record_place *here = RECORD_MEMBER(place, key);
        const char *namespace = sysctl_namespace(sysctl_dotted(report->arena, key));
        if (path_has_dotdot(key))
            record_fault(report, here, "\"..\" does not belong into a kernel parameter's name");
        else if (!namespace)
            record_fault(report, here,
                    "sysctl \"%.128s\" is not in a separate kernel namespace: it would change the "
                    "host; set it there",
                    key);
        else if (!check_has_namespace(spec, namespace, false))
            record_fault(report, here,
                    "sysctl \"%.128s\" is not allowed in the host's %s namespace: add "
                    "{\"type\":\"%s\"} to /linux/namespaces",
                    key, namespace, namespace);
        else if (str_equal(namespace, "uts") && spec->hostname && str_ends(key, "hostname"))
            record_fault(report, here, "the host name is already given by /hostname");
    }
}

static void check_paths(
        struct record_report *report, const struct record_place *place, const struct strv *paths)
{
    for (size_t i = 0; i < paths->count; i++)
        if (rule_absolute(report, RECORD_ITEM(place, i), paths->words[i]) &&
                rule_path_escapes(paths->words[i]))
            record_fault(report, RECORD_ITEM(place, i),
                    "\"%.256s\" leads out of the root by \"..\"", paths->words[i]);
}

static void check_cgroups_path(
        struct record_report *report, const struct record_place *place, const char *path)
{
    if (path && path_has_dotdot(path))
        record_fault(report, place,
                "\"%.256s\" has a \"..\" part: write the path below the control groups' mount "
                "without it",
                path);
}

static void check_one_offset(struct record_report *report, const struct record_place *place,
        const struct spec_time_offset *offset)
{
    if (!offset)
        return;
    rule_range(report, RECORD_MEMBER(place, "secs"), offset->secs, -OFFSET_MAX, OFFSET_MAX,
            " seconds");
    if (offset->nanosecs >= NANOSECONDS)
        record_fault(report, RECORD_MEMBER(place, "nanosecs"), "%u is not below %d",
                offset->nanosecs, NANOSECONDS);
}

static void check_time_offsets(
        struct record_report *report, const struct record_place *place, const struct spec *spec)
{
    const struct spec_time_offsets *offsets = &spec->linux.timeOffsets;

    if ((offsets->monotonic || offsets->boottime) && !check_has_namespace(spec, "time", true))
        record_fault(report, place,
                "clocks can only be offset in a new time namespace: add {\"type\":\"time\"} to "
                "/linux/namespaces");
    check_one_offset(report, RECORD_MEMBER(place, "monotonic"), offsets->monotonic);
    check_one_offset(report, RECORD_MEMBER(place, "boottime"), offsets->boottime);
}

static void check_schema(struct record_report *report, const struct record_place *place,
        const char *text, const char *prefix)
{
    if (str_empty(text))
        return;
    if ((prefix && !str_starts(text, prefix)) || strchr(text, '\n'))
        record_fault(report, place, "\"%.64s\" is not one line of a schemata file%s%s", text,
                prefix ? " that starts with " : "", prefix ? prefix : "");
}

static void check_intel_rdt(struct record_report *report, const struct record_place *place,
        const struct spec_intel_rdt *rdt)
{
    const struct record_place *schemata = RECORD_MEMBER(place, "schemata");

    if (!rdt)
        return;
    if (rdt->closID && (!*rdt->closID || strchr(rdt->closID, '/') || str_equal(rdt->closID, ".") ||
                               str_equal(rdt->closID, "..")))
        record_fault(report, RECORD_MEMBER(place, "closID"),
                "\"%.64s\" is not the name of a class: write one directory's name", rdt->closID);
    for (size_t i = 0; i < rdt->schemata.count; i++)
        check_schema(report, RECORD_ITEM(schemata, i), rdt->schemata.words[i], NULL);
    check_schema(report, RECORD_MEMBER(place, "l3CacheSchema"), rdt->l3CacheSchema, "L3");
    check_schema(report, RECORD_MEMBER(place, "memBwSchema"), rdt->memBwSchema, "MB:");
}

static void check_memory_policy(struct record_report *report, const struct record_place *place,
        const struct spec_memory_policy *policy)
{
    if (!policy)
        return;
    rule_one_of(report, RECORD_MEMBER(place, "mode"), policy->mode, &spec_memory_modes,
            "memory policy");
    rule_all_of(report, RECORD_MEMBER(place, "flags"), &policy->flags, &spec_memory_flags,
            "memory policy flag");
    rule_number_list(report, RECORD_MEMBER(place, "nodes"), policy->nodes);
    bool no_nodes =
            str_equal(policy->mode, "MPOL_DEFAULT") || str_equal(policy->mode, "MPOL_LOCAL");
    if (no_nodes && !str_empty(policy->nodes))
        record_fault(report, RECORD_MEMBER(place, "nodes"), "%s takes no nodes: leave them out",
                policy->mode);
}

static void check_personality(struct record_report *report, const struct record_place *place,
        const struct spec_personality *personality)
{
    if (!personality)
        return;
    rule_one_of(report, RECORD_MEMBER(place, "domain"), personality->domain, &spec_personalities,
            "personality");
    if (personality->flags.count)
        record_fault(report, RECORD_MEMBER(place, "flags"),
                "the specification defines no flags yet: leave them out");
}

void check_linux(
        struct record_report *report, const struct record_place *place, const struct spec *spec)
{
    const struct spec_linux *linux = &spec->linux;

    check_namespaces(report, RECORD_MEMBER(place, "namespaces"), spec);
    check_user_namespace(report, place, spec);
    check_devices(report, RECORD_MEMBER(place, "devices"), linux);
    check_net_devices(report, RECORD_MEMBER(place, "netDevices"), spec);
    check_sysctl(report, RECORD_MEMBER(place, "sysctl"), spec);
    check_resources(report, RECORD_MEMBER(place, "resources"), &linux->resources);
    check_cgroups_path(report, RECORD_MEMBER(place, "cgroupsPath"), linux->cgroupsPath);
    check_seccomp(report, RECORD_MEMBER(place, "seccomp"), linux->seccomp,
            spec_annotation(spec, "run.oci.seccomp.receiver") != NULL);
    if (!str_empty(linux->rootfsPropagation))
        rule_one_of(report, RECORD_MEMBER(place, "rootfsPropagation"), linux->rootfsPropagation,
                &spec_propagations, "propagation");
    check_paths(report, RECORD_MEMBER(place, "maskedPaths"), &linux->maskedPaths);
    check_paths(report, RECORD_MEMBER(place, "readonlyPaths"), &linux->readonlyPaths);
    check_intel_rdt(report, RECORD_MEMBER(place, "intelRdt"), linux->intelRdt);
    check_memory_policy(report, RECORD_MEMBER(place, "memoryPolicy"), linux->memoryPolicy);
    check_personality(report, RECORD_MEMBER(place, "personality"), linux->personality);
    check_time_offsets(report, RECORD_MEMBER(place, "timeOffsets"), spec);
}
