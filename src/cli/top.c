/* top: the processes of a sandbox. */
#include "cli/command.h"
#include "observe/processes.h"

int cli_top(struct cli *cli, int argc, char **argv, struct error *err)
{
    static const struct option_command command = {.name = "viv top",
            .usage = "SANDBOX",
            .about = "Lists the processes of a sandbox, as the host sees them.",
            .least = 1,
            .most = 1};
    _cleanup_engine_ struct engine engine = {0};
    struct strv rest = {0};
    int r = cli_open(cli, &command, argc, argv, NULL, &rest, &engine, err);

    if (r == 0)
        r = processes_print(&engine, rest.words[0], stdout, err);
    return r < 0 ? r : 0;
}
