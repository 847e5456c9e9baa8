#include "sys/netns.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sys/netlink.h"
#include "sys/process.h"

int sys_netns_enter(int namespace_fd, int *ret_own)
{
    _cleanup_close_ int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

    if (own < 0)
        return -errno;
    int r = sys_setns(namespace_fd, CLONE_NEWNET);
    if (r < 0)
        return r;
    *ret_own = take_fd(&own);
    return 0;
}

int sys_netns_leave(int *own)
{
    int r = *own < 0 ? 0 : sys_setns(*own, CLONE_NEWNET);

    cleanup_close(own);
    return r;
}

int sys_netns_netlink(int namespace_fd)
{
    int own = -1;
    int r = sys_netns_enter(namespace_fd, &own);

    if (r < 0)
        return r;
    int sock = netlink_open();
    r = sys_netns_leave(&own);
    if (r < 0 && sock >= 0)
        close(sock);
    return r < 0 ? r : sock;
}
