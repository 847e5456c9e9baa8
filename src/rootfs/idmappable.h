/* Whether the file system behind a path can be seen through other ids. */
#pragma once

#include <stdbool.h>

/*
 * True for file systems that are known for it; others are asked, by idmapping a detached copy of
 * the mount that nobody sees. False too where the path cannot be opened: the plan will say why.
 */
bool rootfs_idmappable(const char *path);
