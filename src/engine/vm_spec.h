/* What a configuration becomes for a machine: the guest's own configuration, and the machine. */
#pragma once

#include "engine/vm.h"

/* Fills guest_spec, guest and machine. Reads the kernel's folder, touches nothing. -EOPNOTSUPP for
 * what a machine cannot have, with what to do instead. */
int vm_describe(struct vm *vm, struct error *err);

/* A container has the limit on open files of who makes it, a guest's process that of its kernel,
 * which is small: the caller's is added, where the process has none of its own. */
void vm_keep_open_files(struct arena *arena, struct spec_process *process);

/* The host's CPUs and memory nodes that a sandbox may use are for the machine as a whole: the guest
 * has others, of other numbers. */
void vm_drop_host_cpus(struct spec_resources *resources);

/* The limits of the machine's control group on the host. */
const struct cgroup_limits *vm_host_limits(const struct vm *vm);
