/*
 * Being at a sandbox's streams from another process: a Unix socket in the sandbox's folder, on
 * which the monitor and a client exchange frames, a header and up to ATTACH_DATA_MAX bytes. The
 * monitor trusts nobody behind the socket with more than the workload's own streams; the folder is
 * closed to other users.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

#define ATTACH_SOCKET "attach.sock"
#define ATTACH_DATA_MAX 32768

enum attach_type {
    ATTACH_STDIN = 0, /* client -> monitor; no data: end of input */
    ATTACH_STDOUT = 1,
    ATTACH_STDERR = 2,
    ATTACH_SIZE = 3 /* client -> monitor: two uint16_t, columns and lines */
};

struct attach_frame {
    uint32_t type;
    uint32_t length; /* of the data that follows */
};

/* One message on the socket (SOCK_SEQPACKET), header and data together. */
int attach_send(int sock, enum attach_type type, const void *data, size_t length);

/* Receives one; `data` has room for ATTACH_DATA_MAX. Returns the length of the data, -ENODATA when
 * the other end is gone, -EPROTO for what is no frame. */
ssize_t attach_receive(int sock, enum attach_type *ret_type, void *data);

/* The socket of a sandbox, in its directory: made by its monitor, reached by clients. */
int attach_listen(int dir_fd, int *ret_sock, struct error *err);
int attach_connect(int dir_fd, int *ret_sock, struct error *err);
