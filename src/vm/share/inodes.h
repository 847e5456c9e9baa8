/*
 * The files of a shared folder that its guest knows, by the numbers that it knows them by. A number
 * is an index, so that whatever a guest sends is either one of its own files or none.
 *
 * Each file is held by an O_PATH descriptor: its identity, whatever happens to its name. Since a
 * guest may remember more files than a process may have descriptors, those that were not used for
 * long are closed and found again by their last name, below their parent, if the same file is still
 * there (device and inode number), else the answer is -ESTALE and the guest looks it up anew.
 *
 * Belongs to the share's thread. Owns the descriptors.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/error.h"

#define INODES_ROOT 1         /* FUSE_ROOT_ID */
#define INODES_MAX (1U << 20) /* files that a guest may remember */

struct inode {
    uint64_t id;
    dev_t dev;
    ino_t ino;
    mode_t type; /* S_IFMT */
    int fd;      /* O_PATH; -1: closed, found again when needed. Use inodes_fd() */
    uint64_t lookups;
    uint32_t refs;    /* one for all lookups, one for each child, one for each open handle */
    uint32_t request; /* the last one that used it */
    struct inode *parent;
    char *name;         /* below the parent; NULL: has none any more, and the descriptor stays */
    struct inode *next; /* of its bucket */
};

struct inodes {
    struct inode **list; /* by number; NULL: free */
    uint32_t capacity;
    uint32_t free;          /* where to look for a free number */
    uint32_t count;         /* numbers in use */
    uint32_t open;          /* descriptors */
    uint32_t open_max;      /* which it tries to keep to */
    uint32_t hand;          /* where to look for a descriptor to close */
    uint32_t request;       /* counts requests: what one has used is not closed before its end */
    struct inode **buckets; /* by device and inode number; as many as `capacity` */
};

/* Takes the root's descriptor over. */
int inodes_init(struct inodes *inodes, int root_fd, uint32_t open_max, struct error *err);
void inodes_free(struct inodes *inodes);

/* Forgets everything but the root. */
void inodes_reset(struct inodes *inodes);

/* A new request: the descriptors used from here on stay open until the next call. */
void inodes_begin(struct inodes *inodes);

/* The file of a number; NULL when the guest has no such file. */
struct inode *inodes_get(const struct inodes *inodes, uint64_t id);

/* Its O_PATH descriptor, open until the next inodes_begin(); -ESTALE when it is gone. */
int inodes_fd(struct inodes *inodes, struct inode *inode);

/* The file with these numbers, if the guest knows it. */
struct inode *inodes_find(const struct inodes *inodes, const struct stat *st);

/* The guest learns of a file, found as `name` in `parent`: takes over its O_PATH descriptor, also
 * on failure. -ENFILE when it knows too many, -ENOMEM. */
int inodes_enter(struct inodes *inodes, struct inode *parent, const char *name, int fd,
        const struct stat *st, struct inode **ret);

/* What a snapshot keeps of a file. */
struct inode_kept {
    uint64_t id,
            parent; /* numbers; the root has no parent, and neither may a file without a name */
    uint64_t lookups;
    dev_t dev;
    ino_t ino;
    mode_t type;
    const char *name; /* NULL: it has none */
};

/*
 * Puts the files of a snapshot back into a table that has only the root, which is among them.
 * Descriptors are opened when they are needed, by name. -EBADMSG for what cannot have been in a
 * table; -ENOMEM. Files that come of no lookup, no handle and no child are dropped by
 * inodes_drop_unused(), once all handles are there.
 */
int inodes_put_back(struct inodes *inodes, const struct inode_kept *list, size_t count);
void inodes_drop_unused(struct inodes *inodes);

/* The guest forgets a file as often as it has learnt of it. */
void inodes_forget(struct inodes *inodes, struct inode *inode, uint64_t times);

/* For open handles. */
void inodes_ref(struct inode *inode);
void inodes_unref(struct inodes *inodes, struct inode *inode);

/* Before the name goes: a file that the guest knows by it keeps its descriptor. */
void inodes_about_to_lose_name(struct inodes *inodes, struct inode *parent, const char *name);

/* After a rename: what the guest knew as the first is the second now. */
void inodes_renamed(
        struct inodes *inodes, struct inode *inode, struct inode *parent, const char *name);
