/*
 * A procfs of one's own. /proc as a path can be anything: whoever shapes the workload's root may
 * have put links or other mounts over parts of it, so that a write meant for a sysctl or a security
 * label lands elsewhere (CVE-2025-52881). What is opened here is the root directory of a procfs,
 * proven by its file system's magic number and its inode number, and where the kernel allows it a
 * mount that nobody else can see.
 *
 * Names below it are opened with openat2(2) so that no link, no ".." and no mount lying over it is
 * followed.
 */
#pragma once

#include <linux/openat2.h>
#include <stddef.h>

#include "base/error.h"

/*
 * A descriptor (O_PATH, close-on-exec) of a procfs of the caller's PID namespace: by fsopen and
 * fsmount; where that is refused (no privilege, or a kernel without the call), of what is mounted
 * on /proc, checked the same way. Calls: fsopen, fsconfig, fsmount, fstatfs, fstat.
 */
int sys_proc_open(struct error *err);

/* As sys_proc_open without trying a mount of its own. */
int sys_proc_open_shared(struct error *err);

/* How names below a procfs are looked up, and its text as strace prints it. */
#define SYS_PROC_RESOLVE (RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_BENEATH)
#define SYS_PROC_RESOLVE_TEXT "RESOLVE_NO_XDEV|RESOLVE_NO_MAGICLINKS|RESOLVE_BENEATH"

/* Opens a name below it, "self/timens_offsets"; "self" and "thread-self" at the start are the only
 * links followed. -errno, no text. */
int sys_proc_open_at(int proc_fd, const char *name, int flags);

/* Opens a namespace of a process, ("self" or "77", "time_for_children"). -errno, no text. */
int sys_proc_open_ns(int proc_fd, const char *pid, const char *file);

/* One write(2) to an existing file below it. -errno, no text. */
int sys_proc_write(int proc_fd, const char *name, const char *text);

/* Fails unless the descriptor is the root directory of a procfs. */
int sys_proc_verify(int fd, struct error *err);
