/*
 * Leases: who has which address of a network, and what goes with it. One file for each, named after
 * the address, in the network's folder: no daemon hands them out. A lease is alive as long as the
 * process that made the sandbox is, or the sandbox's first process; what a dead one holds on the
 * host is given back by whoever looks next (sweep.h).
 *
 * All functions that change anything want the network's lock.
 */
#pragma once

#include "net/network.h"
#include "net/port.h"

struct net_lease {
    const char *network;
    const char *id;        /* of the sandbox */
    const char *sandbox;   /* its name */
    struct strv names;     /* what it is found by: its name, aliases, the start of its id */
    const char *interface; /* inside: "eth0" */
    const char *device;    /* the other end, on the bridge */
    const char *ipv4;      /* "" or NULL: none */
    const char *ipv6;
    const char *mac;
    struct strv dns; /* who answers what the network does not know, in place of the host's */
    RECORD_LIST(struct net_port) ports;
    uint64_t rate_in, rate_out; /* bits a second; 0: as fast as it goes */

    const char *boot; /* the kernel's boot id: after a reboot no lease is alive */
    int maker;        /* pid and start time, see sys_process_start_time() */
    uint64_t maker_start;
    int init; /* 0: not made yet */
    uint64_t init_start;
};
struct net_leases {
    struct net_lease *items;
    size_t count;
};
extern const struct record net_lease_record;

/* Locks a network's leases: an flock(2), by its descriptor. -ENOENT: the network is gone. */
int lease_lock(const struct networks *networks, const char *network, struct error *err);

/* All leases of a network, none when it is not stored; files that cannot be read are left out. */
int lease_list(const struct networks *networks, const char *network, struct arena *arena,
        struct net_leases *ret, struct error *err);

/*
 * Chooses what the lease does not say: addresses of both families that the network has, and the
 * MAC. Touches nothing. -EADDRINUSE: an address that was asked for is taken; -EINVAL: it is none of
 * the network's; -EADDRNOTAVAIL: all are taken.
 */
int lease_choose(const struct network *network, const struct net_leases *others,
        struct arena *arena, struct net_lease *lease, struct error *err);

/* Stores one; the maker is this process. Stores it as it is. Stores it again, with the first
 * process's pid. */
int lease_save(const struct networks *networks, struct arena *arena, struct net_lease *lease,
        struct error *err);
int lease_store(const struct networks *networks, struct arena *arena, const struct net_lease *lease,
        struct error *err);
int lease_note_init(const struct networks *networks, struct arena *arena, struct net_lease *lease,
        int pid, struct error *err);

/* Its file's name. Takes it away; one that is gone is fine. */
const char *lease_file(const struct net_lease *lease);
int lease_drop(const struct networks *networks, struct arena *arena, const struct net_lease *lease,
        struct error *err);

/* Whether it was made since this boot, by a process that lives, or for one that does. */
bool lease_is_alive(const struct net_lease *lease);
