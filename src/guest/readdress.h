/* What the guest's processes send to one address and port goes to another port of that address, and
 * what comes back from there seems to come from the one that was meant: datagrams of IPv4. The port
 * stays free for whoever wants to listen on it. */
#pragma once

#include <netinet/in.h>

#include "base/error.h"

/* For all processes, from here on. `port` is where it goes, in the network's order. */
int readdress(const struct sockaddr_in *meant, in_port_t port, struct error *err);
