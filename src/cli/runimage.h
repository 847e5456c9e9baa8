/* What an image's configuration says of how to run it. */
#pragma once

#include "base/json.h"
#include "cli/runflags.h"

/* Reads the "Config" member of an image's inspection (image-spec config.md), which may be somebody
 * hostile's: what is not of its type counts as not there. Strings live in the arena. */
void run_image_read(struct arena *arena, struct json_object *config, struct run_image *ret);
