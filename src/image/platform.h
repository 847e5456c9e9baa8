/* Platforms as images name them: "linux/amd64", "linux/arm/v7" (OCI image-spec, image-index.md). */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"

struct platform {
    const char *os;           /* "linux" */
    const char *architecture; /* as Go spells it: "amd64" */
    const char *variant;      /* "v8"; NULL or "": none */
};

/* "os/architecture[/variant]" or an architecture alone, also as uname(2) spells it. NULL: this
 * machine's. Strings live in the arena. */
int platform_parse(const char *text, struct arena *arena, struct platform *ret, struct error *err);

/* How well an image's platform fits: 0 not at all, more is better. */
int platform_fit(const struct platform *wanted, const struct platform *found);

/* "linux/arm64/v8", in the arena. */
char *platform_text(const struct platform *platform, struct arena *arena);
