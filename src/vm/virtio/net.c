#include "vm/virtio/net.h"

#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "vm/clock.h"

#define QUEUE_SIZE 256
#define FRAMES_AT_ONCE 64 /* then others on the loop have their turn */
#define BUFFERS_MAX 64    /* of one frame */
enum { QUEUE_RECEIVE, QUEUE_TRANSMIT, QUEUES };

#define BIT(name) (1ULL << (name))

/* The guest's promises to take unfinished frames, and the tap's names for them. */
static const struct {
    uint64_t feature;
    unsigned offload;
} offloads[] = {
        {BIT(VIRTIO_NET_F_GUEST_CSUM), TUN_F_CSUM},
        {BIT(VIRTIO_NET_F_GUEST_TSO4), TUN_F_TSO4},
        {BIT(VIRTIO_NET_F_GUEST_TSO6), TUN_F_TSO6},
        {BIT(VIRTIO_NET_F_GUEST_ECN), TUN_F_TSO_ECN},
};

#define TAP_FEATURES                                                                               \
    (BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6) |          \
            BIT(VIRTIO_NET_F_HOST_ECN) | BIT(VIRTIO_NET_F_GUEST_CSUM) |                            \
            BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6) |                          \
            BIT(VIRTIO_NET_F_GUEST_ECN))

struct net {
    struct virtio_device device;
    struct virtio_net_config config;
    struct wire wire;
    struct loop_source *source;
    uint32_t listens; /* EPOLLIN, EPOLLOUT */
    struct limit receive_limit, transmit_limit;
    struct loop_source *timer;
    uint8_t *frame; /* one that waits for the guest's buffers */
    size_t frame_length;
    bool full; /* the wire takes nothing now */
    bool gone; /* the other end has, or there is none */
    char tap[NET_TAP_SIZE];
    struct virtq_chain chain, first;
};

bool net_parse_mac(const char *text, uint8_t mac[6])
{
    unsigned value[6];
    char rest;

    if (strlen(text) != 17 || sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%c", &value[0], &value[1],
                                      &value[2], &value[3], &value[4], &value[5], &rest) != 6)
        return false;
    for (int i = 0; i < 6; i++)
        mac[i] = (uint8_t)value[i];
    return !(mac[0] & 1);
}

static void work(struct net *net);

static void on_ready(struct loop *loop, int fd, uint32_t events, void *data)
{
    struct net *net = data;

    (void)loop;
    (void)fd;
    (void)events;
    pthread_mutex_lock(&net->device.lock);
    work(net);
    pthread_mutex_unlock(&net->device.lock);
}

static void on_timer(struct loop *loop, void *data)
{
    struct net *net = data;

    (void)loop;
    pthread_mutex_lock(&net->device.lock);
    net->timer = NULL;
    work(net);
    pthread_mutex_unlock(&net->device.lock);
}

/* True when the rate limit says to go on later. */
static bool must_wait(struct net *net, struct limit *limit)
{
    uint64_t wait = limit_wait(limit, clock_now_ns());

    if (wait && !net->timer)
        (void)loop_add_timer(net->device.loop, wait / 1000 + 1, on_timer, net, &net->timer);
    return wait && net->timer;
}

/* ---- to the guest ---- */

/* Gives the buffers of a frame back, the first with their number. */
static int give_back(struct net *net, const struct virtq_used *used, uint16_t count)
{
    struct virtq *queue = &net->device.queues[QUEUE_RECEIVE];

    virtq_write(
            &net->first, offsetof(struct virtio_net_hdr_v1, num_buffers), &count, sizeof(count));
    for (uint16_t i = 0; i < count; i++)
        if (!virtq_push_head(queue, used[i].head, used[i].length))
            return -EFAULT;
    return 0;
}

/* Copies the waiting frame into as many buffers as it takes: 1, or 0 when there are too few (none
 * is used then), or negative when the ring is broken. Without merging, what does not fit into one
 * buffer is lost, as the driver asked for. */
static int put_frame(struct net *net)
{
    struct virtq *queue = &net->device.queues[QUEUE_RECEIVE];
    bool merge = virtio_has(&net->device, BIT(VIRTIO_NET_F_MRG_RXBUF));
    struct virtq_used used[BUFFERS_MAX];
    uint16_t count = 0;
    size_t done = 0;
    int r = 1;

    while (done < net->frame_length && count < (merge ? BUFFERS_MAX : 1)) {
        struct virtq_chain *chain = count ? &net->chain : &net->first;
        r = virtq_next(queue, chain);
        if (r <= 0)
            break;
        if (chain->writable_bytes < WIRE_HEADER)
            return -EINVAL;
        size_t length = virtq_write(chain, 0, net->frame + done, net->frame_length - done);
        virtq_tell_written(queue, chain, length);
        used[count++] = (struct virtq_used){chain->head, (uint32_t)length};
        done += length;
    }
    if (r == 0)
        while (count-- > 0)
            virtq_unget(queue);
    if (r <= 0)
        return r;
    r = give_back(net, used, count);
    return r < 0 ? r : 1;
}

/* 1 when there is more to do, 0 when not now. */
static int receive_one(struct net *net)
{
    if (must_wait(net, &net->receive_limit))
        return 0;
    if (net->frame_length == 0) {
        if (net->gone)
            return 0;
        ssize_t n = wire_receive(&net->wire, net->frame);
        if (n <= 0) {
            net->gone |= n < 0;
            return 0;
        }
        net->frame_length = (size_t)n;
    }
    int r = put_frame(net);
    if (r > 0) {
        limit_take(&net->receive_limit, net->frame_length);
        net->frame_length = 0;
    }
    return r;
}

static int receive(struct net *net)
{
    struct virtq *queue = &net->device.queues[QUEUE_RECEIVE];
    int r = 1, frames = 0;

    virtq_want_notify(queue, false);
    while (r > 0 && frames++ < FRAMES_AT_ONCE)
        r = receive_one(net);
    if (r == 0 && net->frame_length && !net->timer) {
        virtq_want_notify(queue, true); /* a frame waits for buffers */
        if (virtq_has_next(queue))
            r = receive_one(net);
    }
    virtio_signal(&net->device, queue);
    return r;
}

/* ---- from the guest ---- */

/* 1 when a frame was sent or lost, 0 when there is none or the wire is full. */
static int transmit_one(struct net *net)
{
    struct virtq *queue = &net->device.queues[QUEUE_TRANSMIT];

    if (must_wait(net, &net->transmit_limit))
        return 0;
    int r = virtq_next(queue, &net->chain);
    if (r <= 0)
        return r;
    size_t length = net->chain.readable_bytes;
    int sent = !net->gone && length > WIRE_HEADER && length <= WIRE_FRAME_MAX
                       ? wire_send(&net->wire, net->chain.segments, net->chain.readable, length)
                       : 0;
    if (sent == -EAGAIN) {
        virtq_unget(queue);
        net->full = true;
        return 0;
    }
    limit_take(&net->transmit_limit, length);
    return virtq_push(queue, &net->chain, 0) ? 1 : -EFAULT;
}

static int transmit(struct net *net)
{
    struct virtq *queue = &net->device.queues[QUEUE_TRANSMIT];
    int r = 1, frames = 0;

    net->full = wire_flush(&net->wire) == -EAGAIN;
    if (net->full)
        return 0;
    do {
        virtq_want_notify(queue, false);
        while ((r = transmit_one(net)) > 0 && frames < FRAMES_AT_ONCE)
            frames++;
        virtq_want_notify(queue, true);
    } while (r == 0 && !net->full && !net->timer && virtq_has_next(queue));
    virtio_signal(&net->device, queue);
    return r;
}

/* ---- both ---- */

/* Listens for what can be gone on with: frames when the guest has room for them, room on a full
 * wire. */
static void listen_again(struct net *net)
{
    bool waits = net->frame_length || net->timer;
    uint32_t events = (net->gone || waits ? 0 : EPOLLIN) |
                      (net->full || wire_has_unsent(&net->wire) ? EPOLLOUT : 0);

    if (net->gone) { /* a descriptor that is hung up would wake the loop for ever */
        loop_remove(net->source);
        net->source = NULL;
        net->listens = 0;
        return;
    }
    if (events == net->listens)
        return;
    if (!net->source)
        (void)loop_add_fd(net->device.loop, net->wire.fd, events, on_ready, net, &net->source);
    else
        (void)loop_change_fd(net->source, events);
    net->listens = events;
}

/* Neither direction may starve the other, nor the loop: each does a piece, and what is left over
 * comes with the next event. */
static void work(struct net *net)
{
    struct virtio_device *device = &net->device;

    if (!virtio_is_live(device)) {
        loop_remove(net->source);
        net->source = NULL;
        net->listens = 0;
        return;
    }
    int sent = transmit(net), received = receive(net);
    if (sent < 0 || received < 0)
        virtio_break(device);
    listen_again(net);
    if (sent > 0)
        virtio_again(device, QUEUE_TRANSMIT);
}

static void net_notify(struct virtio_device *device, unsigned queue)
{
    (void)queue;
    work(device->owner);
}

static void net_activate(struct virtio_device *device)
{
    struct net *net = device->owner;
    unsigned offload = 0;

    for (size_t i = 0; i < ARRAY_SIZE(offloads); i++)
        if (virtio_has(device, offloads[i].feature))
            offload |= offloads[i].offload;
    if (!net->gone) /* refused: the host finishes its frames itself */
        (void)wire_set_offload(&net->wire, offload);
}

static void net_reset(struct virtio_device *device)
{
    struct net *net = device->owner;

    net->frame_length = 0;
}

static const struct virtio_ops net_ops = {
        .name = "virtio-net",
        .id = VIRTIO_NET,
        .queues = QUEUES,
        .queue_size = QUEUE_SIZE,
        .notify = net_notify,
        .activate = net_activate,
        .reset = net_reset,
};

static uint64_t fill_config(struct net *net, const struct net_config *config)
{
    uint64_t features =
            BIT(VIRTIO_NET_F_MAC) | BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_NET_F_STATUS);

    memcpy(net->config.mac, config->mac, sizeof(net->config.mac));
    net->config.status = net->gone ? 0 : VIRTIO_NET_S_LINK_UP;
    net->config.mtu = config->mtu;
    if (config->mtu)
        features |= BIT(VIRTIO_NET_F_MTU);
    return config->wire.stream ? features : features | TAP_FEATURES;
}

int net_new(const struct virtio_place *place, const struct net_config *config, struct net **ret,
        struct error *err)
{
    struct net *net = calloc(1, sizeof(*net));
    struct wire wire = config->wire;

    if (!net || !(net->frame = malloc(WIRE_FRAME_MAX))) {
        free(net);
        wire_close(&wire);
        return error_set(err, ENOMEM, "out of memory");
    }
    net->wire = wire;
    net->gone = wire.fd < 0;
    snprintf(net->tap, sizeof(net->tap), "%s", config->name ? config->name : "");
    limit_init(&net->receive_limit, config->rate, clock_now_ns());
    limit_init(&net->transmit_limit, config->rate, clock_now_ns());
    uint64_t features = fill_config(net, config);
    int r = virtio_init(
            &net->device, &net_ops, net, place, features, &net->config, sizeof(net->config), err);
    if (r < 0) {
        net_free(net);
        return r;
    }
    *ret = net;
    return 0;
}

void net_free(struct net *net)
{
    loop_remove(net->source);
    loop_remove(net->timer);
    virtio_fini(&net->device);
    wire_close(&net->wire);
    free(net->frame);
    free(net);
}

/* ---- another wire ---- */

bool net_is_spare(const struct net *net)
{
    return net->wire.fd < 0;
}

const char *net_tap(const struct net *net)
{
    return *net->tap ? net->tap : NULL;
}

const char *net_device_text(const struct net *net, struct arena *arena)
{
    const uint8_t *mac = net->config.mac;

    return arena_printf(
            arena, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

/* The driver reads the status anew (virtio 1.2 5.1.4.2). */
static void set_link(struct net *net, bool up)
{
    net->gone = !up;
    net->full = false;
    net->frame_length = 0;
    net->config.status = up ? VIRTIO_NET_S_LINK_UP : 0;
    virtio_config_changed(&net->device);
}

int net_connect(struct net *net, int fd, const char *name, struct error *err)
{
    struct wire wire;
    int r = wire_take_tap(&wire, fd, err);

    if (r < 0)
        return r;
    pthread_mutex_lock(&net->device.lock);
    net->wire = wire;
    snprintf(net->tap, sizeof(net->tap), "%s", name);
    set_link(net, true);
    if (virtio_is_live(&net->device)) {
        net_activate(&net->device);
        work(net);
    }
    pthread_mutex_unlock(&net->device.lock);
    return 0;
}

void net_disconnect(struct net *net)
{
    pthread_mutex_lock(&net->device.lock);
    loop_remove(net->source);
    net->source = NULL;
    net->listens = 0;
    wire_close(&net->wire);
    *net->tap = '\0';
    set_link(net, false);
    if (virtio_is_live(&net->device))
        work(net); /* what waits to be sent is lost */
    pthread_mutex_unlock(&net->device.lock);
}

struct virtio_device *net_device(struct net *net)
{
    return &net->device;
}
