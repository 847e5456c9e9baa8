/* The guest's network interfaces, as the host has leased their addresses. */
#pragma once

#include "proto/agent.h"

/* Finds the device by its Ethernet address, gives it its name, addresses and routes. -ENODEV. */
int guest_set_up_interface(const struct agent_interface *interface, struct error *err);

/* lo: for workloads without a network namespace of their own. */
int guest_set_up_loopback(struct error *err);
