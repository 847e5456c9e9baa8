/*
 * What a bind mount takes its content from: a detached copy of a mount tree, made where the path is
 * seen and may be walked (on the host, or by the child when viv is an ordinary user), with its
 * attributes set before anybody can see it, and idmapped if asked. The child attaches it later.
 */
#pragma once

#include "plan/plan.h"
#include "rootfs/options.h"

struct source {
    const char *path;
    int slot;       /* where the descriptor goes; stays -1 where only mount(2) works */
    bool recursive; /* mounts below come along */
    bool nofollow;  /* a link is taken itself, not what it points to */
    bool elsewhere; /* the path is one of another mount namespace, see elsewhere.h */
    bool link;      /* a link becomes a link inside ("copy-symlink"): the slot is the link itself */
    uint64_t base;  /* propagation that all get */
    struct mount_options options;
};

/* Calls: open_tree, mount_setattr (0 to 2). `source` lives in the plan's arena. */
void source_add_open(
        struct plan *plan, enum step_place place, const struct source *source, const char *because);

/*
 * Host, once the child's maps are written: the tree in the slot through the ids of the child's user
 * namespace, or through own maps. Calls: openat of the namespace or sys_userns_new's, then
 * mount_setattr with MOUNT_ATTR_IDMAP.
 */
struct source_idmap {
    const char *path; /* for messages */
    int slot;
    bool recursive;
    struct id_maps uids, gids; /* empty: those of the child's user namespace */
};
void source_add_idmap(struct plan *plan, const struct source_idmap *idmap, const char *because);

/* A descriptor of the child's user namespace, once its maps are written; and the calls of it. */
int source_open_userns(pid_t child, struct error *err);
void source_describe_userns(struct step_text *text);
