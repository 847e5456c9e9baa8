/* Which sandboxes a command is for: names, and the flags that stand for names. */
#pragma once

#include "cli/command.h"

struct select_flags {
    bool all, latest, ignore;
    struct strv filter, cidfile;
};

/* Rows for a command's table, whose struct has a `struct select_flags` of this name. The
 * first: of a command where -a is something else. */
#define SELECT_ROWS_PLAIN(type_, member_)                                                          \
    OPTION(0, "filter", OPTION_LIST, type_, member_.filter, "KEY=VALUE",                           \
            "those that pass, as viv ps has them"),                                                \
            OPTION('l', "latest", OPTION_FLAG, type_, member_.latest, NULL,                        \
                    "the one that was created last"),                                              \
            OPTION(0, "cidfile", OPTION_LIST, type_, member_.cidfile, "FILE",                      \
                    "the one whose id is in the file")
#define SELECT_ROWS(type_, member_)                                                                \
    OPTION('a', "all", OPTION_FLAG, type_, member_.all, NULL, "all sandboxes"),                    \
            SELECT_ROWS_PLAIN(type_, member_)
#define SELECT_IGNORE_ROW(type_, member_)                                                          \
    OPTION('i', "ignore", OPTION_FLAG, type_, member_.ignore, NULL,                                \
            "it is no error if one is not there")

enum select_state { SELECT_ANY, SELECT_ALIVE, SELECT_DEAD, SELECT_RUNNING, SELECT_PAUSED };

/* The row of -l alone: of a command that is for one sandbox, whose name would stand first. */
#define SELECT_LATEST_ROW(type_, member_)                                                          \
    OPTION('l', "latest", OPTION_FLAG, type_, member_, NULL, "the one that was created last")

/* With `latest` its name is put in front of the words. -EINVAL: then there are fewer than `least`;
 * -ENOENT: there is no sandbox. */
int select_latest(
        struct cli *cli, bool latest, size_t least, struct strv *words, struct error *err);

/* Adds the names of those that are meant to what was named. -EINVAL: nothing says which, or
 * more than one thing does. */
int select_names(struct cli *cli, const struct select_flags *flags, enum select_state state,
        struct strv *names, struct error *err);
