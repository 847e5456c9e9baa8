/* How text is dressed for a terminal: colours only there, and never with NO_COLOR (no-color.org).
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

struct style {
    const char *bold, *dim, *red, *green, *yellow, *blue, *reset; /* "" without colours */
};

/* For what is written to this file. */
const struct style *style_for(FILE *file);
