/*
 * One connection of the vsock device: a guest's stream on one side, a Unix socket on the other, and
 * the credit that keeps each from sending more than the other can hold (virtio 1.2 §5.10.6.3).
 * Knows no ring; vsock.c moves its packets. Owns its descriptor. All on the loop's thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/loop.h"

#define STREAM_BUFFER (256u << 10) /* bytes that the guest may have under way to us */
#define STREAM_HELLO_MAX 32        /* "CONNECT 4294967295\n" */

enum stream_state {
    STREAM_HELLO,     /* a host program has connected and has not said yet where to */
    STREAM_REQUESTED, /* the guest was asked */
    STREAM_OPEN,
    STREAM_DEAD, /* to be reset and freed */
};

/* Packets that the guest is to get before any data. */
enum stream_want {
    STREAM_WANT_REQUEST = 1,
    STREAM_WANT_RESPONSE = 2,
    STREAM_WANT_CREDIT = 4,
    STREAM_WANT_SHUTDOWN = 8,
    STREAM_WANT_RESET = 16,
};

struct stream {
    struct stream *next;
    void *owner;
    enum stream_state state;
    unsigned wants; /* STREAM_WANT_… */
    uint32_t guest_port, host_port;
    int fd;
    struct loop_source *source;
    uint32_t listens;

    bool readable;    /* the socket has more, as far as is known */
    bool ended;       /* the socket's other end will send no more */
    bool guest_ended; /* the guest will send no more */
    bool closing;     /* ends as soon as `out` is empty */

    char hello[STREAM_HELLO_MAX];
    size_t hello_length;

    uint8_t *out; /* from the guest, not yet taken by the socket */
    size_t out_first, out_length;

    uint32_t forwarded;      /* bytes that the socket took, in all (wraps round) */
    uint32_t told_forwarded; /* what the guest was told of that */
    uint32_t sent;           /* bytes that the guest was sent */
    uint32_t peer_buffer, peer_forwarded;
};

/* Takes the descriptor over; NULL when out of memory (it is closed then). */
struct stream *stream_new(int fd, void *owner);
void stream_free(struct stream *stream);

/* How many bytes the guest can take now. */
uint32_t stream_credit(const struct stream *stream);

/* Data from the guest. False when it sent more than it was allowed to, or the socket has gone. */
bool stream_take(struct stream *stream, const struct iovec *iov, size_t count, size_t length);

/* Gives the socket what waits for it; sets STREAM_WANT_CREDIT when the guest should hear of the
 * room. False when the socket has gone. */
bool stream_flush(struct stream *stream);

/* Reads what a host program says first; true when the line is whole and good: guest_port is set. */
bool stream_read_hello(struct stream *stream);
