/* Which accelerator runs a machine. */
#pragma once

#include "vm/accel.h"

/*
 * The accelerator of this name: "kvm", "emu", or "auto" (also NULL), which takes kvm where its
 * self-test passes (kvm_probe.h) and emu elsewhere. `because` (of `size` bytes) gets one line that
 * says why. -EINVAL for other names. `cache_dir` keeps the verdict; NULL: nothing is kept.
 */
int accel_choose(const char *name, const char *cache_dir, const struct accel_ops **ret,
        char *because, size_t size, struct error *err);
