#include "vm/virtio/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"

struct stream *stream_new(int fd, void *owner)
{
    struct stream *stream = calloc(1, sizeof(*stream));

    if (!stream) {
        cleanup_close(&fd);
        return NULL;
    }
    stream->fd = fd;
    stream->owner = owner;
    return stream;
}

void stream_free(struct stream *stream)
{
    loop_remove(stream->source);
    cleanup_close(&stream->fd);
    free(stream->out);
    free(stream);
}

uint32_t stream_credit(const struct stream *stream)
{
    uint32_t under_way = stream->sent - stream->peer_forwarded;

    return under_way < stream->peer_buffer ? stream->peer_buffer - under_way : 0;
}

bool stream_flush(struct stream *stream)
{
    while (stream->out_length) {
        ssize_t n = send(stream->fd, stream->out + stream->out_first, stream->out_length,
                MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN;
        stream->out_first += (size_t)n;
        stream->out_length -= (size_t)n;
        stream->forwarded += (uint32_t)n;
    }
    stream->out_first = 0;
    if (stream->forwarded - stream->told_forwarded > STREAM_BUFFER / 2)
        stream->wants |= STREAM_WANT_CREDIT;
    if (stream->guest_ended)
        shutdown(stream->fd, SHUT_WR);
    return true;
}

bool stream_take(struct stream *stream, const struct iovec *iov, size_t count, size_t length)
{
    if (length > STREAM_BUFFER - stream->out_length)
        return false;
    if (!stream->out && !(stream->out = malloc(STREAM_BUFFER)))
        return false;
    if (stream->out_first) { /* what waits moves to the front, so that the rest fits behind it */
        memmove(stream->out, stream->out + stream->out_first, stream->out_length);
        stream->out_first = 0;
    }
    for (size_t i = 0; i < count; i++) {
        memcpy(stream->out + stream->out_length, iov[i].iov_base, iov[i].iov_len);
        stream->out_length += iov[i].iov_len;
    }
    return stream_flush(stream);
}

bool stream_read_hello(struct stream *stream)
{
    while (stream->hello_length < STREAM_HELLO_MAX - 1) {
        char *at = stream->hello + stream->hello_length;
        ssize_t n = recv(stream->fd, at, 1, MSG_DONTWAIT); /* what follows is data */
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return false;
        if (n <= 0)
            break;
        if (*at != '\n') {
            stream->hello_length++;
            continue;
        }
        *at = 0;
        const char *port = str_after(stream->hello, "CONNECT ");
        if (!port || str_to_u32(port, &stream->guest_port) < 0)
            break;
        return true;
    }
    stream->state = STREAM_DEAD;
    return false;
}
