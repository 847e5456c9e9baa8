/* network: create, ls, inspect, rm, prune, connect, disconnect. */
#include "base/cleanup.h"
#include "cli/command.h"
#include "cli/inspect.h"
#include "cli/named.h"
#include "engine/connect.h"
#include "observe/networks.h"

/* ---- create ---------------------------------------------------------------------------------- */

struct create_flags {
    struct strv subnet, gateway, ip_range, label, opt;
    const char *driver, *interface_name;
    bool internal, ipv6, disable_dns, ignore;
};

static const struct option_row create_rows[] = {
        OPTION(0, "subnet", OPTION_LIST, struct create_flags, subnet, "SUBNET",
                "its addresses, one of each family; chosen if not said"),
        OPTION(0, "gateway", OPTION_LIST, struct create_flags, gateway, "ADDRESS",
                "the bridge's own address in a subnet, the first if not said"),
        OPTION(0, "ip-range", OPTION_LIST, struct create_flags, ip_range, "SUBNET",
                "the part of a subnet that addresses are chosen from"),
        OPTION(0, "ipv6", OPTION_FLAG, struct create_flags, ipv6, NULL, "with IPv6 too"),
        OPTION(0, "internal", OPTION_FLAG, struct create_flags, internal, NULL,
                "no way out and none in"),
        OPTION(0, "disable-dns", OPTION_FLAG, struct create_flags, disable_dns, NULL,
                "nobody answers for names"),
        OPTION('d', "driver", OPTION_CHOICE, struct create_flags, driver, "bridge",
                "the kind of network"),
        OPTION(0, "interface-name", OPTION_TEXT, struct create_flags, interface_name, "NAME",
                "of the bridge on the host"),
        OPTION('o', "opt", OPTION_LIST, struct create_flags, opt, "KEY=VALUE",
                "mtu=BYTES, or isolate=false: open to other such networks"),
        OPTION(0, "label", OPTION_LIST, struct create_flags, label, "KEY[=VALUE]", "describe it"),
        OPTION(0, "ignore", OPTION_FLAG, struct create_flags, ignore, NULL,
                "it is no error if it is there already"),
};
static const struct option_table create_table = OPTION_TABLE("create", create_rows);
static const struct option_command create_command = {.name = "viv network create",
        .usage = "NAME",
        .about = "Makes a network.",
        .least = 1,
        .most = 1,
        .tables = {&create_table}};

static int read_option(const char *text, struct network_options *options, struct error *err)
{
    const char *mtu = str_after(text, "mtu=");
    const char *isolate = str_after(text, "isolate=");

    if (!mtu)
        mtu = str_after(text, "com.docker.network.driver.mtu=");
    if (mtu && str_to_u32(mtu, &options->mtu) == 0 && options->mtu >= 68 && options->mtu <= 65535)
        return 0;
    if (isolate && (str_equal(isolate, "true") || str_equal(isolate, "false"))) {
        options->isolate = str_equal(isolate, "true");
        return 0;
    }
    return error_set(err, EINVAL,
            "-o %s: write mtu=BYTES (68 to 65535), isolate=true or isolate=false", text);
}

/* Each range belongs to the subnet that it is in. */
static int read_ranges(const struct create_flags *flags, struct network *network, struct error *err)
{
    const char *text;

    strv_foreach (text, &flags->ip_range) {
        struct net_subnet range;
        bool used = false;
        if (net_subnet_parse(text, &range, err) < 0)
            return error_prefix(err, "--ip-range");
        for (size_t i = 0; i < network->subnets.count; i++) {
            struct network_subnet *slot = &network->subnets.items[i];
            struct net_subnet subnet;
            if (net_subnet_parse(slot->subnet, &subnet, NULL) < 0 || range.prefix < subnet.prefix ||
                    !net_subnet_contains(&subnet, &range.base) || slot->range)
                continue;
            slot->range = text;
            used = true;
        }
        if (!used)
            return error_set(err, EINVAL, "--ip-range %s: it is a part of no --subnet", text);
    }
    return 0;
}

/* Each gateway belongs to the subnet that it is in. */
static int read_subnets(struct arena *arena, const struct create_flags *flags,
        struct network *network, struct error *err)
{
    const char *text;

    strv_foreach (text, &flags->subnet) {
        struct net_subnet range;
        if (net_subnet_parse(text, &range, err) < 0)
            return error_prefix(err, "--subnet");
        struct network_subnet *slot = RECORD_APPEND(arena, &network->subnets);
        slot->subnet = text;
        const char *gateway;
        strv_foreach (gateway, &flags->gateway) {
            struct net_address address;
            if (net_address_parse(gateway, false, &address) == 0 &&
                    net_subnet_contains(&range, &address))
                slot->gateway = gateway;
        }
    }
    strv_foreach (text, &flags->gateway) {
        bool used = false;
        for (size_t i = 0; i < network->subnets.count; i++)
            used = used || network->subnets.items[i].gateway == text;
        if (!used)
            return error_set(err, EINVAL, "--gateway %s: it is an address of no --subnet", text);
    }
    return read_ranges(flags, network, err);
}

static int create(struct cli *cli, int argc, char **argv, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    _cleanup_networks_ struct networks networks = {0};
    struct create_flags flags = {0};
    struct network network = {.options = {.isolate = true}};
    struct strv rest = {0};
    const char *text;
    int r = cli_parse(cli, &create_command, argc, argv, &flags, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    network.name = rest.words[0];
    network.network_interface = flags.interface_name;
    network.internal = flags.internal;
    network.ipv6_enabled = flags.ipv6;
    network.dns_enabled = !flags.disable_dns;
    named_read_pairs(cli->arena, &flags.label, &network.labels);
    r = read_subnets(cli->arena, &flags, &network, err);
    strv_foreach (text, &flags.opt) {
        if (r == 0)
            r = read_option(text, &network.options, err);
    }
    if (r == 0)
        r = engine_open(cli->arena, cli->root, &engine, err);
    if (r == 0)
        r = engine_networks(&engine, true, &networks, err);
    if (r == 0 && flags.ignore && network_exists(&networks, network.name)) {
        printf("%s\n", network.name);
        return 0;
    }
    if (r == 0)
        r = network_create(&networks, cli->arena, &network, err);
    if (r == 0)
        printf("%s\n", network.name);
    return r;
}

/* ---- ls, inspect, rm, prune ------------------------------------------------------------------ */

static const struct option_row ls_rows[] = {
        NAMED_LS_ROWS("name=, id=, driver=, label=, until= or dangling=")};
static const struct option_table ls_table = OPTION_TABLE("ls", ls_rows);
static const struct option_row rm_rows[] = {
        OPTION('f', "force", OPTION_FLAG, struct named_flags, force, NULL,
                "also from sandboxes that are on them"),
};
static const struct option_table rm_table = OPTION_TABLE("rm", rm_rows);
static const struct option_row prune_rows[] = {
        OPTION('f', "force", OPTION_FLAG, struct named_flags, force, NULL, "do not ask"),
        OPTION(0, "filter", OPTION_LIST, struct named_flags, filters, "KEY=VALUE",
                "only those that pass, as with ls"),
};
static const struct option_table prune_table = OPTION_TABLE("prune", prune_rows);

/* The default network is there without having been made. */
static bool spares(struct json_object *row, bool all)
{
    (void)all;
    return str_equal(json_get_str(row, "Name"), NETWORK_DEFAULT);
}

const struct named_commands network_commands = {.name = "network",
        .rm_usage = "NETWORK…",
        .kind = &networks_kind,
        .ls_about = "Lists networks.",
        .rm_about = "Takes networks away, with their bridges and rules.",
        .prune_about = "Takes away all networks that no sandbox is on, but the default one.",
        .ls_table = &ls_table,
        .rm_table = &rm_table,
        .prune_table = &prune_table,
        .question = "Take away all networks that no sandbox is on?",
        .remove = network_remove,
        .spares = spares};

static int ls(struct cli *cli, int argc, char **argv, struct error *err)
{
    return named_ls(cli, &network_commands, argc, argv, err);
}

static int rm(struct cli *cli, int argc, char **argv, struct error *err)
{
    return named_rm(cli, &network_commands, argc, argv, err);
}

static int prune(struct cli *cli, int argc, char **argv, struct error *err)
{
    return named_prune(cli, &network_commands, argc, argv, err);
}

static int inspect(struct cli *cli, int argc, char **argv, struct error *err)
{
    static const struct inspect_kind kind = {"viv network inspect", "NETWORK…",
            "Shows everything about networks, and who is on them, as JSON.", networks_inspect};

    return inspect_run(cli, &kind, argc, argv, err);
}

/* ---- reload ---------------------------------------------------------------------------------- */

static const struct option_command reload_command = {.name = "viv network reload",
        .about = "Loads the rules of all networks and published ports anew, for when somebody has "
                 "flushed the firewall."};

static int reload(struct cli *cli, int argc, char **argv, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    struct strv rest = {0};
    int r = cli_open(cli, &reload_command, argc, argv, NULL, &rest, &engine, err);

    if (r == 0)
        r = networks_reload(&engine, err);
    return r < 0 ? r : 0;
}

/* ---- connect, disconnect --------------------------------------------------------------------- */

struct connect_flags {
    const char *ip, *ip6, *mac_address;
    struct strv alias;
};

static const struct option_row connect_rows[] = {
        OPTION(0, "ip", OPTION_TEXT, struct connect_flags, ip, "ADDRESS", "its IPv4 address there"),
        OPTION(0, "ip6", OPTION_TEXT, struct connect_flags, ip6, "ADDRESS",
                "its IPv6 address there"),
        OPTION(0, "mac-address", OPTION_TEXT, struct connect_flags, mac_address, "ADDRESS",
                "its Ethernet address there"),
        OPTION(0, "alias", OPTION_LIST, struct connect_flags, alias, "NAME",
                "one more name that it is found by"),
};
static const struct option_table connect_table = OPTION_TABLE("connect", connect_rows);
static const struct option_command connect_command = {.name = "viv network connect",
        .usage = "NETWORK SANDBOX",
        .about = "Puts a sandbox on one more network, at once if it runs.",
        .least = 2,
        .most = 2,
        .tables = {&connect_table}};

static void add_part(struct arena *arena, struct strv *parts, const char *key, const char *value)
{
    if (value)
        strv_add(arena, parts, arena_printf(arena, "%s=%s", key, value));
}

static int connect_to(struct cli *cli, int argc, char **argv, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    struct connect_flags flags = {0};
    struct strv rest = {0};
    struct strv parts = {0};
    struct net_join join;
    const char *alias;
    int r = cli_parse(cli, &connect_command, argc, argv, &flags, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    add_part(cli->arena, &parts, "ip", flags.ip);
    add_part(cli->arena, &parts, "ip6", flags.ip6);
    add_part(cli->arena, &parts, "mac", flags.mac_address);
    strv_foreach (alias, &flags.alias) {
        add_part(cli->arena, &parts, "alias", alias);
    }
    const char *text =
            arena_printf(cli->arena, "%s:%s", rest.words[0], strv_join(cli->arena, &parts, ","));
    r = net_join_parse(text, cli->arena, &join, err);
    if (r == 0)
        r = engine_open(cli->arena, cli->root, &engine, err);
    return r < 0 ? r : sandbox_connect(&engine, rest.words[1], &join, err);
}

struct disconnect_flags {
    bool force;
};
static const struct option_row disconnect_rows[] = {
        OPTION('f', "force", OPTION_FLAG, struct disconnect_flags, force, NULL,
                "it is no error if it is not on it, or not there"),
};
static const struct option_table disconnect_table = OPTION_TABLE("disconnect", disconnect_rows);
static const struct option_command disconnect_command = {.name = "viv network disconnect",
        .usage = "NETWORK SANDBOX",
        .about = "Takes a sandbox off a network, at once if it runs.",
        .least = 2,
        .most = 2,
        .tables = {&disconnect_table}};

static int disconnect(struct cli *cli, int argc, char **argv, struct error *err)
{
    _cleanup_engine_ struct engine engine = {0};
    struct disconnect_flags flags = {0};
    struct strv rest = {0};
    int r = cli_open(cli, &disconnect_command, argc, argv, &flags, &rest, &engine, err);

    if (r == 0)
        r = sandbox_disconnect(&engine, rest.words[1], rest.words[0], err);
    return r < 0 && !(r == -ENOENT && flags.force) ? r : 0;
}

/* ---- which of them --------------------------------------------------------------------------- */

static const struct cli_command commands[] = {
        {"create", NULL, "make a network", create},
        {"ls", NULL, "list networks", ls},
        {"inspect", NULL, "show everything about networks", inspect},
        {"rm", NULL, "take networks away", rm},
        {"prune", NULL, "take away those that nobody is on", prune},
        {"reload", NULL, "load their rules anew", reload},
        {"connect", NULL, "put a sandbox on a network", connect_to},
        {"disconnect", NULL, "take a sandbox off a network", disconnect},
};

int cli_network(struct cli *cli, int argc, char **argv, struct error *err)
{
    static const struct cli_group group = {"viv network", "Networks of sandboxes.", commands,
            ARRAY_SIZE(commands),
            {&create_table, &ls_table, &inspect_options, &rm_table, &prune_table, &connect_table,
                    &disconnect_table}};

    return cli_run_group(cli, &group, argc, argv, err);
}
