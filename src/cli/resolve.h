/*
 * From what was asked for to what can be run: looks up on this host what flags only name (the
 * built-in image, other sandboxes, devices, profiles), and fills the engine's request. Opens files
 * for reading only.
 */
#pragma once

#include "cli/command.h"
#include "cli/resolveimage.h"
#include "cli/runflags.h"

/* Completes the configuration and fills `ret`. */
int resolve_run(struct cli *cli, struct engine *engine, struct spec *spec,
        const struct run_choices *choices, const struct resolved_image *image,
        struct engine_run *ret, struct error *err);
