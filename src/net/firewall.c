#include "net/firewall.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "net/hold.h"
#include "sys/netlink.h"
#include "sys/program.h"

#define TABLE "inet vivarium"

/*
 * Why so:
 * - guard: route_localnet lets this host's own clients reach published ports on 127.0.0.1; nothing
 *   that a sandbox sends may use it.
 * - arrivals: what comes from outside for 127.0.0.1 is never redirected.
 * - own: there is no route_localnet for ::1, so a client of it would wait for nothing; viv-relay
 *   listens there.
 * - forward: a sandbox is reached by its published ports, by its own network, and by answers.
 * - postrouting: a sandbox that asks for a published port of its own network has to get the answer
 *   from the address that it asked; and 127.0.0.1 means nothing inside.
 */
static const char base[] =
        "add table " TABLE "\n"
        "add set " TABLE " bridges { type ifname; }\n"
        "add set " TABLE " same { type ifname . ifname; }\n"
        "add set " TABLE " open { type ifname; }\n"
        "add set " TABLE " internal { type ifname; }\n"
        "add set " TABLE " nat4 { type ipv4_addr; flags interval; }\n"
        "add set " TABLE " nat6 { type ipv6_addr; flags interval; }\n"
        "add map " TABLE " ports4 { type inet_proto . inet_service : ipv4_addr . inet_service; }\n"
        "add map " TABLE " ports4_at { type ipv4_addr . inet_proto . inet_service : ipv4_addr . "
        "inet_service; }\n"
        "add map " TABLE " ports6 { type inet_proto . inet_service : ipv6_addr . inet_service; }\n"
        "add map " TABLE " ports6_at { type ipv6_addr . inet_proto . inet_service : ipv6_addr . "
        "inet_service; }\n"
        "add chain " TABLE " administrator\n"
        "add chain " TABLE " ports\n"
        "add chain " TABLE " guard { type filter hook prerouting priority raw; policy accept; }\n"
        "add chain " TABLE
        " arrivals { type nat hook prerouting priority dstnat; policy accept; }\n"
        "add chain " TABLE " own { type nat hook output priority -100; policy accept; }\n"
        "add chain " TABLE " forward { type filter hook forward priority filter; policy accept; }\n"
        "add chain " TABLE
        " departures { type nat hook postrouting priority srcnat; policy accept; "
        "}\n"
        "flush chain " TABLE " ports\n"
        "flush chain " TABLE " guard\n"
        "flush chain " TABLE " arrivals\n"
        "flush chain " TABLE " own\n"
        "flush chain " TABLE " forward\n"
        "flush chain " TABLE " departures\n"
        "add rule " TABLE " ports dnat ip to ip daddr . meta l4proto . th dport map @ports4_at\n"
        "add rule " TABLE " ports dnat ip to meta l4proto . th dport map @ports4\n"
        "add rule " TABLE " ports dnat ip6 to ip6 daddr . meta l4proto . th dport map @ports6_at\n"
        "add rule " TABLE " ports dnat ip6 to meta l4proto . th dport map @ports6\n"
        "add rule " TABLE " guard iifname @bridges ip daddr 127.0.0.0/8 drop\n"
        "add rule " TABLE " arrivals ip daddr 127.0.0.0/8 return\n"
        "add rule " TABLE " arrivals fib daddr type local jump ports\n"
        "add rule " TABLE " own ip6 daddr ::1 return\n"
        "add rule " TABLE " own fib daddr type local jump ports\n"
        "add rule " TABLE " forward iifname != @bridges oifname != @bridges accept\n"
        "add rule " TABLE " forward jump administrator\n"
        "add rule " TABLE " forward iifname . oifname @same accept\n"
        "add rule " TABLE " forward iifname @internal reject with icmpx admin-prohibited\n"
        "add rule " TABLE " forward oifname @internal drop\n"
        "add rule " TABLE " forward ct state established,related accept\n"
        "add rule " TABLE " forward ct status dnat accept\n"
        "add rule " TABLE " forward iifname @open oifname @open accept\n"
        "add rule " TABLE " forward iifname @bridges oifname @bridges reject with icmpx "
        "admin-prohibited\n"
        "add rule " TABLE " forward oifname @bridges drop\n"
        "add rule " TABLE " departures ct status dnat oifname @bridges ip saddr @nat4 masquerade\n"
        "add rule " TABLE " departures ct status dnat oifname @bridges ip6 saddr @nat6 masquerade\n"
        "add rule " TABLE " departures oifname @bridges ip saddr 127.0.0.0/8 masquerade\n"
        "add rule " TABLE " departures oifname != @bridges ip saddr @nat4 masquerade\n"
        "add rule " TABLE " departures oifname != @bridges ip6 saddr @nat6 masquerade\n";

void firewall_base(struct buf *text)
{
    buf_add_str(text, base);
}

/* ---- elements -------------------------------------------------------------------------------- */

/* Taking away is adding first: then it is no error that it was not there. */
static void element(struct buf *text, bool add, const char *set, const char *what)
{
    buf_printf(text, "add element " TABLE " %s { %s }\n", set, what);
    if (!add)
        buf_printf(text, "delete element " TABLE " %s { %s }\n", set, what);
}

void firewall_network(const struct network *network, bool add, struct buf *text)
{
    _cleanup_arena_ struct arena arena = {0};
    const char *bridge = arena_printf(&arena, "\"%s\"", network->network_interface);

    element(text, add, "bridges", bridge);
    element(text, add, "same", arena_printf(&arena, "%s . %s", bridge, bridge));
    if (network->internal)
        element(text, add, "internal", bridge);
    if (!network->options.isolate)
        element(text, add, "open", bridge);
    for (size_t i = 0; i < network->subnets.count && !network->internal; i++)
        element(text, add, network->ranges[i].base.family == AF_INET ? "nat4" : "nat6",
                network->subnets.items[i].subnet);
}

/* One port in the map of its family; a host address of the other family leaves it out. */
static void port_element(struct buf *text, struct arena *arena, const struct net_port *port,
        int family, const char *inside, bool add)
{
    struct net_address host = {0};
    bool anywhere = str_empty(port->host_ip);
    const char *six = family == AF_INET6 ? "6" : "4";

    if (!anywhere && (net_address_parse(port->host_ip, false, &host) < 0 || host.family != family ||
                             net_hold_is_loopback6(&host)))
        return;
    static const unsigned char zeros[16];
    anywhere = anywhere || memcmp(host.bytes, zeros, sizeof(zeros)) == 0;
    const char *key = arena_printf(arena, "%s%s%s . %u", anywhere ? "" : port->host_ip,
            anywhere ? "" : " . ", port->protocol, port->host_port);
    element(text, add, arena_printf(arena, "ports%s%s", six, anywhere ? "" : "_at"),
            arena_printf(arena, "%s : %s . %u", key, inside, port->container_port));
}

void firewall_ports(const struct net_lease *lease, bool add, struct buf *text)
{
    _cleanup_arena_ struct arena arena = {0};

    for (size_t i = 0; i < lease->ports.count; i++) {
        const struct net_port *port = &lease->ports.items[i];
        if (!str_empty(lease->ipv4))
            port_element(text, &arena, port, AF_INET, lease->ipv4, add);
        if (!str_empty(lease->ipv6))
            port_element(text, &arena, port, AF_INET6, lease->ipv6, add);
    }
}

/* ---- loading --------------------------------------------------------------------------------- */

/* A file in memory with this text, to be read from its start. */
static int memory_file(const char *name, const char *text, struct error *err)
{
    _cleanup_close_ int fd = memfd_create(name, MFD_CLOEXEC);
    int r = fd < 0 ? -errno : io_write_all(fd, text, strlen(text));

    if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
        r = -errno;
    return r < 0 ? error_sys(err, -r, "make a file in memory") : take_fd(&fd);
}

static int explain_failure(const struct buf *said, struct error *err)
{
    const char *text = buf_text(said);
    size_t length = strcspn(text, "\n");

    if (strstr(text, "File exists"))
        return error_set(err, EEXIST,
                "nftables: a port is published already, to another place (`nft list table inet "
                "vivarium` shows all)");
    return error_set(err, EREMOTEIO, "nftables: %.*s", (int)(length > 300 ? 300 : length),
            length ? text : "viv-nft was killed");
}

int firewall_load(const char *helper, const char *text, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_buf_ struct buf said = {.max = 65536};
    _cleanup_close_ int input = memory_file("rules", text, err);
    struct strv words = {0};

    if (input < 0)
        return input;
    strv_add(&arena, &words, "viv-nft");
    struct program program = {.path = helper, .words = &words, .input = input};
    int r = program_run(&program, &said);
    if (r < 0)
        return error_sys(err, -r, "start %s, which loads the rules of networks", helper);
    return r ? explain_failure(&said, err) : 0;
}

int firewall_is_loaded(struct error *err)
{
    const struct nfgenmsg header = {.nfgen_family = NFPROTO_INET, .version = NFNETLINK_V0};
    struct netlink_request request;
    _cleanup_close_ int sock = netlink_open_kind(NETLINK_NETFILTER);

    if (sock < 0)
        return error_sys(err, -sock, "open a socket to the kernel's packet filter");
    netlink_begin(
            &request, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE, 0, &header, sizeof(header));
    netlink_add_str(&request, NFTA_TABLE_NAME, "vivarium");
    int r = netlink_ask(sock, &request, NULL, NULL);
    if (r == -ENOENT)
        return 0;
    return r < 0 ? error_sys_hint(err, -r,
                           r == -EINVAL || r == -EOPNOTSUPP ? "this kernel has no nf_tables" : NULL,
                           "look for the table " TABLE)
                 : 1;
}
