#include "sys/cgroup.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sys/door.h"

int sys_cgroup_open(const char *path, int flags)
{
    return (int)SYS_CALL("openat", openat(AT_FDCWD, path, flags | O_CLOEXEC));
}

int sys_cgroup_write_fd(int fd, const char *text)
{
    long put = SYS_CALL("write", write(fd, text, strlen(text)));

    return put < 0 ? (int)put : 0;
}

int sys_cgroup_write(const char *path, const char *text)
{
    _cleanup_close_ int fd = sys_cgroup_open(path, O_WRONLY);

    return fd < 0 ? fd : sys_cgroup_write_fd(fd, text);
}

int sys_cgroup_rmdir(const char *path)
{
    return (int)SYS_CALL("rmdir", rmdir(path));
}
