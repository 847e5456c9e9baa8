#include "spec/names.h"

#include "base/cleanup.h"
#include "base/str.h"

#define WORDS(name_, ...)                                                                          \
    static const char *const name_##_list[] = {__VA_ARGS__};                                       \
    const struct spec_words name_ = {name_##_list, ARRAY_SIZE(name_##_list)}

WORDS(spec_namespace_types, "cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts");

/* capabilities(7), linux/capability.h: in the order of their numbers */
WORDS(spec_capabilities, "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER",
        "CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE",
        "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK",
        "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE",
        "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE",
        "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE",
        "CAP_AUDIT_CONTROL", "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG",
        "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF",
        "CAP_CHECKPOINT_RESTORE");

/* getrlimit(2), asm-generic/resource.h: in the order of their numbers */
WORDS(spec_rlimits, "RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_DATA", "RLIMIT_STACK", "RLIMIT_CORE",
        "RLIMIT_RSS", "RLIMIT_NPROC", "RLIMIT_NOFILE", "RLIMIT_MEMLOCK", "RLIMIT_AS",
        "RLIMIT_LOCKS", "RLIMIT_SIGPENDING", "RLIMIT_MSGQUEUE", "RLIMIT_NICE", "RLIMIT_RTPRIO",
        "RLIMIT_RTTIME");

WORDS(spec_hook_names, "prestart", "createRuntime", "createContainer", "startContainer",
        "poststart", "poststop");

/* runtime-spec config.md#linux-mount-options, and the extensions that crun documents */
WORDS(spec_mount_options, "acl", "async", "atime", "bind", "copy-symlink", "defaults",
        "dest-nofollow", "dev", "diratime", "dirsync", "exec", "idmap", "iversion", "lazytime",
        "loud", "mand", "noacl", "noatime", "nodev", "nodiratime", "noexec", "noiversion",
        "nolazytime", "nomand", "norelatime", "nostrictatime", "nosuid", "nosymfollow", "private",
        "ratime", "rbind", "rdev", "rdiratime", "relatime", "remount", "rexec", "ridmap",
        "rnoatime", "rnodev", "rnodiratime", "rnoexec", "rnorelatime", "rnostrictatime", "rnosuid",
        "rnosymfollow", "ro", "rprivate", "rrelatime", "rro", "rrw", "rshared", "rslave",
        "rstrictatime", "rsuid", "rsymfollow", "runbindable", "rw", "shared", "silent", "slave",
        "src-nofollow", "strictatime", "suid", "symfollow", "sync", "tmpcopyup", "unbindable");

WORDS(spec_propagations, "private", "rprivate", "shared", "rshared", "slave", "rslave",
        "unbindable", "runbindable");

WORDS(spec_seccomp_actions, "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL",
        "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY",
        "SCMP_ACT_TRACE", "SCMP_ACT_TRAP");

WORDS(spec_seccomp_operators, "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE",
        "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE");

WORDS(spec_seccomp_archs, "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", "SCMP_ARCH_LOONGARCH64",
        "SCMP_ARCH_M68K", "SCMP_ARCH_MIPS", "SCMP_ARCH_MIPS64", "SCMP_ARCH_MIPS64N32",
        "SCMP_ARCH_MIPSEL", "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32", "SCMP_ARCH_PARISC",
        "SCMP_ARCH_PARISC64", "SCMP_ARCH_PPC", "SCMP_ARCH_PPC64", "SCMP_ARCH_PPC64LE",
        "SCMP_ARCH_RISCV64", "SCMP_ARCH_S390", "SCMP_ARCH_S390X", "SCMP_ARCH_SH", "SCMP_ARCH_SHEB",
        "SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64");

WORDS(spec_seccomp_flags, "SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG",
        "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV");

WORDS(spec_scheduler_policies, "SCHED_OTHER", "SCHED_FIFO", "SCHED_RR", "SCHED_BATCH", "SCHED_ISO",
        "SCHED_IDLE", "SCHED_DEADLINE");

WORDS(spec_scheduler_flags, "SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_RECLAIM",
        "SCHED_FLAG_DL_OVERRUN", "SCHED_FLAG_KEEP_POLICY", "SCHED_FLAG_KEEP_PARAMS",
        "SCHED_FLAG_UTIL_CLAMP_MIN", "SCHED_FLAG_UTIL_CLAMP_MAX");

WORDS(spec_io_classes, "IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE");

WORDS(spec_memory_modes, "MPOL_DEFAULT", "MPOL_BIND", "MPOL_INTERLEAVE", "MPOL_WEIGHTED_INTERLEAVE",
        "MPOL_PREFERRED", "MPOL_PREFERRED_MANY", "MPOL_LOCAL");

WORDS(spec_memory_flags, "MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES");

WORDS(spec_personalities, "LINUX", "LINUX32");

WORDS(spec_image_formats, "raw", "qcow2", "vdi", "vmdk", "vhd");

int spec_words_index(const struct spec_words *list, const char *word)
{
    for (size_t i = 0; i < list->count; i++)
        if (str_equal(list->words[i], word))
            return (int)i;
    return -1;
}

bool spec_words_have(const struct spec_words *list, const char *word)
{
    return spec_words_index(list, word) >= 0;
}

const char *spec_words_closest(const struct spec_words *list, const char *word)
{
    return str_closest(word, list->words, list->count);
}

#define AFTER_MAX 64

const char *spec_words_closest_after(
        const struct spec_words *list, const char *prefix, const char *word)
{
    const char *words[AFTER_MAX];
    size_t count = 0;

    for (size_t i = 0; i < list->count && count < AFTER_MAX; i++) {
        words[count] = str_after(list->words[i], prefix);
        count += words[count] != NULL;
    }
    return str_closest(word, words, count);
}
