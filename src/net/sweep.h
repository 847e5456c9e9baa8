/* Giving back what leases hold: at a sandbox's end, and for sandboxes whose monitor was killed. */
#pragma once

#include "net/lease.h"

/* What one lease holds on the host: rules, interfaces, the lease itself. Goes on after failures,
 * and returns the first. `nft` is the path of viv-nft. */
int net_release(const struct networks *networks, const char *nft, const struct net_lease *lease,
        struct error *err);

/* All leases of one sandbox, by its id. */
int net_release_sandbox(
        const struct networks *networks, const char *nft, const char *id, struct error *err);

/* Loads all rules anew: those of all networks, and the ports of all live leases. For a table that
 * somebody has flushed. */
int net_load_rules(const struct networks *networks, const char *nft, struct error *err);

/* All dead leases of a network, whose lock the caller holds; how many. */
int net_sweep(
        const struct networks *networks, const char *nft, const char *network, struct error *err);
