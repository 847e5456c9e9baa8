/* /dev/kvm: opening it, its ioctls, and running a vCPU. See door.h for the returns. */
#pragma once

#include <linux/kvm.h>

/* /dev/kvm, close-on-exec; -ENOENT, -EACCES … */
int sys_kvm_open(void);

/* ioctl(2) on one of KVM's descriptors with a number or a pointer. */
int sys_kvm_ioctl(int fd, unsigned long request, unsigned long number);
int sys_kvm_ioctl_ptr(int fd, unsigned long request, void *argument);

/* KVM_RUN; -EINTR when kicked. Does not pass the door, which is not made for a call that is made
 * ten thousand times in a second. */
int sys_kvm_run(int vcpu_fd);
