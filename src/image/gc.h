/* What the store needs to keep. Used inside this library. */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"
#include "image/catalog.h"
#include "image/store.h"

/* A set of words: filled, then sorted, then asked. */
struct gc_set {
    struct strv words;
    bool sorted;
};

/* A set of words; the copy is in the arena. */
void gc_set_add(struct gc_set *set, struct arena *arena, const char *word);
bool gc_set_has(struct gc_set *set, const char *word);

struct gc_live {
    struct gc_set blobs;  /* digests */
    struct gc_set layers; /* diff ids */
    struct gc_set disks;  /* disk.h */
};

/* All that an image, or its manifest alone when its parts cannot be read, refers to. */
void gc_mark_image(struct image_store *store, const struct catalog_image *image,
        struct arena *arena, struct gc_live *live);

/* All that the list and the roots refer to. */
int gc_mark(struct image_store *store, const struct catalog *catalog, struct arena *arena,
        struct gc_live *live, struct error *err);

/* Removes the rest; the caller has the `use` lock exclusively. `partial`: interrupted downloads
 * too. */
int gc_sweep(struct image_store *store, struct gc_live *live, bool partial, uint64_t *ret_bytes,
        struct error *err);
