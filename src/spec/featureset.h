/*
 * What a runtime says of itself by `features` (runtime-spec features.md, features-linux.md). The
 * lists here are what the programs are built to do, whatever the host can; where the host or a
 * library decides (the seccomp flags that work, version annotations) the caller fills in.
 *
 * The file is not called features.h: glibc has one of that name.
 */
#pragma once

#include "spec/spec.h"

struct spec_feature_switch {
    struct opt_bool enabled;
    struct opt_bool schemata;   /* of intelRdt */
    struct opt_bool monitoring; /* of intelRdt */
};

struct spec_features_cgroup {
    struct opt_bool v1;
    struct opt_bool v2;
    struct opt_bool systemd;
    struct opt_bool systemdUser;
    struct opt_bool rdma;
};

struct spec_features_seccomp {
    struct opt_bool enabled;
    struct strv actions;
    struct strv operators;
    struct strv archs;
    struct strv knownFlags;
    struct strv supportedFlags;
};

struct spec_features_memory_policy {
    struct strv modes;
    struct strv flags;
};

struct spec_features_mount_extensions {
    struct spec_feature_switch idmap;
};

struct spec_features_linux {
    struct strv namespaces;
    struct strv capabilities;
    struct spec_features_cgroup cgroup;
    struct spec_features_seccomp seccomp;
    struct spec_feature_switch apparmor;
    struct spec_feature_switch selinux;
    struct spec_feature_switch intelRdt;
    struct spec_features_memory_policy memoryPolicy;
    struct spec_features_mount_extensions mountExtensions;
    struct spec_feature_switch netDevices;
};

struct spec_features {
    const char *ociVersionMin;
    const char *ociVersionMax;
    struct strv hooks;
    struct strv mountOptions;
    struct spec_features_linux linux;
    struct record_map annotations;
    struct strv potentiallyUnsafeConfigAnnotations;
};

/* All that the programs are built to do. Lists live in the arena, which the caller may use to add
 * to them (strv_add). supportedFlags starts as knownFlags. */
void spec_features_fill(struct arena *arena, struct spec_features *ret);

/* A new JSON object; belongs to the caller. */
struct json_object *spec_features_write(const struct spec_features *features);
