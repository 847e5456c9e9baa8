#include "container/mounts.h"

#include <sched.h>

#include "container/build_parts.h"
#include "container/clone.h"
#include "container/join.h"

static int build(const struct container *container, const struct container_host *host,
        const struct spec *mounts, bool remove, struct plan *plan, struct error *err)
{
    struct arena *arena = container->arena;
    const struct container_state *state = &container->state;
    uint64_t kinds = container_exec_kinds(state);
    uint64_t wanted = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC |
                      CLONE_NEWCGROUP;
    struct container_request request = {
            .arena = arena, .host = host, .spec = mounts, .bundle = state->bundle};
    struct container_target *target = arena_new(arena, struct container_target);
    struct rootfs *rootfs = arena_new(arena, struct rootfs);

    *target = (struct container_target){.init = state->pid,
            .pidfd_slot = plan_new_slot(plan),
            .root_slot = plan_new_slot(plan),
            .kinds = kinds & wanted & ~(uint64_t)(CLONE_NEWUSER | CLONE_NEWPID)};
    *rootfs = (struct rootfs){.path = state->rootfs,
            .running = true,
            .enter = kinds & CLONE_NEWNS ? ROOTFS_PIVOT : ROOTFS_STAY,
            .mounts = build_mounts(&request),
            .mounts_count = mounts->mounts.count,
            .root_slot = target->root_slot};
    struct container_clone clone = {
            .user_slot = kinds & CLONE_NEWUSER ? target->pidfd_slot : -1,
            .pid_slot = kinds & CLONE_NEWPID ? target->pidfd_slot : -1,
            .cgroup_slot = -1,
            .die_with_host = true,
            .hide = true,
    };
    container_target_open_step(plan, target);
    int r = remove ? 0 : rootfs_add_open(plan, rootfs, err);
    if (r < 0)
        return r;
    container_clone_step(plan, &clone, "");
    container_target_join_step(plan, target);
    rootfs->proc_slot = rootfs_add_proc(plan, STEP_CHILD);
    return remove ? rootfs_add_unmounts(plan, rootfs, err) : rootfs_add_mounts(plan, rootfs, err);
}

int container_mounts_change(const struct container *container, const struct container_host *host,
        const struct spec *mounts, bool remove, struct error *err)
{
    struct plan plan = {.arena = container->arena};
    struct plan_run run;

    if (container_status(container) == SPEC_STOPPED)
        return error_set(err, ESRCH, "container not running");
    int r = container_is_here(container, "mount in", err);
    if (r == 0)
        r = build(container, host, mounts, remove, &plan, err);
    if (r < 0)
        return r;
    plan_run_init(&run, &plan);
    r = plan_apply(&run, err);
    if (r == 0)
        r = plan_undo(&run, err); /* mounts stay; the process that made them goes */
    plan_run_end(&run);
    return r;
}
