/*
 * Files under disk images: opening with a lock, and transfers that are complete or fail. Used by
 * the formats only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/error.h"
#include "vm/disk/format.h"

/* An open and locked file (regular, or block device) and its size; the descriptor becomes the
 * caller's. */
int file_open(const struct disk_file *file, bool read_only, int *ret_fd, uint64_t *ret_size,
        struct error *err);

/* All of it, at an offset; what lies beyond the end of the file reads as zeros. */
int file_read(int fd, uint64_t offset, void *data, size_t length);
int file_write(int fd, uint64_t offset, const void *data, size_t length);
int file_readv(int fd, uint64_t offset, const struct iovec *list, size_t total);
int file_writev(int fd, uint64_t offset, const struct iovec *list, size_t total);

/* fallocate(2): a hole. -EOPNOTSUPP where the file system cannot. */
int file_punch(int fd, uint64_t offset, uint64_t length);

/* Zeros that have space, by fallocate(2) or written. */
int file_zero(int fd, uint64_t offset, uint64_t length);
