/* What the host is like: looked up once, before a plan is built, so that building touches nothing.
 */
#pragma once

#include "container/build.h"

/* Fills everything in; strings live in the arena. */
int container_host_detect(struct arena *arena, struct container_host *ret, struct error *err);

/* Whether what lies at a path of the host can be shown with other owners (an idmapped mount). */
bool container_host_can_idmap(const char *path);
