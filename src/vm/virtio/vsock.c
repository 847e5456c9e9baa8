#include "vm/virtio/vsock.h"

#include <errno.h>
#include <linux/virtio_vsock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "vm/virtio/stream.h"

#define QUEUE_SIZE 128
#define STREAMS_MAX 256
#define RESETS_MAX 64          /* answers to packets of no connection that wait for a buffer */
#define FIRST_PORT 0x40000000U /* of the host's own ends */
#define HOST_CID 2U
#define PACKET_MAX 65536u

enum { QUEUE_RECEIVE, QUEUE_TRANSMIT, QUEUE_EVENT, QUEUES };

struct reset {
    uint32_t guest_port, host_port;
};

struct vsock {
    struct virtio_device device;
    struct virtio_vsock_config config;
    const char *path;
    int listen_fd, agent_fd;
    struct loop_source *listener;
    struct stream *streams;
    unsigned count;
    uint32_t next_port;
    struct reset resets[RESETS_MAX];
    unsigned reset_count;
    bool moved; /* restored from a snapshot: the guest is to forget its connections */
    struct virtq_chain chain;
    struct iovec iov[VIRTQ_SEGMENTS_MAX];
};

static void pump(struct vsock *vsock);

/* ---- connections ---- */

static struct stream *find_stream(struct vsock *vsock, uint32_t guest_port, uint32_t host_port)
{
    for (struct stream *s = vsock->streams; s; s = s->next)
        if (s->guest_port == guest_port && s->host_port == host_port && s->state != STREAM_HELLO)
            return s;
    return NULL;
}

static struct stream *add_stream(struct vsock *vsock, int fd)
{
    if (vsock->count >= STREAMS_MAX) {
        cleanup_close(&fd);
        return NULL;
    }
    struct stream *stream = stream_new(fd, vsock);
    if (!stream)
        return NULL;
    stream->next = vsock->streams;
    vsock->streams = stream;
    vsock->count++;
    return stream;
}

static void kill_stream(struct stream *stream)
{
    if (stream->state != STREAM_HELLO && stream->state != STREAM_DEAD)
        stream->wants = STREAM_WANT_RESET;
    stream->state = STREAM_DEAD;
    loop_remove(stream->source);
    stream->source = NULL;
}

static void free_dead(struct vsock *vsock)
{
    struct stream **at = &vsock->streams;

    while (*at) {
        struct stream *stream = *at;
        if (stream->state != STREAM_DEAD || stream->wants) {
            at = &stream->next;
            continue;
        }
        *at = stream->next;
        stream_free(stream);
        vsock->count--;
    }
}

static void free_all(struct vsock *vsock)
{
    for (struct stream *s = vsock->streams; s; s = s->next) {
        s->state = STREAM_DEAD;
        s->wants = 0;
    }
    free_dead(vsock);
    vsock->reset_count = 0;
}

/* Both sides are done; what the guest sent last still goes to the socket first. */
static void finish_stream(struct stream *stream)
{
    stream->closing = true;
    if (stream->out_length == 0)
        kill_stream(stream);
}

static void serve_socket(struct stream *stream, uint32_t events)
{
    struct vsock *vsock = stream->owner;

    if (stream->state == STREAM_HELLO && stream_read_hello(stream)) {
        stream->host_port = vsock->next_port++;
        stream->state = STREAM_REQUESTED;
        stream->wants = STREAM_WANT_REQUEST;
    }
    if (events & EPOLLOUT && !stream_flush(stream))
        kill_stream(stream);
    if (stream->closing && stream->state != STREAM_DEAD)
        finish_stream(stream);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        stream->readable = true;
}

static void on_socket(struct loop *loop, int fd, uint32_t events, void *data)
{
    struct stream *stream = data;
    struct vsock *vsock = stream->owner;

    (void)loop;
    (void)fd;
    pthread_mutex_lock(&vsock->device.lock);
    if (stream->state != STREAM_DEAD)
        serve_socket(stream, events);
    pump(vsock);
    pthread_mutex_unlock(&vsock->device.lock);
}

/* Listens for what can be gone on with: input that is not known of yet, room for output. */
static void listen_to(struct vsock *vsock, struct stream *stream)
{
    bool input = !stream->readable && !stream->ended && stream->state != STREAM_REQUESTED;
    uint32_t events = (input ? EPOLLIN : 0) | (stream->out_length ? EPOLLOUT : 0);

    if (stream->state == STREAM_DEAD || (stream->source && events == stream->listens))
        return;
    if (events == 0) { /* a socket that is hung up would wake the loop for ever */
        loop_remove(stream->source);
        stream->source = NULL;
    } else if (stream->source) {
        (void)loop_change_fd(stream->source, events);
    } else if (loop_add_fd(vsock->device.loop, stream->fd, events, on_socket, stream,
                       &stream->source) < 0) {
        kill_stream(stream);
    }
    stream->listens = events;
}

static void on_connection(struct loop *loop, int fd, uint32_t events, void *data)
{
    struct vsock *vsock = data;
    int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)loop;
    (void)events;
    if (client < 0)
        return;
    pthread_mutex_lock(&vsock->device.lock);
    struct stream *stream = add_stream(vsock, client);
    if (stream)
        listen_to(vsock, stream);
    pthread_mutex_unlock(&vsock->device.lock);
}

/* The host's end of a guest's connection; -1 when nobody listens. */
static int connect_host(struct vsock *vsock, uint32_t port)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (port == VSOCK_AGENT && vsock->agent_fd >= 0)
        return take_fd(&vsock->agent_fd);
    if (!vsock->path || snprintf(address.sun_path, sizeof(address.sun_path), "%s_%u", vsock->path,
                                port) >= (int)sizeof(address.sun_path))
        return -1;
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return -1;
    return take_fd(&fd);
}

/* ---- packets to the guest ---- */

/* Fills the header of the packet in vsock->chain and gives it back with `length` bytes behind it.
 */
static void put_packet(struct vsock *vsock, const struct stream *stream, struct reset ports,
        uint16_t op, uint32_t flags, uint32_t length)
{
    struct virtio_vsock_hdr header = {
            .src_cid = HOST_CID,
            .dst_cid = vsock->config.guest_cid,
            .src_port = ports.host_port,
            .dst_port = ports.guest_port,
            .len = length,
            .type = VIRTIO_VSOCK_TYPE_STREAM,
            .op = op,
            .flags = flags,
            .buf_alloc = stream ? STREAM_BUFFER : 0,
            .fwd_cnt = stream ? stream->forwarded : 0,
    };

    virtq_write(&vsock->chain, 0, &header, sizeof(header));
    if (!virtq_push(&vsock->device.queues[QUEUE_RECEIVE], &vsock->chain, sizeof(header) + length))
        virtio_break(&vsock->device);
}

/* A buffer for a packet. False when there is none; the driver then tells when it has added some. */
static bool get_buffer(struct vsock *vsock)
{
    struct virtq *queue = &vsock->device.queues[QUEUE_RECEIVE];
    int r = virtq_next(queue, &vsock->chain);

    if (r == 0) {
        virtq_want_notify(queue, true);
        r = virtq_next(queue, &vsock->chain);
    }
    if (r < 0 || (r > 0 && vsock->chain.writable_bytes < sizeof(struct virtio_vsock_hdr))) {
        virtio_break(&vsock->device);
        return false;
    }
    return r > 0;
}

static void put_control(struct vsock *vsock, struct stream *stream)
{
    static const struct {
        enum stream_want want;
        uint16_t op;
    } controls[] = {
            {STREAM_WANT_RESET, VIRTIO_VSOCK_OP_RST},
            {STREAM_WANT_REQUEST, VIRTIO_VSOCK_OP_REQUEST},
            {STREAM_WANT_RESPONSE, VIRTIO_VSOCK_OP_RESPONSE},
            {STREAM_WANT_CREDIT, VIRTIO_VSOCK_OP_CREDIT_UPDATE},
            {STREAM_WANT_SHUTDOWN, VIRTIO_VSOCK_OP_SHUTDOWN},
    };
    struct reset ports = {stream->guest_port, stream->host_port};

    for (size_t i = 0; i < ARRAY_SIZE(controls); i++) {
        if (!(stream->wants & controls[i].want))
            continue;
        stream->wants &= ~(unsigned)controls[i].want;
        stream->told_forwarded = stream->forwarded;
        put_packet(vsock, stream, ports, controls[i].op,
                controls[i].want == STREAM_WANT_SHUTDOWN ? VIRTIO_VSOCK_SHUTDOWN_SEND : 0, 0);
        return;
    }
}

/* The socket's other end has closed, or only its sending half; a Unix socket does not tell which,
 * so the guest may still send until that fails. */
static void end_of_input(struct stream *stream)
{
    stream->readable = false;
    stream->ended = true;
    if (stream->guest_ended)
        finish_stream(stream);
    else
        stream->wants |= STREAM_WANT_SHUTDOWN;
}

/* Moves data from the socket straight into the guest's buffer. */
static void put_data(struct vsock *vsock, struct stream *stream)
{
    struct virtio_device *device = &vsock->device;
    uint64_t room, credit = stream_credit(stream);
    size_t count = virtq_slice(&vsock->chain, true, sizeof(struct virtio_vsock_hdr),
            credit < PACKET_MAX ? credit : PACKET_MAX, vsock->iov, &room);
    struct msghdr message = {.msg_iov = vsock->iov, .msg_iovlen = count};
    ssize_t n = room ? recvmsg(stream->fd, &message, MSG_DONTWAIT) : -1;

    if (n <= 0) {
        virtq_unget(&device->queues[QUEUE_RECEIVE]);
        if (room && (n == 0 || (errno != EAGAIN && errno != EINTR)))
            end_of_input(stream);
        stream->readable = false;
        return;
    }
    stream->sent += (uint32_t)n;
    stream->told_forwarded = stream->forwarded;
    put_packet(vsock, stream, (struct reset){stream->guest_port, stream->host_port},
            VIRTIO_VSOCK_OP_RW, 0, (uint32_t)n);
}

static bool has_packet(const struct stream *stream)
{
    return stream->wants || (stream->state == STREAM_OPEN && stream->readable && !stream->ended &&
                                    stream_credit(stream) > 0);
}

/* Each connection in turn gives one packet. True when one did. */
static bool pump_round(struct vsock *vsock)
{
    bool progress = false;

    for (struct stream *s = vsock->streams; s && virtio_is_live(&vsock->device); s = s->next) {
        if (!has_packet(s) || !get_buffer(vsock))
            continue;
        progress = true;
        if (s->wants)
            put_control(vsock, s);
        else
            put_data(vsock, s);
    }
    return progress;
}

static void pump_resets(struct vsock *vsock)
{
    while (vsock->reset_count && get_buffer(vsock))
        put_packet(vsock, NULL, vsock->resets[--vsock->reset_count], VIRTIO_VSOCK_OP_RST, 0, 0);
}

/* Gives the guest all that waits for it, as far as its buffers reach. */
static void pump(struct vsock *vsock)
{
    struct virtio_device *device = &vsock->device;

    if (virtio_is_live(device)) {
        pump_resets(vsock);
        while (pump_round(vsock))
            free_dead(vsock);
        if (virtio_is_live(device))
            virtio_signal(device, &device->queues[QUEUE_RECEIVE]);
    }
    free_dead(vsock);
    for (struct stream *s = vsock->streams; s; s = s->next)
        listen_to(vsock, s);
}

/* ---- packets from the guest ---- */

static void answer_reset(struct vsock *vsock, const struct virtio_vsock_hdr *header)
{
    if (vsock->reset_count < RESETS_MAX)
        vsock->resets[vsock->reset_count++] = (struct reset){header->src_port, header->dst_port};
}

static void take_request(struct vsock *vsock, const struct virtio_vsock_hdr *header)
{
    int fd = connect_host(vsock, header->dst_port);
    struct stream *stream = fd < 0 ? NULL : add_stream(vsock, fd);

    if (!stream) {
        answer_reset(vsock, header);
        return;
    }
    stream->guest_port = header->src_port;
    stream->host_port = header->dst_port;
    stream->peer_buffer = header->buf_alloc;
    stream->peer_forwarded = header->fwd_cnt;
    stream->state = STREAM_OPEN;
    stream->wants = STREAM_WANT_RESPONSE;
}

static void take_response(struct stream *stream)
{
    char line[32];
    int length = snprintf(line, sizeof(line), "OK %u\n", stream->host_port);

    if (stream->state != STREAM_REQUESTED ||
            send(stream->fd, line, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT) != length)
        kill_stream(stream);
    else
        stream->state = STREAM_OPEN;
}

static void take_shutdown(struct stream *stream, uint32_t flags)
{
    if (flags & VIRTIO_VSOCK_SHUTDOWN_SEND) {
        stream->guest_ended = true;
        if (!stream_flush(stream)) {
            kill_stream(stream);
            return;
        }
    }
    if (flags & VIRTIO_VSOCK_SHUTDOWN_RCV)
        stream->ended = true; /* the guest reads no more: neither need we */
    if (stream->guest_ended && stream->ended)
        finish_stream(stream);
}

static void take_data(struct vsock *vsock, struct stream *stream, uint32_t length)
{
    uint64_t bytes;
    size_t count = virtq_slice(
            &vsock->chain, false, sizeof(struct virtio_vsock_hdr), length, vsock->iov, &bytes);

    if (stream->state != STREAM_OPEN || stream->guest_ended || bytes != length ||
            !stream_take(stream, vsock->iov, count, length))
        kill_stream(stream);
}

static void take_packet(
        struct vsock *vsock, struct stream *stream, const struct virtio_vsock_hdr *header)
{
    stream->peer_buffer = header->buf_alloc;
    stream->peer_forwarded = header->fwd_cnt;
    switch (header->op) {
    case VIRTIO_VSOCK_OP_RESPONSE:
        take_response(stream);
        break;
    case VIRTIO_VSOCK_OP_RST:
        kill_stream(stream);
        stream->wants = 0; /* it knows */
        break;
    case VIRTIO_VSOCK_OP_SHUTDOWN:
        take_shutdown(stream, header->flags);
        break;
    case VIRTIO_VSOCK_OP_RW:
        take_data(vsock, stream, header->len);
        break;
    case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
        stream->wants |= STREAM_WANT_CREDIT;
        break;
    case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
        break;
    default:
        kill_stream(stream);
        break;
    }
}

static uint64_t serve_transmit(struct virtio_device *device, struct virtq_chain *chain)
{
    struct vsock *vsock = device->owner;
    struct virtio_vsock_hdr header;

    if (virtq_read(chain, 0, &header, sizeof(header)) < sizeof(header) ||
            header.dst_cid != HOST_CID || header.src_cid != vsock->config.guest_cid)
        return 0; /* not for us: dropped, as on a network */
    struct stream *stream = find_stream(vsock, header.src_port, header.dst_port);
    if (stream && stream->state == STREAM_DEAD)
        return 0;
    if (stream && header.op != VIRTIO_VSOCK_OP_REQUEST)
        take_packet(vsock, stream, &header);
    else if (!stream && header.op == VIRTIO_VSOCK_OP_REQUEST &&
             header.type == VIRTIO_VSOCK_TYPE_STREAM)
        take_request(vsock, &header);
    else if (header.op != VIRTIO_VSOCK_OP_RST)
        answer_reset(vsock, &header);
    return 0;
}

static void vsock_notify(struct virtio_device *device, unsigned queue)
{
    struct vsock *vsock = device->owner;

    if (queue == QUEUE_TRANSMIT)
        virtio_serve_queue(device, queue, &vsock->chain, serve_transmit);
    if (queue != QUEUE_EVENT && virtio_is_live(device))
        pump(vsock);
}

/* All connections are gone, and the guest's id may be another (virtio 1.2 §5.10.6.7). */
static void tell_moved(struct vsock *vsock)
{
    struct virtq *queue = &vsock->device.queues[QUEUE_EVENT];
    struct virtio_vsock_event event = {.id = VIRTIO_VSOCK_EVENT_TRANSPORT_RESET};

    if (!vsock->moved || virtq_next(queue, &vsock->chain) <= 0)
        return;
    vsock->moved = false;
    size_t length = virtq_write(&vsock->chain, 0, &event, sizeof(event));
    if (!virtq_push(queue, &vsock->chain, length))
        virtio_break(&vsock->device);
    else
        virtio_signal(&vsock->device, queue);
}

static void vsock_restored(struct virtio_device *device)
{
    struct vsock *vsock = device->owner;

    vsock->moved = true;
}

static void vsock_activate(struct virtio_device *device)
{
    struct vsock *vsock = device->owner;

    tell_moved(vsock);

    if (vsock->listen_fd >= 0 && !vsock->listener)
        (void)loop_add_fd(
                device->loop, vsock->listen_fd, EPOLLIN, on_connection, vsock, &vsock->listener);
}

/* The guest's ends of all connections are gone; the host's are closed on the loop's thread, by the
 * next event, since only it may take sources away. */
static void vsock_reset(struct virtio_device *device)
{
    struct vsock *vsock = device->owner;

    for (struct stream *s = vsock->streams; s; s = s->next) {
        s->state = STREAM_DEAD;
        s->wants = 0;
        shutdown(s->fd, SHUT_RDWR);
    }
    vsock->reset_count = 0;
}

static const struct virtio_ops vsock_ops = {
        .name = "virtio-vsock",
        .id = VIRTIO_VSOCK,
        .queues = QUEUES,
        .queue_size = QUEUE_SIZE,
        .notify = vsock_notify,
        .activate = vsock_activate,
        .reset = vsock_reset,
        .restored = vsock_restored,
};

int vsock_new(const struct virtio_place *place, const struct vsock_config *config,
        struct vsock **ret, struct error *err)
{
    struct vsock *vsock = calloc(1, sizeof(*vsock));

    if (!vsock)
        return error_set(err, ENOMEM, "out of memory");
    vsock->config.guest_cid = config->cid;
    vsock->path = config->path;
    vsock->listen_fd = config->listen_fd;
    vsock->agent_fd = config->agent_fd;
    vsock->next_port = FIRST_PORT;
    int r = virtio_init(&vsock->device, &vsock_ops, vsock, place, 0, &vsock->config,
            sizeof(vsock->config), err);
    if (r < 0) {
        vsock_free(vsock);
        return r;
    }
    *ret = vsock;
    return 0;
}

void vsock_free(struct vsock *vsock)
{
    free_all(vsock);
    loop_remove(vsock->listener);
    virtio_fini(&vsock->device);
    cleanup_close(&vsock->listen_fd);
    cleanup_close(&vsock->agent_fd);
    free(vsock);
}

struct virtio_device *vsock_device(struct vsock *vsock)
{
    return &vsock->device;
}
