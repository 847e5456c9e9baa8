/* Lists of things that have a name: networks, volumes. What they share is here: how filters choose,
 * and how the chosen are printed; a kind brings what is its own. */
#pragma once

#include "engine/engine.h"
#include "observe/format.h"

struct named_kind {
    const char *filters; /* those that it takes: "name=, driver= or label=" */
    struct format_list list;

    /* The names of all there are, in the order in which they are shown. */
    int (*names)(struct engine *engine, struct strv *ret, struct error *err);

    /* One of them as templates see it, with Name, Driver and Labels; the object is the caller's.
     * -ENOENT: it is gone. */
    int (*row)(
            struct engine *engine, const char *name, struct json_object **ret, struct error *err);

    /* The same for --format json; NULL: the row. */
    int (*whole)(
            struct engine *engine, const char *name, struct json_object **ret, struct error *err);

    /* A filter that only this kind has, without its '='; NULL: none. */
    const char *own_filter;
    int (*own_passes)(struct engine *engine, const char *name, const char *value, bool *ret,
            struct error *err);
};

struct named_choice {
    bool quiet;         /* names only */
    bool no_heading;    /* the rows of the table alone */
    bool no_trunc;      /* whole ids, of what has one */
    const char *format; /* see format.h */
    struct strv filters;
};

/* Adds the rows of those that pass all filters. -EINVAL: a filter that the kind does not take. */
int named_choose(struct engine *engine, const struct named_kind *kind, const struct strv *filters,
        struct json_object *rows, struct error *err);

/* Prints the chosen ones. */
int named_print(struct engine *engine, const struct named_kind *kind,
        const struct named_choice *choice, FILE *out, struct error *err);

/* "KEY=VALUE" of each pair, as an object. */
struct json_object *named_pairs_json(const struct record_map *map);
