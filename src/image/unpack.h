/* What happens with each entry of a layer's archive: it is made, or compared. Used by layer.c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "base/error.h"
#include "image/layer.h"
#include "image/place.h"
#include "image/tar.h"

/* What has to wait until the end: a folder's time, since making what is inside changes it; or a
 * difference, since a later entry may explain it. */
struct unpack_folder {
    char *path;
    char *why; /* of a difference */
    struct timespec mtime;
};

struct unpack {
    const struct layer_options *options;
    struct tar_reader *tar;
    struct place place;
    struct layer_result *result;
    struct unpack_folder *folders;
    size_t folder_count;
    size_t folder_room;
};

struct unpack_ops {
    int (*entry)(struct unpack *unpack, const struct tar_entry *entry, struct error *err);
    int (*finish)(struct unpack *unpack, struct error *err);
    bool makes;
};

extern const struct unpack_ops unpack_make;
extern const struct unpack_ops unpack_copy; /* extract.c */

/* Frees what unpacking remembered. */
void unpack_free(struct unpack *unpack);

/* Keeps the place's path for the end; `why` NULL: a folder's time. */
int unpack_remember(
        struct unpack *unpack, const struct timespec *mtime, const char *why, struct error *err);

/* The content of the entry at hand into a file that is empty; the times of remembered folders. */
int unpack_write(struct unpack *u, int fd, const struct tar_entry *entry, struct error *err);
int unpack_finish(struct unpack *u, struct error *err);

/* The name of the attribute that marks an opaque folder. */
const char *unpack_opaque_name(const struct layer_options *options);

enum unpack_kind { UNPACK_PLAIN, UNPACK_WHITEOUT, UNPACK_OPAQUE, UNPACK_IGNORED };

/* What the place's name means: ".wh.NAME", ".wh..wh..opq", other names of aufs. */
enum unpack_kind unpack_classify(const char *name);
