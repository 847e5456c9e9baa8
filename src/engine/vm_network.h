/*
 * A machine on networks: a tap on each bridge, which becomes a virtio network device, and what the
 * agent sets up for it in the guest. The workload is in the guest's first network namespace, also
 * without a network: that one has the loopback alone then, as one of its own would, and making one
 * takes a tenth of a start.
 */
#pragma once

#include "engine/vm.h"
#include "net/link.h"
#include "proto/agent.h"

/* The address of a device that has a network from the start: the same in each machine, so that one
 * can go on from another's template; the agent gives the interface its own. */
const char *vm_network_device(struct arena *arena, size_t number);

/* A guest's configuration: the workload is in the first network namespace, which has the devices.
 * It is joined rather than left out, since it is the machine's own: sysctls of it may be set. */
void vm_join_first_network(struct spec *spec);

/* Notes the devices, those of the networks and spare ones, and takes the network namespace out of
 * the guest's configuration, whose mounts have been translated. -EOPNOTSUPP for kinds that a
 * machine cannot have; -EBUSY when it is on other networks than in the snapshot that it goes on
 * from. */
int vm_network_describe(struct vm *vm, struct error *err);

/* Appends the host steps: bridges, names and files, and the taps. */
int vm_network_steps(struct plan *plan, struct vm *vm, struct error *err);

/* In the process that starts viv-vmm: which descriptors the devices are. */
void vm_network_give(
        const struct vm *vm, const struct plan_run *run, struct proto_machine *machine);

/* An interface's name, addresses and routes, as the agent is told them; in the arena. */
void vm_network_fill(
        struct arena *arena, const struct link_inside *inside, struct agent_interface *to);

/* Adds what the agent is to set up for the machine's next device, but its address and its largest
 * packet, which the caller fills in. In the arena, and good until the next is added. */
struct agent_interface *vm_network_send_one(
        struct arena *arena, const struct link_inside *inside, struct agent_create *into);

/* Adds what the agent is to set up; memory is in the arena. */
void vm_network_send(const struct vm *vm, struct arena *arena, struct agent_create *into);
