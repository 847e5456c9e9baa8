/*
 * A worker: a short-lived process of our own that verifies a layer's blob, keeps it, and unpacks
 * it. Several run at once, and what hostile data reaches (decompressors, the tar reader, the making
 * of files) is confined there to the layer's folder. Used inside this library.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "image/layer.h"
#include "image/store.h"

struct worker {
    pid_t pid;
    int pipe_fd; /* readable when it is done */
    int lock_fd; /* of the layer; held until worker_finish() */
    const char *digest;
    const char *diff_id; /* NULL: it unpacks an archive */
    const char *folder;  /* "tmp/X", and in it diff/ */
};

/*
 * Starts one for a layer. The blob is in the store (blob_fd -1), or is an open file that is
 * verified before anything looks inside. Strings must live until worker_finish().
 */
int worker_start(struct image_store *store, const char *digest, int blob_fd, const char *diff_id,
        struct worker *ret, struct error *err);

/* Starts one that unpacks a whole archive of images, with owners ignored; the folder is the
 * caller's after worker_finish(). */
int worker_start_archive(
        struct image_store *store, int archive_fd, struct worker *ret, struct error *err);

/* Waits for its end and puts the layer in its place. */
int worker_finish(struct image_store *store, struct worker *worker, struct error *err);

/* Ends it; nothing stays. */
void worker_cancel(struct image_store *store, struct worker *worker);
