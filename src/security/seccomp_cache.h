/*
 * The cache of compiled filters: a directory with one file for each profile. A file holds the
 * profile's canonical bytes (the key) and the BPF; its name is a 64-bit hash of the key, and the
 * key is compared in full, so that a collision is a miss and never a wrong filter. Files that are
 * not ours (owner, mode, shape) count as a miss.
 */
#pragma once

#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"

/*
 * Opens the cache directory, made with mode 0700 if it is missing (its parent has to be there).
 * -EPERM if it belongs to somebody else or others may write to it. The descriptor belongs to the
 * caller, who passes it to seccomp_get_filter().
 */
int seccomp_cache_open(const char *path, struct error *err);

struct seccomp_cached {
    const struct sock_filter *code;
    uint32_t count;
    uint32_t flags;
    const char *notes; /* lines */
};

/* 0 and the filter, in the arena; or negative: a miss. */
int seccomp_cache_load(struct arena *arena, int dirfd, const void *key, size_t key_length,
        struct seccomp_cached *ret);

#define SECCOMP_CACHE_FILES_MAX 256

/* Writes a file whole or not at all. 0 or negative errno. A cache of SECCOMP_CACHE_FILES_MAX files
 * is emptied first: whoever has that many profiles makes them up anew each time. */
int seccomp_cache_store(
        int dirfd, const void *key, size_t key_length, const struct seccomp_cached *filter);

/* The file's name for a key: 16 hexadecimal digits. For tests. */
void seccomp_cache_name(const void *key, size_t key_length, char name[17]);
