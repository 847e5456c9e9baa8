/* Devices and block devices that flags name by their path on the host: looked at with stat(2), and
 * put into the configuration by number. */
#pragma once

#include "cli/runflags.h"

int resolve_devices(struct arena *arena, struct spec *spec, const struct run_choices *choices,
        struct error *err);
