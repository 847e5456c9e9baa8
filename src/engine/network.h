/*
 * The networks of one sandbox, from what it asks for to what it gives back: looked up, addresses
 * leased and ports held before anything is made; then steps of its plan (net/steps.h); released
 * when it has ended, or, when its monitor was killed, by whoever notices.
 *
 * For a container the steps make a pair of interfaces. A machine gets the same addresses by taps:
 *
 *     sandbox_networks_prepare()     with the request, in the process that is to be the monitor or
 *                                    its parent
 *     …steps(CONTAINER_BEFORE_CHILD) bridge, rules, names, the files
 *     sandbox_networks_open_taps()   in place of the pairs; descriptors for the VMM
 *     …inside()                      what the agent sets up in the guest, by link_configure()
 *     sandbox_networks_give_back()
 */
#pragma once

#include "container/build.h"
#include "engine/engine.h"
#include "net/lease.h"
#include "net/link.h"
#include "net/steps.h"

#define SANDBOX_SHORT_ID 12 /* digits of an id that are shown, and found by */

struct sandbox_networks;

/*
 * Looks up what `run->meta.network` asks for; with `take`, leases addresses and holds ports,
 * otherwise (for explain) tells which it would be. Adds the mounts of /etc/hosts, /etc/resolv.conf
 * and /etc/hostname to run->spec. `*ret` is NULL when the sandbox has nothing to do with networks;
 * it lives in the engine's arena. -ENOENT: no such network; -EADDRINUSE, -EADDRNOTAVAIL: an address
 * or a port is taken.
 */
int sandbox_networks_prepare(struct engine *engine, struct engine_run *run, bool take,
        struct sandbox_networks **ret, struct error *err);

/* A container_more_fn; `data` is a struct sandbox_networks. */
int sandbox_networks_steps(
        void *data, enum container_point point, struct plan *plan, struct error *err);

/* Gives everything back: rules, leases, held ports. NULL is fine. Goes on after failures. */
int sandbox_networks_give_back(struct sandbox_networks *all, struct error *err);

/* What one interface inside is like; `count` of them, in order. */
struct sandbox_interface {
    const char *network;
    struct net_lease lease;    /* addresses, MAC, rates */
    struct link_inside inside; /* for link_configure() in the guest */
    uint32_t mtu;              /* 0: the kernel's */
};
size_t sandbox_networks_interfaces(
        const struct sandbox_networks *all, const struct sandbox_interface **ret);

/* The texts of the files that it gets, as /etc/hosts and so on; NULL: none. */
const char *sandbox_networks_file(const struct sandbox_networks *all, const char *name);

/* A tap on the network's bridge for each interface, with its rates, and the rules of the ports:
 * `fds` gets as many descriptors as there are interfaces, each a queue with a virtio header
 * (sys/tap.h), which belong to the caller. The tap goes when its last descriptor is closed. */
int sandbox_networks_open_taps(struct sandbox_networks *all, int *fds, struct error *err);

/* One of them, for what joins a network later; `*ret_fd` is the caller's. */
int sandbox_open_tap(const struct network *network, const struct net_lease *lease, const char *nft,
        int *ret_fd, struct error *err);

/* Once the sandbox's first process (the machine's) is there: leases live as long as it does. */
int sandbox_networks_note_init(struct sandbox_networks *all, int pid, struct error *err);

/* The network end of a lease, named after whose it is; what goes inside, with default routes for
 * families that `routed` does not have yet (LINK_ADDRESSES_MAX of them), which it then does. */
const char *sandbox_device_name(struct arena *arena, const char *id, const char *network);
void sandbox_fill_inside(struct arena *arena, const struct network *network,
        const struct net_lease *lease, bool *routed, struct link_inside *ret);

/* The program that carries an ordinary user's networks; NULL: it is not there. */
const char *sandbox_network_pasta(struct arena *arena);
