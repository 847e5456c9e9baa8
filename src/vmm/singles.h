/*
 * Single files that are shared with a guest. A share is of a folder, and the folder that a file is
 * in is not the guest's: so viv-vmm makes a folder in which there is nothing but these files, by
 * mounts of each. As with any bind mount it is the file that is shared, whatever happens to its
 * name. Used by main.c only.
 */
#pragma once

#include "base/error.h"
#include "proto/machine.h"

/*
 * Before the machine is built: a share of files becomes one of a folder (an open descriptor, a
 * detached tree of mounts). Takes mounts, and so a mount namespace of viv-vmm's own: without a cage
 * in the description the folder is an empty one, in which nothing can be made.
 */
int singles_gather(struct proto_machine *machine, struct error *err);
