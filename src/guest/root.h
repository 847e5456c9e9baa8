/* The workload's root file system and the host's folders, in the guest. */
#pragma once

#include "proto/agent.h"

/* Mounts them where container/guest.h says. `disk_size`: bytes of the root's disk (0: not told),
 * which a machine that goes on from a template is told of only now. `upper` as in agent_create. */
int guest_mount_root(const char *kind, uint64_t disk_size, const char *upper, struct error *err);
int guest_mount_share(const struct agent_share *share, struct error *err);

/* Writes a file that was sent. */
int guest_write_file(const struct agent_file *file, struct error *err);
