/*
 * The responder of one network: sockets on the bridge's addresses, the directory of names, and
 * those who are asked about everything else. One process, one thread.
 */
#pragma once

#include "base/loop.h"
#include "net/directory.h"
#include "net/network.h"

#define RESPONDER_PENDING 256 /* questions that others are asked at once */
#define RESPONDER_CLIENTS 16  /* clients over TCP at once */

struct pending;

struct responder {
    const struct networks *networks;
    const struct network *network;
    struct loop *loop;
    struct directory directory;
    int datagrams[NETWORK_SUBNETS_MAX]; /* bound; -1: none */
    int streams[NETWORK_SUBNETS_MAX];
    int changes; /* tells of leases that go (inotify) */
    struct pending *pending;
    int place;   /* the lock of being this network's responder */
    int clients; /* processes that serve one over TCP each */
};

/* What takes rights and the whole path: binds port 53 of the network's gateways, and watches its
 * leases. */
int responder_bind(struct responder *responder, struct error *err);

/* Answers until no lease of the network is alive; then returns 0, with the network's lock held in
 * `*ret_lock`, so that nobody takes a lease before this process is gone. */
int responder_run(struct responder *responder, int *ret_lock, struct error *err);
