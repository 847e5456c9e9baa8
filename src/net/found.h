/*
 * What a network namespace has that somebody else has filled (CNI, Netavark, Docker, a person):
 * its Ethernet interfaces with their addresses and routes, as far as they can be set up somewhere
 * else. Changes nothing.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/record.h"
#include "net/link.h"

#define FOUND_MAX 8         /* interfaces */
#define FOUND_PARTS_MAX 256 /* addresses, and routes, of one */

struct found_interface {
    int index;
    unsigned char mac[NET_MAC_SIZE];
    uint32_t mtu;
    struct link_inside inside; /* routes on the link first */
};

struct found {
    RECORD_LIST(struct found_interface) interfaces; /* in the order of their numbers */
    bool more_routes; /* there are routes that cannot be told so: by several gateways, by objects */
};

/*
 * Reads them by a netlink socket. Left out: interfaces that are down, are no Ethernet, or have a
 * name that starts with `ours`; addresses of the link alone and routes that the kernel makes with
 * an address, since both come by themselves. -E2BIG: more than there is room for.
 */
int found_read(
        int sock, const char *ours, struct arena *arena, struct found *ret, struct error *err);
