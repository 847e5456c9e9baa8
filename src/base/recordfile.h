/* A record (record.h) that is kept as a JSON file. */
#pragma once

#include "base/record.h"

enum recordfile_kind {
    RECORDFILE_PRIVATE = 0,      /* for its owner alone, and a power cut may take it */
    RECORDFILE_PUBLIC = 1 << 0,  /* readable by all */
    RECORDFILE_DURABLE = 1 << 1, /* on the disk before this returns */
    RECORDFILE_PRETTY = 1 << 2,  /* for people: a member a line */
};

/* Writes it, in place of what was there, at once. `kind` is one or more of the above. Returns a
 * negative errno: the caller knows what the file is. */
int recordfile_save(
        int dir_fd, const char *path, const struct record *record, const void *from, int kind);

/* Reads it into a struct, which is zeroed first, whatever comes of it; its strings are the arena's.
 * -ENOENT; -EINVAL, with all that is wrong with it. */
int recordfile_load(int dir_fd, const char *path, const struct record *record, struct arena *arena,
        void *into, struct error *err);
