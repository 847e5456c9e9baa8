/* Ids for an ordinary user's sandboxes: from /etc/subuid and /etc/subgid where they have a range
 * for the user, else the user's own id alone. */
#pragma once

#include "container/build.h"

/* Fills the maps, and takes mount options away that name a group which they do not have (devpts'
 * gid=5 for a user with one id). */
int rootless_maps(struct arena *arena, const struct container_host *host, struct spec *spec,
        struct error *err);
