/*
 * Parts of an inspected sandbox by the names that Docker and Podman have for them, so that
 * templates which were written for them find what they ask for. Used by observe/listing.
 */
#pragma once

#include "base/json.h"
#include "engine/engine.h"

/* Adds to the OCI configuration, whose members begin with small letters: Env, Cmd, Image … */
void dockerview_add_config(const struct sandbox *sandbox, struct json_object *config);

/* HostConfig: limits, networks, mounts, and what becomes of it at its end. `mounts` is the object's
 * member Mounts. */
struct json_object *dockerview_host(struct arena *arena, const struct sandbox *sandbox,
        struct json_object *config, struct json_object *mounts);

/* A list of words from one of them on. */
struct json_object *dockerview_words(const struct strv *words, size_t first);
