/* The processes of a sandbox (`viv top`), as the host sees them; of a machine, as its guest does.
 */
#pragma once

#include <stdio.h>

#include "engine/engine.h"

/* Prints them in the columns that the words name ("pid", "comm"), or stand for ("-ef", "aux",
 * "-o pid,comm"); without words in the usual ones. `format`: see format.h, over the columns'
 * headings; NULL: a table. -EINVAL: an unknown column; -ESRCH: it does not run. */
int processes_print(struct engine *engine, const char *name, const struct strv *words,
        const char *format, FILE *out, struct error *err);
