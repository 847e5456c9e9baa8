/*
 * The steps of a sandbox's networks. They belong into its plan in this order:
 *
 *   host   net_add_bridge    the bridge, its rules, and the settings that they need
 *   host   net_add_names     who answers for names on the network
 *   host   net_add_file      files that the sandbox gets: hosts, resolv.conf
 *   host   (clone3)
 *   host   net_add_pair      the pair of interfaces, one of them inside
 *   host   net_add_shape     limits of its traffic
 *   host   net_add_ports     rules for published ports
 *   host   net_add_relay     what carries those of ::1
 *   child  net_add_inside    addresses and routes
 *
 * or, for an ordinary user, host net_add_pasta and child net_add_shape_inside
 *
 * What they get has to live as long as the plan's arena. Addresses have been leased before
 * (lease.h): the plan says which.
 */
#pragma once

#include "net/hold.h"
#include "net/lease.h"
#include "net/link.h"
#include "plan/plan.h"

/* Host: the bridge of a network, made when it is missing, under the network's lock. It stays: it is
 * the network's, not the sandbox's. `nft` is the path of viv-nft. */
struct net_bridge_args {
    const struct networks *networks;
    const struct network *network;
    const char *nft;
};
void net_add_bridge(struct plan *plan, const struct net_bridge_args *args, const char *because);

/* As the step does it, for what joins a network without a plan. */
int net_make_bridge(const struct net_bridge_args *args, struct error *err);

/* Host: starts viv-dns for a network unless it runs. It ends by itself with the last lease. */
struct net_names_args {
    const struct networks *networks;
    const struct network *network;
    const char *program;
};
void net_add_names(struct plan *plan, const struct net_names_args *args, const char *because);
int net_start_names(const struct net_names_args *args, struct error *err);

/* Host: writes a file of the sandbox's own, readable by all. Its folder goes with the sandbox. */
struct net_file_args {
    const char *path;
    const char *text;
};
void net_add_file(struct plan *plan, const struct net_file_args *args, const char *because);

/* Host: the pair of interfaces; the lease learns the sandbox's pid. Undo takes it away. */
struct net_pair_args {
    const struct networks *networks;
    const struct network *network;
    struct net_lease *lease;
};
void net_add_pair(struct plan *plan, const struct net_pair_args *args, const char *because);
int net_make_pair(const struct net_pair_args *args, int pid, struct error *err);

/* Host: the lease's rates. Undo takes away what would stay. */
void net_add_shape(struct plan *plan, const struct net_lease *lease, const char *because);

/* Child: the same on the sandbox's own end, where there is no other; it goes with the sandbox. */
void net_add_shape_inside(struct plan *plan, const struct net_lease *lease, const char *because);

/* Host: the lease's ports. Undo takes the rules away. */
struct net_ports_args {
    const struct net_lease *lease;
    const char *nft;
};
void net_add_ports(struct plan *plan, const struct net_ports_args *args, const char *because);
int net_load_ports(const struct net_ports_args *args, bool add, struct error *err);

/* Host: starts viv-relay for those of the ports that are held on ::1; they are its from then on. It
 * ends when `life`, the other end of its pipe, is closed: by undo, by the owner of the arguments,
 * or because this process is gone. */
struct net_relay_args {
    const char *program;
    const char *to;        /* the sandbox's address */
    struct strv ports;     /* "tcp:80" */
    struct net_hold *hold; /* their sockets, in the same order */
    int *life;
};
void net_add_relay(struct plan *plan, const struct net_relay_args *args, const char *because);
int net_start_relay(const struct net_relay_args *args, struct error *err);

/* Child: the interface inside. */
void net_add_inside(struct plan *plan, const struct link_inside *args, const char *because);

/* Host: pasta(1) gives the sandbox a network of an ordinary user and runs beside it. Not all
 * versions notice that the sandbox has ended: its pid stands in a file, and undo ends it. */
struct net_pasta_args {
    const char *program;
    const char *pid_file;
    struct strv words; /* without the sandbox's pid, which comes last */
};
void net_end_pasta(const char *pid_file);
void net_add_pasta(struct plan *plan, const struct net_pasta_args *args, const char *because);
