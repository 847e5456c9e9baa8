/*
 * The cage for what handles hostile bytes: viv-fetch, the workers that unpack layers, and the maker
 * of a machine's disk. A process enters it by itself, has no way out, and keeps the descriptors
 * that it has.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"

/*
 * A mount namespace of its own, in which every mount has these attributes (MOUNT_ATTR_…) too; what
 * is open stays on the mount that it was opened by. -EPERM without the right to mount; -EINVAL
 * where the root is by chroot(2).
 */
int cage_own_mounts(uint64_t attributes);

/*
 * For a worker: of the file system only what is below the folder can be reached, and no device
 * opened there, nor by the folder's descriptor, which is another from then on; other folders that
 * are open are the caller's to close. Capabilities are cut to those that make files with their
 * owners; no new privileges, no other system calls than those of files. The umask is the caller's.
 */
int cage_enter_folder(int folder_fd, struct error *err);

/*
 * For viv-fetch: the folder for writing, the files that names are resolved with and the
 * certificates for reading; no capability; the system calls of files, sockets, threads and time.
 */
int cage_enter_network(int folder_fd, struct error *err);

/*
 * For a program of others that is executed next, and makes the file out of a folder's tree: only
 * these three can be reached, and the libraries that a program starts from; capabilities are cut to
 * those that read any file and all of its attributes; no new privileges, no other system calls than
 * those of files, threads and a start. Mounts are the caller's matter (cage_own_mounts).
 */
int cage_enter_maker(int program_fd, int folder_fd, int file_fd, struct error *err);
