/*
 * The cage for what handles hostile bytes: viv-fetch, and the workers that unpack layers. A process
 * enters it by itself, has no way out, and keeps the descriptors that it has.
 */
#pragma once

#include "base/error.h"

/*
 * For a worker: of the file system only what is below the folder can be reached; capabilities are
 * cut to those that make files with their owners; no new privileges, no other system calls than
 * those of files. The umask is the caller's.
 */
int cage_enter_folder(int folder_fd, struct error *err);

/*
 * For viv-fetch: the folder for writing, the files that names are resolved with and the
 * certificates for reading; no capability; the system calls of files, sockets, threads and time.
 */
int cage_enter_network(int folder_fd, struct error *err);
