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

/* Loads the program and attaches it to a v2 group; `replace`: in place of those that are attached,
 * without a moment in which nothing or both is too lax. */
int cgroup_devices_attach(const char *dir, const struct bpf_insn *program, size_t count,
        bool replace, struct error *err);
