#include "rootfs/legacy.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <sys/statvfs.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "sys/mount.h"
#include "sys/proc.h"

#define NAME_SIZE 32

static const struct {
    uint64_t attribute;
    unsigned long flag;
    unsigned long kept; /* as statvfs(3) shows it */
} flags_of[] = {
        {MOUNT_ATTR_RDONLY, MS_RDONLY, ST_RDONLY},
        {MOUNT_ATTR_NOSUID, MS_NOSUID, ST_NOSUID},
        {MOUNT_ATTR_NODEV, MS_NODEV, ST_NODEV},
        {MOUNT_ATTR_NOEXEC, MS_NOEXEC, ST_NOEXEC},
        {MOUNT_ATTR_NOATIME, MS_NOATIME, ST_NOATIME},
        {MOUNT_ATTR_STRICTATIME, MS_STRICTATIME, 0},
        {MOUNT_ATTR_NODIRATIME, MS_NODIRATIME, ST_NODIRATIME},
        {MOUNT_ATTR_NOSYMFOLLOW, MS_NOSYMFOLLOW, 0},
};

bool legacy_wanted(int result)
{
    return result == -ENOSYS || result == -EPERM;
}

static const char *name_of(int fd, char name[NAME_SIZE])
{
    snprintf(name, NAME_SIZE, "self/fd/%d", fd);
    return name;
}

static unsigned long flags_from(uint64_t attributes)
{
    unsigned long flags = 0;

    for (size_t i = 0; i < ARRAY_SIZE(flags_of); i++)
        if (attributes & flags_of[i].attribute)
            flags |= flags_of[i].flag;
    return flags;
}

static unsigned long superblock_flags(const struct mount_options *options)
{
    static const struct {
        const char *word;
        unsigned long flag;
    } words[] = {{"sync", MS_SYNCHRONOUS}, {"dirsync", MS_DIRSYNC}, {"mand", MS_MANDLOCK},
            {"lazytime", MS_LAZYTIME}};
    unsigned long flags = 0;

    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (strv_contains(&options->superblock, words[i].word))
            flags |= words[i].flag;
    return flags;
}

/* Changes to the procfs handle. */
static int go_to_proc(int *proc)
{
    if (*proc < 0)
        *proc = sys_proc_open(NULL);
    return *proc < 0 ? *proc : sys_fchdir(*proc);
}

int legacy_mount(int *proc, int target_fd, const char *type, const char *source,
        const struct mount_options *options)
{
    _cleanup_arena_ struct arena arena = {0};
    char name[NAME_SIZE];
    int r = go_to_proc(proc);

    if (r < 0)
        return r;
    return sys_mount(source ? source : type, name_of(target_fd, name), type,
            flags_from(options->set) | superblock_flags(options),
            strv_join(&arena, &options->data, ","));
}

int legacy_bind(int *proc, int source_fd, int target_fd, bool recursive)
{
    char from[NAME_SIZE], to[NAME_SIZE];
    int r = go_to_proc(proc);

    if (r < 0)
        return r;
    return sys_mount(name_of(source_fd, from), name_of(target_fd, to), NULL,
            MS_BIND | (recursive ? MS_REC : 0), NULL);
}

/* A remount replaces all flags, so those that are kept have to be given again. */
static unsigned long kept_flags(int fd, uint64_t cleared)
{
    struct statvfs now;
    unsigned long flags = 0;

    if (fstatvfs(fd, &now) < 0)
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(flags_of); i++)
        if ((now.f_flag & flags_of[i].kept) && !(cleared & flags_of[i].attribute))
            flags |= flags_of[i].flag;
    return flags;
}

int legacy_setattr(int *proc, int fd, const struct mount_options *options, uint64_t base)
{
    char name[NAME_SIZE];
    uint64_t propagation = options->propagation ? options->propagation : base;
    bool recursive = !options->propagation || options->propagation_rec;
    int r = go_to_proc(proc);

    if (options->rec_set || options->rec_clear)
        return -ENOTSUP;
    if (r == 0 && (options->set || options->clear))
        r = sys_mount(NULL, name_of(fd, name), NULL,
                MS_REMOUNT | MS_BIND | kept_flags(fd, options->clear) | flags_from(options->set),
                NULL);
    if (r == 0 && propagation)
        r = sys_mount(NULL, name_of(fd, name), NULL, propagation | (recursive ? MS_REC : 0), NULL);
    return r;
}
