/* Changes to the names of a sandbox that runs: its /etc/hosts and /etc/resolv.conf, when it joins a
 * network or leaves one. What else the workload has written there stays. */
#pragma once

#include "engine/engine.h"

struct nametexts_change {
    const char *joined; /* its address on the network that it joins; NULL: none */
    const char *left;   /* on the one that it leaves */
    struct strv own;    /* its addresses before: what is named behind one of them is its name */
    const char *name;   /* where nothing is */
    struct strv servers_before; /* who answered for names, as addresses */
    struct strv servers;
};

/* Rewrites the files in the sandbox's folder in their places, since they are mounted; one that is
 * not there is left out. */
int nametexts_apply(
        int run_fd, struct arena *arena, const struct nametexts_change *change, struct error *err);
