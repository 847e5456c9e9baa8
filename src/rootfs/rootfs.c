#include "rootfs/rootfs.h"

#include <linux/mount.h>

#include "base/path.h"
#include "rootfs/cgroupfs.h"
#include "rootfs/elsewhere.h"
#include "rootfs/enter.h"
#include "rootfs/inroot.h"
#include "rootfs/mask.h"
#include "rootfs/mount.h"
#include "rootfs/nodes.h"
#include "rootfs/options.h"
#include "rootfs/overlay.h"
#include "rootfs/rechown.h"
#include "rootfs/relabel.h"
#include "rootfs/source.h"
#include "rootfs/unmount.h"

#define MOUNTS_MAX 160 /* binds take a slot each */

static const char *because_of(const struct rootfs_mount *mount)
{
    return mount->because ? mount->because : "";
}

static int read_options(struct plan *plan, const struct rootfs_mount *mount,
        struct mount_options *options, struct error *err)
{
    int r = mount_options_read(plan->arena, &mount->options, options, err);

    if (r < 0)
        return error_prefix(err, "%s, the mount on %s", because_of(mount), mount->target);
    if (str_equal(mount->type, "bind") && !options->rbind)
        options->bind = true; /* the type alone says it */
    return 0;
}

static bool is_bind(const struct mount_options *options)
{
    return (options->bind || options->rbind) && !options->remount;
}

/* What mounts get whose options name no propagation. */
static uint64_t base_propagation(const struct rootfs *rootfs)
{
    uint64_t propagation = MS_PRIVATE;
    bool recursive;

    if (rootfs->propagation)
        mount_propagation_read(rootfs->propagation, &propagation, &recursive);
    if (propagation == MS_SHARED)
        return 0; /* a copy stays in its source's peer group */
    return propagation == MS_SLAVE ? MS_SLAVE : MS_PRIVATE;
}

static enum step_place opener(const struct rootfs *rootfs)
{
    return rootfs->rootless ? STEP_CHILD : STEP_HOST;
}

static int check_mount(
        const struct rootfs *rootfs, const struct rootfs_mount *mount, struct error *err)
{
    if (str_empty(mount->target) || mount->target[0] != '/')
        return error_set(err, EINVAL, "%s/destination: \"%s\" is no absolute path",
                because_of(mount), mount->target ? mount->target : "");
    if (rootfs->enter == ROOTFS_STAY)
        return error_set(err, EINVAL,
                "%s: the mount on %s needs a mount namespace, or it would change the host: add "
                "{\"type\":\"mount\"} to linux.namespaces",
                because_of(mount), mount->target);
    return 0;
}

static int check(const struct rootfs *rootfs, struct error *err)
{
    uint64_t propagation;
    bool recursive;

    if (str_empty(rootfs->path))
        return error_set(err, EINVAL, "/root/path: the path of the root is missing");
    if (rootfs->propagation &&
            !mount_propagation_read(rootfs->propagation, &propagation, &recursive))
        return error_set(err, EINVAL,
                "/linux/rootfsPropagation: \"%s\" is none of private, slave, shared, unbindable "
                "(or with an r in front)",
                rootfs->propagation);
    if (rootfs->mounts_count > MOUNTS_MAX)
        return error_set(err, E2BIG, "/mounts: %zu mounts, at most %d are allowed",
                rootfs->mounts_count, MOUNTS_MAX);
    for (size_t i = 0; i < rootfs->mounts_count; i++) {
        int r = check_mount(rootfs, &rootfs->mounts[i], err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The root as a detached tree: private, for pivot_root refuses a shared one. */
static void add_open_root(struct plan *plan, struct rootfs *rootfs)
{
    struct source *source = arena_new(plan->arena, struct source);

    rootfs->root_slot = plan_new_slot(plan);
    *source = (struct source){.path = rootfs->path,
            .slot = rootfs->root_slot,
            .recursive = true,
            .base = base_propagation(rootfs) == MS_SLAVE ? MS_SLAVE : MS_PRIVATE};
    source_add_open(plan, opener(rootfs), source, "/root/path");
}

static struct treetop top_of(const struct rootfs_mount *mount, const struct mount_options *options)
{
    return (struct treetop){.path = mount->source,
            .part = options->subdir,
            .nofollow = options->src_nofollow || options->copy_symlink};
}

/* Where the mount is idmapped, the disk has the owners that are seen inside; and who applies the
 * step inside the sandbox's user namespace sees them as well. */
static int add_rechown(struct plan *plan, const struct rootfs *rootfs,
        const struct rootfs_mount *mount, const struct mount_options *options, struct error *err)
{
    struct rechown *rechown = arena_new(plan->arena, struct rechown);
    bool own_maps = mount->uids.count || mount->gids.count || options->uids.count;
    bool as_inside = options->idmap || options->ridmap || rootfs->rootless;

    if (!options->rechown)
        return 0;
    if (own_maps)
        return error_set(err, EINVAL, "%s: U and id mappings of its own contradict each other",
                because_of(mount));
    *rechown = (struct rechown){
            .top = top_of(mount, options), .uid = rootfs->user_uid, .gid = rootfs->user_gid};
    if (!as_inside && rootfs->uids.count &&
            (!id_maps_outside(&rootfs->uids, rootfs->user_uid, &rechown->uid) ||
                    !id_maps_outside(&rootfs->gids, rootfs->user_gid, &rechown->gid)))
        return error_set(err, EINVAL,
                "%s: U: the user %u:%u is not mapped in the sandbox's user namespace",
                because_of(mount), rootfs->user_uid, rootfs->user_gid);
    rechown_add(plan, opener(rootfs), rechown, because_of(mount));
    return 0;
}

/* Before the source is held, since it may be read-only then. */
static void add_relabel(struct plan *plan, const struct rootfs *rootfs,
        const struct rootfs_mount *mount, const struct mount_options *options)
{
    struct relabel *relabel = arena_new(plan->arena, struct relabel);

    *relabel = (struct relabel){.top = top_of(mount, options),
            .label = options->relabel_own ? rootfs->mount_label : rootfs->shared_label};
    if (relabel->label && (options->relabel || options->relabel_own))
        relabel_add(plan, opener(rootfs), relabel, because_of(mount));
}

static int add_open_bind(struct plan *plan, struct rootfs *rootfs, size_t index, struct error *err)
{
    const struct rootfs_mount *mount = &rootfs->mounts[index];
    struct source *source = arena_new(plan->arena, struct source);
    int r = read_options(plan, mount, &source->options, err);

    rootfs->source_slots[index] = -1;
    if (r < 0 || !is_bind(&source->options))
        return r;
    if (str_empty(mount->source))
        return error_set(err, EINVAL, "%s/source: a bind mount needs a source", because_of(mount));
    add_relabel(plan, rootfs, mount, &source->options);
    r = add_rechown(plan, rootfs, mount, &source->options, err);
    if (r < 0)
        return r;
    rootfs->source_slots[index] = source->slot = plan_new_slot(plan);
    source->path = mount->source;
    source->elsewhere = elsewhere_is(mount->source);
    source->recursive = source->options.rbind;
    source->nofollow = source->options.src_nofollow;
    source->link = source->options.copy_symlink;
    source->base = base_propagation(rootfs);
    source_add_open(plan, opener(rootfs), source, because_of(mount));
    return 0;
}

int rootfs_add_open(struct plan *plan, struct rootfs *rootfs, struct error *err)
{
    int r = check(rootfs, err);

    if (r < 0)
        return r;
    rootfs->source_slots = arena_new_array(plan->arena, int, rootfs->mounts_count + 1);
    if (!rootfs->running) {
        if (rootfs->overlay)
            rootfs->root_slot = plan_new_slot(plan);
        else
            add_open_root(plan, rootfs);
        cgroupfs_add_open(plan, rootfs);
    }
    for (size_t i = 0; i < rootfs->mounts_count && r == 0; i++)
        r = add_open_bind(plan, rootfs, i, err);
    return r;
}

/* Maps whose outside ids are the sandbox's ("@") become the host's. */
static int make_absolute(struct plan *plan, const struct id_maps *sandbox, struct id_maps *maps,
        const char *because, struct error *err)
{
    struct id_map *items = arena_new_array(plan->arena, struct id_map, maps->count + 1);

    for (size_t i = 0; i < maps->count; i++) {
        items[i] = maps->items[i];
        if (!id_maps_outside(sandbox, maps->items[i].outside, &items[i].outside))
            return error_set(err, EINVAL,
                    "%s: idmap names id %u of the sandbox, which its user namespace does not map",
                    because, maps->items[i].outside);
    }
    maps->items = items;
    return 0;
}

static int idmap_maps(struct plan *plan, const struct rootfs *rootfs,
        const struct rootfs_mount *mount, const struct mount_options *options,
        struct source_idmap *idmap, struct error *err)
{
    int r = 0;

    idmap->uids = mount->uids.count ? mount->uids : options->uids;
    idmap->gids = mount->gids.count ? mount->gids : options->gids;
    if (!mount->uids.count && options->uids_relative)
        r = make_absolute(plan, &rootfs->uids, &idmap->uids, because_of(mount), err);
    if (r == 0 && !mount->gids.count && options->gids_relative)
        r = make_absolute(plan, &rootfs->gids, &idmap->gids, because_of(mount), err);
    if (r < 0)
        return r;
    if (!idmap->uids.count != !idmap->gids.count)
        return error_set(err, EINVAL, "%s: uidMappings and gidMappings come together or not at all",
                because_of(mount));
    if (!idmap->uids.count && !rootfs->userns)
        return error_set(err, EINVAL,
                "%s: idmap without maps of its own needs a user namespace to take them from",
                because_of(mount));
    return 0;
}

static int add_idmap(
        struct plan *plan, const struct rootfs *rootfs, size_t index, struct error *err)
{
    const struct rootfs_mount *mount = &rootfs->mounts[index];
    struct mount_options options = {0};
    int r = read_options(plan, mount, &options, err);
    bool wanted = options.idmap || options.ridmap || mount->uids.count || mount->gids.count;

    if (r < 0 || !wanted)
        return r;
    if (rootfs->source_slots[index] < 0)
        return error_set(err, EINVAL, "%s: only bind mounts can be idmapped", because_of(mount));
    struct source_idmap *idmap = arena_new(plan->arena, struct source_idmap);
    *idmap = (struct source_idmap){.path = mount->source,
            .slot = rootfs->source_slots[index],
            .recursive = options.ridmap};
    r = idmap_maps(plan, rootfs, mount, &options, idmap, err);
    if (r == 0)
        source_add_idmap(plan, idmap, because_of(mount));
    return r;
}

int rootfs_add_idmaps(struct plan *plan, struct rootfs *rootfs, struct error *err)
{
    int r = 0;

    if (rootfs->overlay && !rootfs->running) {
        overlay_add(plan, opener(rootfs),
                &(struct overlay_step){rootfs->overlay, rootfs->idmapped, rootfs->rootless,
                        rootfs->uids, rootfs->gids, rootfs->root_slot, rootfs->mount_label});
    } else if (rootfs->idmapped) {
        struct source_idmap *idmap = arena_new(plan->arena, struct source_idmap);
        *idmap = (struct source_idmap){
                .path = rootfs->path, .slot = rootfs->root_slot, .recursive = true};
        source_add_idmap(plan, idmap, "/root/path");
    }
    for (size_t i = 0; i < rootfs->mounts_count && r == 0; i++)
        r = add_idmap(plan, rootfs, i, err);
    return r;
}

int rootfs_add_prepare(struct plan *plan, struct rootfs *rootfs, struct error *err)
{
    (void)err;
    rootfs->proc_slot = plan_new_slot(plan);
    if (rootfs->enter != ROOTFS_STAY)
        enter_add_tree(
                plan, rootfs, base_propagation(rootfs) == MS_PRIVATE ? MS_PRIVATE : MS_SLAVE);
    return 0;
}

/* Links on the way to what shows the kernel could make a write there land elsewhere. */
static enum inroot_follow follow_of(
        const struct rootfs_mount *mount, const struct mount_options *options)
{
    if (str_equal(mount->type, "proc") || str_equal(mount->type, "sysfs") ||
            str_equal(mount->target, "/dev"))
        return INROOT_NO_SYMLINKS;
    return options->dest_nofollow ? INROOT_NO_LAST : INROOT_FOLLOW;
}

/* Those to which the kernel lets also a user namespace give a label (selinux_set_mnt_opts());
 * others have one superblock for many mounts, or labels that the policy gives. */
static bool takes_label(const char *type)
{
    return str_equal(type, "tmpfs") || str_equal(type, "ramfs") || str_equal(type, "devpts");
}

static int add_mount(struct plan *plan, struct rootfs *rootfs, size_t index, struct error *err)
{
    const struct rootfs_mount *wanted = &rootfs->mounts[index];
    struct mount *mount = arena_new(plan->arena, struct mount);
    int r = read_options(plan, wanted, &mount->options, err);

    if (r < 0)
        return r;
    if (str_equal(wanted->type, "cgroup") && !is_bind(&mount->options))
        return cgroupfs_add(plan, rootfs, wanted, &mount->options, err);
    if (mount->options.rechown && !is_bind(&mount->options))
        return error_set(err, EINVAL,
                "%s: U gives away what a bind mount shows, and this is none: --tmpfs "
                "DIR:uid=N,gid=N "
                "says whose a new file system is",
                because_of(wanted));
    mount->target = wanted->target;
    mount->type = wanted->type;
    mount->source = wanted->source;
    mount->follow = follow_of(wanted, &mount->options);
    mount->base = base_propagation(rootfs);
    mount->root_slot = rootfs->root_slot;
    mount->proc_slot = rootfs->proc_slot;
    mount->source_slot = rootfs->source_slots[index];
    mount->foresight = rootfs->foresight;
    mount->when = foresight_now(rootfs->foresight);
    if (takes_label(wanted->type))
        mount->label = rootfs->mount_label;
    if (mount->options.remount)
        mount_add_remount(plan, mount, because_of(wanted));
    else if (is_bind(&mount->options))
        mount_add_bind(plan, mount, because_of(wanted));
    else if (str_empty(wanted->type))
        return error_set(err, EINVAL,
                "%s/type: the mount on %s names neither a type nor the option bind",
                because_of(wanted), wanted->target);
    else
        mount_add_new(plan, mount, because_of(wanted));
    if (!mount->options.remount)
        foresight_mount(rootfs->foresight, path_clean(plan->arena, wanted->target), wanted->type,
                is_bind(&mount->options) ? wanted->source : NULL);
    return 0;
}

int rootfs_add_mounts(struct plan *plan, struct rootfs *rootfs, struct error *err)
{
    int r = 0;

    if (rootfs->enter == ROOTFS_STAY)
        return 0;
    rootfs->foresight =
            foresight_new(plan->arena, rootfs->foreign ? NULL : rootfs->path, rootfs->overlay);
    for (size_t i = 0; i < rootfs->mounts_count && r == 0; i++)
        r = add_mount(plan, rootfs, i, err);
    if (r < 0 || rootfs->running)
        return r;
    nodes_add(plan, rootfs);
    mask_add(plan, rootfs);
    return 0;
}

int rootfs_add_unmounts(struct plan *plan, struct rootfs *rootfs, struct error *err)
{
    int r = check(rootfs, err);

    for (size_t i = rootfs->mounts_count; i > 0 && r == 0; i--)
        unmount_add(plan, rootfs->mounts[i - 1].target, rootfs->root_slot, rootfs->proc_slot,
                because_of(&rootfs->mounts[i - 1]));
    return r;
}

int rootfs_add_enter(struct plan *plan, struct rootfs *rootfs, struct error *err)
{
    uint64_t propagation = 0;
    bool recursive = false;

    (void)err;
    if (rootfs->propagation && rootfs->enter != ROOTFS_STAY)
        mount_propagation_read(rootfs->propagation, &propagation, &recursive);
    /* everything is private or a slave already; only what goes beyond that is left to do */
    if (propagation != MS_SHARED && propagation != MS_UNBINDABLE)
        propagation = 0;
    enter_add_root(plan, rootfs, propagation, recursive);
    return 0;
}
