/* What networks and volumes have alike: ls, rm and prune, and pairs as labels are. A kind of thing
 * says what is its own. */
#pragma once

#include "cli/command.h"
#include "observe/named.h"

/* The rows of ls; `filters_` names those that the kind takes. */
#define NAMED_LS_ROWS(filters_)                                                                    \
    OPTION('q', "quiet", OPTION_FLAG, struct named_choice, quiet, NULL, "names only"),             \
            OPTION(0, "no-trunc", OPTION_FLAG, struct named_choice, no_trunc, NULL, "whole ids"),  \
            OPTION('f', "filter", OPTION_LIST, struct named_choice, filters, "KEY=VALUE",          \
                    "only those with this " filters_),                                             \
            OPTION(0, "noheading", OPTION_FLAG, struct named_choice, no_heading, NULL,             \
                    "no line of headings"),                                                        \
            OPTION(0, "format", OPTION_TEXT, struct named_choice, format, "FORMAT",                \
                    "json, \"table TEMPLATE\", or a template for each line")

/* Of rm and prune. */
struct named_flags {
    bool force;
    bool all;
    struct strv filters;
};

struct named_commands {
    const char *name;     /* "volume": `viv volume ls` */
    const char *rm_usage; /* "VOLUME…" */
    const struct named_kind *kind;
    const char *ls_about, *rm_about, *prune_about;
    const struct option_table *ls_table;               /* for a struct named_choice */
    const struct option_table *rm_table, *prune_table; /* for a struct named_flags */
    const char *question;                              /* what prune asks at a terminal */

    /* Takes one away. -EBUSY while somebody uses it, unless `force` may do something about that. */
    int (*remove)(struct engine *engine, const char *name, bool force, struct error *err);

    /* Whether prune leaves the thing of this row alone. */
    bool (*spares)(struct json_object *row, bool all);
};

/* The whole commands. `rm` goes on after errors; `prune` passes over what is used. */
int named_ls(struct cli *cli, const struct named_commands *commands, int argc, char **argv,
        struct error *err);
int named_rm(struct cli *cli, const struct named_commands *commands, int argc, char **argv,
        struct error *err);
int named_prune(struct cli *cli, const struct named_commands *commands, int argc, char **argv,
        struct error *err);

extern const struct named_commands network_commands, volume_commands;

/* What prune does, without a question: each name that goes is printed. */
int named_prune_all(struct engine *engine, const struct named_commands *commands,
        const struct strv *filters, struct error *err);

/* Adds "KEY=VALUE" or "KEY" of each word; in the arena. */
void named_read_pairs(struct arena *arena, const struct strv *list, struct record_map *map);
