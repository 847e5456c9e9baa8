/* Raw images: the file's bytes are the disk's. Used by disk.c and by qcow2 for backing files. */
#pragma once

#include "vm/disk/format.h"

/* Takes the descriptor over. A size that is no multiple of 512 ends with zeros. */
int raw_open(int fd, uint64_t size, bool read_only, struct disk **ret, struct error *err);
