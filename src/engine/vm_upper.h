/*
 * What a machine changes of its root, where it is kept: the upper folder of the sandbox's root in
 * the store (root.h), shared with the guest, whose overlayfs writes there. So `diff`, `commit`,
 * `cp` and the next start find it as they find a container's.
 *
 * The guest sees one folder, roots/ID/machine, with "upper" and "work" in it, of which the store's
 * own names are links. That folder belongs to an id that no sandbox has: nobody whom the guest has
 * taken over can exchange the two for links to somewhere else.
 */
#pragma once

#include "engine/engine.h"

/* Whether what a machine writes to its root is to be kept: not with --rm, not upon a plain folder,
 * which is only read, and not for an ordinary user, whose machine has one id alone. */
bool vm_upper_is_wanted(const struct engine *engine, const struct sandbox_meta *meta);

/* Whether it is so, or has not been written yet: 0, or -EOPNOTSUPP with what it is lost by. */
int vm_upper_is_kept(
        const struct engine *engine, const struct sandbox_meta *meta, struct error *err);

/* The folder to be shared, below the store's roots/ID. */
const char *vm_upper_folder(struct arena *arena, const char *upper);

/* Makes that folder out of the root's `upper` and `work`, if that was not done before. 1; 0 when
 * the file system cannot hold an overlay's marks (tmpfs before Linux 6.6, overlayfs): nothing is
 * done then, and the changes pass. */
int vm_upper_prepare(struct arena *arena, const char *upper, struct error *err);

/*
 * Guests mark the folders that hide those below by attributes of the user's, the host by trusted
 * ones, which a guest cannot set: each mark that is there is made in the other way too. Before the
 * root is mounted on the host and before the machine starts.
 */
int vm_upper_settle(const char *upper, struct error *err);
