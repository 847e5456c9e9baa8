/*
 * What each kind of viv-vmm's threads may still do: its capabilities, and the system calls that its
 * work consists of, by a seccomp filter of its own. Used by main.c only.
 */
#pragma once

#include "vm/confine.h"

/*
 * Confines the calling thread for good. All but the share's lose every capability; the share's
 * keeps those over files, which are worth something inside its user namespace alone, and those to
 * make files as others. A call that is not in the list kills the process: nothing but an attack
 * makes one. Only on the loop, whose work is manifold, it fails with EPERM. Ends the process when a
 * part of it cannot be done.
 */
void filter_confine(enum thread_kind kind);
