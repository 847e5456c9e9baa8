/*
 * SELinux contexts ("user:role:type:level") for a sandbox, made as Podman and Docker make them:
 * from the policy's own for containers (its file contexts/lxc_contexts), with the parts that were
 * asked for and two categories of its own, so that sandboxes of one type are kept apart. See
 * selinux(8), selinux_lxc_contexts_path(3). For who reads `label=`; nothing is changed here.
 */
#pragma once

#include "base/error.h"
#include "base/str.h"

/* Whether the kernel enforces or reports by a policy, as far as this process sees. */
bool selinux_enabled(void);

struct selinux_labels {
    const char *process; /* NULL: none was asked for */
    const char *file;    /* of mounts and of relabelled files; NULL: neither asked for nor known */
};

/*
 * `words`: "type:T", "level:L", "user:U", "role:R", "filetype:T"; none of them: no label for the
 * process. Where the policy has no file for containers, the process keeps the parts of this
 * process's context. `relabels`: files are going to get the label. -EINVAL for an unknown or empty
 * part; -ENOENT when files need a label and nothing names its type. Texts are the arena's.
 */
int selinux_labels_make(struct arena *arena, const struct strv *words, bool relabels,
        struct selinux_labels *ret, struct error *err);

/* The same context without categories, for files that several sandboxes share. */
const char *selinux_label_shared(struct arena *arena, const char *label);
