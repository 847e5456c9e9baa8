/* The seccomp filter of a sandbox's processes, compiled or from the cache. */
#pragma once

#include "engine/engine.h"

/* The configuration's own profile, or the default one when it has none and `use_default`; NULL in
 * `*ret` when there is to be none. */
int engine_seccomp(struct engine *engine, const struct spec *spec, bool use_default,
        const struct seccomp_filter **ret, struct error *err);
