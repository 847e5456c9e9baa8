/* port: where a sandbox's published ports are. */
#include "cli/command.h"
#include "cli/select.h"
#include "observe/format.h"
#include "observe/networks.h"

struct port_flags {
    struct select_flags select;
    const char *format;
};

static const struct option_row port_rows[] = {
        OPTION('a', "all", OPTION_FLAG, struct port_flags, select.all, NULL,
                "of all sandboxes that run, each line behind the short id"),
        OPTION('l', "latest", OPTION_FLAG, struct port_flags, select.latest, NULL,
                "of the sandbox that was created last"),
        OPTION(0, "format", OPTION_TEXT, struct port_flags, format, "FORMAT",
                "json, or a template over ID, Port, Protocol, HostIp and HostPort"),
};
static const struct option_table port_table = OPTION_TABLE("Options", port_rows);
static const struct option_command port_command = {.name = "viv port",
        .usage = "SANDBOX [PORT[/PROTOCOL]]",
        .about = "Shows the ports of this host that lead to a sandbox's.",
        .most = 2,
        .tables = {&port_table}};

static const struct format_list port_list = {
        .usual = "{{.Port}}/{{.Protocol}}\t{{.HostIp}}\t{{.HostPort}}"};

int cli_port(struct cli *cli, int argc, char **argv, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    struct port_flags flags = {0};
    struct strv names = {0};
    const char *name;
    int r = cli_open(cli, &port_command, argc, argv, &flags, &names, &engine, err);

    if (r != 0)
        return r < 0 ? r : 0;
    _cleanup_json_ struct json_object *rows = json_object_new_array();
    struct ports_choice choice = {.with_id = flags.select.all, .rows = flags.format ? rows : NULL};
    size_t before = flags.select.latest ? 0 : 1; /* words that stand before the port */
    if (!flags.select.all && names.count > before) {
        choice.only = names.words[before];
        names.count = before;
    }
    r = select_names(cli, &flags.select, SELECT_RUNNING, &names, err);
    strv_foreach (name, &names) {
        if (r == 0)
            r = networks_print_ports(&engine, name, &choice, stdout, err);
    }
    if (r == 0 && flags.format)
        r = format_print(cli->arena, flags.format, &port_list, rows, stdout, err);
    return r;
}
