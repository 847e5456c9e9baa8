#include "engine/filter.h"

#include "base/cleanup.h"
#include "container/seccomp.h"
#include "security/seccomp_cache.h"
#include "security/seccomp_default.h"

int engine_seccomp(struct engine *engine, const struct spec *spec, bool use_default,
        const struct seccomp_filter **ret, struct error *err)
{
    const struct spec_capabilities *capabilities = spec->process->capabilities;
    struct seccomp_filter *filter = arena_new(engine->arena, struct seccomp_filter);
    struct seccomp_profile profile;

    *ret = NULL;
    if (spec->linux.seccomp) {
        container_seccomp_profile(engine->arena, spec->linux.seccomp, &profile);
    } else if (use_default) {
        uint64_t mask = capabilities ? caps_from_names(&capabilities->bounding) : 0;
        seccomp_default_profile(engine->arena, mask, &profile);
    } else {
        return 0;
    }
    _cleanup_close_ int cache = seccomp_cache_open(engine->seccomp_cache, NULL);
    int r = seccomp_get_filter(engine->arena, &profile, cache, filter, err);
    if (r == 0)
        *ret = filter;
    return r;
}
