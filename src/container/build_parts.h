/* The parts of container_build(): one OCI area each, turned into the plain struct of the module
 * that acts on it. Pure functions; what they return lives in the request's arena. For build.c only.
 */
#pragma once

#include "container/build.h"
#include "ns/steps.h"

/* The namespaces: kinds, paths, JSON pointers. */
int build_namespaces(
        const struct container_request *request, struct ns_set *ret, struct error *err);

/* linux.uidMappings and gidMappings, and how they are written. */
void build_id_maps(const struct container_request *request, struct ns_id_maps *ret);

/* linux.resources, with the devices that every container may use. */
void build_limits(struct arena *arena, const struct spec_resources *resources, bool default_devices,
        struct cgroup_limits *ret);

/* root, mounts, devices, masked and read-only paths. `cgroups` is what a mount of type cgroup
 * shows. */
void build_rootfs(const struct container_request *request, const struct ns_set *namespaces,
        const struct rootfs_cgroups *cgroups, struct rootfs *ret);

/* The request's mounts alone. */
const struct rootfs_mount *build_mounts(const struct container_request *request);

/* What a mount of type cgroup shows: this host's hierarchies and the sandbox's place in them. */
void build_cgroup_view(const struct container_request *request, const struct ns_set *namespaces,
        const struct cgroup_result *cgroup, struct rootfs_cgroups *ret);

/* Whether a mount of type cgroup is not asked to be read-only. */
bool build_cgroup_writable(const struct spec *spec);

/* The process: user, capabilities, limits, program. `linux_part` may be NULL (exec). */
void build_security(struct arena *arena, const struct spec_process *process,
        const struct spec_linux *linux_part, const struct container_host *host, bool own_userns,
        struct security *ret, struct strv *warnings);
