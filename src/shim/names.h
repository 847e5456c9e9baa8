/*
 * Asks the name server at a loopback address of the network namespace that viv-shim is in, for the
 * machine, which has no other way to it: a question of the agent's is a datagram to it, and what
 * comes back is the answer. Whose it is the agent knows.
 */
#pragma once

#include "proto/carry.h"

struct names {
    int sock; /* -1: there is none */
    struct carry *carry;
};

/* Before system calls are given up: a socket to the server, watched on the loop. An address that is
 * none gives -EINVAL. */
int names_open(struct names *names, const char *address, struct loop *loop, struct carry *carry,
        struct error *err);

/* -EPROTO when there is no server. What cannot be asked now is dropped, as datagrams are. */
int names_ask(const struct names *names, const struct agent_frame *frame);
