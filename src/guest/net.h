/* The guest's network interfaces, as the host has leased their addresses. */
#pragma once

#include "proto/agent.h"

/* Finds the devices by their Ethernet addresses, gives them names, addresses and routes. -ENODEV.
 */
int guest_set_up_interfaces(
        const struct agent_interface *interfaces, size_t count, struct error *err);

/* lo: for workloads without a network namespace of their own. */
int guest_set_up_loopback(struct error *err);
