#include "security/seccomp_default.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "security/caps.h"

/* What every workload may call. Left out on purpose: io_uring, keyrings, userfaultfd, kexec, swap,
 * the kernel's modules, clocks and namespaces. */
static const char *const always[] = {
        "accept",
        "accept4",
        "access",
        "adjtimex",
        "alarm",
        "arch_prctl",
        "arm_fadvise64_64",
        "arm_sync_file_range",
        "bind",
        "breakpoint",
        "brk",
        "cacheflush",
        "cachestat",
        "capget",
        "capset",
        "chdir",
        "chmod",
        "chown",
        "chown32",
        "clock_adjtime",
        "clock_adjtime64",
        "clock_getres",
        "clock_getres_time64",
        "clock_gettime",
        "clock_gettime64",
        "clock_nanosleep",
        "clock_nanosleep_time64",
        "close",
        "close_range",
        "connect",
        "copy_file_range",
        "creat",
        "dup",
        "dup2",
        "dup3",
        "epoll_create",
        "epoll_create1",
        "epoll_ctl",
        "epoll_ctl_old",
        "epoll_pwait",
        "epoll_pwait2",
        "epoll_wait",
        "epoll_wait_old",
        "eventfd",
        "eventfd2",
        "execve",
        "execveat",
        "exit",
        "exit_group",
        "faccessat",
        "faccessat2",
        "fadvise64",
        "fadvise64_64",
        "fallocate",
        "fanotify_mark",
        "fchdir",
        "fchmod",
        "fchmodat",
        "fchmodat2",
        "fchown",
        "fchown32",
        "fchownat",
        "fcntl",
        "fcntl64",
        "fdatasync",
        "fgetxattr",
        "flistxattr",
        "flock",
        "fork",
        "fremovexattr",
        "fsetxattr",
        "fstat",
        "fstat64",
        "fstatat64",
        "fstatfs",
        "fstatfs64",
        "fsync",
        "ftruncate",
        "ftruncate64",
        "futex",
        "futex_requeue",
        "futex_time64",
        "futex_wait",
        "futex_waitv",
        "futex_wake",
        "futimesat",
        "get_robust_list",
        "get_thread_area",
        "getcpu",
        "getcwd",
        "getdents",
        "getdents64",
        "getegid",
        "getegid32",
        "geteuid",
        "geteuid32",
        "getgid",
        "getgid32",
        "getgroups",
        "getgroups32",
        "getitimer",
        "getpeername",
        "getpgid",
        "getpgrp",
        "getpid",
        "getppid",
        "getpriority",
        "getrandom",
        "getresgid",
        "getresgid32",
        "getresuid",
        "getresuid32",
        "getrlimit",
        "getrusage",
        "getsid",
        "getsockname",
        "getsockopt",
        "gettid",
        "gettimeofday",
        "getuid",
        "getuid32",
        "getxattr",
        "getxattrat",
        "inotify_add_watch",
        "inotify_init",
        "inotify_init1",
        "inotify_rm_watch",
        "io_cancel",
        "io_destroy",
        "io_getevents",
        "io_pgetevents",
        "io_pgetevents_time64",
        "io_setup",
        "io_submit",
        "ioctl",
        "ioprio_get",
        "ioprio_set",
        "ipc",
        "kill",
        "landlock_add_rule",
        "landlock_create_ruleset",
        "landlock_restrict_self",
        "lchown",
        "lchown32",
        "lgetxattr",
        "link",
        "linkat",
        "listen",
        "listxattr",
        "listxattrat",
        "llistxattr",
        "_llseek",
        "lremovexattr",
        "lseek",
        "lsetxattr",
        "lstat",
        "lstat64",
        "madvise",
        "map_shadow_stack",
        "membarrier",
        "memfd_create",
        "memfd_secret",
        "mincore",
        "mkdir",
        "mkdirat",
        "mknod",
        "mknodat",
        "mlock",
        "mlock2",
        "mlockall",
        "mmap",
        "mmap2",
        "modify_ldt",
        "mprotect",
        "mq_getsetattr",
        "mq_notify",
        "mq_open",
        "mq_timedreceive",
        "mq_timedreceive_time64",
        "mq_timedsend",
        "mq_timedsend_time64",
        "mq_unlink",
        "mremap",
        "mseal",
        "msgctl",
        "msgget",
        "msgrcv",
        "msgsnd",
        "msync",
        "munlock",
        "munlockall",
        "munmap",
        "name_to_handle_at",
        "nanosleep",
        "newfstatat",
        "_newselect",
        "open",
        "openat",
        "openat2",
        "pause",
        "pidfd_open",
        "pidfd_send_signal",
        "pipe",
        "pipe2",
        "pkey_alloc",
        "pkey_free",
        "pkey_mprotect",
        "poll",
        "ppoll",
        "ppoll_time64",
        "prctl",
        "pread64",
        "preadv",
        "preadv2",
        "prlimit64",
        "process_mrelease",
        "process_vm_readv",
        "process_vm_writev",
        "pselect6",
        "pselect6_time64",
        "ptrace",
        "pwrite64",
        "pwritev",
        "pwritev2",
        "read",
        "readahead",
        "readlink",
        "readlinkat",
        "readv",
        "recv",
        "recvfrom",
        "recvmmsg",
        "recvmmsg_time64",
        "recvmsg",
        "remap_file_pages",
        "removexattr",
        "removexattrat",
        "rename",
        "renameat",
        "renameat2",
        "restart_syscall",
        "riscv_flush_icache",
        "rmdir",
        "rseq",
        "rt_sigaction",
        "rt_sigpending",
        "rt_sigprocmask",
        "rt_sigqueueinfo",
        "rt_sigreturn",
        "rt_sigsuspend",
        "rt_sigtimedwait",
        "rt_sigtimedwait_time64",
        "rt_tgsigqueueinfo",
        "sched_get_priority_max",
        "sched_get_priority_min",
        "sched_getaffinity",
        "sched_getattr",
        "sched_getparam",
        "sched_getscheduler",
        "sched_rr_get_interval",
        "sched_rr_get_interval_time64",
        "sched_setaffinity",
        "sched_setattr",
        "sched_setparam",
        "sched_setscheduler",
        "sched_yield",
        "seccomp",
        "select",
        "semctl",
        "semget",
        "semop",
        "semtimedop",
        "semtimedop_time64",
        "send",
        "sendfile",
        "sendfile64",
        "sendmmsg",
        "sendmsg",
        "sendto",
        "set_robust_list",
        "set_thread_area",
        "set_tid_address",
        "set_tls",
        "setfsgid",
        "setfsgid32",
        "setfsuid",
        "setfsuid32",
        "setgid",
        "setgid32",
        "setgroups",
        "setgroups32",
        "setitimer",
        "setpgid",
        "setpriority",
        "setregid",
        "setregid32",
        "setresgid",
        "setresgid32",
        "setresuid",
        "setresuid32",
        "setreuid",
        "setreuid32",
        "setrlimit",
        "setsid",
        "setsockopt",
        "setuid",
        "setuid32",
        "setxattr",
        "setxattrat",
        "shmat",
        "shmctl",
        "shmdt",
        "shmget",
        "shutdown",
        "sigaltstack",
        "signalfd",
        "signalfd4",
        "sigprocmask",
        "sigreturn",
        "socketpair",
        "splice",
        "stat",
        "stat64",
        "statfs",
        "statfs64",
        "statx",
        "symlink",
        "symlinkat",
        "sync",
        "sync_file_range",
        "sync_file_range2",
        "syncfs",
        "sysinfo",
        "tee",
        "tgkill",
        "time",
        "timer_create",
        "timer_delete",
        "timer_getoverrun",
        "timer_gettime",
        "timer_gettime64",
        "timer_settime",
        "timer_settime64",
        "timerfd_create",
        "timerfd_gettime",
        "timerfd_gettime64",
        "timerfd_settime",
        "timerfd_settime64",
        "times",
        "tkill",
        "truncate",
        "truncate64",
        "ugetrlimit",
        "umask",
        "uname",
        "unlink",
        "unlinkat",
        "utime",
        "utimensat",
        "utimensat_time64",
        "utimes",
        "vfork",
        "vmsplice",
        "wait4",
        "waitid",
        "waitpid",
        "write",
        "writev",
};

/* What a capability brings. */
static const char *const with_dac_read_search[] = {
        "open_by_handle_at",
};

static const char *const with_sys_admin[] = {
        "bpf",
        "clone",
        "clone3",
        "fanotify_init",
        "fsconfig",
        "fsmount",
        "fsopen",
        "fspick",
        "listmount",
        "lookup_dcookie",
        "lsm_get_self_attr",
        "lsm_list_modules",
        "lsm_set_self_attr",
        "mount",
        "mount_setattr",
        "move_mount",
        "open_tree",
        "perf_event_open",
        "quotactl",
        "quotactl_fd",
        "setdomainname",
        "sethostname",
        "setns",
        "statmount",
        "syslog",
        "umount",
        "umount2",
        "unshare",
};

static const char *const with_sys_boot[] = {
        "reboot",
};

static const char *const with_sys_chroot[] = {
        "chroot",
};

static const char *const with_sys_module[] = {
        "delete_module",
        "finit_module",
        "init_module",
};

static const char *const with_sys_pacct[] = {
        "acct",
};

static const char *const with_sys_ptrace[] = {
        "kcmp",
        "pidfd_getfd",
        "process_madvise",
};

static const char *const with_sys_rawio[] = {
        "ioperm",
        "iopl",
};

static const char *const with_sys_time[] = {
        "clock_settime",
        "clock_settime64",
        "settimeofday",
        "stime",
};

static const char *const with_sys_tty_config[] = {
        "vhangup",
};

static const char *const with_sys_nice[] = {
        "get_mempolicy",
        "mbind",
        "set_mempolicy",
        "set_mempolicy_home_node",
};

static const char *const with_syslog[] = {
        "syslog",
};

static const char *const with_bpf[] = {
        "bpf",
};

static const char *const with_perfmon[] = {
        "perf_event_open",
};

struct group {
    unsigned capability;
    const char *const *names;
    size_t count;
};
#define GROUP(number_, names_)                                                                     \
    {                                                                                              \
        (number_), (names_), ARRAY_SIZE(names_)                                                    \
    }

static const struct group groups[] = {
        GROUP(CAP_DAC_READ_SEARCH, with_dac_read_search),
        GROUP(CAP_SYS_ADMIN, with_sys_admin),
        GROUP(CAP_SYS_BOOT, with_sys_boot),
        GROUP(CAP_SYS_CHROOT, with_sys_chroot),
        GROUP(CAP_SYS_MODULE, with_sys_module),
        GROUP(CAP_SYS_PACCT, with_sys_pacct),
        GROUP(CAP_SYS_PTRACE, with_sys_ptrace),
        GROUP(CAP_SYS_RAWIO, with_sys_rawio),
        GROUP(CAP_SYS_TIME, with_sys_time),
        GROUP(CAP_SYS_TTY_CONFIG, with_sys_tty_config),
        GROUP(CAP_SYS_NICE, with_sys_nice),
        GROUP(CAP_SYSLOG, with_syslog),
        GROUP(CAP_BPF, with_bpf),
        GROUP(CAP_PERFMON, with_perfmon),
};

/* Docker's five personalities: LINUX, LINUX32, both with UNAME26, and the question for it. */
static const uint64_t personalities[] = {0x0, 0x0008, 0x20000, 0x20008, 0xffffffff};

#define NAMESPACE_FLAGS                                                                            \
    ((uint64_t)(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |      \
                CLONE_NEWPID | CLONE_NEWNET))

/* The kinds of sockets that programs use. Behind each of the others is seldom-used code of the
 * kernel that it would load for whoever asks: AF_ALG's let a reader write to the page cache
 * (CVE-2026-31431), AF_RXRPC's too (CVE-2026-43500), and AF_VSOCK's lead out of every network
 * namespace to the host's hypervisor. */
static const int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET};

/* Those of who sets networks up. */
static const int network_families[] = {
        AF_PPPOX, AF_LLC, AF_CAN, AF_TIPC, AF_BLUETOOTH, AF_IEEE802154, AF_NFC, AF_XDP};

static const char *const only_clone[] = {"clone"};
static const char *const only_clone3[] = {"clone3"};
static const char *const only_socket[] = {"socket"};
static const char *const only_personality[] = {"personality"};

static struct seccomp_rule allow(const char *const *names, size_t count)
{
    struct seccomp_rule rule = {.action = "SCMP_ACT_ALLOW"};

    rule.names.words = (char **)(uintptr_t)names;
    rule.names.count = count;
    return rule;
}

static struct seccomp_rule allow_if(struct arena *arena, const char *const *name, uint32_t index,
        uint64_t value, uint64_t value_two, const char *op)
{
    struct seccomp_rule rule = allow(name, 1);

    rule.args.items = arena_new(arena, struct seccomp_arg);
    rule.args.items[0] = (struct seccomp_arg){index, value, value_two, op};
    rule.args.count = 1;
    return rule;
}

/* The kernel takes the family as an int: what stands above it in the register means nothing, and a
 * comparison of all 64 bits could be led past a number by it. */
static size_t add_sockets(
        struct arena *arena, const int *numbers, size_t count, struct seccomp_rule *rules)
{
    for (size_t i = 0; i < count; i++)
        rules[i] = allow_if(
                arena, only_socket, 0, UINT32_MAX, (uint64_t)numbers[i], "SCMP_CMP_MASKED_EQ");
    return count;
}

/* Threads and processes, and no new namespaces. clone3 hides its flags in memory that a filter
 * cannot see: it is absent, and programs fall back to clone. */
static size_t add_clone(struct arena *arena, struct seccomp_rule *rules)
{
    rules[0] = allow_if(arena, only_clone, 0, NAMESPACE_FLAGS, 0, "SCMP_CMP_MASKED_EQ");
    rules[1] = allow(only_clone3, 1);
    rules[1].action = "SCMP_ACT_ERRNO";
    rules[1].errno_ret = (struct opt_u64){true, ENOSYS};
    return 2;
}

#if defined(__x86_64__)
static const char *const architectures[] = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"};
#elif defined(__aarch64__)
static const char *const architectures[] = {"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"};
#endif

void seccomp_default_profile(
        struct arena *arena, uint64_t capabilities, struct seccomp_profile *ret)
{
    size_t most = 1 + ARRAY_SIZE(groups) + ARRAY_SIZE(personalities) + ARRAY_SIZE(families) +
                  ARRAY_SIZE(network_families) + 2;
    struct seccomp_rule *rules = arena_new_array(arena, struct seccomp_rule, most);
    size_t count = 0;

    rules[count++] = allow(always, ARRAY_SIZE(always));
    for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
        if (capabilities & CAPS_BIT(groups[i].capability))
            rules[count++] = allow(groups[i].names, groups[i].count);
    for (size_t i = 0; i < ARRAY_SIZE(personalities); i++)
        rules[count++] = allow_if(arena, only_personality, 0, personalities[i], 0, "SCMP_CMP_EQ");
    count += add_sockets(arena, families, ARRAY_SIZE(families), rules + count);
    if (capabilities & CAPS_BIT(CAP_NET_ADMIN))
        count += add_sockets(arena, network_families, ARRAY_SIZE(network_families), rules + count);
    if (!(capabilities & CAPS_BIT(CAP_SYS_ADMIN)))
        count += add_clone(arena, rules + count);
    *ret = (struct seccomp_profile){
            .default_action = "SCMP_ACT_ERRNO",
            .default_errno_ret = {true, EPERM},
    };
    ret->architectures.words = (char **)(uintptr_t)architectures;
    ret->architectures.count = ARRAY_SIZE(architectures);
    ret->rules.items = rules;
    ret->rules.count = count;
}
