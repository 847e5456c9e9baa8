/* Ids for an ordinary user's sandboxes: from /etc/subuid and /etc/subgid where they have a range
 * for the user, else the user's own id alone. */
#pragma once

#include "container/build.h"

/* The user's name, for subuid(5); NULL when /etc/passwd has none. */
const char *rootless_name(struct arena *arena, uid_t uid);

/* Fills the maps, and takes mount options away that name a group which they do not have (devpts'
 * gid=5 for a user with one id). */
int rootless_maps(struct arena *arena, const struct container_host *host, struct spec *spec,
        struct error *err);

/*
 * Calls a function with the rights over files that a sandbox of this user has: an ordinary user's
 * in a process of its own, as root of a user namespace with the user's ids and of a mount
 * namespace; root's directly. What it is to tell goes to `out` (ROOTLESS_OUT_MAX bytes, may stay
 * empty), since memory is not shared. Returns what it returned.
 */
#define ROOTLESS_OUT_MAX 256
typedef int (*rootless_fn)(void *data, char *out, struct error *err);
int rootless_call(struct arena *arena, const struct container_host *host, rootless_fn fn,
        void *data, char *out, struct error *err);
