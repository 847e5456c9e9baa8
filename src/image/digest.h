/*
 * Digests: "sha256:<64 hex digits>" (OCI image-spec, descriptor.md#digests; sha512 too). Every blob
 * is named by one, and nothing is read before its bytes were found to match.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* The longest, "sha512:" and 128 digits, with its NUL. */
#define DIGEST_SIZE 136

/* Whether the text is a digest of a known algorithm in canonical form (lower case, full length). */
bool digest_valid(const char *text);

/* "sha256/<hex>", for a digest that is valid; `path` has DIGEST_SIZE bytes. */
void digest_to_path(const char *digest, char *path);

/* The first 12 hex digits, as people see ids; `text` has 13 bytes. */
void digest_short(const char *digest, char *text);

/* Bytes on their way into a digest. */
struct digest_state {
    bool wide; /* sha512 */
    union {
        uint64_t align;
        unsigned char bytes[256];
    } state;
};

/* `like`: a digest whose algorithm to use, or NULL for sha256. */
void digest_start(struct digest_state *state, const char *like);
void digest_add(struct digest_state *state, const void *data, size_t length);
void digest_end(struct digest_state *state, char text[DIGEST_SIZE]);

/* The digest of some bytes, sha256. */
void digest_of(const void *data, size_t length, char text[DIGEST_SIZE]);

/* Reads the file from its start to its end and compares; -EBADMSG says both digests. The file
 * position is not moved. */
int digest_check_fd(int fd, const char *digest, struct error *err);
