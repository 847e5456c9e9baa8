/* Credential helpers: programs "docker-credential-NAME" that keep passwords for config.json. */
#pragma once

#include "base/buf.h"
#include "base/error.h"

/*
 * Runs "docker-credential-NAME VERB" with the input on its standard input; its standard output (at
 * most 64 KiB) is appended. -ENOENT: there is no such program; -EREMOTEIO: it failed, and the text
 * says what it answered. The program may take 60 seconds.
 */
int helper_run(const char *name, const char *verb, const char *input, struct buf *output,
        struct error *err);
