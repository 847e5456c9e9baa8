/* Starting CRIU and telling what it said. For checkpoint.c only. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

/*
 * Runs criu(8) with these words and waits for its end. `root` and `place`: in a mount namespace of
 * its own, in which the directory `root` is mounted on `place`, as restoring wants it; NULL for
 * both otherwise. On failure the error holds the last lines that CRIU wrote; -EOPNOTSUPP when CRIU
 * is not installed or cannot work on this kernel.
 */
int criu_run(struct arena *arena, const struct strv *words, const char *root, const char *place,
        struct error *err);
