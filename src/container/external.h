/*
 * What CRIU must not look for in a container, since it is the host's, and what takes its place in
 * one that is restored: bind mounts, devices that mask files, joined namespaces, and the pipes that
 * an engine had given as streams. For checkpoint.c and restore.c only.
 *
 * descriptors.json in the images is a list of three names, as runc has it.
 */
#pragma once

#include "container/criu.h"
#include "spec/spec.h"

/* Options of a dump; `pid`: the container's first process. */
void external_add_dump(const struct spec *spec, pid_t pid, struct criu_call *call);

/* Options of a restore: joined namespaces by their paths, and our own streams where `streams` (of
 * the container that was written) has a pipe. -ENOENT: a namespace is not there. */
int external_add_restore(const struct spec *spec, const char *bundle, const struct strv *streams,
        struct criu_call *call, struct error *err);

/* descriptors.json. When it is missing, there are none. */
int external_save_streams(int images_fd, const struct strv *streams, struct error *err);
int external_load_streams(int images_fd, struct arena *arena, struct strv *ret, struct error *err);
