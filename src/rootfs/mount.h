/*
 * One mount inside the root, by the child: of a new file system, of a source that is already held
 * (source.h), or a change of what is mounted there. A mount costs openat2 and move_mount, plus
 * fsopen, fsconfig and fsmount for a new file system.
 */
#pragma once

#include "plan/plan.h"
#include "rootfs/foresee.h"
#include "rootfs/inroot.h"
#include "rootfs/options.h"

struct mount {
    const char *target;
    const char *type;   /* of a new file system */
    const char *source; /* its name or device; of a bind, for messages and mount(2) */
    struct mount_options options;
    const char *label; /* SELinux context; NULL: none */
    enum inroot_follow follow;
    uint64_t base;                     /* propagation that a bind gets when its options name none */
    int root_slot;                     /* the root, where the target is looked up */
    int proc_slot;                     /* for a procfs handle, should mount(2) need one */
    int source_slot;                   /* a held source; -1: none */
    const struct foresight *foresight; /* for the description; NULL: the target is there */
    size_t when;
};

/* Each takes a struct that lives in the plan's arena. */
void mount_add_new(struct plan *plan, const struct mount *mount, const char *because);
void mount_add_bind(struct plan *plan, const struct mount *mount, const char *because);
void mount_add_remount(struct plan *plan, const struct mount *mount, const char *because);

/* Attaches a detached mount to what an O_PATH descriptor stands for. */
int mount_attach(int mount_fd, int target_fd, const char *target, struct error *err);

/* For descriptions: that call. */
void mount_attach_call(struct step_text *text);
