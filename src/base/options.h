/*
 * Command-line options described by tables, so that one reader fills a plain struct from the
 * arguments and one writer prints the help. Every program and command uses it.
 *
 *     struct kill_options { bool all; const char *signal; };
 *     static const struct option_row rows[] = {
 *             OPTION('a', "all", OPTION_FLAG, struct kill_options, all, NULL, "to all sandboxes"),
 *             OPTION('s', "signal", OPTION_TEXT, struct kill_options, signal, "SIGNAL", "…"),
 *     };
 *     static const struct option_table table = OPTION_TABLE("Options", rows);
 *     static const struct option_command command = {
 *             .name = "viv kill", .usage = "SANDBOX…", .about = "Sends a signal.",
 *             .tables = {&table}, .least = 1, .most = SIZE_MAX};
 *
 * Understood are --name VALUE, --name=VALUE, -n VALUE, -nVALUE, -n=VALUE, -abc for several flags,
 * --flag=false, and -- which ends the options. The last of several values counts, except in lists.
 * Reading is a pure function of the arguments.
 */
#pragma once

#include "base/record.h"

enum option_kind {
    OPTION_FLAG,   /* bool */
    OPTION_SWITCH, /* struct opt_bool: also tells that it was not given */
    OPTION_TEXT,   /* const char *, borrowed from the arguments; NULL when not given */
    OPTION_LIST,   /* struct strv, each value as it was written */
    OPTION_CHOICE, /* const char *, one of the words in `value`: "json|table" */
    OPTION_NUMBER, /* struct opt_i64 */
    OPTION_COUNT,  /* struct opt_u64: a number that is not negative */
    OPTION_BYTES,  /* struct opt_u64, with the suffixes of str_to_bytes() */
    OPTION_TIME,   /* struct opt_i64, nanoseconds, with the suffixes of str_to_nanoseconds() */
};

struct option_row {
    char letter;      /* 0: none */
    const char *name; /* without the dashes */
    enum option_kind kind;
    size_t offset;
    const char *value; /* what the help calls the value; NULL for flags */
    const char *help;  /* one line; NULL: not in the help (another spelling of a row) */
};

#define OPTION(letter_, name_, kind_, type_, member_, value_, help_)                               \
    {                                                                                              \
        (letter_), (name_), (kind_), offsetof(type_, member_), (value_), (help_)                   \
    }

/* Rows that belong together, under one heading of the help. */
struct option_table {
    const char *title;
    const struct option_row *rows;
    size_t count;
};
#define OPTION_TABLE(title_, rows_)                                                                \
    {                                                                                              \
        (title_), (rows_), sizeof(rows_) / sizeof((rows_)[0])                                      \
    }

#define OPTION_TABLES_MAX 12
#define OPTION_VALUES_MAX 65536 /* arguments in all */

enum option_order {
    OPTIONS_ANYWHERE, /* before, between and after the other arguments */
    OPTIONS_FIRST,    /* the first other argument ends them: what follows is another's command */
};

struct option_command {
    const char *name;  /* "viv run" */
    const char *usage; /* what follows the options: "IMAGE [COMMAND…]"; NULL: nothing */
    const char *about; /* one sentence or more */
    enum option_order order;
    bool long_with_one_dash; /* "-root" is --root, as Go's flag package has it */
    size_t least;            /* how many other arguments it takes */
    size_t most;             /* SIZE_MAX: any number */
    const struct option_table *tables[OPTION_TABLES_MAX]; /* up to a NULL */
};

#define OPTIONS_HELP 1

/*
 * Fills the (zeroed) struct that the tables speak of from the arguments, which do not include the
 * command's own name; `*ret_rest` gets the others, in the arena. Returns 0; OPTIONS_HELP when
 * --help was among the options (then nothing else matters); or -EINVAL with the error filled:
 * "unknown flag --memroy; did you mean --memory?".
 */
int options_parse(const struct option_command *command, int argc, char *const *argv,
        struct arena *arena, void *into, struct strv *ret_rest, struct error *err);

/* What the last of the arguments is, which is still being written. */
struct option_place {
    const struct option_row *row; /* it is the value of this one */
    bool name;                    /* or an option's name, with its dashes */
    size_t nth;                   /* or else an argument, and so many others stand before it */
    const char *begun;            /* what there is of the value, name or argument */
};

/* Reads arguments as options_parse() does, as far as they can be understood: for completion. */
void options_place(const struct option_command *command, int argc, char *const *argv,
        struct option_place *ret);

/* The command's help text, generated from the tables. `width` is the terminal's, 0 for 80. */
void options_help(const struct option_command *command, size_t width, struct buf *text);
