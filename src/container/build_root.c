#include "container/build_parts.h"

#include "base/path.h"
#include "base/str.h"
#include "security/selinux.h"

int build_namespaces(const struct container_request *request, struct ns_set *ret, struct error *err)
{
    const struct spec_linux *linux_part = &request->spec->linux;

    *ret = (struct ns_set){0};
    for (size_t i = 0; i < linux_part->namespaces.count; i++) {
        const struct spec_namespace *item = &linux_part->namespaces.items[i];
        int kind = ns_kind_from_name(item->type);
        const char *because = arena_printf(request->arena, "/linux/namespaces/%zu", i);
        if (kind < 0)
            return error_set(
                    err, EINVAL, "%s/type: unknown namespace type \"%s\"", because, item->type);
        struct ns_choice *choice = &ret->of[kind];
        choice->mode = str_empty(item->path) ? NS_NEW : NS_JOIN;
        choice->path = str_empty(item->path) ? NULL : item->path;
        choice->because = because;
        choice->slot = -1;
    }
    return 0;
}

struct id_maps container_id_maps(struct arena *arena, const struct spec_id_mappings *from)
{
    struct id_maps maps = {arena_new_array(arena, struct id_map, from->count + 1), from->count};

    for (size_t i = 0; i < from->count; i++)
        maps.items[i] = (struct id_map){
                from->items[i].containerID, from->items[i].hostID, from->items[i].size};
    return maps;
}

static bool is_own_id_alone(const struct id_maps *maps, uint32_t id)
{
    return maps->count == 1 && maps->items[0].count == 1 && maps->items[0].outside == id;
}

void build_id_maps(const struct container_request *request, struct ns_id_maps *ret)
{
    const struct container_host *host = request->host;
    const struct spec_linux *linux_part = &request->spec->linux;

    ret->uids = container_id_maps(request->arena, &linux_part->uidMappings);
    ret->gids = container_id_maps(request->arena, &linux_part->gidMappings);
    bool alone = is_own_id_alone(&ret->uids, host->uid) && is_own_id_alone(&ret->gids, host->gid);
    ret->deny_setgroups = host->rootless && alone && host->uid != 0;
    ret->writer = host->rootless && !alone && host->uid != 0 ? NS_MAP_HELPERS : NS_MAP_DIRECT;
}

/* ---- the file system --------------------------------------------------------------------- */

static const char *absolute(const struct container_request *request, const char *path)
{
    if (!path || path[0] == '/' || !request->bundle)
        return path;
    return path_join(request->arena, request->bundle, path);
}

const struct rootfs_mount *build_mounts(const struct container_request *request)
{
    const struct spec *spec = request->spec;
    struct rootfs_mount *mounts =
            arena_new_array(request->arena, struct rootfs_mount, spec->mounts.count);

    for (size_t i = 0; i < spec->mounts.count; i++) {
        const struct spec_mount *from = &spec->mounts.items[i];
        mounts[i] = (struct rootfs_mount){
                .target = from->destination,
                .type = from->type,
                .source = spec_mount_is_bind(from) ? absolute(request, from->source) : from->source,
                .options = from->options,
                .uids = container_id_maps(request->arena, &from->uidMappings),
                .gids = container_id_maps(request->arena, &from->gidMappings),
                .because = arena_printf(request->arena, "/mounts/%zu", i),
        };
    }
    return mounts;
}

static const struct rootfs_device *build_devices(const struct container_request *request)
{
    const struct spec_linux *linux_part = &request->spec->linux;
    struct rootfs_device *devices =
            arena_new_array(request->arena, struct rootfs_device, linux_part->devices.count);

    for (size_t i = 0; i < linux_part->devices.count; i++) {
        const struct spec_device *from = &linux_part->devices.items[i];
        devices[i] = (struct rootfs_device){
                .path = from->path,
                .type = from->type[0],
                .major = (uint32_t)from->major,
                .minor = (uint32_t)from->minor,
                .mode = from->fileMode.set ? from->fileMode.value & 07777 : 0666,
                .uid = from->uid.set ? from->uid.value : 0,
                .gid = from->gid.set ? from->gid.value : 0,
                .because = arena_printf(request->arena, "/linux/devices/%zu", i),
        };
    }
    return devices;
}

/* runc: the default devices are left out where the configuration binds a /dev of its own. */
static bool has_own_dev(const struct spec *spec)
{
    for (size_t i = 0; i < spec->mounts.count; i++)
        if (str_equal(spec->mounts.items[i].destination, "/dev") &&
                spec_mount_is_bind(&spec->mounts.items[i]))
            return true;
    return false;
}

void build_rootfs(const struct container_request *request, const struct ns_set *namespaces,
        const struct rootfs_cgroups *cgroups, struct rootfs *ret)
{
    const struct spec *spec = request->spec;
    bool own_mounts = namespaces->of[NS_MNT].mode == NS_NEW;

    *ret = (struct rootfs){
            .path = absolute(request, spec->root ? spec->root->path : "/"),
            .overlay = request->layers,
            .readonly = spec->root && spec->root->readonly,
            .idmapped = request->idmap_root && namespaces->of[NS_USER].mode != NS_HOST,
            .uids = container_id_maps(request->arena, &spec->linux.uidMappings),
            .gids = container_id_maps(request->arena, &spec->linux.gidMappings),
            .userns = namespaces->of[NS_USER].mode != NS_HOST || request->host->rootless,
            .rootless = request->host->rootless,
            .foreign = request->host->cgroups->foreign,
            .no_kcore = request->host->no_kcore,
            .no_devices = has_own_dev(spec),
            .propagation = spec->linux.rootfsPropagation,
            .enter = !own_mounts         ? ROOTFS_STAY
                     : request->no_pivot ? ROOTFS_MOVE
                                         : ROOTFS_PIVOT,
            .mounts = build_mounts(request),
            .mounts_count = spec->mounts.count,
            .devices = build_devices(request),
            .devices_count = spec->linux.devices.count,
            .masked = spec->linux.maskedPaths,
            .readonly_paths = spec->linux.readonlyPaths,
            .masked_because = "/linux/maskedPaths",
            .readonly_because = "/linux/readonlyPaths",
            .cgroups = cgroups,
            .user_uid = spec->process ? spec->process->user.uid : 0,
            .user_gid = spec->process ? spec->process->user.gid : 0,
            .mount_label = spec->linux.mountLabel,
            .shared_label = spec->linux.mountLabel
                                    ? selinux_label_shared(request->arena, spec->linux.mountLabel)
                                    : NULL,
    };
}

static void add_view(const struct container_request *request, struct rootfs_cgroups *view,
        const struct cgroup_hierarchy *hierarchy, const char *path)
{
    struct rootfs_cgroup *item = &view->items[view->count++];

    item->unified = hierarchy->unified;
    item->path = path;
    item->name = path_base(hierarchy->mount);
    if (hierarchy->unified) {
        item->name = request->host->cgroups->count == 1 ? "" : "unified";
        return;
    }
    item->options = str_starts(hierarchy->names, "name=")
                            ? arena_printf(request->arena, "none,%s", hierarchy->names)
                            : hierarchy->names;
    if (strchr(hierarchy->names, ','))
        strv_split(request->arena, &item->links, hierarchy->names, ',');
}

static const char *saved_path(const struct cgroup_saved *saved, const char *names)
{
    for (size_t i = 0; i < saved->v1.count; i++)
        if (str_equal(saved->v1.items[i].controllers, names))
            return saved->v1.items[i].path;
    return NULL;
}

/* Where no group could be made (an ordinary user's on v1), the sandbox stays in the one it came
 * from. */
static const char *own_path(struct arena *arena, const struct cgroup_hierarchy *hierarchy)
{
    if (!hierarchy->self || str_equal(hierarchy->self, "/"))
        return hierarchy->self ? hierarchy->mount : NULL;
    return path_join(arena, hierarchy->mount, hierarchy->self + 1);
}

bool build_cgroup_writable(const struct spec *spec)
{
    const char *option;

    for (size_t i = 0; i < spec->mounts.count; i++) {
        const struct spec_mount *mount = &spec->mounts.items[i];
        bool writable = true;
        if (!str_equal(mount->type, "cgroup"))
            continue;
        strv_foreach (option, &mount->options) {
            if (str_equal(option, "ro") || str_equal(option, "rw"))
                writable = str_equal(option, "rw");
        }
        if (writable)
            return true;
    }
    return false;
}

void build_cgroup_view(const struct container_request *request, const struct ns_set *namespaces,
        const struct cgroup_result *cgroup, struct rootfs_cgroups *ret)
{
    const struct cgroup_layout *layout = request->host->cgroups;

    ret->items = arena_new_array(request->arena, struct rootfs_cgroup, layout->count);
    ret->count = 0;
    ret->own_namespace = namespaces->of[NS_CGROUP].mode == NS_NEW;
    ret->writable = build_cgroup_writable(request->spec);
    for (size_t i = 0; i < layout->count; i++) {
        const struct cgroup_hierarchy *hierarchy = &layout->items[i];
        const char *path = hierarchy->unified ? cgroup->saved.unified
                                              : saved_path(&cgroup->saved, hierarchy->names);
        if (!path && !ret->own_namespace)
            path = own_path(request->arena, hierarchy);
        if (path || ret->own_namespace)
            add_view(request, ret, hierarchy, path);
    }
}
