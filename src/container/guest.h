/*
 * What a host and the agent of its guest agree on, so that both work out the same plan from the
 * same configuration: the host to tell it (viv explain) and to name its digest, the agent to apply
 * it. Facts of the guest that the plan depends on are constants here, or are named.
 */
#pragma once

#include "cgroup/devices.h"
#include "container/build.h"

#define CONTAINER_GUEST_ROOT "/run/viv/root"     /* the workload's root file system */
#define CONTAINER_GUEST_CGROUP "/workload"       /* its group; the agent makes it beforehand */
#define CONTAINER_GUEST_SHARES "/run/viv/shares" /* folders of the host, by number */

struct container_guest {
    const char *id;
    const struct spec *spec; /* all paths are the guest's */
    const struct seccomp_filter *seccomp;
    unsigned last_capability; /* of the guest's kernel */
    bool wait_for_start;
    bool delegate;
    bool unmasked_devices;
    const struct cgroup_device_loaded *devices; /* of container_guest_prepare(); NULL: none */
};

/* Loads the device program that a workload has whose configuration names no devices of its own. The
 * descriptor is the caller's, the rest the arena's. Errors are bpf(2)'s. */
int container_guest_prepare(
        struct arena *arena, struct cgroup_device_loaded *ret, struct error *err);

/* The request for container_plan() and container_make(). No folder of the host, no stream. */
void container_guest_request(
        struct arena *arena, const struct container_guest *guest, struct container_request *ret);

/* What names the sources that plans are worked out by: an agent of the same ones makes the same
 * plan. */
const char *container_plan_sources(void);

#define CONTAINER_DIGEST_SIZE 17

/* A digest (XXH64, hexadecimal) of what steps [from, to) say that they do. It finds versions that
 * differ; it is no protection against somebody. */
void container_plan_digest(
        const struct plan *plan, size_t from, size_t to, char ret[CONTAINER_DIGEST_SIZE]);
