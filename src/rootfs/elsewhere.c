#include "rootfs/elsewhere.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "rootfs/inroot.h"
#include "sys/mount.h"
#include "sys/process.h"

/* The parts of such a path: the process, and what follows "root". */
static bool take_apart(const char *path, int *ret_pid, const char **ret_rest)
{
    int used = 0;

    if (sscanf(path, "/proc/%d/root%n", ret_pid, &used) != 1 || used == 0 || path[used] != '/')
        return false;
    *ret_rest = path + used;
    return true;
}

static void namespace_path(int pid, char text[32])
{
    snprintf(text, 32, "/proc/%d/ns/mnt", pid);
}

bool elsewhere_is(const char *path)
{
    struct stat own, other;
    const char *rest;
    char name[32];
    int pid;

    if (!take_apart(path, &pid, &rest))
        return false;
    namespace_path(pid, name);
    return stat("/proc/self/ns/mnt", &own) == 0 && stat(name, &other) == 0 &&
           own.st_ino != other.st_ino;
}

int elsewhere_open(const char *path)
{
    const char *rest;
    char name[32];
    int pid;

    if (!take_apart(path, &pid, &rest))
        return -EINVAL;
    snprintf(name, sizeof(name), "/proc/%d/root", pid);
    _cleanup_close_ int root = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return root < 0 ? -errno : inroot_open(root, rest, INROOT_MUST_EXIST, INROOT_NO_SYMLINKS, NULL);
}

/* In the process that goes there. */
static int open_there(int namespace, const char *rest, unsigned flags)
{
    int r = sys_setns(namespace, CLONE_NEWNS);

    if (r < 0)
        return r;
    _cleanup_close_ int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return -errno;
    _cleanup_close_ int found =
            inroot_open(root, rest, INROOT_MUST_EXIST, INROOT_NO_SYMLINKS, NULL);
    return found < 0 ? found : sys_open_tree(found, "", flags | AT_EMPTY_PATH);
}

int elsewhere_open_tree(const char *path, unsigned flags)
{
    struct clone_args args = {.flags = CLONE_FILES, .exit_signal = SIGCHLD};
    const char *rest;
    char name[32];
    int pipe_fds[2];
    int pid;
    int result = -EIO; /* what it is if that process is killed */
    siginfo_t info;

    if (!take_apart(path, &pid, &rest))
        return -EINVAL;
    namespace_path(pid, name);
    _cleanup_close_ int namespace = open(name, O_RDONLY | O_CLOEXEC);
    if (namespace < 0 || pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    _cleanup_close_ int from = pipe_fds[0];
    _cleanup_close_ int to = pipe_fds[1];
    pid_t there = sys_clone3(&args);
    if (there < 0)
        return there;
    if (there == 0) {
        result = open_there(namespace, rest, flags);
        _exit(write(to, &result, sizeof(result)) != sizeof(result));
    }
    sys_waitid(P_PID, (id_t)there, &info, WEXITED);
    return read(from, &result, sizeof(result)) == sizeof(result) ? result : -EIO;
}

void elsewhere_describe(struct step_text *text, const char *path, const char *flags)
{
    const char *rest;
    int pid;

    if (!take_apart(path, &pid, &rest))
        return;
    step_call(text, "openat(AT_FDCWD, \"/proc/%d/ns/mnt\", O_RDONLY|O_CLOEXEC)", pid);
    step_call(text, "clone3({flags=CLONE_FILES, exit_signal=SIGCHLD}, 88)");
    step_call(text, "setns(<mnt namespace>, CLONE_NEWNS)");
    inroot_call(text, rest, INROOT_NO_SYMLINKS);
    step_call(text, "open_tree(<found>, \"\", %s|AT_EMPTY_PATH)", flags);
}
