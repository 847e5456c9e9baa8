/*
 * Our own program file, which a workload must not reach (CVE-2019-5736: a container process opens
 * /proc/PID/exe of the runtime that enters it, and overwrites the file on the host).
 *
 * Needed where the sandbox has no user namespace of its own: there the workload's root is the
 * owner of our file. With one, the file's owner is not mapped and every write is refused already.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

/* Which file we are, so that the exec step can refuse to run it inside. */
struct security_self {
    dev_t device;
    ino_t inode;
};

/* Finds out by /proc/self/exe. 0, or negative with the error filled. */
int security_self_identify(struct security_self *ret, struct error *err);

/* Whether this process already runs from a read-only mount or a sealed copy. */
bool security_self_is_protected(void);

/*
 * Executes this program again from a read-only detached clone of its mount (open_tree(2) with
 * OPEN_TREE_CLONE, mount_setattr(2)), or, where that is refused, from a sealed memory file.
 * Returns 0 at once if that has been done. On success there is no return: the program starts
 * again with the same arguments, and this function then returns 0. To be called early in main,
 * by programs that make or enter containers without a user namespace.
 */
int security_protect_self(char *const argv[], char *const envp[], struct error *err);

/* The second of the two ways alone, for tests. */
int security_protect_self_by_copy(char *const argv[], char *const envp[], struct error *err);
