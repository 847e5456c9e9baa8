/* From the name of an image to what a sandbox needs of it. */
#pragma once

#include "cli/command.h"
#include "cli/runflags.h"

/* What becomes of the image in the sandbox: see struct sandbox_meta. */
struct resolved_image {
    const char *id;     /* of the store; NULL: the built-in one */
    const char *folder; /* of the built-in one; NULL */
    struct run_image config;
};

/*
 * Finds the image: in the store, or built in ("busybox", unless the store has an image of that
 * name), or fetched as the flags say; with `look_only` nothing is fetched. Strings live in the
 * arena.
 */
int resolve_image(struct cli *cli, struct engine *engine, const struct run_flags *flags,
        const char *name, bool look_only, struct resolved_image *ret, struct error *err);
