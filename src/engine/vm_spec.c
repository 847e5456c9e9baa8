#include "engine/vm_spec.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/install.h"
#include "base/path.h"
#include "engine/machine.h"
#include "engine/vm_joined.h"
#include "engine/vm_mounts.h"
#include "engine/vm_network.h"
#include "spec/check.h"
#include "spec/defaults.h"

#define MIB (INT64_C(1) << 20)
#define MEMORY_DEFAULT (256 * MIB)
#define MEMORY_KERNEL (128 * MIB) /* what a guest's kernel takes beside the workload's limit */
#define MEMORY_VMM (64 * MIB)     /* what viv-vmm may take beside the guest's memory */
#define MEMORY_MIN (192 * MIB)
#define OPEN_FILES_MAX 1048576 /* a kernel's fs.nr_open */

/* `pci=off`: devices come by ACPI. A panic ends the machine at once. The kernel's tests of its own
 * ciphers are 40 of 100 instructions of a boot, and were passed when the kernel was built. */
#define COMMAND_LINE                                                                               \
    "console=ttyS0 quiet loglevel=3 panic=-1 pci=off cgroup_no_v1=all random.trust_cpu=on "        \
    "cryptomgr.notests percpu_alloc=page"

/* What scripts/guest-image writes beside the kernel. */
struct facts {
    const char *release;
    uint32_t last_capability;
    const char *plan_sources; /* of the agent; NULL: not told */
};

static const struct field facts_fields[] = {
        FIELD_REQUIRED(struct facts, release, FIELD_STR),
        FIELD_ROW(struct facts, last_capability, "lastCapability", FIELD_U32, FIELD_MUST, NULL),
        FIELD_AS(struct facts, plan_sources, "planSources", FIELD_STR),
};
static const struct record facts_record = RECORD(struct facts, facts_fields);

/* ---- the kernel ------------------------------------------------------------------------------ */

static int find_folder(struct vm *vm, const char **ret, struct error *err)
{
    if (vm->config->kernel) {
        *ret = vm->config->kernel;
        return 0;
    }
    int r = install_find_data(vm->arena, "guest", ret, err);
    return r < 0 ? error_append(err, "; machines need it: build viv where apt can fetch "
                                     "linux-image-cloud-amd64, or name a folder with --kernel")
                 : 0;
}

static int read_kernel(struct vm *vm, struct error *err)
{
    _cleanup_json_ struct json_object *json = NULL;
    struct record_report report = {.arena = vm->arena};
    struct facts facts = {0};
    const char *folder;
    int r = find_folder(vm, &folder, err);

    if (r < 0)
        return r;
    const char *path = path_join(vm->arena, folder, "facts.json");
    r = json_parse_file_at(AT_FDCWD, path, &json, err);
    if (r < 0)
        return error_prefix(err,
                "--kernel %s: not a folder for machines (vmlinuz, initramfs, facts.json, as "
                "scripts/guest-image makes it)",
                folder);
    record_read(&facts_record, json, "", &facts, &report);
    r = record_error(&report, path, err);
    if (r == 0 && facts.last_capability > 62)
        r = error_set(err, EINVAL, "%s: /lastCapability: a capability has a number below 63", path);
    if (r < 0)
        return r;
    vm->guest.last_capability = facts.last_capability;
    vm->agent_plans_alike = str_equal(facts.plan_sources, container_plan_sources());
    vm->machine.kernel.path = path_join(vm->arena, folder, "vmlinuz");
    vm->machine.initrd.path = path_join(vm->arena, folder, "initramfs");
    return 0;
}

/* ---- the guest's configuration --------------------------------------------------------------- */

static int copy_spec(struct vm *vm, struct error *err)
{
    _cleanup_json_ struct json_object *json = spec_write(vm->request->spec);
    const char *text = arena_strdup(vm->arena, json_text(json));

    return spec_load(text, strlen(text), "config.json", vm->arena, &vm->guest_spec, NULL, err);
}

/* Ids are the guest's own: a user namespace would protect nobody but the guest's kernel. */
static void drop_user_namespace(struct spec *spec)
{
    size_t kept = 0;

    for (size_t i = 0; i < spec->linux.namespaces.count; i++)
        if (!str_equal(spec->linux.namespaces.items[i].type, "user"))
            spec->linux.namespaces.items[kept++] = spec->linux.namespaces.items[i];
    spec->linux.namespaces.count = kept;
    spec->linux.uidMappings.count = spec->linux.gidMappings.count = 0;
}

void vm_keep_open_files(struct arena *arena, struct spec_process *process)
{
    struct rlimit own;

    for (size_t i = 0; i < process->rlimits.count; i++)
        if (str_equal(process->rlimits.items[i].type, "RLIMIT_NOFILE"))
            return;
    if (getrlimit(RLIMIT_NOFILE, &own) < 0)
        return;
    struct spec_rlimit *limit = spec_add_rlimit(arena, process, "RLIMIT_NOFILE");
    limit->hard = own.rlim_max < OPEN_FILES_MAX ? own.rlim_max : OPEN_FILES_MAX;
    limit->soft = own.rlim_cur < limit->hard ? own.rlim_cur : limit->hard;
}

void vm_drop_host_cpus(struct spec_resources *resources)
{
    resources->cpu.cpus = resources->cpu.mems = NULL;
}

/* Namespaces of the host that a workload asks to be in: the guest's kernel has others. */
static void tell_host_namespaces(struct vm *vm)
{
    static const char *const types[] = {"pid", "ipc", "uts"};
    struct strv *warnings = &vm->making->built.warnings;
    struct spec *spec = &vm->guest_spec;

    if (!spec_namespace_find(spec, "network"))
        strv_add(vm->arena, warnings,
                "the host's network is not a machine's: it has a network of its own, in which "
                "there "
                "is the loopback alone (--network NAME gives it more)");
    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        if (!spec_namespace_find(spec, types[i]))
            strv_add(vm->arena, warnings,
                    arena_printf(vm->arena,
                            "the host's %s namespace is not a machine's: the workload is in that "
                            "of "
                            "the machine's own kernel",
                            types[i]));
}

static int make_guest_spec(struct vm *vm, struct error *err)
{
    struct spec *spec = &vm->guest_spec;
    int r = copy_spec(vm, err);

    if (r == 0)
        r = vm_joined_describe(vm, err);
    if (r == 0)
        r = vm_translate_mounts(vm, err);
    if (r < 0)
        return r;
    tell_host_namespaces(vm);
    drop_user_namespace(spec);
    vm_drop_host_cpus(&spec->linux.resources);
    spec->linux.cgroupsPath = NULL;
    spec->hooks = (__typeof__(spec->hooks)){.startContainer = spec->hooks.startContainer};
    spec->root->path = CONTAINER_GUEST_ROOT;
    vm_keep_open_files(vm->arena, spec->process);
    vm->guest.spec = spec;
    vm->guest.id = vm->request->id;
    vm->guest.seccomp = vm->request->seccomp;
    vm->guest.wait_for_start = vm->request->wait_for_start;
    vm->guest.delegate = vm->request->cgroup_delegate;
    vm->guest.unmasked_devices = vm->request->unmasked_devices;
    return 0;
}

/* ---- the machine ----------------------------------------------------------------------------- */

static uint64_t memory_of(const struct spec_resources *resources)
{
    const struct opt_i64 *limit = &resources->memory.limit;
    int64_t wanted = MEMORY_DEFAULT;

    if (limit->set && limit->value > 0)
        wanted = limit->value + MEMORY_KERNEL;
    if (wanted < MEMORY_MIN)
        wanted = MEMORY_MIN;
    return (uint64_t)((wanted + 2 * MIB - 1) / (2 * MIB) * (2 * MIB));
}

/* How many CPUs a list names ("0-3,7"), which was checked before. */
static int64_t count_cpus(const char *list)
{
    int64_t count = 0;
    unsigned first, last;
    int used = 0;

    for (; list && sscanf(list, "%u%n", &first, &used) == 1; list += *list == ',') {
        list += used;
        last = first;
        if (sscanf(list, "-%u%n", &last, &used) == 1)
            list += used;
        count += last >= first ? (int64_t)last - first + 1 : 0;
    }
    return count;
}

/* Enough for the CPU time that it may have, or for the host's CPUs that it may run on. */
static uint32_t cpus_of(const struct spec_resources *resources)
{
    const struct opt_i64 *quota = &resources->cpu.quota;
    int64_t period = resources->cpu.period.set ? (int64_t)resources->cpu.period.value : 100000;
    int64_t cpus = count_cpus(resources->cpu.cpus);

    if (quota->set && quota->value > 0 && period > 0)
        cpus = (quota->value + period - 1) / period;
    if (cpus < 1)
        return 1;
    return cpus > PROTO_CPUS_MAX ? PROTO_CPUS_MAX : (uint32_t)cpus;
}

static int make_machine(struct vm *vm, struct error *err)
{
    const struct spec_resources *resources = &vm->request->spec->linux.resources;
    struct proto_machine *machine = &vm->machine;

    machine->name = vm->request->id;
    machine->accel = vm->config->accel;
    machine->portable = vm->config->portable;
    machine->cpus = cpus_of(resources);
    machine->memory = memory_of(resources);
    machine->append = COMMAND_LINE;
    machine->disks.items = arena_new(vm->arena, struct proto_disk);
    machine->disks.count = 1;
    machine->disks.items[0] = (struct proto_disk){
            .file = {vm->config->root, {vm->config->root_fd >= 0, vm->config->root_fd}},
            .format = "raw",
            .serial = "root",
            .read_only = true};
    if (vm->config->upper) { /* the last one: those of mounts have numbers */
        struct proto_share *share = RECORD_APPEND(vm->arena, &machine->shares);
        *share = (struct proto_share){
                .tag = VM_UPPER_TAG, .folder.path = vm->config->upper, .fixed = true};
    }
    machine->vsock = arena_new(vm->arena, struct proto_vsock);
    machine->vsock->cid = 3;
    return engine_machine_check_memory(machine->memory, err);
}

int vm_describe(struct vm *vm, struct error *err)
{
    int r = make_guest_spec(vm, err);

    if (r == 0)
        r = vm_network_describe(vm, err);
    if (r == 0)
        r = read_kernel(vm, err);
    return r < 0 ? r : make_machine(vm, err);
}

const struct cgroup_limits *vm_host_limits(const struct vm *vm)
{
    const struct spec_resources *from = &vm->request->spec->linux.resources;
    struct cgroup_limits *limits = arena_new(vm->arena, struct cgroup_limits);

    limits->cpu = (struct cgroup_cpu){
            .shares = from->cpu.shares,
            .quota = from->cpu.quota,
            .period = from->cpu.period,
            .cpus = from->cpu.cpus,
            .mems = from->cpu.mems,
    };
    if (from->memory.limit.set && from->memory.limit.value > 0)
        limits->memory.limit = (struct opt_i64){true, (int64_t)vm->machine.memory + MEMORY_VMM};
    return limits;
}
