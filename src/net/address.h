/*
 * Addresses of IPv4, IPv6 and Ethernet, and subnets, as plain values: read from text, written,
 * counted through. Pure functions; anybody may use them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/error.h"

struct net_address {
    int family; /* AF_INET or AF_INET6; 0: none */
    unsigned char bytes[16];
};

/* 4 or 16. */
static inline size_t net_address_size(const struct net_address *address)
{
    return address->family == AF_INET ? 4 : 16;
}

/* "10.1.2.3" or "fd00::1", in brackets too where `brackets` says so; -EINVAL for all else. */
int net_address_parse(const char *text, bool brackets, struct net_address *ret);
const char *net_address_text(struct arena *arena, const struct net_address *address);
bool net_address_equal(const struct net_address *a, const struct net_address *b);

/* A network's range: the address with the bits of hosts at zero, and how many bits are not. */
struct net_subnet {
    struct net_address base;
    unsigned prefix;
};

/* "10.1.2.0/24"; bits behind the prefix are cut off. -EINVAL with the error filled. */
int net_subnet_parse(const char *text, struct net_subnet *ret, struct error *err);
const char *net_subnet_text(struct arena *arena, const struct net_subnet *subnet);

/* Whether an address is in it; whether two share any. Families differ: neither. */
bool net_subnet_contains(const struct net_subnet *subnet, const struct net_address *address);
bool net_subnet_overlaps(const struct net_subnet *a, const struct net_subnet *b);

/* Its addresses by number, from 0, the base; the number of one. Of a subnet with more than 2^32
 * addresses the first 2^32 have numbers: more are never given out. */
struct net_address net_subnet_at(const struct net_subnet *subnet, uint64_t index);
uint64_t net_subnet_index(const struct net_subnet *subnet, const struct net_address *address);

/* How many of its addresses hosts can have: from number 1 up to this one (without broadcast). */
uint64_t net_subnet_last(const struct net_subnet *subnet);

/* How many addresses it has, counted up to 2^32. */
uint64_t net_subnet_size(const struct net_subnet *subnet);

#define NET_MAC_SIZE 6

/* "02:00:00:00:00:01", of one host (not a group's); -EINVAL. */
int net_mac_parse(const char *text, unsigned char ret[NET_MAC_SIZE]);
const char *net_mac_text(struct arena *arena, const unsigned char mac[NET_MAC_SIZE]);

/* A locally administered address made of an IP address, so that it stays the same. */
void net_mac_of(const struct net_address *address, unsigned char ret[NET_MAC_SIZE]);
