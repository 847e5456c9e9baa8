/* Paths as text; nothing here looks at the file system. */
#pragma once

#include <stdbool.h>

#include "base/arena.h"

/* "a/b" from "a" and "b"; an absolute second part is appended too ("/r" + "/x" = "/r/x"). */
char *path_join(struct arena *arena, const char *first, const char *second);

/* Lexically shortest form: no "//", ".", "..": an absolute path stays below "/". */
char *path_clean(struct arena *arena, const char *path);

/* Whether path is dir or lies below it; both clean. */
bool path_is_below(const char *path, const char *dir);

/* Whether a ".." is one of the path's parts. */
bool path_has_dotdot(const char *path);

/* What follows the last slash. */
const char *path_base(const char *path);

/* The part before the last slash: "/" for "/x", "." for "x". */
char *path_dir(struct arena *arena, const char *path);
