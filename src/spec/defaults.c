#include "spec/defaults.h"

#include "base/cleanup.h"

#define WORDS(name_, ...)                                                                          \
    static const char *const name_##_list[] = {__VA_ARGS__};                                       \
    const struct spec_words name_ = {name_##_list, ARRAY_SIZE(name_##_list)}

WORDS(spec_default_capabilities, "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID",
        "CAP_KILL", "CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE",
        "CAP_NET_RAW", "CAP_SYS_CHROOT", "CAP_MKNOD", "CAP_AUDIT_WRITE", "CAP_SETFCAP");

/* What runc's `spec` gives: the three that the example of the specification has. */
static const char *const example_list[] = {"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"};
static const struct spec_words example_capabilities = {example_list, ARRAY_SIZE(example_list)};

WORDS(spec_default_masked, "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore",
        "/proc/keys", "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list",
        "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware");

WORDS(spec_default_readonly, "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
        "/proc/sysrq-trigger");

struct default_mount {
    const char *destination;
    const char *type;
    const char *source;
    const char *options;
    const char *rootless; /* the options without privileges; NULL: the same */
};

/* gid 5 is tty by old custom; where only one id is mapped it does not exist. */
static const struct default_mount default_mounts[] = {
        {"/proc", "proc", "proc", "nosuid,noexec,nodev", NULL},
        {"/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k", NULL},
        {"/dev/pts", "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5",
                "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620"},
        {"/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777,size=65536k", NULL},
        {"/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev", NULL},
        {"/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro", NULL},
        {"/sys/fs/cgroup", "cgroup", "cgroup", "nosuid,noexec,nodev,relatime,ro", NULL},
};

struct spec_mount *spec_add_mount(struct arena *arena, struct spec *spec, const char *destination,
        const char *type, const char *source, const char *options)
{
    struct spec_mount *mount = RECORD_APPEND(arena, &spec->mounts);

    *mount = (struct spec_mount){.destination = destination, .type = type, .source = source};
    if (options)
        strv_split(arena, &mount->options, options, ',');
    return mount;
}

struct spec_device *spec_add_device(struct arena *arena, struct spec *spec, const char *path,
        const char *type, int64_t major, int64_t minor)
{
    struct spec_device *device = RECORD_APPEND(arena, &spec->linux.devices);

    *device = (struct spec_device){.path = path, .type = type, .major = major, .minor = minor};
    return device;
}

struct spec_device_rule *spec_add_device_rule(
        struct arena *arena, struct spec_resources *resources, bool allow, const char *access)
{
    struct spec_device_rule *rule = RECORD_APPEND(arena, &resources->devices);

    *rule = (struct spec_device_rule){.allow = allow, .access = access};
    return rule;
}

struct spec_namespace *spec_add_namespace(
        struct arena *arena, struct spec *spec, const char *type, const char *path)
{
    struct spec_namespace *namespace = RECORD_APPEND(arena, &spec->linux.namespaces);

    *namespace = (struct spec_namespace){.type = type, .path = path};
    return namespace;
}

struct spec_rlimit *spec_add_rlimit(
        struct arena *arena, struct spec_process *process, const char *type)
{
    struct spec_rlimit *limit = RECORD_APPEND(arena, &process->rlimits);

    *limit = (struct spec_rlimit){.type = type};
    return limit;
}

void spec_map_set(struct arena *arena, struct record_map *map, const char *key, const char *value)
{
    for (size_t i = 0; i < map->count; i++)
        if (str_equal(map->items[i].key, key)) {
            map->items[i].value = value;
            return;
        }
    struct record_pair *pair = RECORD_APPEND(arena, map);
    *pair = (struct record_pair){key, value};
}

static void copy_words(struct arena *arena, struct strv *list, const struct spec_words *words)
{
    for (size_t i = 0; i < words->count; i++)
        strv_add(arena, list, words->words[i]);
}

/* No inheritable ones: a program with file capabilities would gain them. Ambient ones would have to
 * be inheritable. */
static struct spec_capabilities *make_capabilities(
        struct arena *arena, const struct spec_words *words)
{
    struct spec_capabilities *sets = arena_new(arena, struct spec_capabilities);

    copy_words(arena, &sets->bounding, words);
    copy_words(arena, &sets->effective, words);
    copy_words(arena, &sets->permitted, words);
    return sets;
}

static struct spec_process *make_process(struct arena *arena, bool run)
{
    struct spec_process *process = arena_new(arena, struct spec_process);

    process->cwd = "/";
    strv_add(arena, &process->env,
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    process->capabilities =
            make_capabilities(arena, run ? &spec_default_capabilities : &example_capabilities);
    if (run)
        return process;
    process->terminal = true;
    process->noNewPrivileges = true;
    strv_add(arena, &process->args, "sh");
    strv_add(arena, &process->env, "TERM=xterm");
    *spec_add_rlimit(arena, process, "RLIMIT_NOFILE") =
            (struct spec_rlimit){"RLIMIT_NOFILE", 1024, 1024};
    return process;
}

static void add_mounts(struct arena *arena, struct spec *spec, bool rootless)
{
    for (size_t i = 0; i < ARRAY_SIZE(default_mounts); i++) {
        const struct default_mount *row = &default_mounts[i];
        const char *options = rootless && row->rootless ? row->rootless : row->options;
        if (rootless && str_equal(row->type, "sysfs")) /* needs the network namespace's owner */
            spec_add_mount(
                    arena, spec, row->destination, "none", "/sys", "rbind,nosuid,noexec,nodev,ro");
        else if (!rootless || !str_equal(row->type, "cgroup"))
            spec_add_mount(arena, spec, row->destination, row->type, row->source, options);
    }
}

static void add_one_id(struct arena *arena, struct spec_id_mappings *list, uint32_t host_id)
{
    struct spec_id_mapping *mapping = RECORD_APPEND(arena, list);

    *mapping = (struct spec_id_mapping){0, host_id, 1};
}

static void add_namespaces(struct arena *arena, struct spec *spec, enum spec_default kind)
{
    static const char *const types[] = {"pid", "ipc", "uts", "mount", "cgroup"};

    if (kind != SPEC_DEFAULT_ROOTLESS)
        spec_add_namespace(arena, spec, "network", NULL);
    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        spec_add_namespace(arena, spec, types[i], NULL);
    if (kind == SPEC_DEFAULT_ROOTLESS)
        spec_add_namespace(arena, spec, "user", NULL);
}

struct spec *spec_default_new(
        struct arena *arena, enum spec_default kind, uint32_t host_uid, uint32_t host_gid)
{
    struct spec *spec = arena_new(arena, struct spec);
    bool rootless = kind == SPEC_DEFAULT_ROOTLESS;
    bool run = kind == SPEC_DEFAULT_RUN;

    spec->ociVersion = SPEC_VERSION;
    spec->process = make_process(arena, run);
    spec->root = arena_new(arena, struct spec_root);
    *spec->root = (struct spec_root){"rootfs", !run};
    spec->hostname = run ? NULL : "viv";
    add_mounts(arena, spec, rootless);
    add_namespaces(arena, spec, kind);
    if (rootless) {
        add_one_id(arena, &spec->linux.uidMappings, host_uid);
        add_one_id(arena, &spec->linux.gidMappings, host_gid);
    } else {
        spec_add_device_rule(arena, &spec->linux.resources, false, "rwm");
    }
    copy_words(arena, &spec->linux.maskedPaths, &spec_default_masked);
    copy_words(arena, &spec->linux.readonlyPaths, &spec_default_readonly);
    return spec;
}
