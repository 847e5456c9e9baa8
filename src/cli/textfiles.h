/* Files of text that flags name: --env-file, --label-file. */
#pragma once

#include "base/error.h"
#include "base/str.h"

/* Reads each of the files, at most a megabyte, into a text of its own. */
int textfiles_read(struct arena *arena, const char *flag, const struct strv *paths,
        struct strv *ret, struct error *err);
