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

/* Of these one address has at most a share, so that no sandbox leaves nothing to the others. */
#define RESPONDER_PENDING_EACH 64
#define RESPONDER_CLIENTS_EACH 4

struct pending;

/* A process that serves one over TCP; pid 0: none. */
struct responder_stream {
    pid_t pid;
    struct net_address client;
};

struct responder {
    const struct networks *networks;
    const struct network *network;
    struct loop *loop;
    struct directory directory;
    int datagrams[NETWORK_SUBNETS_MAX]; /* bound; -1: none */
    int streams[NETWORK_SUBNETS_MAX];
    int changes;             /* tells of leases that go (inotify) */
    struct pending *room;    /* RESPONDER_PENDING of them */
    struct pending *pending; /* those that are free */
    int place;               /* the lock of being this network's responder */
    struct responder_stream streaming[RESPONDER_CLIENTS];
};

/* What takes rights and the whole path: binds port 53 of the network's gateways, and watches its
 * leases. */
int responder_bind(struct responder *responder, struct error *err);

/* Answers until no lease of the network is alive; then returns 0, with the network's lock held in
 * `*ret_lock`, so that nobody takes a lease before this process is gone. */
int responder_run(struct responder *responder, int *ret_lock, struct error *err);
