/*
 * Mount options: what the words of a configuration ("ro", "nosuid", "rslave", "size=64k") mean to
 * the kernel. A table, and one loop over it. runtime-spec config.md#linux-mount-options, crun(1).
 */
#pragma once

#include <linux/mount.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"
#include "sys/userns.h"

#define MOUNT_SUBDIR "X-mount.subdir="

struct mount_options {
    uint64_t set, clear;         /* MOUNT_ATTR_* of the mount itself */
    uint64_t rec_set, rec_clear; /* the same for every mount below too: "rro" */
    uint64_t propagation; /* MS_PRIVATE, MS_SLAVE, MS_SHARED, MS_UNBINDABLE; 0: as the root */
    bool propagation_rec;
    bool bind, rbind;
    bool remount;
    bool tmpcopyup;
    bool idmap, ridmap;
    bool relabel, relabel_own; /* "z" and "Z": the source gets the label of the sandbox's files */
    bool rechown;              /* "U": the source is given to the sandbox's user */
    bool copy_symlink, src_nofollow, dest_nofollow;
    const char *subdir; /* "X-mount.subdir=DIR" of mount(8): a bind takes this part of its source */
    struct strv superblock;    /* "sync", "lazytime": of every file system; a bind mount has none */
    struct id_maps uids, gids; /* from "idmap=uids=…;gids=…"; empty: the sandbox's own */
    bool uids_relative, gids_relative; /* their outside ids are the sandbox's own ("@") */
    struct strv data;                  /* the rest, for fsconfig(2): "size=64k" */
};

/* Reads the words; what is not in the table goes to `data`. -EINVAL for a contradiction or a
 * malformed idmap. Lists live in the arena. */
int mount_options_read(struct arena *arena, const struct strv *words, struct mount_options *ret,
        struct error *err);

/* "MS_SLAVE|MS_REC" and such, and the attributes: as text for a description; arena-owned. */
const char *mount_attr_text(struct arena *arena, uint64_t attributes);
const char *mount_propagation_text(uint64_t propagation);

/* MS_PRIVATE … for "private", "rprivate" …; false for another word. */
bool mount_propagation_read(const char *word, uint64_t *ret, bool *ret_recursive);

/* Adds all words that are known, for `features`. */
void mount_option_words(struct arena *arena, struct strv *words);
