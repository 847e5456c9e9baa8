#include "box.h"

#include <stdio.h>

void box_mount(struct box *box, const char *target, const char *type, const char *source,
        const char *options)
{
    struct rootfs_mount *mount = &box->mounts[box->rootfs.mounts_count];

    *mount = (struct rootfs_mount){.target = target, .type = type, .source = source};
    mount->because = arena_printf(&box->sandbox.arena, "/mounts/%zu", box->rootfs.mounts_count++);
    strv_split(&box->sandbox.arena, &mount->options, options, ',');
}

/* A mount namespace and a procfs; more is the test's. */
void box_begin(struct box *box)
{
    *box = (struct box){0};
    sandbox_begin(&box->sandbox);
    box->rootfs.path = box->sandbox.root;
    box->rootfs.mounts = box->mounts;
    box->rootfs.no_devices = true;
    box->sandbox.set.of[NS_MNT].mode = NS_NEW;
    box->sandbox.set.of[NS_PID].mode = NS_NEW;
    box_mount(box, "/proc", "proc", "proc", "nosuid,noexec,nodev");
}

static struct ns_id_maps box_maps(void)
{
    static struct id_map range[] = {{0, 200000, 65536}};

    return (struct ns_id_maps){.uids = {range, 1}, .gids = {range, 1}};
}

void box_userns(struct box *box)
{
    struct ns_id_maps maps = box_maps();

    for (int kind = 0; kind < NS_KINDS; kind++)
        if (kind != NS_TIME && kind != NS_CGROUP)
            box->sandbox.set.of[kind].mode = NS_NEW;
    box->rootfs.userns = box->rootfs.idmapped = true;
    box->rootfs.uids = maps.uids;
    box->rootfs.gids = maps.gids;
}

int box_build(struct box *box, struct error *err)
{
    struct plan *plan = &box->sandbox.plan;
    struct ns_id_maps maps = box_maps();
    int r = rootfs_add_open(plan, &box->rootfs, err);

    if (r < 0)
        return r;
    sandbox_add_clone(&box->sandbox);
    if (box->rootfs.userns)
        ns_add_id_maps(plan, &maps, "");
    r = rootfs_add_idmaps(plan, &box->rootfs, err);
    if (r < 0)
        return r;
    if (box->rootfs.userns)
        ns_add_become_root(plan, false, "");
    if (box->sandbox.set.of[NS_CGROUP].mode == NS_NEW)
        ns_add_unshare_cgroup(plan, "");
    r = rootfs_add_prepare(plan, &box->rootfs, err);
    return r < 0 ? r : rootfs_add_mounts(plan, &box->rootfs, err);
}

/* Builds, enters, runs the function inside. */
int box_run(struct box *box, void (*inside)(void *), void *data)
{
    int r = box_build(box, &box->sandbox.err);

    if (r < 0)
        return r;
    rootfs_add_enter(&box->sandbox.plan, &box->rootfs, NULL);
    sandbox_add_run(&box->sandbox, inside, data);
    return sandbox_apply(&box->sandbox);
}

void box_end(struct box *box)
{
    sandbox_end(&box->sandbox);
}

void box_show(void *data)
{
    printf("%s\n", inside_mount(data));
}

void box_leave(void *data)
{
    (void)data;
    printf("inside\n");
}
