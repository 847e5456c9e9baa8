/*
 * The OCI runtime specification 1.3's configuration (config.json) as plain structs, described by
 * tables so that base/record reads and writes it. Members carry the specification's own names.
 *
 * Conventions: a string, list or pointer that was absent is NULL or empty; a number where absent
 * differs from zero is an opt_*. Strings and lists live in the arena that reading was given;
 * nothing here is freed on its own. Reading checks types and ranges of integers only; what the
 * values mean is checked by spec_check() (spec/check.h), and what the host can do by the modules
 * that do it.
 *
 * Who may include this: container/, cli/, oci/, guest/ and observe/. The modules that act
 * (cgroup/, rootfs/, security/, ns/) have structs of their own, filled by container/build.
 */
#pragma once

#include "base/record.h"

/* gcc's gnu modes define the word; here it is a member's name. */
#undef linux

#define SPEC_VERSION "1.3.0"

/* Lengths that no sensible configuration reaches; longer lists are errors. */
#define SPEC_ITEMS_MAX 4096

/* runtime-spec config.md#posix-process: consoleSize */
struct spec_box {
    uint32_t height;
    uint32_t width;
};

struct spec_user {
    uint32_t uid;
    uint32_t gid;
    struct opt_u32 umask;
    RECORD_LIST(uint32_t) additionalGids;
    const char *username; /* meant for Windows; kept as it is */
};

struct spec_capabilities {
    struct strv bounding;
    struct strv effective;
    struct strv inheritable;
    struct strv permitted;
    struct strv ambient;
};

struct spec_rlimit {
    const char *type; /* "RLIMIT_NOFILE" */
    uint64_t hard;
    uint64_t soft;
};

/* sched_setattr(2) */
struct spec_scheduler {
    const char *policy; /* "SCHED_OTHER" … */
    int nice;
    int priority;
    struct strv flags;
    uint64_t runtime; /* nanoseconds, as the two below */
    uint64_t deadline;
    uint64_t period;
    struct opt_u32 utilClampMin; /* 0 to 1024; an extension, for SCHED_FLAG_UTIL_CLAMP_MIN */
    struct opt_u32 utilClampMax;
};

struct spec_io_priority {
    const char *class; /* "IOPRIO_CLASS_RT", _BE, _IDLE */
    int priority;
};

struct spec_cpu_affinity {
    const char *initial; /* CPU list, "0-3,7" */
    const char *final;
};

struct spec_process {
    bool terminal;
    struct spec_box *consoleSize;
    struct spec_user user;
    struct strv args;
    struct strv env;
    const char *cwd;
    struct spec_capabilities *capabilities;
    RECORD_LIST(struct spec_rlimit) rlimits;
    bool noNewPrivileges;
    const char *apparmorProfile;
    struct opt_i64 oomScoreAdj;
    struct spec_scheduler *scheduler;
    const char *selinuxLabel;
    struct spec_io_priority *ioPriority;
    struct spec_cpu_affinity *execCPUAffinity;
};

struct spec_root {
    const char *path; /* relative to the bundle, or absolute */
    bool readonly;
};

struct spec_id_mapping {
    uint32_t containerID;
    uint32_t hostID;
    uint32_t size;
};

struct spec_id_mappings {
    struct spec_id_mapping *items;
    size_t count;
};

struct spec_mount {
    const char *destination;
    const char *type;
    const char *source;
    struct strv options;
    struct spec_id_mappings uidMappings;
    struct spec_id_mappings gidMappings;
};

struct spec_hook {
    const char *path;
    struct strv args; /* with argv[0] */
    struct strv env;
    struct opt_i64 timeout; /* seconds */
};

struct spec_hook_list {
    struct spec_hook *items;
    size_t count;
};

struct spec_hooks {
    struct spec_hook_list prestart;
    struct spec_hook_list createRuntime;
    struct spec_hook_list createContainer;
    struct spec_hook_list startContainer;
    struct spec_hook_list poststart;
    struct spec_hook_list poststop;
};

struct spec_namespace {
    const char *type; /* "pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time" */
    const char *path; /* NULL or "": a new one */
};

struct spec_device {
    const char *path;
    const char *type; /* "c", "u", "b" or "p" */
    int64_t major;
    int64_t minor;
    struct opt_u32 fileMode;
    struct opt_u32 uid;
    struct opt_u32 gid;
};

struct spec_net_device {
    const char *host_name; /* the key */
    const char *name;      /* inside; NULL: the same */
};

struct spec_device_rule {
    bool allow;
    const char *type;     /* "a" (or absent), "c", "b" */
    struct opt_i64 major; /* absent or -1: all */
    struct opt_i64 minor;
    const char *access; /* of "rwm"; absent: all */
};

/* Bytes; -1 is "no limit". */
struct spec_memory {
    struct opt_i64 limit;
    struct opt_i64 reservation;
    struct opt_i64 swap; /* memory and swap together */
    struct opt_i64 kernel;
    struct opt_i64 kernelTCP;
    struct opt_u64 swappiness;
    struct opt_bool disableOOMKiller;
    struct opt_bool useHierarchy;
    struct opt_bool checkBeforeUpdate;
};

/* Microseconds, except shares (2 to 262144) and idle (0 or 1). */
struct spec_cpu {
    struct opt_u64 shares;
    struct opt_i64 quota;
    struct opt_u64 burst;
    struct opt_u64 period;
    struct opt_i64 realtimeRuntime;
    struct opt_u64 realtimePeriod;
    const char *cpus;
    const char *mems;
    struct opt_i64 idle;
};

struct spec_pids {
    struct opt_i64 limit;
};

struct spec_weight_device {
    int64_t major;
    int64_t minor;
    struct opt_u32 weight;
    struct opt_u32 leafWeight;
};

struct spec_throttle_device {
    int64_t major;
    int64_t minor;
    uint64_t rate; /* bytes, or operations, a second */
};

struct spec_throttle_list {
    struct spec_throttle_device *items;
    size_t count;
};

struct spec_block_io {
    struct opt_u32 weight; /* 10 to 1000 */
    struct opt_u32 leafWeight;
    RECORD_LIST(struct spec_weight_device) weightDevice;
    struct spec_throttle_list throttleReadBpsDevice;
    struct spec_throttle_list throttleWriteBpsDevice;
    struct spec_throttle_list throttleReadIOPSDevice;
    struct spec_throttle_list throttleWriteIOPSDevice;
};

struct spec_hugepage_limit {
    const char *pageSize; /* "2MB" */
    uint64_t limit;       /* bytes */
};

struct spec_interface_priority {
    const char *name;
    uint32_t priority;
};

struct spec_network {
    struct opt_u32 classID;
    RECORD_LIST(struct spec_interface_priority) priorities;
};

struct spec_rdma {
    const char *device; /* the key */
    struct opt_u32 hcaHandles;
    struct opt_u32 hcaObjects;
};

struct spec_resources {
    RECORD_LIST(struct spec_device_rule) devices;
    struct spec_memory memory;
    struct spec_cpu cpu;
    struct spec_pids pids;
    struct spec_block_io blockIO;
    RECORD_LIST(struct spec_hugepage_limit) hugepageLimits;
    struct spec_network network;
    RECORD_LIST(struct spec_rdma) rdma;
    struct record_map unified; /* "memory.high" -> "1073741824" */
};

struct spec_seccomp_arg {
    uint32_t index;
    uint64_t value;
    uint64_t valueTwo;
    const char *op; /* "SCMP_CMP_EQ" … */
};

struct spec_seccomp_rule {
    struct strv names;
    const char *action; /* "SCMP_ACT_ALLOW" … */
    struct opt_u32 errnoRet;
    RECORD_LIST(struct spec_seccomp_arg) args;
};

struct spec_seccomp {
    const char *defaultAction;
    struct opt_u32 defaultErrnoRet;
    struct strv architectures;
    struct strv flags;
    const char *listenerPath;
    const char *listenerMetadata;
    RECORD_LIST(struct spec_seccomp_rule) syscalls;
};

struct spec_intel_rdt {
    const char *closID;
    struct strv schemata;
    const char *l3CacheSchema;
    const char *memBwSchema;
    bool enableMonitoring;
};

struct spec_memory_policy {
    const char *mode;  /* "MPOL_BIND" … */
    const char *nodes; /* "0-1,3" */
    struct strv flags;
};

struct spec_personality {
    const char *domain; /* "LINUX", "LINUX32" */
    struct strv flags;
};

struct spec_time_offset {
    int64_t secs;
    uint32_t nanosecs;
};

struct spec_time_offsets {
    struct spec_time_offset *monotonic;
    struct spec_time_offset *boottime;
};

struct spec_linux {
    struct spec_id_mappings uidMappings;
    struct spec_id_mappings gidMappings;
    struct record_map sysctl;
    struct spec_resources resources;
    const char *cgroupsPath;
    RECORD_LIST(struct spec_namespace) namespaces;
    RECORD_LIST(struct spec_device) devices;
    RECORD_LIST(struct spec_net_device) netDevices;
    struct spec_seccomp *seccomp;
    const char *rootfsPropagation;
    struct strv maskedPaths;
    struct strv readonlyPaths;
    const char *mountLabel;
    struct spec_intel_rdt *intelRdt;
    struct spec_memory_policy *memoryPolicy;
    struct spec_personality *personality;
    struct spec_time_offsets timeOffsets;
};

/* runtime-spec config-vm.md */
struct spec_vm_program {
    const char *path;
    struct strv parameters;
    const char *initrd; /* of the kernel only */
};

struct spec_vm_image {
    const char *path;
    const char *format; /* "raw", "qcow2", "vdi", "vmdk", "vhd" */
};

struct spec_vm_iomem {
    struct opt_u64 firstGFN;
    uint64_t firstMFN;
    uint64_t nrMFNs;
};

struct spec_vm_hw_config {
    const char *deviceTree;
    struct opt_u32 vcpus;
    struct opt_u64 memory; /* bytes */
    struct strv dtdevs;
    RECORD_LIST(struct spec_vm_iomem) iomems;
    RECORD_LIST(uint32_t) irqs;
};

struct spec_vm {
    struct spec_vm_program *hypervisor;
    struct spec_vm_program *kernel;
    struct spec_vm_image *image;
    struct spec_vm_hw_config *hwConfig;
};

struct spec {
    const char *ociVersion;
    struct spec_process *process; /* may be absent: the specification allows it until start */
    struct spec_root *root;
    const char *hostname;
    const char *domainname;
    RECORD_LIST(struct spec_mount) mounts;
    struct spec_hooks hooks;
    struct record_map annotations;
    struct spec_linux linux;
    struct spec_vm *vm;
};

extern const struct record spec_record;
extern const struct record spec_process_record;
extern const struct record spec_resources_record;
extern const struct record spec_seccomp_record;
extern const struct record spec_seccomp_arg_record;
extern const struct record spec_hook_record;

/*
 * Fills the zeroed struct from a parsed config.json; faults and warnings go to the report, strings
 * and lists into its arena. The JSON value may be put back at once afterwards.
 */
void spec_read(struct json_object *json, struct spec *into, struct record_report *report);

/* A new JSON object of what is set: with spec_read() of it the same struct comes out. */
struct json_object *spec_write(const struct spec *spec);

/* The value of an annotation, NULL if there is none. */
const char *spec_annotation(const struct spec *spec, const char *key);

/* Whether its source is a file or folder, and not a file system. */
bool spec_mount_is_bind(const struct spec_mount *mount);

/* The namespace of that type; NULL if the list has none (the host's is then used). */
const struct spec_namespace *spec_namespace_find(const struct spec *spec, const char *type);
