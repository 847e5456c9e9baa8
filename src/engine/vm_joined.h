/*
 * Namespaces that a machine's configuration wants to join, or lets hooks fill. A guest's kernel
 * cannot be in the host's namespaces, so viv-shim is, and the machine gets what is in them:
 *
 *   network  by path, or a new one where hooks may fill it (Docker's do): its interfaces are read
 *            once the hooks have run, each is spliced to a tap (net/splice.h), and the guest's have
 *            the same names, addresses and routes. The workload is then in the guest's first
 *            network namespace.
 *   uts      of a pod: the guest's has that host name.
 *   ipc      of a pod: the guest has its own; nothing is shared through it.
 *
 * All others are refused.
 */
#pragma once

#include "container/container.h"
#include "engine/vm.h"
#include "proto/agent.h"

/* Whether it is the container that holds a pod's namespaces, by the annotations of containerd's CRI
 * plugin and CRI-O: it waits, and needs no machine. */
bool vm_holds_pod(const struct spec *spec);

/* Decides for each namespace what the guest's configuration says of it. -EOPNOTSUPP. */
int vm_joined_describe(struct vm *vm, struct error *err);

/* Whether the machine's interfaces are found in a network namespace. */
bool vm_joined_network(const struct vm *vm);

/* Appends the host's step behind the hooks: reads the namespace, and splices taps. */
void vm_joined_steps(struct plan *plan, struct vm *vm);

/* Notes the devices of the taps that are there. In the child as well, whose memory has not seen
 * what the host read. */
void vm_joined_settle(struct vm *vm, const struct plan_run *run);

/* The loopback address of the engine's name server, which viv-shim asks for it in the joined
 * namespace; known once the hooks have run. NULL: it has none there. */
const char *vm_joined_resolver(const struct vm *vm, struct arena *arena);

/* Adds what the agent is to set up; memory is in the arena. */
void vm_joined_send(const struct vm *vm, struct arena *arena, struct agent_create *into);
