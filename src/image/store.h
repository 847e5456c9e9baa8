/*
 * The store's folder and its locks; the inside of this library.
 *
 *     blobs/sha256/HEX     manifests, configurations, layers as they came
 *     layers/HEX/          a layer by its diff id: diff/ (unpacked), info (what is known of it)
 *     disks/HEX/           layers over each other as a machine's disk: disk, info (disk.h)
 *     roots/ID/            a container's upper/, work/, merged/, and info
 *     images.json          the list of images, replaced as a whole
 *     fetch/NAME/          what a running download writes; partial/HEX: what one left
 *     tmp/NAME             what a running call writes
 *     lock, use, locks/HEX see below
 *
 * Locks (flock(2), so that they end with their process): `lock` is held while images.json is
 * changed; `use` is held shared by who adds blobs and layers that nobody refers to yet, and
 * exclusively by who removes what nobody refers to; locks/HEX is held while a layer is unpacked or
 * a disk made.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "image/image.h"
#include "image/registries.h"

struct image_store {
    struct arena arena;
    struct image_options options;
    int root_fd;
    int use_fd; /* the shared `use` lock, -1 while it is not held */
    unsigned use_count;
    bool registries_loaded;
    struct registries registries;
    bool user_marks; /* attributes of overlayfs in the user. namespace: we are not root */
    char boot[40];   /* this boot's id */
};

/* flock(2) on a file of the store. Returns a descriptor that holds it until it is closed;
 * -EWOULDBLOCK when `wait` is false and another process has it. */
int store_lock(
        struct image_store *store, const char *name, bool exclusive, bool wait, struct error *err);

/* Around calls that add what nobody refers to yet. May be nested. */
int store_use(struct image_store *store, struct error *err);
void store_release(struct image_store *store);

static inline void cleanup_use(struct image_store **store)
{
    if (*store)
        store_release(*store);
}
#define _cleanup_use_ __attribute__((cleanup(cleanup_use)))

/* A name below tmp/ that nobody else has, "tmp/PID.N". It lives in the store's arena. */
const char *store_temporary(struct image_store *store);

/* Makes a new folder or file with such a name. */
int store_make_folder(struct image_store *store, const char **ret_path, struct error *err);
int store_make_file(struct image_store *store, const char **ret_path, struct error *err);

/* rename(2) inside the store, and fsync(2) of the folder it goes to. */
int store_place(struct image_store *store, const char *from, const char *to, struct error *err);

/* "/var/lib/…/layers/x", in the arena. */
char *store_path(const struct image_store *store, const char *path, struct arena *arena);

/* Adds to an ENOSPC or EDQUOT what to do about it. Returns r. */
int store_advise(const struct image_store *store, int r, struct error *err);

/* The configuration of registries, read once; belongs to the store. NULL with err on failure. */
const struct registries *store_registries(struct image_store *store, struct error *err);
