/* The processes of a sandbox (`viv top`), as the host sees them. */
#pragma once

#include <stdio.h>

#include "engine/engine.h"

/* Prints them in the columns of ps -ef. -ESRCH: it does not run. */
int processes_print(struct engine *engine, const char *name, FILE *out, struct error *err);
