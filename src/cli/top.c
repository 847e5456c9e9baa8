/* top: the processes of a sandbox. */
#include "cli/command.h"
#include "cli/select.h"
#include "observe/processes.h"

struct top_flags {
    bool latest;
    const char *format;
};

static const struct option_row rows[] = {
        OPTION('l', "latest", OPTION_FLAG, struct top_flags, latest, NULL,
                "the one that was created last"),
        OPTION(0, "format", OPTION_TEXT, struct top_flags, format, "FORMAT",
                "json, or a template over the columns' headings"),
};
static const struct option_table table = OPTION_TABLE("Options", rows);

int cli_top(struct cli *cli, int argc, char **argv, struct error *err)
{
    static const struct option_command command = {.name = "viv top",
            .usage = "SANDBOX [COLUMN…|PS-OPTIONS]",
            .about = "Lists the processes of a sandbox, as the host sees them, or a machine's "
                     "guest: "
                     "in the columns that are named, as ps(1) calls them, or as -ef, aux and "
                     "-o COLUMN,… choose them.",
            .order = OPTIONS_FIRST,
            .most = SIZE_MAX,
            .tables = {&table}};
    _cleanup_engine_ struct engine engine = {0};
    struct strv rest = {0};
    struct top_flags flags = {0};
    int r = cli_open(cli, &command, argc, argv, &flags, &rest, &engine, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = select_latest(cli, flags.latest, 1, &rest, err);
    if (r < 0)
        return r;
    const struct strv words = {rest.words + 1, rest.count - 1, rest.count - 1};
    return processes_print(&engine, rest.words[0], &words, flags.format, stdout, err);
}
