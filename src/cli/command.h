/*
 * viv: one table of commands, one file for each. A command parses its words by base/options, acts
 * through engine/, has what it shows rendered by observe/, and returns an exit status.
 */
#pragma once

#include <stdio.h>

#include "base/options.h"
#include "engine/engine.h"

struct cli;

/* argv[0] is the command's name. An exit status, or negative with the error, which main tells. */
typedef int (*cli_command_fn)(struct cli *cli, int argc, char **argv, struct error *err);

struct cli {
    struct arena *arena;
    char **argv;                    /* of the whole program, for starting it again */
    const struct engine_root *root; /* where things are kept */
    bool completing;                /* the last word is being written: see cli/candidates.h */
    cli_command_fn run;             /* the command that the words behind "viv" name */
};

struct cli_command {
    const char *name;
    const char *group; /* heading of the help; NULL at the top: not in it */
    const char *about;
    cli_command_fn run;
};

/* A command that has commands of its own, no more than `viv` itself: `viv image ls`. */
struct cli_group {
    const char *name; /* "viv image" */
    const char *about;
    const struct cli_command *commands;
    size_t count;
    const struct option_table *tables[OPTION_TABLES_MAX]; /* its commands' options, for its help */
};
int cli_run_group(
        struct cli *cli, const struct cli_group *group, int argc, char **argv, struct error *err);

/* The one of this name; NULL with the closest in the error. */
const struct cli_command *cli_find_command(
        const struct cli_group *group, const char *name, struct error *err);

/* A command's usage and options, as wide as the terminal is. */
void cli_print_help(const struct option_command *command);

/* The commands: each reads its own arguments. Returns the exit status, or a negative errno. */
int cli_attach(struct cli *cli, int argc, char **argv, struct error *err);
int cli_boot(struct cli *cli, int argc, char **argv, struct error *err);
int cli_check(struct cli *cli, int argc, char **argv, struct error *err);
int cli_completion(struct cli *cli, int argc, char **argv, struct error *err);
int cli_container(struct cli *cli, int argc, char **argv, struct error *err);
int cli_create(struct cli *cli, int argc, char **argv, struct error *err);
int cli_events(struct cli *cli, int argc, char **argv, struct error *err);
int cli_exec(struct cli *cli, int argc, char **argv, struct error *err);
int cli_explain(struct cli *cli, int argc, char **argv, struct error *err);
int cli_inspect(struct cli *cli, int argc, char **argv, struct error *err);
int cli_healthcheck(struct cli *cli, int argc, char **argv, struct error *err);
int cli_kill(struct cli *cli, int argc, char **argv, struct error *err);
int cli_logs(struct cli *cli, int argc, char **argv, struct error *err);
int cli_pause(struct cli *cli, int argc, char **argv, struct error *err);
int cli_network(struct cli *cli, int argc, char **argv, struct error *err);
int cli_port(struct cli *cli, int argc, char **argv, struct error *err);
int cli_ps(struct cli *cli, int argc, char **argv, struct error *err);
int cli_rename(struct cli *cli, int argc, char **argv, struct error *err);
int cli_restore(struct cli *cli, int argc, char **argv, struct error *err);
int cli_restart(struct cli *cli, int argc, char **argv, struct error *err);
int cli_rm(struct cli *cli, int argc, char **argv, struct error *err);
int cli_run(struct cli *cli, int argc, char **argv, struct error *err);
int cli_snapshot(struct cli *cli, int argc, char **argv, struct error *err);
int cli_start(struct cli *cli, int argc, char **argv, struct error *err);
int cli_stats(struct cli *cli, int argc, char **argv, struct error *err);
int cli_stop(struct cli *cli, int argc, char **argv, struct error *err);
int cli_cp(struct cli *cli, int argc, char **argv, struct error *err);
int cli_top(struct cli *cli, int argc, char **argv, struct error *err);
int cli_unpause(struct cli *cli, int argc, char **argv, struct error *err);
int cli_update(struct cli *cli, int argc, char **argv, struct error *err);
int cli_volume(struct cli *cli, int argc, char **argv, struct error *err);
int cli_wait(struct cli *cli, int argc, char **argv, struct error *err);

/* Parses a command's words: 0, or 1 when the help was asked for and has been printed (then the
 * command is done, as it is when its words are only to be completed), or negative. */
int cli_parse(struct cli *cli, const struct option_command *command, int argc, char **argv,
        void *into, struct strv *ret_rest, struct error *err);

/* The same, and opens the engine: for commands that go on with it at once. `into` is NULL for one
 * without options of its own. */
int cli_open(struct cli *cli, const struct option_command *command, int argc, char **argv,
        void *into, struct strv *ret_rest, struct engine *engine, struct error *err);

/* Does one thing to each of several sandboxes, prints their names, and goes on after errors, which
 * it tells; 1 if there was one. What `fn` returns CLI_UNSAID for was not there, and is not named.
 */
#define CLI_UNSAID 1
typedef int (*cli_each_fn)(struct engine *engine, const char *name, void *data, struct error *err);
int cli_each(
        struct cli *cli, const struct strv *names, cli_each_fn fn, void *data, struct error *err);

/* Before a sandbox without a user namespace of its own is entered: see security/self.h. */
int cli_protect(struct cli *cli, struct error *err);

/* "viv: …" on stderr. */
void cli_tell(const char *format, ...) __attribute__((format(printf, 1, 2)));
