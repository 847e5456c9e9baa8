/*
 * Taking in one image: its manifest and configuration are known, its layers arrive one by one in
 * any order, are verified and unpacked side by side, and at the end the image is in the list. Used
 * inside this library, by whatever brings images.
 */
#pragma once

#include <poll.h>
#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"
#include "base/str.h"
#include "image/manifest.h"
#include "image/store.h"
#include "image/worker.h"

#define INGEST_WORKERS_MAX 8

enum ingest_state { INGEST_MISSING, INGEST_HERE, INGEST_WORKING, INGEST_DONE };

struct ingest_layer {
    const struct descriptor *blob;
    const char *diff_id;
    enum ingest_state state;
    const char *path; /* a file of the store that is to be the blob; NULL: the blob is there */
    int fd;
    struct worker worker;
};

struct ingest {
    struct image_store *store;
    struct arena *arena;
    struct manifest manifest;
    char digest[DIGEST_SIZE]; /* of the manifest */
    const char *text;
    size_t length;
    struct json_object *config;
    struct ingest_layer *layers;
    size_t working;
    image_event_fn event;
    void *data;
};

/* `manifest` is an image's, not a list; its text and strings outlive the ingest. */
void ingest_start(struct ingest *ingest, struct image_store *store, struct arena *arena,
        const struct manifest *manifest, const char *text, size_t length);

/* The configuration is in the store: reads it, checks the platform (NULL: any), and finds out which
 * layers are missing. */
int ingest_config(struct ingest *ingest, const struct platform *platform, struct error *err);

/* A layer has arrived as a file of the store (`path`, `fd`: taken over), or (NULL, -1) as a blob.
 */
void ingest_deliver(struct ingest *ingest, size_t index, const char *path, int fd);

/* Starts as many workers as there are processors. */
int ingest_advance(struct ingest *ingest, struct error *err);

/* The descriptors that tell of workers' ends, at most INGEST_WORKERS_MAX. */
size_t ingest_poll(const struct ingest *ingest, struct pollfd *fds);

/* Takes in the workers that have ended, as poll(2) found. */
int ingest_reap(struct ingest *ingest, const struct pollfd *fds, size_t count, struct error *err);

/* Works until all that was delivered is unpacked. */
int ingest_wait(struct ingest *ingest, struct error *err);

/* Puts the image into the list under these names, and its id into ret_id. */
int ingest_commit(struct ingest *ingest, const struct strv *names, const struct strv *digests,
        char ret_id[IMAGE_ID_SIZE], struct error *err);

/* Cancels what runs and drops what is not verified; verified files stay for the next attempt. */
void ingest_free(struct ingest *ingest);
#define _cleanup_ingest_ __attribute__((cleanup(ingest_free)))

/* Passes progress on to whoever asked for it; done and total in bytes. */
void ingest_tell(const struct ingest *ingest, enum image_state state, const char *digest,
        uint64_t done, uint64_t total);

/* Seconds since 1970 of "2024-01-31T12:00:00.123Z" (RFC 3339); 0 for what is not. */
int64_t ingest_time(const char *text);
