/*
 * Ports of the host that are published, held by sockets of the sandbox's monitor: nobody else can
 * take them meanwhile, nor does a sandbox get one that somebody has. Nothing is received by these
 * sockets: the rules redirect what comes before it would reach them.
 */
#pragma once

#include "net/port.h"

/* The sockets, close-on-exec. */
struct net_hold {
    int *fds;
    size_t count;
    size_t capacity;
};

/*
 * Takes the ports of one -p, adds what they are to `ports`, and chooses those that are not said.
 * `six`: the network has IPv6, so that ports without an address are taken there too. -EADDRINUSE:
 * somebody has it; -EADDRNOTAVAIL: the address is none of this host's.
 */
int net_hold_take(struct net_hold *hold, struct arena *arena, const struct net_publish *publish,
        bool four, bool six, struct net_port **ports, size_t *count, struct error *err);

/* Lets them go. */
void net_hold_release(struct net_hold *hold);
