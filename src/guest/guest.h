/*
 * The agent's state: one workload, made with the code that makes containers on a host, and the
 * connections that ask for something (client.h). One thread, one loop.
 */
#pragma once

#include "base/loop.h"
#include "cgroup/devices.h"
#include "container/container.h"
#include "container/streams.h"
#include "proto/agent.h"

struct client;
struct resolver;

struct guest {
    struct loop *loop;
    struct arena arena; /* lives as long as the guest */
    struct store store;
    struct container_host host; /* as the plan wants it */
    struct container workload;
    struct spec spec;
    bool made;
    struct cgroup_device_loaded devices; /* most workloads' program; fd -1: not loaded */
    int parked;                          /* guest/net.h: where spare network devices wait */
    struct resolver *resolver;           /* NULL: the workload's name servers are the network's */
    struct client *clients;
};

/* A process of the workload, with the streams that are carried. */
struct guest_process {
    struct container_making making;
    struct streams streams;
    bool terminal;
};

/* Does what most workloads come to before there is one. Nothing depends on it. */
void guest_warm_up(struct guest *guest);

/* Mounts the root and the shares and makes the workload; what it is waits in the guest. Errors are
 * those of container_make(), and -EEXIST when there is one, -EINVAL when the plan is not the
 * host's.
 */
int guest_create(struct guest *guest, const struct agent_create *create, struct guest_process *ret,
        struct error *err);

/* Lets a workload that was made to wait begin. */
int guest_start(struct guest *guest, struct error *err);

/* One more process in it. */
int guest_exec(struct guest *guest, const struct agent_exec *exec, struct arena *arena,
        struct guest_process *ret, struct error *err);
void guest_process_end(struct guest_process *process);

/* Answers a call: `*ret` belongs to the caller. */
int guest_call(struct guest *guest, const struct agent_call *call, struct json_object **ret,
        struct error *err);
