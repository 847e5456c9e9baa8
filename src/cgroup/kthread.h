/*
 * Frozen but for the kernel's own threads. KVM puts a kernel thread of its own ("kvm-nx-lpage-re…")
 * into the control group of whoever makes a machine; a kernel thread is never frozen, so that a
 * kernel like Debian 12's 6.1 never tells such a group as frozen, although each of its processes
 * stands still.
 * Used inside this library.
 */
#pragma once

#include <stdbool.h>

/* Whether a group that is asked to freeze, and those below it, have a kernel thread, and all other
 * threads wait in the freezer (proc(5), /proc/pid/wchan). */
bool cgroup_stopped_but_for_kthreads(const char *dir);
