/* What a sandbox takes of the disk: its own changes, and with the image that it is laid upon. */
#pragma once

#include "engine/engine.h"

struct sizes {
    uint64_t changed; /* bytes on disk */
    uint64_t whole;   /* with the image's unpacked layers, which others may share */
};

/* Of a root without an image (--rootfs, --bundle) only the changes are counted, if they are ours.
 */
struct sizes sizes_of(struct engine *engine, const struct sandbox *sandbox);

/* "12.0 KiB (virtual 64.0 MiB)". */
const char *sizes_text(struct arena *arena, const struct sizes *sizes);
