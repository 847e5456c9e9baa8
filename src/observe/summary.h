/* What isolates a sandbox, in a few lines for people; drawn from its configuration. */
#pragma once

#include <stdio.h>

#include "engine/engine.h"

void summary_print(const struct spec *spec, const struct sandbox_meta *meta, FILE *out);
