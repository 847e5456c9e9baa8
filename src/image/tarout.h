/*
 * Writing tar archives (pax), on libarchive: whole trees for layers and exports, and single files
 * for archives of images. Used inside this library.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "image/codec.h"
#include "image/digest.h"

struct tarout;

/* Into a descriptor, which stays the caller's and need not be seekable. */
int tarout_open(int fd, struct tarout **ret, struct error *err);

/* Ends the archive; digest and number of its bytes where the pointers are not NULL. */
int tarout_finish(struct tarout *out, char *digest, uint64_t *ret_bytes, struct error *err);
void tarout_close(struct tarout *out); /* NULL is fine */

static inline void cleanup_tarout(struct tarout **out)
{
    tarout_close(*out);
}
#define _cleanup_tarout_ __attribute__((cleanup(cleanup_tarout)))

/* A file with this content; a folder. */
int tarout_add_text(
        struct tarout *out, const char *path, const void *data, size_t length, struct error *err);
int tarout_add_folder(struct tarout *out, const char *path, struct error *err);

/* A file of `size` bytes from a descriptor, or out of a decompressor. */
int tarout_add_fd(struct tarout *out, const char *path, int fd, uint64_t size, struct error *err);
int tarout_add_codec(struct tarout *out, const char *path, struct codec_reader *codec,
        uint64_t size, struct error *err);

/*
 * A whole tree, in the order of the names. With `layer` it is overlayfs's upper folder: its marks
 * become whiteouts (OCI image-spec, layer.md#whiteouts). Sockets are left out.
 */
int tarout_add_tree(struct tarout *out, int dirfd, bool layer, struct error *err);

/*
 * One file, link or folder with what is in it, by an O_PATH descriptor, under the name `as`; "" for
 * the content of a folder alone. It may be changed meanwhile by somebody hostile: each is looked up
 * once, no link is followed, and only regular files are opened. File systems of the kernel's own
 * (proc, sysfs, cgroup …) are left out: -EOPNOTSUPP when it is one itself.
 */
int tarout_add_node(struct tarout *out, int fd, const char *as, struct error *err);

/* Whether a folder is opaque to overlayfs; whether a file is its whiteout. */
struct stat;
bool tarout_is_opaque(int fd);
bool tarout_is_whiteout(const struct stat *st);
