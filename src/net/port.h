/*
 * Ports that a sandbox publishes: what -p and --expose say, read from text. Pure functions; the
 * sockets that hold ports are in net/hold.h, the rules in net/firewall.h.
 */
#pragma once

#include "base/record.h"
#include "net/address.h"

enum net_protocol { NET_TCP, NET_UDP, NET_SCTP };

/* "tcp", "udp", "sctp"; the number that IP has for it. */
const char *net_protocol_name(enum net_protocol protocol);
int net_protocol_number(enum net_protocol protocol);

/* `count` ports in a row, from `host_port` on the host to `port` inside. */
struct net_publish {
    struct net_address host; /* family 0: all of the host's */
    uint16_t host_port;      /* 0: each is chosen */
    uint16_t choices;        /* one port alone: the first free one of so many from host_port on */
    uint16_t port;
    uint16_t count;
    enum net_protocol protocol;
};
struct net_publish_list {
    struct net_publish *items;
    size_t count;
};

#define NET_PORTS_MAX 4096 /* of one sandbox, in all */

/*
 * -p: "80", "8080:80", "127.0.0.1:8080:80", "127.0.0.1::80", "[::1]:8080:80", "8000-8009:80-89",
 * each with "/tcp" (when not said), "/udp" or "/sctp". Of a range of the host alone,
 * "8000-8009:80", the first that is free is taken.
 */
int net_publish_parse(const char *text, struct net_publish *ret, struct error *err);

/* --expose: "80", "80-89/udp". host_port stays 0. */
int net_expose_parse(const char *text, struct net_publish *ret, struct error *err);

/* One port that is published, with its host port chosen: as it is remembered. */
struct net_port {
    const char *host_ip; /* "": all */
    uint32_t host_port;
    uint32_t container_port;
    const char *protocol;
};
extern const struct record net_port_record;
