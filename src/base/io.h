/* Whole files and whole messages, with a cap on what is read. Names are relative to a directory
 * descriptor (AT_FDCWD for the working directory). Returns are 0 or negative errno. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"

/* Appends the rest of the file to the buffer; -EFBIG when it exceeds the buffer's cap. */
int io_read_fd(int fd, struct buf *buf);

/* As io_read_fd on a file by name. */
int io_read_file_at(int dirfd, const char *path, struct buf *buf);

/* The first line or the whole of a small file (up to size - 1 bytes), NUL-terminated, trailing
 * newline cut. Returns its length. For files of procfs, sysfs and control groups. */
ssize_t io_read_small_at(int dirfd, const char *path, char *text, size_t size);

/* Writes all of it, going on after short writes and EINTR. */
int io_write_all(int fd, const void *data, size_t length);

/* One write(2) to an existing file, as procfs and control groups want it. */
int io_write_file_at(int dirfd, const char *path, const char *text);

/* Replaces a file so that a reader or a power cut sees the old or the new text, never a part:
 * temporary name, write, (fsync if `durable`), rename. */
int io_replace_file_at(
        int dirfd, const char *path, const void *data, size_t length, mode_t mode, bool durable);

/* Descriptors 0 to 2 that are closed become /dev/null, as a main() wants it before it opens a file:
 * that file would become a workload's standard input. */
void io_fill_streams(void);

/* Reads exactly `length` bytes; -ECONNRESET when the other end closed before. 0 bytes read at all
 * gives -ENODATA. */
int io_read_exact(int fd, void *data, size_t length);

/* mkdir -p; existing directories are fine. */
int io_make_dirs_at(int dirfd, const char *path, mode_t mode);

/* rm -r without following links or leaving the file system entry's own tree; a missing path is
 * fine. The first failure is returned, the rest is removed all the same. */
int io_remove_tree_at(int dirfd, const char *path);

/* Bytes on the disk of a tree, without following links; of a file with several its share for each.
 * What cannot be read, or is nested more than 1024 deep, is not counted. */
uint64_t io_disk_usage_at(int dirfd, const char *path);

/* Sends one message with descriptors over a Unix socket, receives one. `count` is at most 16. On
 * receive `*ret_count` descriptors (close-on-exec) belong to the caller. */
int io_send_fds(int sock, const void *data, size_t length, const int *fds, size_t count);
ssize_t io_receive_fds(int sock, void *data, size_t size, int *fds, size_t max, size_t *ret_count);
