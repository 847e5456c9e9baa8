/*
 * virtio-net (virtio 1.2 §5.1): one pair of queues, mergeable receive buffers, checksum and
 * segmentation offloads where the wire has them, MTU. Works on the machine's loop.
 */
#pragma once

#include "base/arena.h"
#include "vm/limit.h"
#include "vm/virtio/device.h"
#include "vm/virtio/wire.h"

#define NET_TAP_SIZE 16 /* IFNAMSIZ */

struct net;

struct net_config {
    struct wire wire; /* taken over by net_new(), also on failure; WIRE_NONE: a spare device, whose
                         link is down */
    const char *name; /* of a tap; NULL: none */
    uint8_t mac[6];
    uint16_t mtu;           /* 0: not told */
    struct limit_rate rate; /* of each direction */
};

/* A network card (virtio 1.2 5.1); belongs to the caller. */
int net_new(const struct virtio_place *place, const struct net_config *config, struct net **ret,
        struct error *err);
void net_free(struct net *net);
struct virtio_device *net_device(struct net *net);

/* Puts a tap behind a spare one, whose link comes up, and takes what is behind one away: its link
 * goes down, and what is sent is lost. The descriptor is taken over, also on failure; `name` is
 * shorter than NET_TAP_SIZE. On the loop's thread. */
int net_connect(struct net *net, int fd, const char *name, struct error *err);
void net_disconnect(struct net *net);

/* Whether nothing is behind it. Of a tap that is there the name, NULL: it has none. The Ethernet
 * address that it was made with, as text in the arena. */
bool net_is_spare(const struct net *net);
const char *net_tap(const struct net *net);
const char *net_device_text(const struct net *net, struct arena *arena);

/* "02:00:00:00:00:01"; false for anything else, and for multicast addresses. */
bool net_parse_mac(const char *text, uint8_t mac[6]);
