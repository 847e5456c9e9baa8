#include "cli/runnetwork.h"

#include "base/cleanup.h"
#include "net/address.h"
#include "net/network.h"
#include "net/port.h"
#include "net/shape.h"
#include "spec/defaults.h"

#define USAGE "none, host, ns:PATH, container:NAME, pasta, or a network's name"

static const struct option_row rows[] = {
        RUN_ROW(0, "network", OPTION_LIST, network, "MODE|NETWORK",
                "none, host, ns:PATH, container:NAME, pasta, or networks: NAME[:KEY=VALUE,…]"),
        RUN_ROW(0, "net", OPTION_LIST, network, NULL, NULL),
        RUN_ROW('p', "publish", OPTION_LIST, publish, "[[ADDRESS:]PORT:]PORT",
                "Forward ports of the host, also ranges, /udp and /sctp"),
        RUN_ROW('P', "publish-all", OPTION_FLAG, publish_all, NULL,
                "Forward chosen ports to all that are exposed"),
        RUN_ROW(0, "expose", OPTION_LIST, expose, "PORT", "A port that -P is to forward to"),
        RUN_ROW(0, "ip", OPTION_TEXT, ip, "ADDRESS", "Its IPv4 address on the network"),
        RUN_ROW(0, "ip6", OPTION_TEXT, ip6, "ADDRESS", "Its IPv6 address on the network"),
        RUN_ROW(0, "mac-address", OPTION_TEXT, mac_address, "ADDRESS", "Its Ethernet address"),
        RUN_ROW(0, "network-alias", OPTION_LIST, network_alias, "NAME",
                "One more name that others on its networks find it by"),
        RUN_ROW(0, "net-alias", OPTION_LIST, network_alias, NULL, NULL),
        RUN_ROW(0, "network-rate-in", OPTION_TEXT, rate_in, "RATE",
                "So many bits a second it receives at most: 10mbit, 1g"),
        RUN_ROW(0, "network-rate-out", OPTION_TEXT, rate_out, "RATE",
                "So many bits a second it sends at most"),
        RUN_ROW(0, "dns", OPTION_LIST, dns, "ADDRESS", "Ask this server for names"),
        RUN_ROW(0, "dns-search", OPTION_LIST, dns_search, "DOMAIN",
                "Look short names up in this domain; \".\" for none"),
        RUN_ROW(0, "dns-option", OPTION_LIST, dns_option, "OPTION", "As resolv.conf(5) has them"),
        RUN_ROW(0, "dns-opt", OPTION_LIST, dns_option, NULL, NULL),
        RUN_ROW(0, "no-hosts", OPTION_FLAG, no_hosts, NULL, "Leave /etc/hosts as the root has it"),
        RUN_ROW(0, "add-host", OPTION_LIST, add_host, "NAME:ADDRESS",
                "A line of /etc/hosts; the address may be host-gateway"),
};
const struct option_table run_network_table = OPTION_TABLE("Network", rows);

/* ---- which network --------------------------------------------------------------------------- */

static int bad_mode(const char *text, struct error *err)
{
    return error_set(err, EINVAL, "--network \"%.128s\": write " USAGE, text);
}

/* A word that is no network's name. 1: it was one, and `place` is filled. */
static int read_mode(const char *text, struct run_place *place, struct error *err)
{
    static const struct {
        const char *word;
        enum run_place_kind kind;
    } words[] = {
            {"none", RUN_NONE}, {"host", RUN_HOST}, {"private", RUN_PRIVATE}, {"pasta", RUN_PASTA}};
    const char *path = str_after(text, "ns:");
    const char *name = str_after(text, "container:");

    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (str_equal(words[i].word, text)) {
            place->kind = words[i].kind;
            return 1;
        }
    if (path && path[0] != '/')
        return error_set(err, EINVAL,
                "--network %.128s: write an absolute path, as in ns:/run/netns/a", text);
    if (!*text || (name && !*name))
        return bad_mode(text, err);
    if (!path && !name)
        return 0;
    *place = (struct run_place){path ? RUN_PATH : RUN_CONTAINER, path ? path : name};
    return 1;
}

/* "NAME:ip=…", or several names joined by commas. */
static int add_joins(struct run_build *build, const char *text, struct error *err)
{
    struct net_request *request = &build->choices->net;
    struct strv names = {0};
    const char *name;

    if (strchr(text, ':'))
        strv_add(build->arena, &names, text);
    else
        strv_split(build->arena, &names, text, ',');
    strv_foreach (name, &names) {
        struct net_join join;
        if (str_equal(name, "default"))
            name = NETWORK_DEFAULT;
        if (net_join_parse(name, build->arena, &join, err) < 0)
            return error_prefix(err, "--network %.128s", text);
        struct net_join *slot = RECORD_APPEND(build->arena, &request->joins);
        *slot = join;
    }
    return 0;
}

/* $VIV_NETWORK, for images where --network is not given. */
static const char *default_network(const struct run_build *build)
{
    char *const *variable = build->input->environment;

    for (; variable && *variable; variable++) {
        const char *value = str_after(*variable, "VIV_NETWORK=");
        if (!str_empty(value))
            return value;
    }
    return NETWORK_DEFAULT;
}

static int read_networks(struct run_build *build, const struct strv *list, struct error *err)
{
    struct run_place *place = &build->choices->network;
    const char *text;

    strv_foreach (text, list) {
        int r = read_mode(text, place, err);
        if (r < 0)
            return r;
        if (r > 0 && list->count > 1)
            return error_set(err, EINVAL,
                    "--network %s: only networks with a name can be several at once", text);
        if (r == 0 && add_joins(build, text, err) < 0)
            return -EINVAL;
    }
    if (build->choices->net.joins.count)
        *place = (struct run_place){RUN_NAMED, list->words[0]};
    return 0;
}

/* ---- on the network -------------------------------------------------------------------------- */

static int read_rate(const char *flag, const char *text, uint64_t *ret, struct error *err)
{
    if (!text || shape_parse_rate(text, ret, err) == 0)
        return 0;
    return error_prefix(err, "--%s", flag);
}

/* --ip, --ip6, --mac-address and --network-alias belong to the one network; aliases to all. */
static int apply_to_joins(struct run_build *build, struct error *err)
{
    const struct run_flags *flags = build->flags;
    struct net_request *request = &build->choices->net;
    const struct {
        const char *name;
        const char *value;
    } own[] = {{"ip", flags->ip}, {"ip6", flags->ip6}, {"mac", flags->mac_address}};
    const char *alias;

    for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
        if (!own[i].value)
            continue;
        if (request->joins.count > 1)
            return error_set(err, EINVAL,
                    "--%s%s: there are several networks; write --network NAME:%s=%s", own[i].name,
                    i == 2 ? "-address" : "", own[i].name, own[i].value);
        struct net_join parsed = {0};
        const char *text = arena_printf(build->arena, "x:%s=%s", own[i].name, own[i].value);
        if (net_join_parse(text, build->arena, &parsed, err) < 0)
            return error_prefix(err, "--%s%s", own[i].name, i == 2 ? "-address" : "");
        struct net_join *join = &request->joins.items[0];
        join->ip = parsed.ip ? parsed.ip : join->ip;
        join->ip6 = parsed.ip6 ? parsed.ip6 : join->ip6;
        join->mac = parsed.mac ? parsed.mac : join->mac;
    }
    strv_foreach (alias, &flags->network_alias) {
        if (!net_is_name(alias))
            return error_set(err, EINVAL, "--network-alias \"%.64s\" is no host name", alias);
        for (size_t i = 0; i < request->joins.count; i++)
            strv_add(build->arena, &request->joins.items[i].aliases, alias);
    }
    return 0;
}

static int read_ports(struct run_build *build, struct error *err)
{
    const struct run_flags *flags = build->flags;
    const struct run_image *image = build->input->image;
    struct net_request *request = &build->choices->net;
    struct net_publish parsed;
    const char *text;

    strv_foreach (text, &flags->publish) {
        if (net_publish_parse(text, &parsed, err) < 0)
            return error_prefix(err, "-p");
        strv_add(build->arena, &request->publish, text);
    }
    strv_foreach (text, &flags->expose) {
        if (net_expose_parse(text, &parsed, err) < 0)
            return error_prefix(err, "--expose");
        strv_add(build->arena, &request->exposed, text);
    }
    for (size_t i = 0; image && i < image->exposed.count; i++)
        if (net_expose_parse(image->exposed.words[i], &parsed, NULL) == 0 &&
                !strv_contains(&request->exposed, image->exposed.words[i]))
            strv_add(build->arena, &request->exposed, image->exposed.words[i]);
    request->publish_all = flags->publish_all;
    return 0;
}

static int read_names(struct run_build *build, struct error *err)
{
    const struct run_flags *flags = build->flags;
    struct net_request *request = &build->choices->net;
    struct net_address address;
    const char *text;
    const char *name;
    const char *to;

    strv_foreach (text, &flags->dns) {
        if (net_address_parse(text, false, &address) < 0)
            return error_set(err, EINVAL, "--dns \"%.64s\": write an address", text);
    }
    strv_foreach (text, &flags->dns_search) {
        if (!net_is_name(text) && !str_equal(text, "."))
            return error_set(err, EINVAL, "--dns-search \"%.64s\": write a domain", text);
    }
    strv_foreach (text, &flags->dns_option) {
        if (!*text || strpbrk(text, " \t\r\n"))
            return error_set(err, EINVAL, "--dns-option \"%.64s\": write one option", text);
    }
    strv_foreach (text, &flags->add_host) {
        if (net_host_parse(text, build->arena, &name, &to, err) < 0)
            return error_prefix(err, "--add-host");
    }
    request->dns = flags->dns;
    request->dns_search = flags->dns_search;
    request->dns_option = flags->dns_option;
    request->add_host = flags->add_host;
    request->no_hosts = flags->no_hosts;
    if (flags->no_hosts && flags->add_host.count)
        return error_set(err, EINVAL,
                "--no-hosts leaves /etc/hosts alone, and --add-host writes to it: give one of "
                "them");
    return 0;
}

/* What only makes sense on a network, the flag's name; NULL: nothing. What pasta has too is last.
 */
static const char *wants_network(const struct run_flags *flags)
{
    return flags->ip                    ? "--ip"
           : flags->ip6                 ? "--ip6"
           : flags->mac_address         ? "--mac-address"
           : flags->network_alias.count ? "--network-alias"
           : flags->publish.count       ? "-p"
           : flags->publish_all         ? "-P"
           : flags->rate_in             ? "--network-rate-in"
           : flags->rate_out            ? "--network-rate-out"
                                        : NULL;
}

/* An image is on the default network, as people expect; the built-in one, a root directory and a
 * bundle have none unless a flag needs one. What --network says counts in any case. */
static int settle_network(struct run_build *build, struct error *err)
{
    const char *flag = wants_network(build->flags);
    struct run_choices *choices = build->choices;
    const struct run_image *image = build->input->image;
    struct strv list = build->flags->network;

    if (!list.count && flag)
        strv_add(build->arena, &list, NETWORK_DEFAULT);
    else if (!list.count && image && image->wants_network)
        strv_add(build->arena, &list, default_network(build));
    if (read_networks(build, &list, err) < 0)
        return -EINVAL;
    enum run_place_kind kind = choices->network.kind;
    bool of_pasta = flag && kind == RUN_PASTA &&
                    (flag[1] == 'p' || flag[1] == 'P' || str_starts(flag, "--network-rate"));
    if (flag && kind != RUN_NAMED && !of_pasta)
        return error_set(err, EINVAL, "%s: --network %s has nothing that it could be set on", flag,
                build->flags->network.words[0]);
    choices->net.pasta = kind == RUN_PASTA;
    choices->net.host = kind == RUN_HOST;
    return 0;
}

/* Puts the namespace into the configuration. Another sandbox's is found later; a new one holds its
 * place until then. */
static void place_network(struct run_build *build)
{
    const struct run_place *place = &build->choices->network;
    struct spec *spec = build->spec;
    size_t kept = 0;

    if (place->kind == RUN_DEFAULT)
        return;
    for (size_t i = 0; i < spec->linux.namespaces.count; i++)
        if (!str_equal(spec->linux.namespaces.items[i].type, "network"))
            spec->linux.namespaces.items[kept++] = spec->linux.namespaces.items[i];
    spec->linux.namespaces.count = kept;
    if (place->kind != RUN_HOST)
        spec_add_namespace(
                build->arena, spec, "network", place->kind == RUN_PATH ? place->text : NULL);
}

int run_network_apply(struct run_build *build, struct error *err)
{
    const struct run_flags *flags = build->flags;
    struct net_request *request = &build->choices->net;
    int r = settle_network(build, err);

    if (r == 0)
        r = apply_to_joins(build, err);
    if (r == 0)
        r = read_ports(build, err);
    if (r == 0)
        r = read_names(build, err);
    if (r == 0)
        r = read_rate("network-rate-in", flags->rate_in, &request->rate_in, err);
    if (r == 0)
        r = read_rate("network-rate-out", flags->rate_out, &request->rate_out, err);
    if (r == 0)
        place_network(build);
    return r;
}
