#include "sys/proc.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/cleanup.h"
#include "sys/mount.h"

/* The inode number of every procfs root (PROC_ROOT_INO in the kernel). */
#define PROC_ROOT_INO 1

int sys_proc_verify(int fd, struct error *err)
{
    struct statfs fs;
    struct stat st;

    if (fstatfs(fd, &fs) < 0 || fstat(fd, &st) < 0)
        return error_sys(err, errno, "look at the file system of the procfs handle");
    if (fs.f_type != PROC_SUPER_MAGIC)
        return error_set(err, EXDEV,
                "what is mounted on /proc is no procfs (file system type 0x%lx); nothing can be "
                "written through it safely: mount proc there",
                (unsigned long)fs.f_type);
    if (st.st_ino != PROC_ROOT_INO)
        return error_set(err, EXDEV,
                "/proc is a part of a procfs (inode %lu), not its root; mount a whole proc there",
                (unsigned long)st.st_ino);
    return 0;
}

static int open_private(void)
{
    _cleanup_close_ int fs_fd = sys_fsopen("proc", 0);

    if (fs_fd < 0)
        return fs_fd;
    int r = sys_fsconfig(fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
    return r < 0 ? r : sys_fsmount(fs_fd, 0, 0);
}

int sys_proc_open_shared(struct error *err)
{
    _cleanup_close_ int fd = sys_openat2(AT_FDCWD, "/proc", O_PATH | O_DIRECTORY, 0, 0);

    if (fd < 0)
        return error_sys(err, -fd, "open /proc");
    int r = sys_proc_verify(fd, err);
    return r < 0 ? r : take_fd(&fd);
}

int sys_proc_open(struct error *err)
{
    _cleanup_close_ int fd = open_private();

    if (fd < 0)
        return sys_proc_open_shared(err);
    int r = sys_proc_verify(fd, err);
    return r < 0 ? r : take_fd(&fd);
}

int sys_proc_open_at(int proc_fd, const char *name, int flags)
{
    return sys_openat2(proc_fd, name, (uint64_t)flags, 0, SYS_PROC_RESOLVE);
}

int sys_proc_open_ns(int proc_fd, const char *pid, const char *file)
{
    char path[64];

    if (snprintf(path, sizeof(path), "%s/ns", pid) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    _cleanup_close_ int dir = sys_proc_open_at(proc_fd, path, O_PATH | O_DIRECTORY);
    if (dir < 0)
        return dir;
    /* the last part is a magic link, which openat2 would refuse under SYS_PROC_RESOLVE */
    return sys_openat2(dir, file, O_RDONLY, 0, 0);
}

int sys_proc_write(int proc_fd, const char *name, const char *text)
{
    _cleanup_close_ int fd = sys_proc_open_at(proc_fd, name, O_WRONLY);

    if (fd < 0)
        return fd;
    ssize_t put = write(fd, text, strlen(text));
    if (put < 0)
        return -errno;
    return (size_t)put == strlen(text) ? 0 : -EIO;
}
