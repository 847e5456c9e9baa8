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
#include "sys/mount.h"
#include "sys/process.h"

/* --- Mounts ------------------------------------------------------------------------------------
 */

int cage_own_mounts(uint64_t attributes)
{
    struct mount_attr private = {.propagation = MS_PRIVATE};
    struct mount_attr attr = {.attr_set = attributes};
    int r = sys_unshare(CLONE_NEWNS);

    if (r == 0)
        r = sys_mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &private);
    return r < 0 ? r : sys_mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &attr);
}

/* The nodes of devices that a layer has are for its container: who may make them could open the
 * host's disks by them. Without the right to mount there is none to make nodes either. */
static int leave_devices(int folder_fd, struct error *err)
{
    if (fchdir(folder_fd) < 0) /* of all that is open the working directory alone comes along */
        return error_sys(err, errno, "enter the folder of a layer");
    int r = cage_own_mounts(MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID);
    if (r == -EPERM || r == -EINVAL) /* a root by chroot(2) is no mount */
        return 0;
    _cleanup_close_ int again = r < 0 ? r : open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (again >= 0 && dup3(again, folder_fd, O_CLOEXEC) < 0)
        r = -errno;
    else if (r == 0 && again < 0)
        r = -errno;
    return r < 0 ? error_sys(err, -r, "mount without devices") : 0;
}

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

/* What any program is started from. */
static const struct readable for_makers[] = {
        {"/etc/ld.so.cache", ACCESS_ON_A_FILE},
        {"/lib", ACCESS_READ | LANDLOCK_ACCESS_FS_EXECUTE},
        {"/lib64", ACCESS_READ | LANDLOCK_ACCESS_FS_EXECUTE},
        {"/usr/lib", ACCESS_READ | LANDLOCK_ACCESS_FS_EXECUTE},
        {"/usr/local/lib", ACCESS_READ | LANDLOCK_ACCESS_FS_EXECUTE},
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

/* A place that is known by its descriptor. */
struct opened {
    int fd;
    uint64_t access;
};

static int restrict_files(const struct opened *opened, size_t opened_count,
        const struct readable *readable, size_t count, struct error *err)
{
    int version = sys_landlock_version();
    if (version < 1) /* a kernel without it: capabilities and system calls are still cut */
        return 0;
    uint64_t rights = known_rights(version);
    struct landlock_ruleset_attr attributes = {.handled_access_fs = rights};
    _cleanup_close_ int ruleset = sys_landlock_create_ruleset(&attributes, sizeof(attributes));
    if (ruleset < 0)
        return error_sys(err, -ruleset, "landlock_create_ruleset");
    int r = 0;
    for (size_t i = 0; i < opened_count && r == 0; i++)
        r = allow(ruleset, opened[i].fd, opened[i].access & rights, err);
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
        SYS_unlinkat, SYS_fchown, SYS_fchownat, SYS_fchmod, SYS_fchmodat, SYS_utimensat,
        SYS_setxattr, SYS_lsetxattr, SYS_fsetxattr};

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
        SYS_unlinkat,
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

/* No ioctl(2): with CAP_SYS_ADMIN one shuts a file system down. No prlimit64(2): it is for other
 * processes of the same user too. Programs do without an answer of either. */
static const int maker_calls[] = {
        SYS_execve,
        SYS_set_tid_address,
        SYS_set_robust_list,
        SYS_rseq,
        SYS_gettimeofday,
        SYS_sysinfo,
        SYS_fsync,
        SYS_fallocate,
        SYS_copy_file_range,
        SYS_llistxattr,
        SYS_lgetxattr,
#ifdef SYS_arch_prctl
        SYS_arch_prctl,
#endif
};

/* Threads, but no processes. */
static void add_thread_rule(struct allowlist *list)
{
    allowlist_add(list, BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1);
    allowlist_return(list, SECCOMP_RET_ERRNO | ENOSYS); /* libc falls back to clone */
    allowlist_add(list, BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4);
    allowlist_load_argument(list, 0);
    allowlist_add(list, BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 0, 1);
    allowlist_return(list, SECCOMP_RET_ALLOW);
    allowlist_return(list, SECCOMP_RET_ERRNO | EPERM);
}

/* A call whose argument says what becomes of it: `listed` where it is one of these. */
static void add_argument_rule(struct allowlist *list, int call, unsigned argument,
        const uint32_t *values, size_t count, uint32_t listed, uint32_t others)
{
    allowlist_add(list, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, (uint8_t)(2 + 2 * count));
    allowlist_load_argument(list, argument);
    for (size_t i = 0; i < count; i++) {
        allowlist_add(list, BPF_JMP | BPF_JEQ | BPF_K, values[i], 0, 1);
        allowlist_return(list, listed);
    }
    allowlist_return(list, others);
}

/* Only the families that names and registries are reached by. No AF_UNIX: services that trust the
 * user by its id listen there, and name look-ups do without theirs. */
static void add_socket_rule(struct allowlist *list)
{
    static const uint32_t families[] = {AF_INET, AF_INET6, AF_NETLINK};

    add_argument_rule(list, SYS_socket, 0, families, ARRAY_SIZE(families), SECCOMP_RET_ALLOW,
            SECCOMP_RET_ERRNO | EAFNOSUPPORT);
}

/* Signals go to nobody but itself: neither sent, nor by a descriptor that has news. */
static void add_signal_rule(struct allowlist *list)
{
    static const uint32_t owners[] = {F_SETOWN, F_SETOWN_EX, F_SETSIG};
    const uint32_t own = (uint32_t)getpid();

    add_argument_rule(list, SYS_fcntl, 1, owners, ARRAY_SIZE(owners), SECCOMP_RET_ERRNO | EPERM,
            SECCOMP_RET_ALLOW);
    add_argument_rule(list, SYS_tgkill, 0, &own, 1, SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO | EPERM);
}

enum inmate { WORKER, NETWORK, MAKER };

static const struct {
    const int *calls;
    size_t count;
    bool sockets, threads;
} profiles[] = {
        [WORKER] = {worker_calls, ARRAY_SIZE(worker_calls), false, false},
        [NETWORK] = {network_calls, ARRAY_SIZE(network_calls), true, true},
        [MAKER] = {maker_calls, ARRAY_SIZE(maker_calls), false, true},
};

static int restrict_calls(enum inmate inmate, struct error *err)
{
    struct allowlist list;

    allowlist_begin(&list);
    allowlist_calls(&list, common_calls, ARRAY_SIZE(common_calls));
    allowlist_calls(&list, profiles[inmate].calls, profiles[inmate].count);
    add_signal_rule(&list);
    if (profiles[inmate].sockets)
        add_socket_rule(&list);
    if (profiles[inmate].threads)
        add_thread_rule(&list);
    int r = allowlist_enforce(&list, SECCOMP_RET_ERRNO | EPERM);
    return r < 0 ? error_sys(err, -r, "seccomp") : 0;
}

/* --- All ---------------------------------------------------------------------------------------
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

/* They read what they have no right to, but change nothing. */
#define MAKER_CAPS (CAP(CAP_DAC_READ_SEARCH) | CAP(CAP_SYS_ADMIN))

int cage_enter_folder(int folder_fd, struct error *err)
{
    const struct opened opened = {folder_fd, ACCESS_ALL};
    int r = leave_devices(folder_fd, err);

    if (r == 0)
        r = restrict_rights(WORKER_CAPS, err);
    if (r == 0)
        r = restrict_files(&opened, 1, for_workers, ARRAY_SIZE(for_workers), err);
    return r < 0 ? r : restrict_calls(WORKER, err);
}

int cage_enter_network(int folder_fd, struct error *err)
{
    const struct opened opened = {folder_fd, ACCESS_FILES};
    int r = restrict_rights(0, err);

    if (r == 0)
        r = restrict_files(&opened, 1, for_network, ARRAY_SIZE(for_network), err);
    return r < 0 ? r : restrict_calls(NETWORK, err);
}

int cage_enter_maker(int program_fd, int folder_fd, int file_fd, struct error *err)
{
    const struct opened opened[] = {
            {program_fd, ACCESS_ON_A_FILE},
            {folder_fd, ACCESS_READ},
            {file_fd,
                    LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_TRUNCATE},
    };
    int r = restrict_rights(MAKER_CAPS, err);

    if (r == 0)
        r = restrict_files(opened, ARRAY_SIZE(opened), for_makers, ARRAY_SIZE(for_makers), err);
    return r < 0 ? r : restrict_calls(MAKER, err);
}
