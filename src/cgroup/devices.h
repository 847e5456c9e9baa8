/*
 * Device rules (config-linux.md#allowed-device-list): the lists of v1, and on v2 a small eBPF
 * program made from the rules. Both decide alike: of all rules that match a device, the last one
 * that names an access (read, write, mknod) decides on that access; what no rule names is allowed,
 * as in a new group of either kind.
 */
#pragma once

#include <linux/bpf.h>

#include "cgroup/limits.h"

#define CGROUP_DEVICE_RULES_MAX 2000

/* Types are a, b, c; access is made of r, w, m; numbers fit. -EINVAL names the rule. */
int cgroup_devices_check(const struct cgroup_limits *limits, struct error *err);

/*
 * The lines to write on v1, each "devices.allow" or "devices.deny", a blank, and the text for that
 * file. -EOPNOTSUPP for an exception inside a range of devices, which the lists cannot hold.
 */
int cgroup_devices_lines(const struct cgroup_limits *limits, struct arena *arena,
        struct strv *ret_lines, struct error *err);

/* Writes such lines into a v1 group. */
int cgroup_devices_write(const char *dir, const struct strv *lines, struct error *err);

/* Takes an existing v1 group from its present list to these lines; where both allow only what they
 * list, what is in both stays allowed throughout. */
int cgroup_devices_rewrite(
        const char *dir, const struct strv *lines, struct arena *arena, struct error *err);

/* The program's instructions, in the arena. */
struct bpf_insn *cgroup_devices_program(
        const struct cgroup_limits *limits, struct arena *arena, size_t *ret_count);

/* A program that the kernel has verified and translated beforehand, which is most of the work. */
struct cgroup_device_loaded {
    const struct bpf_insn *program;
    size_t count;
    int fd;
};

/* Loads the program of these rules. The descriptor is the caller's, the instructions the arena's.
 * Errors are bpf(2)'s. */
int cgroup_devices_load(const struct cgroup_limits *limits, struct arena *arena,
        struct cgroup_device_loaded *ret, struct error *err);

/* Loads the program, unless it is `loaded` (NULL: none is), and attaches it to a v2 group;
 * `replace`: in place of those that are attached, without a moment in which nothing or both is too
 * lax. */
int cgroup_devices_attach(const char *dir, const struct bpf_insn *program, size_t count,
        const struct cgroup_device_loaded *loaded, bool replace, struct error *err);
