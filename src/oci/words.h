/* Helpers that the commands share: their words, the container they name, and what create and exec
 * have in common around the making of a process. */
#pragma once

#include "base/options.h"
#include "container/streams.h"
#include "oci/command.h"

#define OCI_PRESERVE_MAX 1024 /* descriptors that --preserve-fds hands on */

/*
 * Reads a command's arguments by its tables. 0; 1 when --help was among them, which has been
 * answered; or negative with the error filled.
 */
int oci_read(const struct option_command *command, int argc, char **argv, struct oci *oci,
        void *into, struct strv *ret_rest, struct error *err);

/* The same for a command that takes nothing but a container's id, which is opened. */
int oci_read_id(const struct option_command *command, int argc, char **argv, struct oci *oci,
        void *into, struct container *ret, struct error *err);

/* The container's id and everything about it. */
int oci_open(struct oci *oci, const char *id, struct container *ret, struct error *err);

/* container_delete(), with its warnings in the log. */
int oci_remove(struct oci *oci, struct container *container, bool force, struct error *err);

/* Host's facts, with --rootless. */
int oci_host(struct oci *oci, struct container_host *ret, struct error *err);

/* The control group of a container whose configuration names none. */
const char *oci_default_cgroup(
        const struct oci *oci, const struct container_host *host, const char *id);

/* Writes a pid file, relative to the working directory of whoever called; NULL: none. */
int oci_write_pid(const char *path, pid_t pid, struct error *err);

/* Sends a process's pidfd to whoever listens at the Unix socket; NULL: nobody. */
int oci_send_pidfd(const char *path, int pidfd, struct error *err);

/* The compiled filter of a configuration, from the cache when it is there; NULL when it has none.
 */
int oci_filter(struct oci *oci, const struct spec_seccomp *seccomp,
        const struct seccomp_filter **ret, struct error *err);

/* In the foreground: our streams are the workload's, signals are passed on. Its exit status. */
int oci_watch(struct container_making *making, struct streams *streams, struct error *err);

/* Before a container without a user namespace of its own is made or entered: see security/self.h.
 */
int oci_protect(struct oci *oci, struct error *err);

/* Prints a JSON value over several lines. */
void oci_print_json(struct json_object *json);
