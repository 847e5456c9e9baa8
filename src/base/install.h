/*
 * Where the parts of an installation are. Nothing is fixed when compiled: all is found from the
 * running program's own place, so that the build directory works as an installation does.
 *
 *                built                 installed
 *     programs   build/                PREFIX/bin, PREFIX/libexec/viv
 *     data       build/share/viv/      PREFIX/share/viv/
 */
#pragma once

#include "base/arena.h"
#include "base/error.h"

/* Notes the program's place in the environment (VIV_PROGRAM), for a program that is about to be
 * executed again from a copy without a path (security/self.h). */
void install_keep_place(void);

/*
 * A program that belongs to this one ("viv-vmm"): beside it, or in ../libexec/viv. `*ret` is an
 * absolute path in the arena. -ENOENT with both places in the text.
 */
int install_find_program(
        struct arena *arena, const char *name, const char **ret, struct error *err);

/* Another's program in the absolute folders of PATH: its path in the arena, or NULL. */
const char *install_find_in_path(struct arena *arena, const char *name);

/* A file or directory of the data ("busybox", the built-in image), in the same way. */
int install_find_data(struct arena *arena, const char *name, const char **ret, struct error *err);

/* What both do, for a program that lies in `folder`: looks below it for `places`, which are
 * relative and end in NULL. */
int install_find_from(struct arena *arena, const char *folder, const char *const places[],
        const char *name, const char **ret, struct error *err);
