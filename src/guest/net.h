/* The guest's network interfaces, as the host has leased their addresses. */
#pragma once

#include "proto/agent.h"

/* Finds the devices by the Ethernet addresses that they were made with, gives them names, addresses
 * and routes. -ENODEV.
 */
int guest_set_up_interfaces(
        const struct agent_interface *interfaces, size_t count, struct error *err);

/*
 * The devices that are spare wait in a network namespace that the workload does not see; `*parked`
 * is its descriptor, -1 as long as there is none. Parks those that were made to be spare; the
 * machine has none: nothing is done.
 */
int guest_park_spares(int *parked, struct error *err);

/* A device that waits there becomes an interface, and back. -ENODEV: it is not there. */
int guest_connect_interface(
        int *parked, const struct agent_interface *interface, struct error *err);
int guest_disconnect_interface(int *parked, const char *device, struct error *err);

/* Addresses and routes once more, of an interface that is there: what is missing is added. */
int guest_route_interface(const struct agent_interface *interface, struct error *err);

/* lo: for workloads without a network namespace of their own. */
int guest_set_up_loopback(struct error *err);
