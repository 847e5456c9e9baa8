/*
 * Blobs: files named by the digest of their bytes. One gets here only after its bytes were found to
 * match and were flushed to the disk. Used inside this library.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "image/digest.h"
#include "image/store.h"

#define BLOB_PATH_SIZE (DIGEST_SIZE + 8)

/* "blobs/sha256/HEX" */
void blob_path(const char *digest, char path[BLOB_PATH_SIZE]);

/* "partial/HEX": where what is left of an interrupted download of it waits for the next one. It
 * goes away when the blob gets its place. */
void blob_partial_path(const char *digest, char path[BLOB_PATH_SIZE]);

/* Whether it is there, with this size (negative: whichever). */
bool blob_present(struct image_store *store, const char *digest, int64_t size);

/* Opens it for reading; -ENOENT says how to get it again. */
int blob_open(struct image_store *store, const char *digest, struct error *err);

/* Reads a small one whole, and compares its digest. */
int blob_read(struct image_store *store, const char *digest, struct buf *text, struct error *err);

/* Keeps bytes of our own. */
int blob_write(struct image_store *store, const void *data, size_t length, char digest[DIGEST_SIZE],
        struct error *err);

/* Makes a file of the store (`path`, open as fd, its digest found to match) the blob: fsync,
 * rename. Where the blob is there already the file goes away. */
int blob_adopt(
        struct image_store *store, int fd, const char *path, const char *digest, struct error *err);

/* For several at once: a file that was verified and flushed gets its place; and then, once, the
 * folders are flushed. */
int blob_place(struct image_store *store, const char *path, const char *digest, struct error *err);
int blob_sync_folders(struct image_store *store, struct error *err);

/* Copies a stream to its end into a blob. `expected` NULL: whatever digest it has. */
int blob_spool(struct image_store *store, int fd, const char *expected, char digest[DIGEST_SIZE],
        uint64_t *ret_size, struct error *err);
