/* Listing, naming and removing images; see image.h. Used inside this library. */
#pragma once

#include "base/arena.h"
#include "base/error.h"

/* The full name that a user means by a name for an image of his own: "x" is "localhost/x:latest".
 */
int list_full_name(const char *text, struct arena *arena, char **ret, struct error *err);
