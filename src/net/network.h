/*
 * Networks: what `viv network create` makes and the data root remembers, one folder for each:
 *
 *     DATA/networks/NAME/network.json   its definition
 *     DATA/networks/NAME/leases/        who has which address, see lease.h
 *     DATA/networks/.lock               held while networks are made or taken away
 *
 * A definition says what is to be there; the bridge itself is made by the first sandbox that wants
 * it (steps.h), and again after a reboot. Several processes may use one folder at once.
 */
#pragma once

#include "base/record.h"
#include "net/address.h"

/* The network that is there without having been made. */
#define NETWORK_DEFAULT "bridge"
#define NETWORK_NAME_MAX 64
#define NETWORK_SUBNETS_MAX 2 /* one of each family */

struct network_subnet {
    const char *subnet;
    const char *gateway; /* the bridge's own address; "" in an internal network without names */
    const char *range;   /* the part that addresses are chosen from, as a subnet; "": all */
};

struct network_options {
    uint32_t mtu; /* 0: as the kernel has it */
    bool isolate; /* nothing passes to and from other networks */
};

/* As it is stored and shown; the members are called as Podman's are. */
struct network {
    const char *name;
    const char *id;     /* 64 hexadecimal digits */
    const char *driver; /* "bridge" */
    const char *network_interface;
    const char *created; /* RFC 3339 */
    RECORD_LIST(struct network_subnet) subnets;
    bool ipv6_enabled;
    bool internal; /* no way out and none in */
    bool dns_enabled;
    struct record_map labels;
    struct network_options options;

    /* read from the texts above */
    struct net_subnet ranges[NETWORK_SUBNETS_MAX];
    struct net_address gateways[NETWORK_SUBNETS_MAX];
    struct net_subnet chosen_from[NETWORK_SUBNETS_MAX]; /* the subnet, or the range in it */
};
extern const struct record network_record;

/* The folder of all networks. */
struct networks {
    int fd;
    const char *path;
};

/* Opens it; with `make` it is made when it is missing, otherwise it then has no networks (fd -1).
 * Closed by the caller. */
int networks_open(struct arena *arena, const char *data_root, bool make, struct networks *ret,
        struct error *err);
void networks_close(struct networks *networks);
#define _cleanup_networks_ __attribute__((cleanup(networks_close)))

/* Held while something is made or taken away: an flock(2) on a file, by its descriptor. */
int networks_lock(const struct networks *networks, struct error *err);

/* The names of all, sorted; the default one only once it was used. */
int networks_list(
        const struct networks *networks, struct arena *arena, struct strv *ret, struct error *err);

/* Whether there is a definition of that name. */
bool network_exists(const struct networks *networks, const char *name);

/* Letters, digits and "_.-", a letter or digit first; no word that --network knows. -EINVAL. */
int network_check_name(const char *name, struct error *err);

/* Reads one; the default network, when it is missing, is made, or, without `make`, returned as it
 * would be. -ENOENT: there is none. */
int network_load(const struct networks *networks, const char *name, bool make, struct arena *arena,
        struct network *ret, struct error *err);

/*
 * Makes one: fills in what is not said (id, interface, subnet, gateway, time) and stores it.
 * `network->subnets` may be empty; a subnet may lack its gateway. -EEXIST: the name or the
 * interface is taken; -EADDRINUSE: a subnet overlaps with another network's or with a route or
 * address of this host; -EADDRNOTAVAIL: all subnets to choose from are in use.
 */
int network_create(const struct networks *networks, struct arena *arena, struct network *network,
        struct error *err);

/* Takes its folder away. The caller has seen to it that nobody uses it, under the lock. */
int network_forget(const struct networks *networks, const char *name, struct error *err);

/* The subnet of a family; NULL when the network has none. */
const struct net_subnet *network_range(const struct network *network, int family);
const struct net_subnet *network_chosen_from(const struct network *network, int family);
const struct net_address *network_gateway(const struct network *network, int family);
