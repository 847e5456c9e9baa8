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

/* Writes text that may hold what sandboxes, images and registries call themselves, and ends the
 * line. On a terminal it is tamed but for its own lines and tabs (str_tame); elsewhere programs
 * read it, and it stays as it is. */
void style_print_line(FILE *file, const char *text);
