#include "sys/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "sys/door.h"

int sys_tap_open(const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};

    if (strlen(name) >= IFNAMSIZ)
        return -ENAMETOOLONG;
    memcpy(request.ifr_name, name, strlen(name));
    int fd = (int)SYS_CALL("openat", open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
    if (fd < 0)
        return fd;
    int r = (int)SYS_CALL("ioctl", ioctl(fd, TUNSETIFF, &request));
    if (r < 0) {
        close(fd);
        return r;
    }
    return fd;
}

int sys_tap_attach(const char *name, int *ret, struct error *err)
{
    if (if_nametoindex(name) == 0)
        return error_set(err, ENODEV,
                "no interface %s; make it with ip tuntap add %s mode tap [user NAME]", name, name);
    int fd = sys_tap_open(name);
    if (fd < 0)
        return error_sys(err, -fd, "attach to the tap device %s%s", name,
                fd == -EBUSY ? " (another machine has it)"
                             : " (is it a tap device, and made for this user? Else CAP_NET_ADMIN "
                               "is needed)");
    *ret = fd;
    return 0;
}

int sys_tap_set_header(int fd, int size)
{
    return (int)SYS_CALL("ioctl", ioctl(fd, TUNSETVNETHDRSZ, &size));
}

int sys_tap_set_offload(int fd, unsigned offload)
{
    return (int)SYS_CALL("ioctl", ioctl(fd, TUNSETOFFLOAD, (unsigned long)offload));
}
