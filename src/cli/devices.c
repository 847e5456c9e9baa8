#include "cli/devices.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "spec/defaults.h"

/* In a user namespace of its own the sandbox cannot make a device: the host's is bound. */
static void show_device(struct arena *arena, struct spec *spec, const struct stat *found,
        const char *host, const char *inside)
{
    if (spec_namespace_find(spec, "user") && !str_equal(host, inside)) {
        spec_add_mount(arena, spec, inside, "bind", host, "bind,rprivate");
        return;
    }
    struct spec_device *device = spec_add_device(arena, spec, inside,
            S_ISBLK(found->st_mode) ? "b" : "c", major(found->st_rdev), minor(found->st_rdev));
    device->fileMode = (struct opt_u32){true, found->st_mode & 07777};
}

static void add_device(struct arena *arena, struct spec *spec, const struct stat *found,
        const char *host, const char *inside, const char *access)
{
    const char *type = S_ISBLK(found->st_mode) ? "b" : "c";
    struct spec_device_rule *rule =
            spec_add_device_rule(arena, &spec->linux.resources, true, access ? access : "rwm");

    show_device(arena, spec, found, host, inside);
    rule->type = type;
    rule->major = (struct opt_i64){true, major(found->st_rdev)};
    rule->minor = (struct opt_i64){true, minor(found->st_rdev)};
}

/* A directory stands for the devices right below it, as "/dev/snd" does. */
static int add_directory(
        struct arena *arena, struct spec *spec, const struct run_device *device, struct error *err)
{
    _cleanup_closedir_ DIR *dir = opendir(device->host);
    struct dirent *entry;
    bool any = false;

    if (!dir)
        return error_sys(err, errno, "--device %s", device->host);
    while ((entry = readdir(dir))) {
        struct stat found;
        if (fstatat(dirfd(dir), entry->d_name, &found, AT_SYMLINK_NOFOLLOW) < 0 ||
                !(S_ISCHR(found.st_mode) || S_ISBLK(found.st_mode)))
            continue;
        const char *inside = device->inside ? device->inside : device->host;
        add_device(arena, spec, &found, path_join(arena, device->host, entry->d_name),
                path_join(arena, inside, entry->d_name), device->access);
        any = true;
    }
    return any ? 0 : error_set(err, ENODEV, "--device %s: no device in it", device->host);
}

static int add_one(
        struct arena *arena, struct spec *spec, const struct run_device *device, struct error *err)
{
    struct stat found;

    if (stat(device->host, &found) < 0)
        return error_sys_hint(err, errno, "name a device of this host, or a folder of devices",
                "--device %s", device->host);
    if (S_ISDIR(found.st_mode))
        return add_directory(arena, spec, device, err);
    if (!S_ISCHR(found.st_mode) && !S_ISBLK(found.st_mode))
        return error_set(err, ENODEV, "--device %s: it is no device; a file is shared with -v",
                device->host);
    add_device(arena, spec, &found, device->host, device->inside ? device->inside : device->host,
            device->access);
    return 0;
}

static void add_throttle(struct arena *arena, struct spec_throttle_list *list,
        const struct stat *found, uint64_t rate)
{
    struct spec_throttle_device *items =
            arena_new_array(arena, struct spec_throttle_device, list->count + 1);

    if (list->count)
        memcpy(items, list->items, list->count * sizeof(*items));
    items[list->count++] =
            (struct spec_throttle_device){major(found->st_rdev), minor(found->st_rdev), rate};
    list->items = items;
}

static int add_limit(struct arena *arena, struct spec *spec, const struct run_block_limit *limit,
        struct error *err)
{
    struct spec_block_io *into = &spec->linux.resources.blockIO;
    struct spec_throttle_list *lists[] = {[RUN_READ_BPS] = &into->throttleReadBpsDevice,
            [RUN_WRITE_BPS] = &into->throttleWriteBpsDevice,
            [RUN_READ_IOPS] = &into->throttleReadIOPSDevice,
            [RUN_WRITE_IOPS] = &into->throttleWriteIOPSDevice};
    struct stat found;

    if (stat(limit->path, &found) < 0)
        return error_sys(err, errno, "the limited device %s", limit->path);
    if (!S_ISBLK(found.st_mode))
        return error_set(err, ENOTBLK,
                "%s is no block device: disk limits are set for devices, see "
                "lsblk(8)",
                limit->path);
    if (limit->kind != RUN_WEIGHT) {
        add_throttle(arena, lists[limit->kind], &found, limit->rate);
        return 0;
    }
    struct spec_weight_device *items =
            arena_new_array(arena, struct spec_weight_device, into->weightDevice.count + 1);
    if (into->weightDevice.count)
        memcpy(items, into->weightDevice.items, into->weightDevice.count * sizeof(*items));
    items[into->weightDevice.count++] = (struct spec_weight_device){.major = major(found.st_rdev),
            .minor = minor(found.st_rdev),
            .weight = {true, (uint32_t)limit->rate}};
    into->weightDevice.items = items;
    return 0;
}

int resolve_devices(struct arena *arena, struct spec *spec, const struct run_choices *choices,
        struct error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < choices->devices.count; i++)
        r = add_one(arena, spec, &choices->devices.items[i], err);
    for (size_t i = 0; r == 0 && i < choices->block_limits.count; i++)
        r = add_limit(arena, spec, &choices->block_limits.items[i], err);
    return r;
}
