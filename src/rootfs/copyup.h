/*
 * tmpcopyup: fills a new tmpfs with what lies under its mount point, before it is seen:
 * directories, files, links, nodes, with owners, modes, times and extended attributes. Does not
 * leave the source's mount.
 */
#pragma once

#include "base/error.h"

/* From an O_PATH descriptor of a directory to the root of the tmpfs. */
int copyup(int from_dir, int to_dir, struct error *err);
