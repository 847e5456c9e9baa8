#include "spec/spec.h"

/* One table for each object of the specification, in the order in which it is written. */

static const struct field box_fields[] = {
        FIELD_REQUIRED(struct spec_box, height, FIELD_U32),
        FIELD_REQUIRED(struct spec_box, width, FIELD_U32),
};
static const struct record box_record = RECORD(struct spec_box, box_fields);

static const struct field user_fields[] = {
        FIELD_WRITTEN(struct spec_user, uid, FIELD_U32),
        FIELD_WRITTEN(struct spec_user, gid, FIELD_U32),
        FIELD(struct spec_user, umask, FIELD_OPT_U32),
        FIELD(struct spec_user, additionalGids, FIELD_U32S),
        FIELD(struct spec_user, username, FIELD_STR),
};
static const struct record user_record = RECORD(struct spec_user, user_fields);

static const struct field capabilities_fields[] = {
        FIELD(struct spec_capabilities, bounding, FIELD_STRV),
        FIELD(struct spec_capabilities, effective, FIELD_STRV),
        FIELD(struct spec_capabilities, inheritable, FIELD_STRV),
        FIELD(struct spec_capabilities, permitted, FIELD_STRV),
        FIELD(struct spec_capabilities, ambient, FIELD_STRV),
};
static const struct record capabilities_record =
        RECORD(struct spec_capabilities, capabilities_fields);

static const struct field rlimit_fields[] = {
        FIELD_REQUIRED(struct spec_rlimit, type, FIELD_STR),
        FIELD_REQUIRED(struct spec_rlimit, hard, FIELD_U64),
        FIELD_REQUIRED(struct spec_rlimit, soft, FIELD_U64),
};
static const struct record rlimit_record = RECORD(struct spec_rlimit, rlimit_fields);

static const struct field scheduler_fields[] = {
        FIELD_REQUIRED(struct spec_scheduler, policy, FIELD_STR),
        FIELD(struct spec_scheduler, nice, FIELD_I32),
        FIELD(struct spec_scheduler, priority, FIELD_I32),
        FIELD(struct spec_scheduler, flags, FIELD_STRV),
        FIELD(struct spec_scheduler, runtime, FIELD_U64),
        FIELD(struct spec_scheduler, deadline, FIELD_U64),
        FIELD(struct spec_scheduler, period, FIELD_U64),
        FIELD(struct spec_scheduler, utilClampMin, FIELD_OPT_U32),
        FIELD(struct spec_scheduler, utilClampMax, FIELD_OPT_U32),
};
static const struct record scheduler_record = RECORD(struct spec_scheduler, scheduler_fields);

static const struct field io_priority_fields[] = {
        FIELD_REQUIRED(struct spec_io_priority, class, FIELD_STR),
        FIELD_WRITTEN(struct spec_io_priority, priority, FIELD_I32),
};
static const struct record io_priority_record = RECORD(struct spec_io_priority, io_priority_fields);

static const struct field cpu_affinity_fields[] = {
        FIELD(struct spec_cpu_affinity, initial, FIELD_STR),
        FIELD(struct spec_cpu_affinity, final, FIELD_STR),
};
static const struct record cpu_affinity_record =
        RECORD(struct spec_cpu_affinity, cpu_affinity_fields);

static const struct field process_fields[] = {
        FIELD(struct spec_process, terminal, FIELD_BOOL),
        FIELD_OF(struct spec_process, consoleSize, "consoleSize", FIELD_POINTER, &box_record),
        FIELD_ROW(struct spec_process, user, "user", FIELD_RECORD, FIELD_ALWAYS, &user_record),
        FIELD(struct spec_process, args, FIELD_STRV),
        FIELD(struct spec_process, env, FIELD_STRV),
        FIELD_REQUIRED(struct spec_process, cwd, FIELD_STR),
        FIELD_OF(struct spec_process, capabilities, "capabilities", FIELD_POINTER,
                &capabilities_record),
        FIELD_OF(struct spec_process, rlimits, "rlimits", FIELD_LIST, &rlimit_record),
        FIELD(struct spec_process, noNewPrivileges, FIELD_BOOL),
        FIELD(struct spec_process, apparmorProfile, FIELD_STR),
        FIELD(struct spec_process, oomScoreAdj, FIELD_OPT_I64),
        FIELD_OF(struct spec_process, scheduler, "scheduler", FIELD_POINTER, &scheduler_record),
        FIELD(struct spec_process, selinuxLabel, FIELD_STR),
        FIELD_OF(struct spec_process, ioPriority, "ioPriority", FIELD_POINTER, &io_priority_record),
        FIELD_OF(struct spec_process, execCPUAffinity, "execCPUAffinity", FIELD_POINTER,
                &cpu_affinity_record),
        FIELD_IGNORE("commandLine"),
};
const struct record spec_process_record = RECORD(struct spec_process, process_fields);

static const struct field root_fields[] = {
        FIELD_REQUIRED(struct spec_root, path, FIELD_STR),
        FIELD(struct spec_root, readonly, FIELD_BOOL),
};
static const struct record root_record = RECORD(struct spec_root, root_fields);

static const struct field id_mapping_fields[] = {
        FIELD_REQUIRED(struct spec_id_mapping, containerID, FIELD_U32),
        FIELD_REQUIRED(struct spec_id_mapping, hostID, FIELD_U32),
        FIELD_REQUIRED(struct spec_id_mapping, size, FIELD_U32),
};
static const struct record id_mapping_record = RECORD(struct spec_id_mapping, id_mapping_fields);

static const struct field mount_fields[] = {
        FIELD_REQUIRED(struct spec_mount, destination, FIELD_STR),
        FIELD(struct spec_mount, type, FIELD_STR),
        FIELD(struct spec_mount, source, FIELD_STR),
        FIELD(struct spec_mount, options, FIELD_STRV),
        FIELD_OF(struct spec_mount, uidMappings, "uidMappings", FIELD_LIST, &id_mapping_record),
        FIELD_OF(struct spec_mount, gidMappings, "gidMappings", FIELD_LIST, &id_mapping_record),
};
static const struct record mount_record = RECORD(struct spec_mount, mount_fields);

static const struct field hook_fields[] = {
        FIELD_REQUIRED(struct spec_hook, path, FIELD_STR),
        FIELD(struct spec_hook, args, FIELD_STRV),
        FIELD(struct spec_hook, env, FIELD_STRV),
        FIELD(struct spec_hook, timeout, FIELD_OPT_I64),
};
const struct record spec_hook_record = RECORD(struct spec_hook, hook_fields);

static const struct field hooks_fields[] = {
        FIELD_OF(struct spec_hooks, prestart, "prestart", FIELD_LIST, &spec_hook_record),
        FIELD_OF(struct spec_hooks, createRuntime, "createRuntime", FIELD_LIST, &spec_hook_record),
        FIELD_OF(struct spec_hooks, createContainer, "createContainer", FIELD_LIST,
                &spec_hook_record),
        FIELD_OF(
                struct spec_hooks, startContainer, "startContainer", FIELD_LIST, &spec_hook_record),
        FIELD_OF(struct spec_hooks, poststart, "poststart", FIELD_LIST, &spec_hook_record),
        FIELD_OF(struct spec_hooks, poststop, "poststop", FIELD_LIST, &spec_hook_record),
};
static const struct record hooks_record = RECORD(struct spec_hooks, hooks_fields);

static const struct field namespace_fields[] = {
        FIELD_REQUIRED(struct spec_namespace, type, FIELD_STR),
        FIELD(struct spec_namespace, path, FIELD_STR),
};
static const struct record namespace_record = RECORD(struct spec_namespace, namespace_fields);

static const struct field device_fields[] = {
        FIELD_REQUIRED(struct spec_device, path, FIELD_STR),
        FIELD_REQUIRED(struct spec_device, type, FIELD_STR),
        FIELD_WRITTEN(struct spec_device, major, FIELD_I64),
        FIELD_WRITTEN(struct spec_device, minor, FIELD_I64),
        FIELD(struct spec_device, fileMode, FIELD_OPT_U32),
        FIELD(struct spec_device, uid, FIELD_OPT_U32),
        FIELD(struct spec_device, gid, FIELD_OPT_U32),
};
static const struct record device_record = RECORD(struct spec_device, device_fields);

static const struct field net_device_fields[] = {
        FIELD(struct spec_net_device, name, FIELD_STR),
};
static const struct record net_device_record = RECORD(struct spec_net_device, net_device_fields);

static const struct field device_rule_fields[] = {
        FIELD_REQUIRED(struct spec_device_rule, allow, FIELD_BOOL),
        FIELD(struct spec_device_rule, type, FIELD_STR),
        FIELD(struct spec_device_rule, major, FIELD_OPT_I64),
        FIELD(struct spec_device_rule, minor, FIELD_OPT_I64),
        FIELD(struct spec_device_rule, access, FIELD_STR),
};
static const struct record device_rule_record = RECORD(struct spec_device_rule, device_rule_fields);

static const struct field memory_fields[] = {
        FIELD(struct spec_memory, limit, FIELD_OPT_I64),
        FIELD(struct spec_memory, reservation, FIELD_OPT_I64),
        FIELD(struct spec_memory, swap, FIELD_OPT_I64),
        FIELD(struct spec_memory, kernel, FIELD_OPT_I64),
        FIELD(struct spec_memory, kernelTCP, FIELD_OPT_I64),
        FIELD(struct spec_memory, swappiness, FIELD_OPT_U64),
        FIELD(struct spec_memory, disableOOMKiller, FIELD_OPT_BOOL),
        FIELD(struct spec_memory, useHierarchy, FIELD_OPT_BOOL),
        FIELD(struct spec_memory, checkBeforeUpdate, FIELD_OPT_BOOL),
};
static const struct record memory_record = RECORD(struct spec_memory, memory_fields);

static const struct field cpu_fields[] = {
        FIELD(struct spec_cpu, shares, FIELD_OPT_U64),
        FIELD(struct spec_cpu, quota, FIELD_OPT_I64),
        FIELD(struct spec_cpu, burst, FIELD_OPT_U64),
        FIELD(struct spec_cpu, period, FIELD_OPT_U64),
        FIELD(struct spec_cpu, realtimeRuntime, FIELD_OPT_I64),
        FIELD(struct spec_cpu, realtimePeriod, FIELD_OPT_U64),
        FIELD(struct spec_cpu, cpus, FIELD_STR),
        FIELD(struct spec_cpu, mems, FIELD_STR),
        FIELD(struct spec_cpu, idle, FIELD_OPT_I64),
};
static const struct record cpu_record = RECORD(struct spec_cpu, cpu_fields);

static const struct field pids_fields[] = {
        FIELD(struct spec_pids, limit, FIELD_OPT_I64),
};
static const struct record pids_record = RECORD(struct spec_pids, pids_fields);

static const struct field weight_device_fields[] = {
        FIELD_REQUIRED(struct spec_weight_device, major, FIELD_I64),
        FIELD_REQUIRED(struct spec_weight_device, minor, FIELD_I64),
        FIELD(struct spec_weight_device, weight, FIELD_OPT_U32),
        FIELD(struct spec_weight_device, leafWeight, FIELD_OPT_U32),
};
static const struct record weight_device_record =
        RECORD(struct spec_weight_device, weight_device_fields);

static const struct field throttle_device_fields[] = {
        FIELD_REQUIRED(struct spec_throttle_device, major, FIELD_I64),
        FIELD_REQUIRED(struct spec_throttle_device, minor, FIELD_I64),
        FIELD_WRITTEN(struct spec_throttle_device, rate, FIELD_U64),
};
static const struct record throttle_device_record =
        RECORD(struct spec_throttle_device, throttle_device_fields);

static const struct field block_io_fields[] = {
        FIELD(struct spec_block_io, weight, FIELD_OPT_U32),
        FIELD(struct spec_block_io, leafWeight, FIELD_OPT_U32),
        FIELD_OF(struct spec_block_io, weightDevice, "weightDevice", FIELD_LIST,
                &weight_device_record),
        FIELD_OF(struct spec_block_io, throttleReadBpsDevice, "throttleReadBpsDevice", FIELD_LIST,
                &throttle_device_record),
        FIELD_OF(struct spec_block_io, throttleWriteBpsDevice, "throttleWriteBpsDevice", FIELD_LIST,
                &throttle_device_record),
        FIELD_OF(struct spec_block_io, throttleReadIOPSDevice, "throttleReadIOPSDevice", FIELD_LIST,
                &throttle_device_record),
        FIELD_OF(struct spec_block_io, throttleWriteIOPSDevice, "throttleWriteIOPSDevice",
                FIELD_LIST, &throttle_device_record),
};
static const struct record block_io_record = RECORD(struct spec_block_io, block_io_fields);

static const struct field hugepage_limit_fields[] = {
        FIELD_REQUIRED(struct spec_hugepage_limit, pageSize, FIELD_STR),
        FIELD_REQUIRED(struct spec_hugepage_limit, limit, FIELD_U64),
};
static const struct record hugepage_limit_record =
        RECORD(struct spec_hugepage_limit, hugepage_limit_fields);

static const struct field interface_priority_fields[] = {
        FIELD_REQUIRED(struct spec_interface_priority, name, FIELD_STR),
        FIELD_REQUIRED(struct spec_interface_priority, priority, FIELD_U32),
};
static const struct record interface_priority_record =
        RECORD(struct spec_interface_priority, interface_priority_fields);

static const struct field network_fields[] = {
        FIELD(struct spec_network, classID, FIELD_OPT_U32),
        FIELD_OF(struct spec_network, priorities, "priorities", FIELD_LIST,
                &interface_priority_record),
};
static const struct record network_record = RECORD(struct spec_network, network_fields);

static const struct field rdma_fields[] = {
        FIELD(struct spec_rdma, hcaHandles, FIELD_OPT_U32),
        FIELD(struct spec_rdma, hcaObjects, FIELD_OPT_U32),
};
static const struct record rdma_record = RECORD(struct spec_rdma, rdma_fields);

static const struct field resources_fields[] = {
        FIELD_OF(struct spec_resources, devices, "devices", FIELD_LIST, &device_rule_record),
        FIELD_OF(struct spec_resources, memory, "memory", FIELD_RECORD, &memory_record),
        FIELD_OF(struct spec_resources, cpu, "cpu", FIELD_RECORD, &cpu_record),
        FIELD_OF(struct spec_resources, pids, "pids", FIELD_RECORD, &pids_record),
        FIELD_OF(struct spec_resources, blockIO, "blockIO", FIELD_RECORD, &block_io_record),
        FIELD_OF(struct spec_resources, hugepageLimits, "hugepageLimits", FIELD_LIST,
                &hugepage_limit_record),
        FIELD_OF(struct spec_resources, network, "network", FIELD_RECORD, &network_record),
        FIELD_OF(struct spec_resources, rdma, "rdma", FIELD_DICT, &rdma_record),
        FIELD(struct spec_resources, unified, FIELD_MAP),
};
const struct record spec_resources_record = RECORD(struct spec_resources, resources_fields);

static const struct field seccomp_arg_fields[] = {
        FIELD_REQUIRED(struct spec_seccomp_arg, index, FIELD_U32),
        FIELD_REQUIRED(struct spec_seccomp_arg, value, FIELD_U64),
        FIELD(struct spec_seccomp_arg, valueTwo, FIELD_U64),
        FIELD_REQUIRED(struct spec_seccomp_arg, op, FIELD_STR),
};
const struct record spec_seccomp_arg_record = RECORD(struct spec_seccomp_arg, seccomp_arg_fields);

static const struct field seccomp_rule_fields[] = {
        FIELD_REQUIRED(struct spec_seccomp_rule, names, FIELD_STRV),
        FIELD_REQUIRED(struct spec_seccomp_rule, action, FIELD_STR),
        FIELD(struct spec_seccomp_rule, errnoRet, FIELD_OPT_U32),
        FIELD_OF(struct spec_seccomp_rule, args, "args", FIELD_LIST, &spec_seccomp_arg_record),
};
static const struct record seccomp_rule_record =
        RECORD(struct spec_seccomp_rule, seccomp_rule_fields);

static const struct field seccomp_fields[] = {
        FIELD_REQUIRED(struct spec_seccomp, defaultAction, FIELD_STR),
        FIELD(struct spec_seccomp, defaultErrnoRet, FIELD_OPT_U32),
        FIELD(struct spec_seccomp, architectures, FIELD_STRV),
        FIELD(struct spec_seccomp, flags, FIELD_STRV),
        FIELD(struct spec_seccomp, listenerPath, FIELD_STR),
        FIELD(struct spec_seccomp, listenerMetadata, FIELD_STR),
        FIELD_OF(struct spec_seccomp, syscalls, "syscalls", FIELD_LIST, &seccomp_rule_record),
};
const struct record spec_seccomp_record = RECORD(struct spec_seccomp, seccomp_fields);

static const struct field intel_rdt_fields[] = {
        FIELD(struct spec_intel_rdt, closID, FIELD_STR),
        FIELD(struct spec_intel_rdt, schemata, FIELD_STRV),
        FIELD(struct spec_intel_rdt, l3CacheSchema, FIELD_STR),
        FIELD(struct spec_intel_rdt, memBwSchema, FIELD_STR),
        FIELD(struct spec_intel_rdt, enableMonitoring, FIELD_BOOL),
};
static const struct record intel_rdt_record = RECORD(struct spec_intel_rdt, intel_rdt_fields);

static const struct field memory_policy_fields[] = {
        FIELD_REQUIRED(struct spec_memory_policy, mode, FIELD_STR),
        FIELD(struct spec_memory_policy, nodes, FIELD_STR),
        FIELD(struct spec_memory_policy, flags, FIELD_STRV),
};
static const struct record memory_policy_record =
        RECORD(struct spec_memory_policy, memory_policy_fields);

static const struct field personality_fields[] = {
        FIELD_REQUIRED(struct spec_personality, domain, FIELD_STR),
        FIELD(struct spec_personality, flags, FIELD_STRV),
};
static const struct record personality_record = RECORD(struct spec_personality, personality_fields);

static const struct field time_offset_fields[] = {
        FIELD(struct spec_time_offset, secs, FIELD_I64),
        FIELD(struct spec_time_offset, nanosecs, FIELD_U32),
};
static const struct record time_offset_record = RECORD(struct spec_time_offset, time_offset_fields);

static const struct field time_offsets_fields[] = {
        FIELD_OF(struct spec_time_offsets, monotonic, "monotonic", FIELD_POINTER,
                &time_offset_record),
        FIELD_OF(
                struct spec_time_offsets, boottime, "boottime", FIELD_POINTER, &time_offset_record),
};
static const struct record time_offsets_record =
        RECORD(struct spec_time_offsets, time_offsets_fields);

static const struct field linux_fields[] = {
        FIELD_OF(struct spec_linux, uidMappings, "uidMappings", FIELD_LIST, &id_mapping_record),
        FIELD_OF(struct spec_linux, gidMappings, "gidMappings", FIELD_LIST, &id_mapping_record),
        FIELD(struct spec_linux, sysctl, FIELD_MAP),
        FIELD_OF(struct spec_linux, resources, "resources", FIELD_RECORD, &spec_resources_record),
        FIELD(struct spec_linux, cgroupsPath, FIELD_STR),
        FIELD_OF(struct spec_linux, namespaces, "namespaces", FIELD_LIST, &namespace_record),
        FIELD_OF(struct spec_linux, devices, "devices", FIELD_LIST, &device_record),
        FIELD_OF(struct spec_linux, netDevices, "netDevices", FIELD_DICT, &net_device_record),
        FIELD_OF(struct spec_linux, seccomp, "seccomp", FIELD_POINTER, &spec_seccomp_record),
        FIELD(struct spec_linux, rootfsPropagation, FIELD_STR),
        FIELD(struct spec_linux, maskedPaths, FIELD_STRV),
        FIELD(struct spec_linux, readonlyPaths, FIELD_STRV),
        FIELD(struct spec_linux, mountLabel, FIELD_STR),
        FIELD_OF(struct spec_linux, intelRdt, "intelRdt", FIELD_POINTER, &intel_rdt_record),
        FIELD_OF(struct spec_linux, memoryPolicy, "memoryPolicy", FIELD_POINTER,
                &memory_policy_record),
        FIELD_OF(struct spec_linux, personality, "personality", FIELD_POINTER, &personality_record),
        FIELD_OF(struct spec_linux, timeOffsets, "timeOffsets", FIELD_RECORD, &time_offsets_record),
};
static const struct record linux_record = RECORD(struct spec_linux, linux_fields);

static const struct field vm_program_fields[] = {
        FIELD_REQUIRED(struct spec_vm_program, path, FIELD_STR),
        FIELD(struct spec_vm_program, parameters, FIELD_STRV),
        FIELD(struct spec_vm_program, initrd, FIELD_STR),
};
static const struct record vm_program_record = RECORD(struct spec_vm_program, vm_program_fields);

static const struct field vm_image_fields[] = {
        FIELD_REQUIRED(struct spec_vm_image, path, FIELD_STR),
        FIELD_REQUIRED(struct spec_vm_image, format, FIELD_STR),
};
static const struct record vm_image_record = RECORD(struct spec_vm_image, vm_image_fields);

static const struct field vm_iomem_fields[] = {
        FIELD(struct spec_vm_iomem, firstGFN, FIELD_OPT_U64),
        FIELD_REQUIRED(struct spec_vm_iomem, firstMFN, FIELD_U64),
        FIELD_REQUIRED(struct spec_vm_iomem, nrMFNs, FIELD_U64),
};
static const struct record vm_iomem_record = RECORD(struct spec_vm_iomem, vm_iomem_fields);

static const struct field vm_hw_config_fields[] = {
        FIELD(struct spec_vm_hw_config, deviceTree, FIELD_STR),
        FIELD(struct spec_vm_hw_config, vcpus, FIELD_OPT_U32),
        FIELD(struct spec_vm_hw_config, memory, FIELD_OPT_U64),
        FIELD(struct spec_vm_hw_config, dtdevs, FIELD_STRV),
        FIELD_OF(struct spec_vm_hw_config, iomems, "iomems", FIELD_LIST, &vm_iomem_record),
        FIELD(struct spec_vm_hw_config, irqs, FIELD_U32S),
};
static const struct record vm_hw_config_record =
        RECORD(struct spec_vm_hw_config, vm_hw_config_fields);

static const struct field vm_fields[] = {
        FIELD_OF(struct spec_vm, hypervisor, "hypervisor", FIELD_POINTER, &vm_program_record),
        FIELD_ROW(struct spec_vm, kernel, "kernel", FIELD_POINTER, FIELD_MUST, &vm_program_record),
        FIELD_OF(struct spec_vm, image, "image", FIELD_POINTER, &vm_image_record),
        FIELD_OF(struct spec_vm, hwConfig, "hwConfig", FIELD_POINTER, &vm_hw_config_record),
        FIELD_ROW(struct spec_vm, hwConfig, "hwconfig", FIELD_POINTER, FIELD_ALIAS,
                &vm_hw_config_record),
};
static const struct record vm_record = RECORD(struct spec_vm, vm_fields);

static const struct field spec_fields[] = {
        FIELD_REQUIRED(struct spec, ociVersion, FIELD_STR),
        FIELD_OF(struct spec, process, "process", FIELD_POINTER, &spec_process_record),
        FIELD_OF(struct spec, root, "root", FIELD_POINTER, &root_record),
        FIELD(struct spec, hostname, FIELD_STR),
        FIELD(struct spec, domainname, FIELD_STR),
        FIELD_OF(struct spec, mounts, "mounts", FIELD_LIST, &mount_record),
        FIELD_OF(struct spec, hooks, "hooks", FIELD_RECORD, &hooks_record),
        FIELD(struct spec, annotations, FIELD_MAP),
        FIELD_OF(struct spec, linux, "linux", FIELD_RECORD, &linux_record),
        FIELD_OF(struct spec, vm, "vm", FIELD_POINTER, &vm_record),
        FIELD_IGNORE("solaris"),
        FIELD_IGNORE("windows"),
        FIELD_IGNORE("zos"),
        FIELD_IGNORE("freebsd"),
};
const struct record spec_record = RECORD(struct spec, spec_fields);

void spec_read(struct json_object *json, struct spec *into, struct record_report *report)
{
    record_read(&spec_record, json, "", into, report);
}

struct json_object *spec_write(const struct spec *spec)
{
    return record_write(&spec_record, spec);
}

const char *spec_annotation(const struct spec *spec, const char *key)
{
    for (size_t i = 0; i < spec->annotations.count; i++)
        if (str_equal(spec->annotations.items[i].key, key))
            return spec->annotations.items[i].value;
    return NULL;
}

bool spec_mount_is_bind(const struct spec_mount *mount)
{
    return str_equal(mount->type, "bind") || strv_contains(&mount->options, "bind") ||
           strv_contains(&mount->options, "rbind");
}

const struct spec_namespace *spec_namespace_find(const struct spec *spec, const char *type)
{
    for (size_t i = 0; i < spec->linux.namespaces.count; i++)
        if (str_equal(spec->linux.namespaces.items[i].type, type))
            return &spec->linux.namespaces.items[i];
    return NULL;
}
