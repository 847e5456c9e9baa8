/* What the commands that talk to registries share: their options, and a store opened with them. */
#pragma once

#include "cli/command.h"
#include "engine/images.h"
#include "observe/progress.h"

struct registry_flags {
    const char *authfile;
    const char *cert_dir;
    const char *creds; /* "user:password", or "user" */
    struct opt_bool tls_verify;
    bool quiet;
};

/* Their rows, for a command's struct that begins with them. `quiet` is the command's own row. */
extern const struct option_table registry_table;

/* Fills what image/ wants to know; strings live in the arena. `progress` may be NULL. */
int registry_access(struct cli *cli, const struct registry_flags *flags, struct progress *progress,
        struct image_access *ret, struct error *err);

/* A platform in parts; what is NULL is this machine's. */
struct registry_platform {
    const char *os, *arch, *variant;
};

/* The rows of one, which is the member `parts` of a command's flags. */
#define REGISTRY_PLATFORM_ROWS(flags_)                                                             \
    OPTION(0, "os", OPTION_TEXT, flags_, parts.os, "OS",                                           \
            "the platform in parts: its operating system"),                                        \
            OPTION(0, "arch", OPTION_TEXT, flags_, parts.arch, "ARCH", "its processor: arm64"),    \
            OPTION(0, "variant", OPTION_TEXT, flags_, parts.variant, "VARIANT", "of that: v7")

/* Puts "OS/ARCH[/VARIANT]" into `*platform` where parts are given. -EINVAL: it is given both ways.
 */
int registry_platform(struct cli *cli, const struct registry_platform *parts, const char **platform,
        struct error *err);

/* Writes an id or digest to the file that `flag` names; a path of NULL is fine. */
int registry_write_id(const char *flag, const char *path, const char *id, struct error *err);

/* The engine, and its store of images, opened with these flags (NULL: none). */
int registry_open(struct cli *cli, const struct registry_flags *flags, struct engine *engine,
        struct image_store **ret, struct error *err);
