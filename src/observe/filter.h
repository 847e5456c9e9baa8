/*
 * `--filter KEY=VALUE` over sandboxes, as Docker and Podman have it. Several of one key are
 * alternatives (labels: all are wanted), different keys are all wanted.
 */
#pragma once

#include "engine/engine.h"

struct filter;

/* Takes the words apart and looks up what `before` and `since` name. -EINVAL: an unknown key. */
int filter_new(
        struct engine *engine, const struct strv *words, struct filter **ret, struct error *err);

/* Whether a sandbox passes. */
bool filter_passes(const struct filter *filter, const struct sandbox *sandbox);

/* Whether the words speak of the status: then sandboxes that have ended are looked at too. */
bool filter_wants_all(const struct filter *filter);

/* The status in one word: created, restarting, running, paused, exited. */
const char *sandbox_status_word(const struct sandbox *sandbox);
