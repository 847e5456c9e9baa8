/* Ids for an ordinary user's sandboxes: from /etc/subuid and /etc/subgid where they have a range
 * for the user, else the user's own id alone. */
#pragma once

#include "container/build.h"

int rootless_maps(struct arena *arena, const struct container_host *host,
        struct spec_linux *linux_part, struct error *err);
