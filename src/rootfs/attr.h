/*
 * The attributes and the propagation of a mount that is held by a descriptor: which
 * mount_setattr(2) calls they take (none, one or two), the calls made, and described.
 */
#pragma once

#include <linux/mount.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "plan/step.h"
#include "rootfs/options.h"

struct attr_call {
    bool recursive;
    struct mount_attr attr;
};

struct attr_calls {
    struct attr_call calls[2];
    size_t count;
};

/*
 * What the options of a bind mount come to. `recursive` says whether mounts below came along;
 * `base` is the propagation that all of them get first (MS_PRIVATE …, 0: kept).
 */
struct attr_calls attr_plan(const struct mount_options *options, bool recursive, uint64_t base);

/* mount_setattr(fd, "", AT_EMPTY_PATH …) for each; `what` names the mount in the error. */
int attr_apply(int fd, const struct attr_calls *calls, const char *what, struct error *err);

/* One call, in words and for real. */
void attr_describe_call(struct step_text *text, const char *fd_name, const struct attr_call *call);
void attr_describe(struct step_text *text, const char *fd_name, const struct attr_calls *calls);
