/*
 * cp: a file, link or folder from one place to another, of which one or both are in a sandbox.
 *
 * It is one tar stream between two processes, one for each side. What is in a sandbox is found
 * inside its root alone (rootfs/inroot.h), once, and is a descriptor from then on; the process that
 * works there is root of the sandbox's user namespace, if it has one, and has no other rights. So
 * ids are seen and given as inside, and a sandbox that exchanges names meanwhile gains nothing.
 */
#pragma once

#include "engine/engine.h"

struct engine_copy_end {
    const char *sandbox; /* NULL: this host */
    const char *path;    /* NULL: a tar stream, standard input or output */
};

struct engine_copy {
    struct engine_copy_end from, to;
    bool owners; /* keep them; else what is made belongs to the sandbox's root, or to the caller */
    bool follow; /* a source that is a symbolic link is what it leads to */
    bool overwrite; /* a folder may replace something else, and the other way round */
};

struct engine_copied {
    uint64_t bytes;    /* content that was written; 0 for a stream */
    uint64_t left_out; /* devices, which are never made */
};

/* By docker's rules of what the target's name means. -EOPNOTSUPP for a machine. */
int engine_copy(struct engine *engine, const struct engine_copy *copy, struct engine_copied *ret,
        struct error *err);
