/*
 * Manifests and lists of them: Docker's schema 2 and OCI's (image-spec manifest.md,
 * image-index.md). Sizes, counts and digests are checked here once; what is behind may trust them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"
#include "image/platform.h"

#define MANIFEST_SIZE_MAX ((size_t)4 << 20)
#define MANIFEST_LAYERS_MAX 512
#define MANIFEST_LIST_MAX 1024
#define MANIFEST_DEPTH_MAX 3 /* lists inside lists */
#define MANIFEST_BLOB_MAX ((int64_t)1 << 40)

#define MANIFEST_OCI "application/vnd.oci.image.manifest.v1+json"
#define MANIFEST_OCI_INDEX "application/vnd.oci.image.index.v1+json"
#define MANIFEST_DOCKER "application/vnd.docker.distribution.manifest.v2+json"
#define MANIFEST_DOCKER_LIST "application/vnd.docker.distribution.manifest.list.v2+json"
#define MANIFEST_OCI_CONFIG "application/vnd.oci.image.config.v1+json"
#define MANIFEST_DOCKER_CONFIG "application/vnd.docker.container.image.v1+json"

struct descriptor {
    const char *media_type;
    const char *digest;
    int64_t size;
    struct platform platform; /* in lists; members may be NULL */
    const char *name;         /* in lists: annotation org.opencontainers.image.ref.name, or NULL */
};

struct manifest {
    const char *media_type;
    bool list;
    struct descriptor config; /* of an image */
    struct descriptor *items; /* its layers, lowest first; or the manifests of a list */
    size_t count;
};

/* `media_type`: what the registry said, NULL when nobody did. Strings live in the arena. */
int manifest_parse(const char *text, size_t length, const char *media_type, struct arena *arena,
        struct manifest *ret, struct error *err);

/* The entry of a list that fits best. -ENOENT lists the platforms that there are. */
int manifest_choose(const struct manifest *list, const struct platform *platform,
        struct arena *arena, const struct descriptor **ret, struct error *err);

/* The text of a new manifest with these parts; media types are set to the format's own. */
int manifest_write(const struct manifest *manifest, bool oci, struct arena *arena, char **ret,
        struct error *err);

enum layer_kind { LAYER_UNKNOWN, LAYER_PLAIN, LAYER_GZIP, LAYER_ZSTD };
enum layer_kind manifest_layer_kind(const char *media_type);
const char *manifest_layer_type(enum layer_kind kind, bool oci);

/* The diff ids of an image's configuration, checked against the manifest's number of layers. */
int manifest_diff_ids(struct json_object *config, const struct manifest *manifest,
        struct arena *arena, const char ***ret, struct error *err);

/* The platform that a configuration is for; strings live as long as the object. */
struct platform manifest_config_platform(struct json_object *config);
