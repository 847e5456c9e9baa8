#include "sys/kvm.h"

#include <fcntl.h>
#include <sys/ioctl.h>

#include "sys/door.h"

int sys_kvm_open(void)
{
    return (int)SYS_CALL("openat", open("/dev/kvm", O_RDWR | O_CLOEXEC));
}

int sys_kvm_ioctl(int fd, unsigned long request, unsigned long number)
{
    return (int)SYS_CALL("ioctl", ioctl(fd, request, number));
}

int sys_kvm_ioctl_ptr(int fd, unsigned long request, void *argument)
{
    return (int)SYS_CALL("ioctl", ioctl(fd, request, argument));
}

int sys_kvm_run(int vcpu_fd)
{
    return ioctl(vcpu_fd, KVM_RUN, 0) < 0 ? -errno : 0;
}
