#include "vm/virtio/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sys/tap.h"

#define LENGTH_SIZE 4u
#define BUFFER_SIZE (WIRE_FRAME_MAX + LENGTH_SIZE)

int wire_open_tap(struct wire *wire, const char *name, struct error *err)
{
    int fd;
    int r = sys_tap_attach(name, &fd, err);

    return r < 0 ? r : wire_open_fd(wire, fd, false, err);
}

static int make_buffers(struct wire *wire)
{
    wire->in = malloc(BUFFER_SIZE);
    wire->out = malloc(BUFFER_SIZE);
    return wire->in && wire->out ? 0 : -ENOMEM;
}

int wire_open_fd(struct wire *wire, int fd, bool stream, struct error *err)
{
    int flags = fcntl(fd, F_GETFL);
    int r = 0;

    *wire = (struct wire){.fd = fd, .stream = stream};
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        r = error_sys(err, errno, "network descriptor %d", fd);
    else if (stream && make_buffers(wire) < 0)
        r = error_set(err, ENOMEM, "out of memory");
    else if (!stream) {
        int n = sys_tap_set_header(fd, WIRE_HEADER);
        if (n < 0)
            r = error_sys(err, -n,
                    "ioctl TUNSETVNETHDRSZ (is descriptor %d a tap device opened "
                    "with IFF_VNET_HDR?)",
                    fd);
    }
    if (r < 0)
        wire_close(wire);
    return r;
}

int wire_take_tap(struct wire *wire, int fd, struct error *err)
{
    struct stat status;
    int flags = fcntl(fd, F_GETFL);

    *wire = (struct wire){.fd = fd};
    if (fstat(fd, &status) == 0 && S_ISCHR(status.st_mode) && flags >= 0 &&
            fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0)
        return 0;
    wire_close(wire);
    return error_set(err, EINVAL, "the descriptor is no tap device");
}

void wire_close(struct wire *wire)
{
    cleanup_close(&wire->fd);
    free(wire->in);
    free(wire->out);
    wire->in = wire->out = NULL;
}

int wire_set_offload(struct wire *wire, unsigned offload)
{
    return wire->stream ? 0 : sys_tap_set_offload(wire->fd, offload);
}

static int send_tap(struct wire *wire, const struct iovec *iov, size_t count)
{
    return writev(wire->fd, iov, (int)count) < 0 ? -errno : 0;
}

bool wire_has_unsent(const struct wire *wire)
{
    return wire->out_length > 0;
}

int wire_flush(struct wire *wire)
{
    while (wire->out_length) {
        ssize_t n = send(wire->fd, wire->out + wire->out_first, wire->out_length, MSG_NOSIGNAL);
        if (n < 0)
            return -errno;
        wire->out_first += (size_t)n;
        wire->out_length -= (size_t)n;
    }
    wire->out_first = 0;
    return 0;
}

/* The frame goes through a buffer: a stream that takes a part must get the rest, in order. */
static int send_stream(struct wire *wire, const struct iovec *iov, size_t count, size_t length)
{
    uint32_t wanted = htonl((uint32_t)(length - WIRE_HEADER));
    size_t skip = WIRE_HEADER, at = LENGTH_SIZE;

    if (wire_has_unsent(wire))
        return -EAGAIN;
    if (length > WIRE_FRAME_MAX)
        return -EMSGSIZE;
    memcpy(wire->out, &wanted, LENGTH_SIZE);
    for (size_t i = 0; i < count; i++) {
        size_t jump = skip < iov[i].iov_len ? skip : iov[i].iov_len;
        memcpy(wire->out + at, (const char *)iov[i].iov_base + jump, iov[i].iov_len - jump);
        at += iov[i].iov_len - jump;
        skip -= jump;
    }
    wire->out_length = at;
    int r = wire_flush(wire);
    return r == -EAGAIN ? 0 : r;
}

int wire_send(struct wire *wire, const struct iovec *iov, size_t count, size_t length)
{
    return wire->stream ? send_stream(wire, iov, count, length) : send_tap(wire, iov, count);
}

static ssize_t receive_tap(struct wire *wire, uint8_t *frame)
{
    ssize_t n = read(wire->fd, frame, WIRE_FRAME_MAX);

    if (n >= (ssize_t)WIRE_HEADER)
        return n;
    return n < 0 && errno != EAGAIN && errno != EINTR ? -ENOTCONN : 0;
}

/* The frame at the start of the buffer, if it is whole. -ENOTCONN for one that cannot be. */
static ssize_t take_frame(struct wire *wire, uint8_t *frame)
{
    uint32_t length;

    if (wire->in_length < LENGTH_SIZE)
        return 0;
    memcpy(&length, wire->in, LENGTH_SIZE);
    length = ntohl(length);
    if (length > WIRE_FRAME_MAX - WIRE_HEADER)
        return -ENOTCONN; /* the stream is out of step, and stays so */
    if (wire->in_length < LENGTH_SIZE + length)
        return 0;
    memset(frame, 0, WIRE_HEADER);
    memcpy(frame + WIRE_HEADER, wire->in + LENGTH_SIZE, length);
    wire->in_length -= LENGTH_SIZE + length;
    memmove(wire->in, wire->in + LENGTH_SIZE + length, wire->in_length);
    return (ssize_t)length + (ssize_t)WIRE_HEADER;
}

static ssize_t receive_stream(struct wire *wire, uint8_t *frame)
{
    ssize_t length = take_frame(wire, frame);

    if (length != 0)
        return length;
    ssize_t n = recv(wire->fd, wire->in + wire->in_length, BUFFER_SIZE - wire->in_length, 0);
    if (n == 0)
        return -ENOTCONN;
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -ENOTCONN;
    wire->in_length += (size_t)n;
    return take_frame(wire, frame);
}

ssize_t wire_receive(struct wire *wire, uint8_t *frame)
{
    return wire->stream ? receive_stream(wire, frame) : receive_tap(wire, frame);
}
