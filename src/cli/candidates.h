/*
 * What the last word of a command line may become. This knows no list of its own: which commands
 * and options there are, and what their values and arguments are, it reads from the tables that
 * they are parsed and explained by. Where a command would parse its words (cli_parse,
 * cli_run_group), it calls this instead while `cli->completing` is set.
 */
#pragma once

#include "cli/command.h"

/* Prints what the last of the words may become, one a line. `argv` begins with the command's name.
 */
void candidates_of_command(
        struct cli *cli, const struct option_command *command, int argc, char **argv);

/* The same of a command that has commands. False: the last word is one of theirs. */
bool candidates_of_group(struct cli *cli, const struct option_command *command,
        const struct cli_group *group, int argc, char **argv);
