/* Other limits for a container that exists. */
#pragma once

#include "container/container.h"

/*
 * Sets the resources that are given, and remembers them in the container's config.json, so that the
 * configuration goes on telling what is in force. Device rules, when there are any, replace the
 * container's rules in one go.
 */
int container_update(const struct container *container, const struct spec_resources *resources,
        struct error *err);

/* Writes them into the config.json of a folder alone, for a start that is to come. */
int container_remember_resources(
        int dir_fd, const struct spec_resources *resources, bool durable, struct error *err);

/* Writes lines ("L3:0=f") into the schemata of the container's resctrl group. -EINVAL when it has
 * none. */
int container_update_resctrl(
        const struct container *container, const struct strv *lines, struct error *err);
