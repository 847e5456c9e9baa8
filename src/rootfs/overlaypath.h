/* Layers given by path, for kernels before 6.13: see overlay.h. For rootfs/overlay.c alone. */
#pragma once

#include "plan/step.h"
#include "rootfs/overlayself.h"

/* As overlay_mount(). */
int overlay_mount_by_path(const struct overlay_mount *mount, int *ret_fd, struct error *err);

/* Its calls, for the step's description; ids: NULL where the layers are not mapped. */
void overlay_path_describe(const struct rootfs_overlay *layers, const struct overlay_ids *ids,
        bool user_marks, const char *label, struct step_text *text);
