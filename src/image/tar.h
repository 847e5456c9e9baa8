/*
 * The one tar reader (ustar, GNU, pax), on libarchive, fed by codec.h. It gives entries one by one
 * with names and sizes already bounded; what the names may mean is for the caller to judge.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#include "base/error.h"
#include "image/codec.h"

#define TAR_NAME_MAX 4095
#define TAR_XATTRS_MAX 256
#define TAR_XATTR_SIZE_MAX ((size_t)64 << 10)

struct tar_entry {
    const char *path;     /* as written in the archive */
    const char *hardlink; /* NULL: no hard link */
    const char *symlink;  /* with S_IFLNK */
    mode_t mode;          /* type and permissions */
    uid_t uid;
    gid_t gid;
    dev_t device;
    int64_t size; /* apparent, for S_IFREG */
    struct timespec mtime;
};

struct tar_reader;

/* Reads an archive from the decompressor, which stays the caller's. */
int tar_open(struct codec_reader *codec, struct tar_reader **ret, struct error *err);
void tar_close(struct tar_reader *reader); /* NULL is fine */

static inline void cleanup_tar(struct tar_reader **reader)
{
    tar_close(*reader);
}
#define _cleanup_tar_ __attribute__((cleanup(cleanup_tar)))

/* 1 and an entry, valid until the next call; 0 at the end. -EBADMSG: no tar, or a damaged one. */
int tar_next(struct tar_reader *reader, struct tar_entry *ret, struct error *err);

/* The next extended attribute of the entry: 1, or 0 after the last one. */
int tar_next_xattr(
        struct tar_reader *reader, const char **ret_name, const void **ret, size_t *ret_size);

/* The next block of the entry's content and where it belongs (holes are left out): 1, or 0 at its
 * end. */
int tar_read(struct tar_reader *reader, const void **ret, size_t *ret_length, int64_t *ret_offset,
        struct error *err);
