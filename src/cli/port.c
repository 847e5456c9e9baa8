/* port: where a sandbox's published ports are. */
#include "cli/command.h"
#include "observe/networks.h"

static const struct option_command port_command = {.name = "viv port",
        .usage = "SANDBOX [PORT[/PROTOCOL]]",
        .about = "Shows the ports of this host that lead to a sandbox's.",
        .least = 1,
        .most = 2};

int cli_port(struct cli *cli, int argc, char **argv, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    struct strv rest = {0};
    int r = cli_open(cli, &port_command, argc, argv, NULL, &rest, &engine, err);

    if (r == 0)
        r = networks_print_ports(
                &engine, rest.words[0], rest.count > 1 ? rest.words[1] : NULL, stdout, err);
    return r < 0 ? r : 0;
}
