/* `inspect` of sandboxes, images, networks and volumes: an object for each name, as a JSON array or
 * by a template. */
#pragma once

#include "base/json.h"
#include "cli/command.h"

/* Everything about one thing; the object belongs to the caller. -ENOENT when there is none. */
typedef int (*inspect_fn)(
        struct engine *engine, const char *name, struct json_object **ret, struct error *err);

/* Of `viv inspect` alone. */
struct inspect_choice {
    const char *type; /* "container", "image", "network", "volume"; NULL: whatever is found */
    bool size;
};

struct inspect_kind {
    const char *command; /* "viv volume inspect" */
    const char *usage;   /* "NAME…" */
    const char *about;
    inspect_fn inspect;

    /* With the choice, instead of the above; NULL: there are no such options. */
    int (*inspect_by)(struct engine *engine, const char *name, const struct inspect_choice *choice,
            struct json_object **ret, struct error *err);
};

/* Its options, for the help of a group of commands. */
extern const struct option_table inspect_options;

/* The whole command; prints nothing unless all were found. */
int inspect_run(
        struct cli *cli, const struct inspect_kind *kind, int argc, char **argv, struct error *err);
