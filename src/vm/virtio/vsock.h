/*
 * virtio-vsock (virtio 1.2 §5.10) in user space, mapped to Unix sockets, so that it needs no vhost
 * and no privilege:
 *
 *   - a guest's connection to the host's port P goes to the Unix socket "<path>_P";
 *   - a host program reaches the guest's port P by connecting to "<path>" and sending
 *     "CONNECT P\n"; the answer is "OK <its own port>\n", then the stream follows;
 *   - one connected socket may stand ready for the guest's first connection to port VSOCK_AGENT.
 *
 * Works on the machine's loop.
 */
#pragma once

#include "vm/virtio/device.h"

#define VSOCK_AGENT 1024

struct vsock;

struct vsock_config {
    uint64_t cid;
    const char *path; /* NULL: no paths; outlives the device */
    int listen_fd;    /* of `path`; taken over; -1: none */
    int agent_fd;     /* a connected stream; taken over; -1: none */
};

/* A socket device (virtio 1.2 5.10); belongs to the caller. */
int vsock_new(const struct virtio_place *place, const struct vsock_config *config,
        struct vsock **ret, struct error *err);
void vsock_free(struct vsock *vsock);
struct virtio_device *vsock_device(struct vsock *vsock);
