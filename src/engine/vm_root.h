/* Where a machine's root comes from. */
#pragma once

#include "engine/engine.h"
#include "engine/vm.h"

/*
 * Fills in the configuration of a run's machine, its root too: the built-in image is a disk
 * already, an image is made into one once (image_root_disk), a folder each time. Without `take`
 * nothing is made. The caller closes root_fd.
 */
int vm_configure(struct engine *engine, const struct engine_run *run, bool take,
        struct vm_config *ret, struct error *err);

/*
 * Makes a folder into a disk (erofs), in a file without a name in the folder `place`, which is made
 * when it is missing: it is gone with the last who has it open, whatever happens. The descriptor is
 * the caller's. -ENOENT when mkfs.erofs is not installed.
 */
int vm_disk_of_folder(
        struct arena *arena, const char *place, const char *folder, int *ret_fd, struct error *err);

/* What tells a root's disk from another: a checksum of all but its superblock, which says when it
 * was made. One that is made of the same files by the same programs has the same. */
int vm_root_checksum(const struct vm_config *config, uint64_t *ret, struct error *err);
