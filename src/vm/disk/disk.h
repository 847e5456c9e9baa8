/* Opens disk images, whatever their format, with all their backing files. */
#pragma once

#include "vm/disk/format.h"

/*
 * Opens an image, and locks it (an open file description lock: for writing alone, for reading
 * together with other readers). -EBUSY when another machine has it, -EBADMSG for a damaged header,
 * -ENOENT and the like with advice. Give it back with disk_close().
 */
int disk_open(const struct disk_config *config, struct disk **ret, struct error *err);
