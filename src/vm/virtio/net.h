/*
 * virtio-net (virtio 1.2 §5.1): one pair of queues, mergeable receive buffers, checksum and
 * segmentation offloads where the wire has them, MTU. Works on the machine's loop.
 */
#pragma once

#include "vm/limit.h"
#include "vm/virtio/device.h"
#include "vm/virtio/wire.h"

struct net;

struct net_config {
    struct wire wire; /* taken over by net_new(), also on failure */
    uint8_t mac[6];
    uint16_t mtu;           /* 0: not told */
    struct limit_rate rate; /* of each direction */
};

/* A network card (virtio 1.2 5.1); belongs to the caller. */
int net_new(const struct virtio_place *place, const struct net_config *config, struct net **ret,
        struct error *err);
void net_free(struct net *net);
struct virtio_device *net_device(struct net *net);

/* "02:00:00:00:00:01"; false for anything else, and for multicast addresses. */
bool net_parse_mac(const char *text, uint8_t mac[6]);
