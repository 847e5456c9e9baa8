#include "vm/choose.h"

#include <stdio.h>

#include "base/str.h"
#include "vm/accel_emu.h"
#include "vm/accel_kvm.h"
#include "vm/kvm_probe.h"

int accel_choose(const char *name, const char *cache_dir, const struct accel_ops **ret,
        char *because, size_t size, struct error *err)
{
    if (str_equal(name, "emu")) {
        *ret = &accel_emu_ops;
        snprintf(because, size, "asked for");
        return 0;
    }
    if (str_equal(name, "kvm")) {
        *ret = &accel_kvm_ops;
        snprintf(because, size, "asked for");
        return 0;
    }
    if (name && !str_equal(name, "auto"))
        return error_set(err, EINVAL, "accelerator \"%s\"; there are auto, kvm and emu", name);
    *ret = kvm_probe(cache_dir, because, size) ? &accel_kvm_ops : &accel_emu_ops;
    return 0;
}
