/*
 * qcow2 images, versions 2 and 3 (QEMU docs/interop/qcow2.txt): reading, copy-on-write over backing
 * files, compressed clusters (deflate, zstd) for reading, discard. Snapshots inside the image and
 * encryption are refused; extended L2 entries and external data files too.
 *
 * What makes a flush true: clusters are only ever taken from the end of the file, data and
 * reference counts are written at once, and tables stay in memory until a flush, which first makes
 * the data durable, then writes L2 tables, then L1 entries. A table on the disk therefore never
 * names a cluster whose content is not there.
 */
#pragma once

#include "vm/disk/format.h"

#define QCOW2_MAGIC 0x514649fbU

/* Takes the descriptor over. `backing` is the opened next image of the chain, taken over too; NULL:
 * none. */
int qcow2_open(int fd, uint64_t size, const struct disk_config *config, struct disk *backing,
        struct disk **ret, struct error *err);

/* The name of the backing file as the header has it, "" if there is none. -EBADMSG. */
#define QCOW2_NAME_MAX 1023
int qcow2_backing_name(int fd, const char *path, char name[QCOW2_NAME_MAX + 1], struct error *err);
