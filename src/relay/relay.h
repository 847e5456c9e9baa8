/*
 * Carries what clients of ::1 send to a sandbox's ports: the kernel redirects what is sent to
 * 127.0.0.1 to a bridge, and has no such setting for ::1. One process for a sandbox, one thread.
 *
 * It copies bytes and reads none. What it keeps is capped: further connections wait in the queue of
 * their socket, and the oldest client of UDP makes place.
 */
#pragma once

#include "net/hold.h"

#define RELAY_STREAMS 512
#define RELAY_CLIENTS 256         /* of UDP, each with a socket of its own */
#define RELAY_IDLE_US 90000000ULL /* after which a client of UDP is forgotten */

struct relay;

/* Listens on the ports, whose sockets are bound and stay the caller's, as `ports` do. The relay
 * lives until the process ends. */
int relay_open(const struct net_address *to, const struct net_relayed *ports, size_t count,
        int life_fd, struct relay **ret, struct error *err);

/* Carries until the far end of `life_fd` is closed; 0 then. */
int relay_run(struct relay *relay);
