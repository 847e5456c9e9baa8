/*
 * Network interfaces by route netlink: bridges, veth pairs, their addresses and routes. Each
 * function works in the network namespace of the socket that it is given (sys/netlink.h).
 */
#pragma once

#include "base/arena.h"
#include "base/record.h"
#include "net/address.h"

#define LINK_ADDRESSES_MAX 2

/* An address with the prefix of its subnet; family 0: none. */
struct link_address {
    struct net_address address;
    unsigned prefix;
};

/* The number of an interface; -ENODEV. `ret_up` (may be NULL): whether it is up. */
int link_find(int sock, const char *name, bool *ret_up);

/* A bridge with its addresses, and up. One that is there already is set up as described. */
struct link_bridge {
    const char *name;
    uint32_t mtu; /* 0: the kernel's */
    struct link_address addresses[LINK_ADDRESSES_MAX];
};
int link_make_bridge(int sock, const struct link_bridge *bridge, struct error *err);

/* A pair: one end here and on the bridge, up; the other in the namespace of a process. */
struct link_veth {
    const char *device; /* here */
    const char *bridge;
    const char *inside;
    unsigned char mac[NET_MAC_SIZE]; /* of the end inside */
    uint32_t mtu;
};
int link_make_veth(int sock, const struct link_veth *veth, int pid, struct error *err);

/* Puts an interface that is there on a bridge, and up. */
int link_join_bridge(
        int sock, const char *device, const char *bridge, uint32_t mtu, struct error *err);

/* A route by an interface, in the main table. */
struct link_route {
    struct net_subnet to;       /* prefix 0: the default route */
    struct net_address gateway; /* family 0: what it leads to is on the link */
    struct net_address source;  /* family 0: the kernel chooses */
    uint32_t metric;
    bool onlink; /* the gateway is on the link, whatever the addresses say */
};

/* Inside: addresses, up, and the routes, in their order. */
struct link_inside {
    const char *name;
    RECORD_LIST(struct link_address) addresses;
    RECORD_LIST(struct link_route) routes;
};
int link_configure(int sock, const struct link_inside *inside, struct error *err);

/* Lets frames go back out of the port of a bridge that they came in by: a sandbox that asks for a
 * port that it publishes itself (with br_netfilter the bridge turns them round, not the host). */
int link_set_hairpin(int sock, const char *device, struct error *err);

/* Takes an interface away; one that is gone is fine. */
int link_remove(int sock, const char *name, struct error *err);

/* Moves an interface to another network namespace, by its descriptor: its addresses and routes end,
 * and it is down there. */
int link_move(int sock, const char *name, int namespace_fd, struct error *err);

/* An interface for one direction of shaping (ifb), up. */
int link_make_ifb(int sock, const char *name, struct error *err);
