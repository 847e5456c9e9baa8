/* Why the kernel refused a mount, as exactly as can be found out afterwards. */
#pragma once

#include "base/error.h"

/* Fills the error for a failed mount of `type` (or "bind") from `source` on `target`, with what the
 * namespaces and the mounts of this process tell about the cause. Returns -errnum. */
int refusal_explain(
        const char *type, const char *source, const char *target, int errnum, struct error *err);

/* For the text of a mountinfo: the mounts that hide parts of procfs (or another type) from view,
 * "/proc/kcore, /proc/keys", at most `size` bytes; false when there are none. proc(5). */
#include <stdbool.h>
#include <stddef.h>
bool refusal_covered(const char *mountinfo, const char *type, char *list, size_t size);
