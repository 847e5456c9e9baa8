/*
 * Where a network device's frames go: a tap device of the host's, with offloads, or a stream socket
 * on which each frame follows its length in four bytes (QEMU's socket format, which passt speaks),
 * without. Used by net.c only. Owns the descriptor.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/error.h"

#define WIRE_HEADER 12u /* struct virtio_net_hdr_v1 in front of every frame */
#define WIRE_FRAME_MAX (65536u + WIRE_HEADER + 14u)

struct wire {
    int fd;
    bool stream;

    /* of a stream, where reads and writes may end in the middle of a frame */
    uint8_t *in;
    size_t in_length;
    uint8_t *out;
    size_t out_first, out_length;
};

/* One that leads nowhere: what is sent is lost. */
#define WIRE_NONE ((struct wire){.fd = -1})

/* Attaches to the tap device of that name. */
int wire_open_tap(struct wire *wire, const char *name, struct error *err);

/* Takes an open descriptor over: a tap queue, or a stream socket. */
int wire_open_fd(struct wire *wire, int fd, bool stream, struct error *err);

/* Takes a tap queue over whose header is of WIRE_HEADER bytes already, where viv-vmm's sandbox does
 * not let it say so. -EINVAL for what is no tap. */
int wire_take_tap(struct wire *wire, int fd, struct error *err);
void wire_close(struct wire *wire);

/* Tells the tap what the guest can take (TUN_F_… bits); a stream takes nothing. */
int wire_set_offload(struct wire *wire, unsigned offload);

/* Sends a frame, header first. -EAGAIN when the wire is full; other errors lose the frame. */
int wire_send(struct wire *wire, const struct iovec *iov, size_t count, size_t length);

/* Whether wire_send() left something unsent: then wire_flush() once the descriptor is writable. */
bool wire_has_unsent(const struct wire *wire);
int wire_flush(struct wire *wire);

/* The next frame, header first, into `frame` of WIRE_FRAME_MAX bytes; its length, 0 when there is
 * none now, -ENOTCONN when the other end has gone. */
ssize_t wire_receive(struct wire *wire, uint8_t *frame);
