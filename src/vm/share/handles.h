/*
 * Open files and folders of a shared folder, by the numbers that its guest knows them by. Belongs
 * to the share's thread. Owns the descriptors.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "vm/share/inodes.h"

#define HANDLES_MAX (1U << 16)
#define HANDLE_ENTRIES 16384 /* bytes of a folder that are read at once */

struct handle {
    struct inode *inode; /* holds a reference */
    int fd;              /* -1: a snapshot said that it was open, and it is gone */
    int flags;           /* that it was opened with */

    /* of folders: what was read, and from where to read on */
    char *entries;
    size_t length, done; /* bytes */
    off_t offset;        /* of the entry at `done` */
};

struct handles {
    struct handle **list;
    uint32_t capacity, free;
};

/* Takes the descriptor over, also on failure; adds a reference to the file. -EMFILE, -ENOMEM. */
int handles_add(struct handles *handles, struct inode *inode, int fd, int flags, uint64_t *ret);

/* One that a snapshot kept, under its number and without a descriptor yet; adds a reference.
 * -EBADMSG for a number that is taken or is none, -ENOMEM. */
int handles_put_back(struct handles *handles, struct inode *inode, uint64_t id, int flags);

/* The handle of a number, if it is of this file; NULL otherwise. */
struct handle *handles_get(const struct handles *handles, const struct inode *inode, uint64_t id);

/* Some open handle of this file that can do what `flags` (O_ACCMODE) ask for; NULL: there is none.
 */
const struct handle *handles_find(
        const struct handles *handles, const struct inode *inode, int flags);

/* Closes one. An unknown number is fine. */
void handles_close(struct handles *handles, struct inodes *inodes, uint64_t id);

/* Closes all. */
void handles_reset(struct handles *handles, struct inodes *inodes);
