/*
 * Ports of the host that are published, held by sockets of the sandbox's monitor: nobody else can
 * take them meanwhile, nor does a sandbox get one that somebody has. Nothing is received by these
 * sockets, but by those of ::1: the rules redirect what comes before it would reach them.
 */
#pragma once

#include "net/port.h"

/* One of ::1, which no rule redirects: viv-relay receives by it. */
struct net_relayed {
    int fd;
    enum net_protocol protocol; /* TCP or UDP */
    uint16_t port;              /* inside */
};

/* The sockets, close-on-exec. */
struct net_hold {
    int *fds;
    size_t count;
    size_t capacity;
    RECORD_LIST(struct net_relayed) relayed;
};

/* Where ports without an address of the host are taken. */
struct net_hold_where {
    bool four, six;
    bool relay; /* on ::1 for viv-relay, where this host has it */
};

/*
 * Takes the ports of one -p, adds what they are to `ports`, and chooses those that are not said.
 * -EADDRINUSE: somebody has it; -EADDRNOTAVAIL: the address is none of this host's.
 */
int net_hold_take(struct net_hold *hold, struct arena *arena, const struct net_publish *publish,
        struct net_hold_where where, struct net_port **ports, size_t *count, struct error *err);

/* Whether an address is ::1. */
bool net_hold_is_loopback6(const struct net_address *address);

/* Lets them go. */
void net_hold_release(struct net_hold *hold);
