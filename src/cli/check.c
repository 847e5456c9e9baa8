/* check: what this host can and cannot do. */
#include "cli/command.h"
#include "observe/hostcheck.h"

struct check_flags {
    const char *format;
};

static const struct option_row check_rows[] = {
        OPTION(0, "format", OPTION_CHOICE, struct check_flags, format, "table|json",
                "how to print"),
};
static const struct option_table check_table = OPTION_TABLE("Options", check_rows);
static const struct option_command check_command = {.name = "viv check",
        .about = "Tells what this host can and cannot do for sandboxes, and what to do about it. "
                 "Ends with 1 if something is missing that every sandbox needs.",
        .tables = {&check_table}};

int cli_check(struct cli *cli, int argc, char **argv, struct error *err)
{
    struct check_flags flags = {0};
    struct container_host host;
    struct strv rest = {0};
    int r = cli_parse(cli, &check_command, argc, argv, &flags, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = container_host_detect(cli->arena, &host, err);
    if (r < 0)
        return r;
    return hostcheck_print(&host, cli->arena, str_equal(flags.format, "json"), stdout) > 0;
}
