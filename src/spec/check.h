/*
 * What a configuration means, checked before anything is done: rules of the specification, and of
 * the kernel where they do not depend on the host. All faults are found at once, each with its JSON
 * pointer and with what to write instead. Whether the host can do what is asked is found out by the
 * modules that do it.
 *
 * Warnings are what the specification wants to be said but not refused (unknown members, unknown
 * capabilities, relative mount destinations).
 */
#pragma once

#include "spec/spec.h"

/* A whole configuration. `report` is the one that reading used, or a fresh one. */
void spec_check(const struct spec *spec, struct record_report *report);

/* A process of its own, as `exec --process` reads it. */
void spec_check_process(const struct spec_process *process, struct record_report *report);

/* Resources of their own, as `update --resources` reads them. */
void spec_check_resources(const struct spec_resources *resources, struct record_report *report);

/*
 * Reads and checks in one go: parses the text, reads, checks. `name` is told in errors
 * ("config.json"). Strings live in the arena; warnings, if wanted, are added as
 * "config.json: /proces: unknown member…". -EINVAL with all faults in the error's text, a line each
 * when there are several.
 */
int spec_load(const char *text, size_t length, const char *name, struct arena *arena,
        struct spec *ret, struct strv *warnings, struct error *err);
int spec_load_process(const char *text, size_t length, const char *name, struct arena *arena,
        struct spec_process *ret, struct strv *warnings, struct error *err);
int spec_load_resources(const char *text, size_t length, const char *name, struct arena *arena,
        struct spec_resources *ret, struct strv *warnings, struct error *err);

/* As spec_load, of a file relative to a directory. */
int spec_load_at(int dirfd, const char *path, struct arena *arena, struct spec *ret,
        struct strv *warnings, struct error *err);
