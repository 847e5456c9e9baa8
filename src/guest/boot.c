#include "guest/boot.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/random.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "container/guest.h"
#include "guest/net.h"
#include "sys/mount.h"

#define NEW_ROOT "/run"
#define MODULES "/modules"
#define MODULES_MAX 256
#define CGROUPS "/sys/fs/cgroup"
#define HEAP (512 << 10)

#define MS_MOVE 8192 /* <sys/mount.h> cannot be included beside <linux/mount.h> */
#define MS_NOSUID 2
#define MS_NODEV 4
#define MS_NOEXEC 8

static const struct {
    const char *path, *type;
    unsigned long flags;
    const char *data;
} file_systems[] = {
        {"/dev", "devtmpfs", MS_NOSUID, "mode=0755"},
        {"/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL},
        {"/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL},
        {CGROUPS, "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL},
        {"/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755"},
};

/* The initramfs cannot be left by pivot_root(2); a tmpfs over it can. */
static int leave_initramfs(struct error *err)
{
    static const char *const folders[] = {"dev", "proc", "sys", "run"};
    int r = sys_mount("root", NEW_ROOT, "tmpfs", 0, "mode=0755");

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(folders); i++) {
        char path[64];
        snprintf(path, sizeof(path), NEW_ROOT "/%s", folders[i]);
        if (mkdir(path, 0755) < 0)
            r = -errno;
    }
    if (r == 0 && chdir(NEW_ROOT) < 0)
        r = -errno;
    if (r == 0)
        r = sys_mount(NEW_ROOT, "/", NULL, MS_MOVE, NULL);
    if (r == 0)
        r = sys_chroot(".");
    if (r == 0 && chdir("/") < 0)
        r = -errno;
    return r < 0 ? error_sys(err, -r, "leave the initramfs") : 0;
}

static int mount_all(struct error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(file_systems); i++) {
        int r = sys_mount(file_systems[i].type, file_systems[i].path, file_systems[i].type,
                file_systems[i].flags, file_systems[i].data);
        if (r < 0)
            return error_sys(err, -r, "mount %s on %s", file_systems[i].type, file_systems[i].path);
    }
    return 0;
}

static int by_name(const void *one, const void *other)
{
    return strcmp(*(char *const *)one, *(char *const *)other);
}

static int load_module(int folder, const char *name, struct error *err)
{
    _cleanup_close_ int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST))
        return error_sys(err, errno, "load the module %s", name);
    return 0;
}

/* Their names begin with the place in the order. Opened before the initramfs is left. */
static int load_modules(int folder, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_closedir_ DIR *dir = fdopendir(dup(folder));
    struct strv names = {0};
    struct dirent *entry;
    const char *name;

    while (dir && names.count < MODULES_MAX && (entry = readdir(dir)))
        if (str_ends(entry->d_name, ".ko"))
            strv_add(&arena, &names, entry->d_name);
    if (names.count)
        qsort(names.words, names.count, sizeof(*names.words), by_name);
    strv_foreach (name, &names) {
        int r = load_module(folder, name, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The heap keeps what it has once had, and has enough for a workload's configuration and plan. */
static void warm_heap(void)
{
    mallopt(M_TRIM_THRESHOLD, 4 * HEAP);
    mallopt(M_TOP_PAD, HEAP);
    free(malloc(1));
}

/* What every workload's start comes to, done once, before the machine is kept as a template: its
 * controllers are enabled, its group is there, the loopback is up, and so are the pages of this
 * program. Each is faster for it, and nothing depends on it. */
static void warm_up(void)
{
    (void)io_write_file_at(AT_FDCWD, CGROUPS "/cgroup.subtree_control",
            "+cpu +cpuset +memory +io +pids +hugetlb +rdma +misc");
    (void)mkdir(CGROUPS CONTAINER_GUEST_CGROUP, 0755);
    (void)guest_set_up_loopback(NULL);
    warm_heap();
    if (mlockall(MCL_CURRENT) == 0)
        (void)munlockall();
}

int guest_boot(struct error *err)
{
    _cleanup_close_ int modules = open(MODULES, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = leave_initramfs(err);

    umask(022);
    if (r == 0)
        r = mount_all(err);
    if (r == 0 && modules >= 0)
        r = load_modules(modules, err);
    if (r == 0)
        warm_up();
    setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
    return r;
}

int guest_take_identity(const struct agent_welcome *welcome, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    struct timespec now = {welcome->seconds, welcome->nanoseconds};
    size_t length;
    void *seed;

    if (welcome->seconds && clock_settime(CLOCK_REALTIME, &now) < 0)
        return error_sys(err, errno, "set the clock");
    if (!welcome->seed)
        return 0;
    if (agent_unhex(&arena, welcome->seed, &seed, &length) < 0 || length > 512)
        return error_set(err, EINVAL, "the seed is no short hexadecimal number");
    struct rand_pool_info *pool = arena_alloc(&arena, sizeof(*pool) + length);
    pool->entropy_count = (int)length * 8;
    pool->buf_size = (int)length;
    memcpy(pool->buf, seed, length);
    _cleanup_close_ int fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, RNDADDENTROPY, pool) < 0 || ioctl(fd, RNDRESEEDCRNG) < 0)
        return error_sys(err, errno, "seed the random number generator");
    return 0;
}

void guest_power_off(void)
{
    sync();
    reboot(RB_POWER_OFF);
    for (;;)
        pause();
}
