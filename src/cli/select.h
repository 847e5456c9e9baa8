/* `--all` and `--filter` of commands that act on several sandboxes. */
#pragma once

#include "cli/command.h"

struct select_flags {
    bool all;
    struct strv filter;
};

/* Rows for a command's table, whose struct has a `struct select_flags` of this name. */
#define SELECT_ROWS(type_, member_)                                                                \
    OPTION('a', "all", OPTION_FLAG, type_, member_.all, NULL, "all sandboxes"),                    \
            OPTION(0, "filter", OPTION_LIST, type_, member_.filter, "KEY=VALUE",                   \
                    "those that pass, as viv ps has them")

enum select_state { SELECT_ANY, SELECT_ALIVE, SELECT_DEAD };

/* Adds the names of those that are meant to what was named. -EINVAL: neither is said, or both. */
int select_names(struct cli *cli, const struct select_flags *flags, enum select_state state,
        struct strv *names, struct error *err);
