/*
 * The network namespace whose interfaces a machine has taken over (vm_joined.h), noted in the
 * sandbox's folder, so that it is left as it was when the machine is deleted.
 */
#pragma once

#include "container/container.h"

/* Before anything is changed in it. `path` NULL: it was made for this machine alone, and who made
 * it takes it away; nothing is noted. */
int vm_netns_note(int dir_fd, int namespace_fd, const char *path, struct error *err);

/* container_delete(), and what a machine has put into the namespace is taken away. */
int vm_netns_delete(struct container *container, bool force, struct error *err);
