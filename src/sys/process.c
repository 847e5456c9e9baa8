#include "sys/process.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "sys/door.h"

pid_t sys_clone3(struct clone_args *args)
{
    return (pid_t)SYS_CALL("clone3", syscall(SYS_clone3, args, sizeof(*args)));
}

int sys_unshare(uint64_t flags)
{
    return (int)SYS_CALL("unshare", syscall(SYS_unshare, flags));
}

int sys_setns(int fd, int nstype)
{
    return (int)SYS_CALL("setns", syscall(SYS_setns, fd, nstype));
}

int sys_pidfd_open(pid_t pid, unsigned flags)
{
    return (int)SYS_CALL("pidfd_open", syscall(SYS_pidfd_open, pid, flags));
}

int sys_pidfd_send_signal(int pidfd, int signal)
{
    return (int)SYS_CALL(
            "pidfd_send_signal", syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0));
}

int sys_waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
    return (int)SYS_CALL("waitid", TEMP_FAILURE_RETRY(waitid(type, id, info, options)));
}

int sys_sethostname(const char *name)
{
    return (int)SYS_CALL("sethostname", syscall(SYS_sethostname, name, strlen(name)));
}

int sys_setdomainname(const char *name)
{
    return (int)SYS_CALL("setdomainname", syscall(SYS_setdomainname, name, strlen(name)));
}

int sys_setsid(void)
{
    return (int)SYS_CALL("setsid", setsid());
}

int sys_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
    return (int)SYS_CALL("prctl", prctl(option, a, b, c, d));
}

int sys_execve(const char *path, char *const argv[], char *const envp[])
{
    return (int)SYS_CALL("execve", execve(path, argv, envp));
}

int sys_execveat(int dirfd, const char *path, char *const argv[], char *const envp[], int flags)
{
    return (int)SYS_CALL("execveat", syscall(SYS_execveat, dirfd, path, argv, envp, flags));
}

int sys_close_range(unsigned first, unsigned last, unsigned flags)
{
    return (int)SYS_CALL("close_range", syscall(SYS_close_range, first, last, flags));
}

int sys_setresuid(uid_t real, uid_t effective, uid_t saved)
{
    return (int)SYS_CALL("setresuid", syscall(SYS_setresuid, real, effective, saved));
}

int sys_setresgid(gid_t real, gid_t effective, gid_t saved)
{
    return (int)SYS_CALL("setresgid", syscall(SYS_setresgid, real, effective, saved));
}

int sys_setgroups(size_t count, const gid_t *groups)
{
    return (int)SYS_CALL("setgroups", syscall(SYS_setgroups, count, groups));
}

#define STATE_FIELD 3
#define START_FIELD 22

/* Where the field of this number begins, from the one that begins at `text`. */
static const char *stat_field(const char *text, int from, int number)
{
    for (; text && from < number; from++) {
        text = strchr(text, ' ');
        text = text ? text + 1 : NULL;
    }
    return text;
}

/* Lists of a thousand sandboxes come here for each: sscanf(3) took half as long as the kernel. */
int sys_process_start_time(pid_t pid, uint64_t *ret)
{
    char path[64];
    char text[1024];

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1); /* all of it comes at once */
    if (got <= 0)
        return -ESRCH;
    text[got] = '\0';
    /* the name in the second field may hold blanks and parentheses: the last one ends it */
    const char *name_end = strrchr(text, ')');
    const char *state = name_end ? stat_field(name_end, STATE_FIELD - 1, STATE_FIELD) : NULL;
    const char *start = stat_field(state, STATE_FIELD, START_FIELD);
    if (!start || *start < '0' || *start > '9')
        return -EIO;
    if (*state == 'Z' || *state == 'X')
        return -ESRCH;
    *ret = strtoull(start, NULL, 10);
    return 0;
}
