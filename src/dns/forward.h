/* Asking others: whom, and over TCP. */
#pragma once

#include <sys/socket.h>

#include "net/lease.h"

union dns_peer {
    struct sockaddr any;
    struct sockaddr_storage room;
};

/* The servers that answer what is not known here for this client: its own, or the host's; as many
 * as fit into `max`. */
size_t forward_servers(const struct net_lease *client, union dns_peer *ret, size_t max);
socklen_t forward_size(const union dns_peer *peer);

/* Asks one after the other over TCP; the length of the answer, or negative. */
ssize_t forward_stream(const struct net_lease *client, const unsigned char *message, size_t length,
        unsigned char *answer, size_t size);

/* A message with its length in front, as TCP carries it, whole or not at all. */
ssize_t forward_receive(int sock, unsigned char *message, size_t size);
int forward_send(int sock, const unsigned char *message, size_t length);
