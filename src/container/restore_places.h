/* Where the mounts of a container that is restored are made: CRIU wants the places to be there, and
 * a root that was moved as a file, or made anew from an image, lacks those that were made when the
 * container was. For restore.c only. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "spec/spec.h"

/* Makes what is missing below the root, and below bind mounts that have mounts inside; nothing
 * outside of them. What lies on a file system that CRIU brings back is CRIU's to make. */
int restore_make_places(const struct spec *spec, const char *root, const char *bundle,
        struct arena *arena, struct error *err);
