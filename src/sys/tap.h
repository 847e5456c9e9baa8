/* Tap devices (Linux Documentation/networking/tuntap.rst). See door.h for the returns. */
#pragma once

#include "base/error.h"

/* Attaches to the tap device of this name in the caller's network namespace, making it if it is not
 * there; frames carry a virtio header (IFF_VNET_HDR). Non-blocking, close-on-exec. */
int sys_tap_open(const char *name);

/* The same, but of one that is there; the descriptor is the caller's. -ENODEV: there is none. */
int sys_tap_attach(const char *name, int *ret, struct error *err);

/* The size of that header in bytes, and what the kernel may leave undone in frames for us
 * (TUN_F_CSUM …). */
int sys_tap_set_header(int fd, int size);
int sys_tap_set_offload(int fd, unsigned offload);
