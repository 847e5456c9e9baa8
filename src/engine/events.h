/*
 * What happens to sandboxes, as a log that `viv events` shows and follows: a JSON object a line, in
 * the form that Docker gives it, appended to .events in the store by whoever does the thing. There
 * is no daemon, and a reboot forgets it. Beyond a megabyte the file becomes .events.1 and a new one
 * begins, so that it never takes more than two.
 */
#pragma once

#include "engine/engine.h"

#define EVENTS_FILE ".events"
#define EVENTS_OLD ".events.1"
#define EVENTS_SIZE_MAX (1 << 20)

struct event {
    const char *type;   /* "container", "volume" */
    const char *action; /* "create", "start", "die" … */
    const char *id;
    const char *name;
    const char *image;
    const char *key, *value; /* one attribute more; NULL: none */
};

/* Appends it; `root` is the store's. What cannot be written is not told: nothing depends on it. */
void event_add(const char *root, const struct event *event);

/* The same of a sandbox. */
void event_of(const struct engine *engine, const struct sandbox_meta *meta, const char *action,
        const char *key, const char *value);
