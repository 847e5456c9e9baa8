/* What a configuration becomes for a machine: the guest's own configuration, and the machine. */
#pragma once

#include "engine/vm.h"

/* Fills guest_spec, guest and machine. Reads the kernel's folder, touches nothing. -EOPNOTSUPP for
 * what a machine cannot have, with what to do instead. */
int vm_describe(struct vm *vm, struct error *err);

/* The limits of the machine's control group on the host. */
const struct cgroup_limits *vm_host_limits(const struct vm *vm);
