#include "container/guest.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/checksum.h"
#include "container/build_parts.h"
#include "container/plan-sources.h"

int container_guest_prepare(
        struct arena *arena, struct cgroup_device_loaded *ret, struct error *err)
{
    const struct spec_resources nothing = {0};
    struct cgroup_limits limits;

    build_limits(arena, &nothing, true, &limits);
    return cgroup_devices_load(&limits, arena, ret, err);
}

void container_guest_request(
        struct arena *arena, const struct container_guest *guest, struct container_request *ret)
{
    struct cgroup_layout *layout = arena_new(arena, struct cgroup_layout);
    struct container_host *host = arena_new(arena, struct container_host);

    cgroup_layout_guest(arena, layout);
    layout->loaded = guest->devices;
    *host = (struct container_host){
            .cgroups = layout,
            .capabilities = (CAPS_BIT(guest->last_capability) << 1) - 1,
            .last_capability = guest->last_capability,
    };
    *ret = (struct container_request){
            .arena = arena,
            .host = host,
            .spec = guest->spec,
            .id = guest->id,
            .dir_fd = -1,
            .cgroup_manager = CGROUP_MANAGER_FS,
            .default_cgroup = CONTAINER_GUEST_CGROUP,
            .cgroup_strict = true,
            .cgroup_delegate = guest->delegate,
            .wait_for_start = guest->wait_for_start,
            .console_fd = guest->spec->process && guest->spec->process->terminal ? 0 : -1,
            .seccomp = guest->seccomp,
            .unmasked_devices = guest->unmasked_devices,
    };
}

/* scripts/guest-image looks for it in the agent. */
#define MARK "viv-plan-sources:"
static const char sources[] __attribute__((used)) = MARK PLAN_SOURCES;

const char *container_plan_sources(void)
{
    return sources + strlen(MARK);
}

static uint64_t add_text(uint64_t hash, const char *text)
{
    return checksum64(text, strlen(text) + 1, hash);
}

void container_plan_digest(
        const struct plan *plan, size_t from, size_t to, char ret[CONTAINER_DIGEST_SIZE])
{
    _cleanup_arena_ struct arena arena = {0};
    uint64_t hash = 0;

    for (size_t i = from; i < to; i++) {
        const struct step *step = &plan->steps[i];
        struct step_text text = {.arena = &arena, .calls_only = true};
        const char *call;
        plan_describe(plan, i, &text);
        hash = add_text(hash, step->ops->name);
        hash = add_text(hash, step->because ? step->because : "");
        strv_foreach (call, &text.calls)
            hash = add_text(hash, call);
    }
    snprintf(ret, CONTAINER_DIGEST_SIZE, "%016" PRIx64, hash);
}
