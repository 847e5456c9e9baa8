#include "vmm/filter.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sys/allowlist.h"
#include "sys/creds.h"

#define CALL_FCHMODAT2 452 /* Linux 6.6 */
#define IOCTL_KIND(request) ((request)&0xff00U)

/* ---- the lists ---- */

/* libc and the threads' loops. */
static const int common_calls[] = {SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_futex,
        SYS_epoll_wait, SYS_epoll_pwait, SYS_epoll_ctl, SYS_timerfd_create, SYS_timerfd_settime,
        SYS_close, SYS_clock_gettime, SYS_clock_nanosleep, SYS_nanosleep, SYS_gettimeofday,
        SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_rt_sigaction, SYS_sigaltstack, SYS_sched_yield,
        SYS_madvise, SYS_munmap, SYS_mremap, SYS_brk, SYS_gettid, SYS_getpid, SYS_tgkill,
        SYS_getrandom, SYS_restart_syscall, SYS_rseq, SYS_set_robust_list, SYS_exit,
        SYS_exit_group};

/* Sockets of vsock and passt, snapshots that are written to a descriptor. */
static const int loop_calls[] = {SYS_connect, SYS_accept4, SYS_shutdown, SYS_sendto, SYS_recvfrom,
        SYS_sendmsg, SYS_recvmsg, SYS_getsockopt, SYS_setsockopt, SYS_fcntl, SYS_dup, SYS_fstat,
        SYS_newfstatat, SYS_lseek, SYS_pread64, SYS_pwrite64, SYS_preadv, SYS_pwritev,
        SYS_ftruncate, SYS_fallocate, SYS_fsync, SYS_fdatasync, SYS_eventfd2, SYS_memfd_create,
        SYS_mincore};

/* A driver's reset shuts its streams. */
static const int vcpu_calls[] = {SYS_shutdown};

static const int disk_calls[] = {SYS_preadv, SYS_pwritev, SYS_pread64, SYS_pwrite64, SYS_fdatasync,
        SYS_fsync, SYS_fallocate, SYS_ftruncate, SYS_lseek, SYS_fstat, SYS_newfstatat,
        SYS_io_uring_enter};

static const int share_calls[] = {SYS_openat2, SYS_fstat, SYS_newfstatat, SYS_fstatfs,
        SYS_readlinkat, SYS_mkdirat, SYS_mknodat, SYS_symlinkat, SYS_linkat, SYS_unlinkat,
        SYS_renameat2, SYS_fchownat, SYS_fchmod, CALL_FCHMODAT2, SYS_ftruncate, SYS_utimensat,
        SYS_fsetxattr, SYS_fgetxattr, SYS_flistxattr, SYS_fremovexattr, SYS_getdents64, SYS_lseek,
        SYS_preadv, SYS_pwritev, SYS_pread64, SYS_pwrite64, SYS_fsync, SYS_fdatasync, SYS_fallocate,
        SYS_copy_file_range, SYS_fcntl, SYS_setfsuid, SYS_setfsgid, SYS_geteuid, SYS_getegid,
        SYS_getuid, SYS_getgid, SYS_eventfd2};

#define CAP(number) (UINT64_C(1) << (number))
#define FILE_CAPS                                                                                  \
    (CAP(CAP_CHOWN) | CAP(CAP_DAC_OVERRIDE) | CAP(CAP_FOWNER) | CAP(CAP_FSETID) |                  \
            CAP(CAP_SETUID) | CAP(CAP_SETGID))

static const struct profile {
    const int *calls;
    size_t count;
    uint64_t capabilities;
    bool sockets, kvm, tap;
    uint32_t otherwise;
} profiles[] = {
        [THREAD_LOOP] = {loop_calls, ARRAY_SIZE(loop_calls), 0, true, true, true,
                SECCOMP_RET_ERRNO | EPERM},
        [THREAD_VCPU] = {vcpu_calls, ARRAY_SIZE(vcpu_calls), 0, false, true, false,
                SECCOMP_RET_KILL_PROCESS},
        [THREAD_DISK] = {disk_calls, ARRAY_SIZE(disk_calls), 0, false, false, false,
                SECCOMP_RET_KILL_PROCESS},
        [THREAD_SHARE] = {share_calls, ARRAY_SIZE(share_calls), FILE_CAPS, false, false, false,
                SECCOMP_RET_KILL_PROCESS},
};

/* ---- the filter ---- */

static void add_socket_rule(struct allowlist *list)
{
    allowlist_add(list, BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 4);
    allowlist_load_argument(list, 0);
    allowlist_add(list, BPF_JMP | BPF_JEQ | BPF_K, AF_UNIX, 0, 1);
    allowlist_return(list, SECCOMP_RET_ALLOW);
    allowlist_return(list, SECCOMP_RET_ERRNO | EAFNOSUPPORT);
}

/* Of the terminal's, tap's and file systems' requests none but the one that a driver's start makes:
 * among the others is one that types into a terminal. */
static void add_ioctl_rule(struct allowlist *list, const struct profile *profile)
{
    if (!profile->kvm) { /* a worker tells the guest that it is done */
        allowlist_add(list, BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 4);
        allowlist_load_argument(list, 1);
        allowlist_add(list, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)KVM_SIGNAL_MSI, 0, 1);
        allowlist_return(list, SECCOMP_RET_ALLOW);
        allowlist_return(list, SECCOMP_RET_ERRNO | ENOTTY);
        return;
    }
    allowlist_add(list, BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, profile->tap ? 7 : 5);
    allowlist_load_argument(list, 1);
    if (profile->tap) {
        allowlist_add(list, BPF_JMP | BPF_JEQ | BPF_K, TUNSETOFFLOAD, 0, 1);
        allowlist_return(list, SECCOMP_RET_ALLOW);
    }
    allowlist_add(list, BPF_ALU | BPF_AND | BPF_K, 0xff00U, 0, 0);
    allowlist_add(list, BPF_JMP | BPF_JEQ | BPF_K, IOCTL_KIND(KVM_RUN), 0, 1);
    allowlist_return(list, SECCOMP_RET_ALLOW);
    allowlist_return(list, SECCOMP_RET_ERRNO | ENOTTY);
}

static int enforce(const struct profile *profile)
{
    struct allowlist list;

    allowlist_begin(&list);
    allowlist_calls(&list, common_calls, ARRAY_SIZE(common_calls));
    allowlist_calls(&list, profile->calls, profile->count);
    /* libc looks at a file of /proc when it trims a heap, and does without it */
    allowlist_add(&list, BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 1);
    allowlist_return(&list, SECCOMP_RET_ERRNO | EPERM);
    allowlist_memory(&list);
    if (profile->sockets)
        add_socket_rule(&list);
    add_ioctl_rule(&list, profile);
    return allowlist_enforce(&list, profile->otherwise);
}

void filter_confine(enum thread_kind kind)
{
    uint64_t effective, permitted, inheritable;
    int r = sys_capget(0, &effective, &permitted, &inheritable);

    if (r == 0) {
        uint64_t kept = permitted & profiles[kind].capabilities;
        r = sys_capset(kept, kept, 0);
    }
    if (r == 0 && !ALLOWLIST_WITH_RUNTIME)
        r = enforce(&profiles[kind]);
    if (r == 0)
        return;
    fprintf(stderr, "viv-vmm: cannot confine a thread: %s\n", strerror(-r));
    _exit(1);
}
