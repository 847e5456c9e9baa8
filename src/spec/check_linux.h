/* The rules for `linux`, less resources and seccomp, which have files of their own (runtime-spec
 * config-linux.md). For spec/check.c. */
#pragma once

#include "spec/spec.h"

/* Adds the faults found in spec->linux; `place` is "/linux". */
void check_linux(
        struct record_report *report, const struct record_place *place, const struct spec *spec);

/* Whether a namespace of the type is in the list; `fresh`: and a new one, not one joined by path.
 */
bool check_has_namespace(const struct spec *spec, const char *type, bool fresh);
