#include "image/cage.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sys/allowlist.h"
#include "sys/creds.h"
#include "sys/filter.h"
#include "sys/process.h"

/* --- Landlock ----------------------------------------------------------------------------------
 */

#define ACCESS_TRUNCATE (UINT64_C(1) << 14)  /* ABI 3 */
#define ACCESS_IOCTL_DEV (UINT64_C(1) << 15) /* ABI 5 */
#define ACCESS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define ACCESS_FILES                                                                               \
    (ACCESS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE |                \
            LANDLOCK_ACCESS_FS_MAKE_REG | ACCESS_TRUNCATE)
#define ACCESS_ALL                                                                                 \
    (ACCESS_FILES | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                   \
            LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR |                           \
            LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |                          \
            LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM |                          \
            LANDLOCK_ACCESS_FS_REFER | ACCESS_IOCTL_DEV)
#define ACCESS_ON_A_FILE (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_EXECUTE)

struct readable {
    const char *path;
    uint64_t access;
};

/* libarchive's names need a locale. */
static const struct readable for_workers[] = {{"/usr/lib/locale", ACCESS_READ}};

/* What getaddrinfo(3) and the TLS library open. */
static const struct readable for_network[] = {
        {"/etc/resolv.conf", ACCESS_ON_A_FILE},
        {"/etc/hosts", ACCESS_ON_A_FILE},
        {"/etc/host.conf", ACCESS_ON_A_FILE},
        {"/etc/gai.conf", ACCESS_ON_A_FILE},
        {"/etc/nsswitch.conf", ACCESS_ON_A_FILE},
        {"/etc/services", ACCESS_ON_A_FILE},
        {"/etc/ld.so.cache", ACCESS_ON_A_FILE},
        {"/etc/ssl", ACCESS_READ},
        {"/usr/lib", ACCESS_READ | LANDLOCK_ACCESS_FS_EXECUTE},
        {"/usr/share/ca-certificates", ACCESS_READ},
        {"/usr/local/share/ca-certificates", ACCESS_READ},
};

/* The rights that this kernel knows. */
static uint64_t known_rights(int version)
{
    uint64_t rights = ACCESS_ALL;

    if (version < 5)
        rights &= ~ACCESS_IOCTL_DEV;
    if (version < 3)
        rights &= ~ACCESS_TRUNCATE;
    if (version < 2)
        rights &= ~LANDLOCK_ACCESS_FS_REFER;
    return rights;
}

static int allow(int ruleset, int fd, uint64_t access, struct error *err)
{
    struct landlock_path_beneath_attr rule = {.allowed_access = access, .parent_fd = fd};

    int r = sys_landlock_add_path(ruleset, &rule);
    return r < 0 ? error_sys(err, -r, "landlock_add_rule") : 0;
}

static int restrict_files(int folder_fd, uint64_t access, const struct readable *readable,
        size_t count, struct error *err)
{
    int version = sys_landlock_version();
    if (version < 1) /* a kernel without it: capabilities and system calls are still cut */
        return 0;
    uint64_t rights = known_rights(version);
    struct landlock_ruleset_attr attributes = {.handled_access_fs = rights};
    _cleanup_close_ int ruleset = sys_landlock_create_ruleset(&attributes, sizeof(attributes));
    if (ruleset < 0)
        return error_sys(err, -ruleset, "landlock_create_ruleset");
    int r = allow(ruleset, folder_fd, access & rights, err);
    for (size_t i = 0; i < count && r == 0; i++) {
        _cleanup_close_ int fd = open(readable[i].path, O_PATH | O_CLOEXEC);
        if (fd >= 0)
            r = allow(ruleset, fd, readable[i].access & rights, err);
    }
    if (r < 0)
        return r;
    r = sys_landlock_restrict_self(ruleset);
    return r < 0 ? error_sys(err, -r, "landlock_restrict_self") : 0;
}

/* --- System calls ------------------------------------------------------------------------------
 */

static const int common_calls[] = {
        SYS_read,
        SYS_pread64,
        SYS_readv,
        SYS_write,
        SYS_pwrite64,
        SYS_writev,
        SYS_openat,
        SYS_close,
        SYS_fstat,
        SYS_newfstatat,
        SYS_statx,
        SYS_lseek,
        SYS_ftruncate,
        SYS_getdents64,
        SYS_fcntl,
        SYS_mmap,
        SYS_munmap,
        SYS_mremap,
        SYS_mprotect,
        SYS_madvise,
        SYS_brk,
        SYS_futex,
        SYS_getpid,
        SYS_gettid,
        SYS_getuid,
        SYS_geteuid,
        SYS_getgid,
        SYS_getegid,
        SYS_getrandom,
        SYS_clock_gettime,
        SYS_clock_nanosleep,
        SYS_nanosleep,
        SYS_rt_sigaction,
        SYS_rt_sigprocmask,
        SYS_rt_sigreturn,
        SYS_sigaltstack,
        SYS_sched_yield,
        SYS_sched_getaffinity,
        SYS_restart_syscall,
        SYS_exit,
        SYS_exit_group,
        SYS_unlinkat,
        SYS_readlinkat,
        SYS_faccessat,
        SYS_faccessat2,
        SYS_umask,
        SYS_uname,
#ifdef SYS_readlink
        SYS_readlink,
        SYS_access,
        SYS_stat,
#endif
};

static const int worker_calls[] = {SYS_openat2, SYS_mkdirat, SYS_mknodat, SYS_symlinkat, SYS_linkat,
        SYS_fchown, SYS_fchownat, SYS_fchmod, SYS_fchmodat, SYS_utimensat, SYS_setxattr,
        SYS_lsetxattr, SYS_fsetxattr};

static const int network_calls[] = {
        SYS_socketpair,
        SYS_connect,
        SYS_bind,
        SYS_getsockname,
        SYS_getpeername,
        SYS_setsockopt,
        SYS_getsockopt,
        SYS_shutdown,
        SYS_sendto,
        SYS_recvfrom,
        SYS_sendmsg,
        SYS_sendmmsg,
        SYS_recvmsg,
        SYS_recvmmsg,
        SYS_ppoll,
        SYS_pipe2,
        SYS_eventfd2,
        SYS_epoll_create1,
        SYS_epoll_ctl,
        SYS_epoll_pwait,
        SYS_renameat,
        SYS_renameat2,
        SYS_fsync,
        SYS_ioctl,
        SYS_set_robust_list,
        SYS_rseq,
        SYS_gettimeofday,
        SYS_prlimit64,
        SYS_sysinfo,
        SYS_getppid,
        SYS_prctl,
        SYS_fstatfs,
        SYS_statfs,
#ifdef SYS_poll
        SYS_poll,
        SYS_epoll_wait,
        SYS_rename,
        SYS_unlink,
#endif
};

/* Threads, but no processes. */
static void add_thread_rule(struct allowlist *list)
{
    allowlist_add(list, BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1);
    allowlist_add(
            list, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS, 0, 0); /* libc falls back to clone */
    allowlist_add(list, BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4);
    allowlist_load_argument(list, 0);
    allowlist_add(list, BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 0, 1);
    allowlist_add(list, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
    allowlist_add(list, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM, 0, 0);
}

/* Only the families that names and registries are reached by. No AF_UNIX: services that trust the
 * user by its id listen there, and name look-ups do without theirs. */
static void add_socket_rule(struct allowlist *list)
{
    static const uint32_t families[] = {AF_INET, AF_INET6, AF_NETLINK};
    uint8_t rest = 2 + 2 * ARRAY_SIZE(families);

    allowlist_add(list, BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, rest);
    allowlist_load_argument(list, 0);
    for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
        allowlist_add(list, BPF_JMP | BPF_JEQ | BPF_K, families[i], 0, 1);
        allowlist_add(list, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
    }
    allowlist_add(list, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAFNOSUPPORT, 0, 0);
}

/* Signals go to nobody but itself. */
static void add_signal_rule(struct allowlist *list)
{
    allowlist_add(list, BPF_JMP | BPF_JEQ | BPF_K, SYS_tgkill, 0, 4);
    allowlist_load_argument(list, 0);
    allowlist_add(list, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)getpid(), 0, 1);
    allowlist_add(list, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
    allowlist_add(list, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM, 0, 0);
}

static int restrict_calls(bool network, struct error *err)
{
    struct allowlist list;

    allowlist_begin(&list);
    allowlist_calls(&list, common_calls, ARRAY_SIZE(common_calls));
    add_signal_rule(&list);
    if (network) {
        allowlist_calls(&list, network_calls, ARRAY_SIZE(network_calls));
        add_socket_rule(&list);
        add_thread_rule(&list);
    } else {
        allowlist_calls(&list, worker_calls, ARRAY_SIZE(worker_calls));
    }
    int r = allowlist_enforce(&list, SECCOMP_RET_ERRNO | EPERM);
    return r < 0 ? error_sys(err, -r, "seccomp") : 0;
}

/* --- Both --------------------------------------------------------------------------------------
 */

static int restrict_rights(uint64_t kept, struct error *err)
{
    uint64_t effective;
    uint64_t permitted;
    uint64_t inheritable;

    int r = sys_capget(0, &effective, &permitted, &inheritable);
    if (r == 0)
        r = sys_capset(permitted & kept, permitted & kept, 0);
    if (r < 0)
        return error_sys(err, -r, "give up capabilities");
    r = sys_prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return r < 0 ? error_sys(err, -r, "prctl(PR_SET_NO_NEW_PRIVS)") : 0;
}

#define CAP(number) (UINT64_C(1) << (number))

/* CAP_SYS_ADMIN is for attributes in "trusted.", where overlayfs looks for its marks; the calls
 * that it would open are not among those that are left. */
#define WORKER_CAPS                                                                                \
    (CAP(CAP_CHOWN) | CAP(CAP_DAC_OVERRIDE) | CAP(CAP_FOWNER) | CAP(CAP_FSETID) | CAP(CAP_MKNOD) | \
            CAP(CAP_SETFCAP) | CAP(CAP_SYS_ADMIN))

int cage_enter_folder(int folder_fd, struct error *err)
{
    int r = restrict_rights(WORKER_CAPS, err);

    if (r == 0)
        r = restrict_files(folder_fd, ACCESS_ALL, for_workers, ARRAY_SIZE(for_workers), err);
    return r < 0 ? r : restrict_calls(false, err);
}

int cage_enter_network(int folder_fd, struct error *err)
{
    int r = restrict_rights(0, err);

    if (r == 0)
        r = restrict_files(folder_fd, ACCESS_FILES, for_network, ARRAY_SIZE(for_network), err);
    return r < 0 ? r : restrict_calls(true, err);
}
