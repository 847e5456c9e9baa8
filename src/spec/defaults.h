/*
 * The configuration that a sandbox starts from when nobody says otherwise: what `viv-oci spec`
 * prints and what `viv run` builds upon. Paths that are masked or read-only, mounts, devices and
 * capabilities are those that Docker and Podman agree on.
 */
#pragma once

#include "spec/names.h"
#include "spec/spec.h"

enum spec_default {
    SPEC_DEFAULT_OCI,      /* as runc's `spec`: args "sh", root "rootfs", read-only, a terminal */
    SPEC_DEFAULT_ROOTLESS, /* the same for an ordinary user: a user namespace with one id, no
                              cgroup resources, /sys bound from the host */
    SPEC_DEFAULT_RUN,      /* for `viv run`: root writable, no terminal, 14 capabilities */
};

/* A new configuration in the arena. host_uid and host_gid are only looked at for the rootless one:
 * the ids outside that root inside is mapped to. */
struct spec *spec_default_new(
        struct arena *arena, enum spec_default kind, uint32_t host_uid, uint32_t host_gid);

/* The capabilities that a container has by default. */
extern const struct spec_words spec_default_capabilities;

/* The paths that are masked, and read-only, by default. */
extern const struct spec_words spec_default_masked;
extern const struct spec_words spec_default_readonly;

/* Helpers for whoever edits a configuration: each appends to the list, in the arena. */
struct spec_mount *spec_add_mount(struct arena *arena, struct spec *spec, const char *destination,
        const char *type, const char *source, const char *options);
struct spec_device *spec_add_device(struct arena *arena, struct spec *spec, const char *path,
        const char *type, int64_t major, int64_t minor);
struct spec_device_rule *spec_add_device_rule(
        struct arena *arena, struct spec_resources *resources, bool allow, const char *access);
struct spec_namespace *spec_add_namespace(
        struct arena *arena, struct spec *spec, const char *type, const char *path);
struct spec_rlimit *spec_add_rlimit(
        struct arena *arena, struct spec_process *process, const char *type);

/* Sets (or replaces) one entry of a map. */
void spec_map_set(struct arena *arena, struct record_map *map, const char *key, const char *value);
