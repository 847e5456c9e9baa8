/*
 * The root file system of a sandbox: what container/build hands over as plain data, and the
 * functions that append the steps. All paths inside the root are looked up with openat2(2) and
 * RESOLVE_IN_ROOT from a descriptor of the root, and mounts are attached to the descriptor found,
 * so a link that is exchanged meanwhile leads nowhere.
 *
 * The order in the plan:
 *
 *   rootfs_add_open      before the child is made: descriptors of the root and of bind sources
 *   rootfs_add_idmaps    host, once the child's uid_map is written
 *   rootfs_add_prepare   child: the tree private, the root attached, the handle on procfs
 *   rootfs_add_mounts    child: mounts, /dev, masked and read-only paths
 *   (hooks createRuntime, createContainer)
 *   rootfs_add_enter     child: pivot_root, the old tree gone, the root read-only if asked
 *   rootfs_add_cwd       child, last before the identity changes: the working directory
 *
 * When viv is an ordinary user (`rootless`), rootfs_add_open is appended behind the child's maps
 * and joins instead, since only there it has the privilege to copy mounts. The umask is 0 from
 * prepare to enter, and 022 afterwards.
 *
 * Strings and lists belong to the plan's arena or outlive it.
 */
#pragma once

#include "base/str.h"
#include "plan/plan.h"
#include "rootfs/layers.h"
#include "sys/userns.h"

struct rootfs_mount {
    const char *target; /* inside the root, absolute */
    const char *type;   /* "proc", "tmpfs" …; "bind", "none" or NULL with a bind option */
    const char *source;
    struct strv options;
    struct id_maps uids, gids; /* its own maps; empty: the sandbox's, when options ask for idmap */
    const char *because;
};

struct rootfs_device {
    const char *path; /* "/dev/fuse" */
    char type;        /* 'c' (or 'u'), 'b', 'p' */
    uint32_t major, minor;
    uint32_t mode;     /* permission bits */
    uint32_t uid, gid; /* inside ids */
    const char *because;
};

/* One hierarchy as it is to be seen below the target of a mount of type cgroup. */
struct rootfs_cgroup {
    const char *name;    /* directory: "cpu,cpuacct", "unified"; "" for cgroup v2 alone */
    const char *options; /* v1, for fsconfig: "cpu,cpuacct" or "none,name=systemd" */
    const char *path;    /* the sandbox's own cgroup directory on the host */
    bool unified;        /* cgroup v2 */
    struct strv links;   /* v1: "cpu", "cpuacct" -> name */
};
struct rootfs_cgroups {
    struct rootfs_cgroup *items;
    size_t count;
    bool own_namespace; /* a cgroup namespace: mounted; else the directory is bound */
    bool writable;      /* unless a mount's own options say "ro" */
};

enum rootfs_enter {
    ROOTFS_PIVOT,
    ROOTFS_MOVE, /* --no-pivot: for an initramfs, which cannot be pivoted away */
    ROOTFS_STAY  /* no mount namespace of its own: chroot only */
};

struct rootfs {
    const char *path;                     /* of the root on the host */
    const struct rootfs_overlay *overlay; /* NULL: it is the folder `path` */
    bool readonly;
    bool idmapped; /* the root through the sandbox's user namespace, so no owner changes on disk */
    struct id_maps uids, gids; /* of its user namespace; empty when it has none of its own */
    bool userns;               /* its user namespace is not the host's first one */
    bool rootless;             /* viv is an ordinary user: sources are opened by the child */
    bool running;              /* only the mounts, into a sandbox that runs */
    bool no_kcore;             /* the kernel has no /proc/kcore, to which /dev/core would lead */
    bool no_devices;           /* none of the default devices and links (rootfs' own /dev) */
    const char *propagation;   /* linux.rootfsPropagation; NULL: "rprivate" */
    enum rootfs_enter enter;

    const struct rootfs_mount *mounts;
    size_t mounts_count;
    const struct rootfs_device *devices; /* the default ones are added unless no_devices */
    size_t devices_count;
    struct strv masked, readonly_paths;
    const char *masked_because, *readonly_because; /* "/linux/maskedPaths" */
    const struct rootfs_cgroups *cgroups;
    const char
            *mount_label; /* SELinux: of new file systems, and of what "Z" asks for; NULL: none */
    const char *shared_label; /* and of what "z" asks for: several sandboxes may use it */

    uint32_t user_uid, user_gid; /* the workload's, as seen inside: who gets what "U" asks for */

    /* filled by the rootfs_add_ functions: slots, and what descriptions need */
    int root_slot;
    int proc_slot; /* for a procfs handle in the child, see rootfs_open_proc() */
    int dev_slot;
    int *cgroup_slots;           /* one for each hierarchy that is bound */
    int *source_slots;           /* one for each mount; -1: none */
    bool foreign;                /* of another kernel (a guest's): see foresee.h */
    struct foresight *foresight; /* what the steps so far will have made of the root */
};

/* Each: 0, or negative with the error filled when the configuration cannot be met (a contradictory
 * or unknown option, a path with "..", two of a thing). Nothing is touched. */
int rootfs_add_open(struct plan *plan, struct rootfs *rootfs, struct error *err);
int rootfs_add_idmaps(struct plan *plan, struct rootfs *rootfs, struct error *err);
int rootfs_add_prepare(struct plan *plan, struct rootfs *rootfs, struct error *err);
int rootfs_add_mounts(struct plan *plan, struct rootfs *rootfs, struct error *err);
/* Child, of a sandbox that runs: takes the mounts away again, the last one first. */
int rootfs_add_unmounts(struct plan *plan, struct rootfs *rootfs, struct error *err);
int rootfs_add_enter(struct plan *plan, struct rootfs *rootfs, struct error *err);

/* Child: changes to the directory and checks that it lies below "/" (CVE-2024-21626). It is made
 * when missing, as engines expect. */
void rootfs_add_cwd(struct plan *plan, const char *path, const char *because);

/* Child: binds what a descriptor stands for (the console's own end) to a file inside the root,
 * before rootfs_add_enter, never by a path of it (CVE-2025-52565). */
void rootfs_add_bind_fd(struct plan *plan, const struct rootfs *rootfs, int slot, const char *name,
        const char *target, const char *because);

/* A handle on a procfs that nobody else can reach, for writes to /proc: in a slot that is there, or
 * in a new one, which is returned. The root's own slot (`proc_slot`) is empty after
 * rootfs_add_prepare(): who writes to /proc fills it, and mount(2) does where it is needed. */
void rootfs_open_proc(struct plan *plan, enum step_place place, int slot);
int rootfs_add_proc(struct plan *plan, enum step_place place);

/* The devices and links that every sandbox has; runtime-spec config-linux.md#default-devices. */
const struct rootfs_device *rootfs_default_devices(size_t *ret_count);
