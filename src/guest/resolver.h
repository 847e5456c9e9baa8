/*
 * The name server of the workload that is at a loopback address: an engine's, in the network
 * namespace on the host (Docker's is at 127.0.0.11). The agent gets here what is sent to its port
 * 53 (readdress.h), and passes it on to viv-shim, which stands there. By datagrams alone.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/loop.h"

struct resolver;

/* Passes a question on; false when it cannot. */
typedef bool (*resolver_ask_fn)(void *data, const void *message, size_t length);

/* Listens, on the loop, for as long as the guest lives. */
int resolver_open(struct loop *loop, const char *address, resolver_ask_fn ask, void *data,
        struct resolver **ret, struct error *err);

/* An answer has come; what answers nothing is dropped. */
void resolver_answer(struct resolver *resolver, const void *message, size_t length);
