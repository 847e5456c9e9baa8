/*
 * Networks and the sandboxes that are on them, after those have started: who is where, joining and
 * leaving, and taking networks away. What a sandbox joins or leaves is remembered for its next
 * start.
 */
#pragma once

#include "engine/engine.h"
#include "net/lease.h"

/* Opens the networks of an engine's data root; see networks_open(). */
int engine_networks(struct engine *engine, bool make, struct networks *ret, struct error *err);

/* The live leases of a network; those of dead sandboxes are given back first. */
int network_users(struct engine *engine, const struct networks *networks, const char *name,
        struct net_leases *ret, struct error *err);

/* The leases of a sandbox in the order of its interfaces; none when it is on no network. */
int sandbox_leases(
        struct engine *engine, const char *id, struct net_leases *ret, struct error *err);

/* The same for its ports alone: those that pasta publishes stand in a lease without addresses. */
int sandbox_ports(struct engine *engine, const struct sandbox *sandbox, struct net_leases *ret,
        struct error *err);

/* A sandbox joins a network, at once if it runs, or leaves it. -EEXIST: it is on it already;
 * -ENOENT: it is not; -EOPNOTSUPP: it has no network namespace that could be joined. */
int sandbox_connect(
        struct engine *engine, const char *name, const struct net_join *join, struct error *err);
int sandbox_disconnect(
        struct engine *engine, const char *name, const char *network, struct error *err);

/* Loads the rules of all networks and published ports anew, for when somebody has flushed them. */
int networks_reload(struct engine *engine, struct error *err);

/* Takes a network away, with its bridge and rules. -EBUSY: sandboxes are on it, unless `force`,
 * which takes it from them. */
int network_remove(struct engine *engine, const char *name, bool force, struct error *err);

/* A sandbox has another name now: that is what it is found by. */
int sandbox_rename_leases(
        struct engine *engine, const char *id, const char *name, struct error *err);

/* Whether a sandbox has joined a network while it ran: then more is to be given back at its end
 * than it started with. `run_fd` is its folder in the store. */
bool sandbox_was_connected(int run_fd);
