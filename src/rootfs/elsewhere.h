/*
 * A path of another process's mount namespace, written as procfs has it: /proc/PID/root/PATH. A
 * mount of one namespace cannot be cloned from another one (open_tree: EINVAL), so a short-lived
 * process goes there and does it; the descriptor is ours, since it shares our table of them.
 */
#pragma once

#include <stdbool.h>

#include "plan/plan.h"

/* Whether the path is one, of a namespace that is not our own. */
bool elsewhere_is(const char *path);

/* What is there, as an O_PATH descriptor, for what takes no mount. No link on the way is followed:
 * it would lead through our own root. A descriptor, or -errno. */
int elsewhere_open(const char *path);

/* A detached clone of the mount tree there; `flags` as of open_tree(2). No link on the way is
 * followed. A descriptor, or -errno. Calls: those that elsewhere_describe() tells. */
int elsewhere_open_tree(const char *path, unsigned flags);
void elsewhere_describe(struct step_text *text, const char *path, const char *flags);
