#include "rootfs/cgroupfs.h"

#include <fcntl.h>
#include <linux/mount.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "base/str.h"
#include "plan/run.h"
#include "rootfs/inroot.h"
#include "rootfs/mount.h"
#include "rootfs/source.h"
#include "sys/mount.h"

#define CGROUP_ATTRIBUTES (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

static uint64_t attributes(const struct rootfs *rootfs, const struct mount_options *options)
{
    uint64_t wanted = CGROUP_ATTRIBUTES | (options->set & ~(uint64_t)MOUNT_ATTR_RDONLY);

    if (!rootfs->cgroups->writable || (options->set & MOUNT_ATTR_RDONLY))
        wanted |= MOUNT_ATTR_RDONLY;
    return wanted;
}

void cgroupfs_add_open(struct plan *plan, struct rootfs *rootfs)
{
    const struct rootfs_cgroups *cgroups = rootfs->cgroups;

    if (!cgroups || cgroups->own_namespace)
        return;
    rootfs->cgroup_slots = arena_new_array(plan->arena, int, cgroups->count + 1);
    for (size_t i = 0; i < cgroups->count; i++) {
        struct source *source = arena_new(plan->arena, struct source);
        rootfs->cgroup_slots[i] = plan_new_slot(plan);
        *source = (struct source){.path = cgroups->items[i].path,
                .slot = rootfs->cgroup_slots[i],
                .base = MS_PRIVATE};
        source->options.set = CGROUP_ATTRIBUTES | (cgroups->writable ? 0 : MOUNT_ATTR_RDONLY);
        source_add_open(plan, rootfs->rootless ? STEP_CHILD : STEP_HOST, source, "");
    }
}

/* One hierarchy: mounted by its options in the cgroup namespace, or the held directory bound. */
static void add_hierarchy(struct plan *plan, struct rootfs *rootfs, size_t index,
        const char *target, const struct mount_options *options, const char *because)
{
    const struct rootfs_cgroup *cgroup = &rootfs->cgroups->items[index];
    struct mount *mount = arena_new(plan->arena, struct mount);

    *mount = (struct mount){.target = target,
            .type = cgroup->unified ? "cgroup2" : "cgroup",
            .source = cgroup->unified ? "cgroup2" : "cgroup",
            .root_slot = rootfs->root_slot,
            .proc_slot = rootfs->proc_slot,
            .source_slot = -1,
            .foresight = rootfs->foresight,
            .when = foresight_now(rootfs->foresight),
            .follow = INROOT_NO_SYMLINKS};
    foresight_mount(rootfs->foresight, target, "cgroup", NULL);
    mount->options.set = attributes(rootfs, options);
    if (!rootfs->cgroups->own_namespace) {
        mount->source = cgroup->path;
        mount->source_slot = rootfs->cgroup_slots[index];
        mount_add_bind(plan, mount, because);
        return;
    }
    if (!cgroup->unified && cgroup->options)
        strv_split(plan->arena, &mount->options.data, cgroup->options, ',');
    mount_add_new(plan, mount, because);
}

/* The links of single controllers to their common hierarchy, then the tmpfs read-only. */

struct finish {
    const char *target;
    const struct rootfs_cgroups *cgroups;
    int root_slot;
    bool readonly;
};

static int make_links(int dir, const struct rootfs_cgroup *cgroup, struct error *err)
{
    const char *link;

    strv_foreach (link, &cgroup->links) {
        int r = str_equal(link, cgroup->name) ? 0 : sys_symlinkat(cgroup->name, dir, link);
        if (r < 0 && r != -EEXIST)
            return error_sys(
                    err, -r, "make the link %s to the cgroup hierarchy %s", link, cgroup->name);
    }
    return 0;
}

static int finish_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct finish *finish = step->args;
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
    _cleanup_close_ int dir = inroot_open(run->fds[finish->root_slot], finish->target,
            INROOT_MUST_EXIST, INROOT_NO_SYMLINKS, err);

    if (dir < 0)
        return dir;
    for (size_t i = 0; i < finish->cgroups->count; i++) {
        int r = make_links(dir, &finish->cgroups->items[i], err);
        if (r < 0)
            return r;
    }
    if (!finish->readonly)
        return 0;
    int r = sys_mount_setattr(dir, "", AT_EMPTY_PATH, &attr);
    return r < 0 ? error_sys(err, -r, "make %s read-only", finish->target) : 0;
}

static void finish_describe(const struct step *step, struct step_text *text)
{
    const struct finish *finish = step->args;
    const char *link;

    inroot_call(text, finish->target, INROOT_NO_SYMLINKS);
    for (size_t i = 0; i < finish->cgroups->count; i++)
        strv_foreach (link, &finish->cgroups->items[i].links)
            if (!str_equal(link, finish->cgroups->items[i].name))
                step_call(text, "symlinkat(\"%s\", <target>, \"%s\")",
                        finish->cgroups->items[i].name, link);
    if (finish->readonly)
        step_call(text, "mount_setattr(<target>, \"\", AT_EMPTY_PATH, {attr_set=MOUNT_ATTR_RDONLY, "
                        "attr_clr=0, propagation=0, userns_fd=0}, 32)");
    step_why(text, "the single controllers under the names that programs look for");
}

static const struct step_ops finish_ops = {
        "cgroup links", "cgroups(7)", finish_apply, NULL, finish_describe, NULL};

static void add_finish(struct plan *plan, const struct rootfs *rootfs, const char *target,
        bool readonly, const char *because)
{
    struct finish *finish = arena_new(plan->arena, struct finish);

    *finish = (struct finish){target, rootfs->cgroups, rootfs->root_slot, readonly};
    plan_add(plan, STEP_CHILD, &finish_ops, because, finish);
}

static void add_tmpfs(
        struct plan *plan, const struct rootfs *rootfs, const char *target, const char *because)
{
    struct mount *mount = arena_new(plan->arena, struct mount);

    *mount = (struct mount){.target = target,
            .type = "tmpfs",
            .source = "tmpfs",
            .root_slot = rootfs->root_slot,
            .proc_slot = rootfs->proc_slot,
            .source_slot = -1,
            .foresight = rootfs->foresight,
            .when = foresight_now(rootfs->foresight),
            .follow = INROOT_NO_SYMLINKS};
    foresight_mount(rootfs->foresight, target, "tmpfs", NULL);
    mount->options.set = CGROUP_ATTRIBUTES;
    strv_add(plan->arena, &mount->options.data, "mode=755");
    mount_add_new(plan, mount, because);
}

int cgroupfs_add(struct plan *plan, struct rootfs *rootfs, const struct rootfs_mount *mount,
        const struct mount_options *options, struct error *err)
{
    const struct rootfs_cgroups *cgroups = rootfs->cgroups;
    const char *because = mount->because ? mount->because : "";

    if (!cgroups || cgroups->count == 0)
        return error_set(err, EINVAL,
                "%s: a mount of type cgroup needs control groups, and the sandbox has none",
                because);
    if (cgroups->count == 1 && cgroups->items[0].unified && !*cgroups->items[0].name) {
        add_hierarchy(plan, rootfs, 0, mount->target, options, because);
        return 0;
    }
    add_tmpfs(plan, rootfs, mount->target, because);
    for (size_t i = 0; i < cgroups->count; i++)
        add_hierarchy(plan, rootfs, i,
                path_join(plan->arena, mount->target, cgroups->items[i].name), options, because);
    add_finish(
            plan, rootfs, mount->target, attributes(rootfs, options) & MOUNT_ATTR_RDONLY, because);
    return 0;
}
