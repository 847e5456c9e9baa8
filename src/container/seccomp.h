/* linux.seccomp of a configuration as the security module wants it. */
#pragma once

#include "security/seccomp.h"
#include "spec/spec.h"

/* Strings and lists are borrowed from the configuration. */
void container_seccomp_profile(
        struct arena *arena, const struct spec_seccomp *seccomp, struct seccomp_profile *ret);
