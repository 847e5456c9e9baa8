/*
 * Speaking to the agent of a machine that runs, through the socket in the sandbox's folder: what
 * commands other than the one that made it want of the workload. The guest is not trusted: answers
 * are capped, and who does not answer in time is given up.
 */
#pragma once

#include "cgroup/stats.h"
#include "container/container.h"
#include "proto/agent.h"
#include "proto/control.h"

/* Whether a sandbox is a machine. */
bool vm_is(const struct container *container);

/* A new connection to the agent; the descriptor is the caller's. -ESRCH when the machine has ended,
 * -EBUSY when it is paused. */
int vm_connect(const struct container *container, int *ret_fd, struct error *err);

/* A new connection to viv-vmm itself (proto/control.h); errors as of vm_connect(). */
int vm_connect_control(const struct container *container, int *ret_fd, struct error *err);

/* What viv-vmm counts and says of its machine; strings live in the arena. Errors as of
 * vm_connect(). */
int vm_figures(const struct container *container, struct arena *arena, struct proto_stats *ret,
        struct error *err);

/* Asks for something; `*ret` (may be NULL) is the answer, the caller's to put. */
int vm_call(const struct container *container, const struct agent_call *call,
        struct json_object **ret, struct error *err);

/* What workloads of both kinds can do, in the way of each. Errors as of their container_ namesakes.
 */
int workload_kill(const struct container *container, int signal, bool all, struct error *err);
int workload_update(const struct container *container, const struct spec_resources *resources,
        struct error *err);
int workload_stats(const struct container *container, struct arena *arena, struct cgroup_stats *ret,
        struct error *err);
