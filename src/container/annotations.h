/*
 * Annotations that change what is made: crun's run.oci.*, and org.systemd.property.* that runc and
 * crun share. Only container/ and the programs that take a whole configuration call this; an
 * annotation of these families that cannot be met is an error, never left out in silence.
 */
#pragma once

#include "security/seccomp.h"
#include "spec/spec.h"

/*
 * Turns annotations into what they stand for in the configuration:
 *
 *     run.oci.seccomp.receiver=PATH            linux.seccomp.listenerPath
 *     run.oci.timens_offset=CLOCK SECS NANOS   linux.timeOffsets
 *     run.oci.mount_context_type=context       (the one kind there is)
 *     run.oci.handler, .seccomp.plugins, .systemd.*, .delegate-cgroup    refused
 */
int container_annotations_apply(struct arena *arena, struct spec *spec, struct error *err);

/* run.oci.seccomp_bpf_data: a filter that is compiled already, in base64. -EPERM where there is
 * linux.seccomp: engines (Podman) pass on the annotations that an image brings. 1 when there is one
 * (in the arena), 0 when there is none. */
int container_annotated_filter(struct arena *arena, const struct spec *spec,
        const struct seccomp_filter **ret, struct error *err);

/* org.systemd.property.NAME=VALUE as NAME -> VALUE; a time in seconds (…Sec) becomes what systemd's
 * bus wants, microseconds (…USec). */
int container_systemd_properties(struct arena *arena, const struct record_map *annotations,
        struct record_map *ret, struct error *err);
