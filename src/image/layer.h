/*
 * Layers: a tar archive of changes (OCI image-spec, layer.md) unpacked into a folder that overlayfs
 * takes as a lower one, or compared with such a folder.
 *
 * Whoever made the archive is not trusted: every path is resolved by openat2(2) inside the folder,
 * names with ".." are refused, as are attributes that mean something to overlayfs, and sizes,
 * counts and the ratio of compression are capped. Whiteouts become overlayfs's own marks.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "image/digest.h"

#define LAYER_ENTRIES_MAX 4000000u

struct layer_options {
    bool owners_ignored; /* keep the files our own; leave devices out */
    bool user_marks;     /* user.overlay.opaque instead of trusted.overlay.opaque */
    uint64_t limit;      /* bytes it may unpack to; 0: by its compressed size */
    uint64_t resolve;    /* how openat2(2) finds the folders of entries; 0: links lead inside the
                            root, and not onto another mount */
    bool overwrite;      /* layer_copy(): a folder may replace something else, and the other way */
};

struct layer_result {
    char diff_id[DIGEST_SIZE]; /* of the uncompressed archive */
    uint64_t tar_bytes;        /* its size */
    uint64_t bytes;            /* content of the files */
    uint64_t entries;          /* files and folders made */
    uint64_t left_out;         /* devices that layer_copy() did not make */
};

/*
 * Unpacks the archive from the descriptor's position on into an empty folder. -EBADMSG: damaged;
 * -EINVAL: malicious; -E2BIG: a bomb; -ENOSPC … The text begins with the entry's name. What was
 * made so far stays: the caller throws the folder away.
 */
int layer_unpack(int fd, int root_fd, const struct layer_options *options, struct layer_result *ret,
        struct error *err);

/*
 * Unpacks into a folder that is in use, by the rules of copying: names mean nothing but themselves,
 * and what is there is replaced, but no folder by something else or the other way round, unless it
 * may `overwrite` (-ENOTDIR, -EISDIR).
 * A folder that is there keeps its owner, mode and time. Devices are left out. With
 * `owners_ignored` nothing keeps a set-user-id or set-group-id bit, or capabilities. Somebody
 * hostile may change the folder meanwhile: see extract.c.
 */
int layer_copy(int fd, int root_fd, const struct layer_options *options, struct layer_result *ret,
        struct error *err);

/* Compares the folder with the archive; -EBADMSG tells the first difference. */
int layer_compare(int fd, int root_fd, const struct layer_options *options,
        struct layer_result *ret, struct error *err);

/* How many files and folders there are in a tree, without its root. Negative errno. */
int64_t layer_count(int root_fd);
