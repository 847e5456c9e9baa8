/* Raw images: the file's bytes are the disk's. Used by disk.c and by qcow2 for backing files. */
#pragma once

#include "vm/disk/format.h"

/*
 * Takes the descriptor over. A size that is no multiple of 512 ends with zeros. `guessed`: the
 * format was found out by content, and would be again. A guest that wrote a qcow2 header over the
 * beginning could name any file of the host's as its backing file, and read it at its next start:
 * such a write is -EPERM.
 */
int raw_open(
        int fd, uint64_t size, bool read_only, bool guessed, struct disk **ret, struct error *err);
