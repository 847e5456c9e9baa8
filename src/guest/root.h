/* The workload's root file system and the host's folders, in the guest. */
#pragma once

#include "proto/agent.h"

/* Mounts them where container/guest.h says. */
int guest_mount_root(const char *kind, struct error *err);
int guest_mount_share(const struct agent_share *share, struct error *err);

/* Writes a file that was sent. */
int guest_write_file(const struct agent_file *file, struct error *err);
