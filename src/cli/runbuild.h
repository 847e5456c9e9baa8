/* What the parts of run_flags_build() share. Each part turns the flags of one table into its share
 * of the configuration and of the choices. For cli/run*.c only. */
#pragma once

#include "cli/runflags.h"

struct run_build {
    struct arena *arena;
    const struct run_flags *flags;
    const struct run_input *input;
    struct spec *spec;
    struct run_choices *choices;
};

/* A row of a table of flags. */
#define RUN_ROW(letter_, name_, kind_, member_, value_, help_)                                     \
    OPTION(letter_, name_, kind_, struct run_flags, member_, value_, help_)

/* Splits "KEY=VALUE" at the first sign, -1 if there is none or nothing before it. */
int run_split(struct arena *arena, const char *text, char sign, const char **ret_key,
        const char **ret_value);

/*
 * Reads the files of a flag line by line: `names` as they were given, `texts` what they hold. Blank
 * lines and those that begin with "#" are left out. `where` is "--env-file NAME:LINE".
 */
typedef int (*run_line_fn)(
        struct run_build *build, const char *line, const char *where, struct error *err);
int run_lines(struct run_build *build, const char *flag, const struct strv *names,
        const struct strv *texts, run_line_fn fn, struct error *err);
