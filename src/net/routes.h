/* The routes of this host, read from the kernel: what a new network's subnet must not overlap. */
#pragma once

#include "base/arena.h"
#include "net/address.h"

#define NET_ROUTES_MAX 4096 /* more are not looked at: a full table of the Internet is no help */

struct net_route {
    struct net_subnet to; /* prefix 0: the default route */
    const char *device;
};
struct net_routes {
    struct net_route *items;
    size_t count;
};

/* All tables, of both families; neither loopback nor what is for one host or for groups alone. */
int net_routes_read(struct arena *arena, struct net_routes *ret, struct error *err);
