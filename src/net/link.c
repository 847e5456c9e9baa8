#include "net/link.h"

#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/veth.h>
#include <string.h>

#include "net/address.h"
#include "sys/netlink.h"

#define NEW (NLM_F_CREATE | NLM_F_EXCL)

struct found {
    int index;
    bool up;
};

static int read_found(void *data, const struct nlmsghdr *message)
{
    const struct ifinfomsg *info = NLMSG_DATA(message);
    struct found *found = data;

    found->index = info->ifi_index;
    found->up = info->ifi_flags & IFF_UP;
    return 0;
}

int link_find(int sock, const char *name, bool *ret_up)
{
    const struct ifinfomsg header = {.ifi_family = AF_UNSPEC};
    struct netlink_request request;
    struct found found = {0};

    netlink_begin(&request, RTM_GETLINK, 0, &header, sizeof(header));
    netlink_add_str(&request, IFLA_IFNAME, name);
    int r = netlink_ask(sock, &request, read_found, &found);
    if (r < 0)
        return r;
    if (ret_up)
        *ret_up = found.up;
    return found.index;
}

/* The kind of an interface that is made: what stands inside its own data is added by the caller. */
static struct nlattr *begin_kind(struct netlink_request *request, const char *kind)
{
    struct nlattr *info = netlink_nest(request, IFLA_LINKINFO);

    netlink_add_str(request, IFLA_INFO_KIND, kind);
    return info;
}

static int set_up(int sock, int index)
{
    const struct ifinfomsg header = {
            .ifi_family = AF_UNSPEC, .ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    struct netlink_request request;

    netlink_begin(&request, RTM_NEWLINK, 0, &header, sizeof(header));
    return netlink_send(sock, &request);
}

static int give_address(int sock, int index, const struct link_address *from)
{
    const struct ifaddrmsg header = {
            .ifa_family = (unsigned char)from->address.family,
            .ifa_prefixlen = (unsigned char)from->prefix,
            .ifa_index = (unsigned)index,
            .ifa_flags = from->address.family == AF_INET6 ? IFA_F_NODAD : 0,
    };
    struct netlink_request request;
    size_t size = net_address_size(&from->address);

    netlink_begin(&request, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &header, sizeof(header));
    netlink_add(&request, IFA_LOCAL, from->address.bytes, size);
    netlink_add(&request, IFA_ADDRESS, from->address.bytes, size);
    if (from->address.family == AF_INET && from->prefix < 31) {
        unsigned char broadcast[4];
        memcpy(broadcast, from->address.bytes, sizeof(broadcast));
        for (unsigned i = from->prefix; i < 32; i++)
            broadcast[i / 8] = (unsigned char)(broadcast[i / 8] | 0x80 >> i % 8);
        netlink_add(&request, IFA_BROADCAST, broadcast, sizeof(broadcast));
    }
    return netlink_send(sock, &request);
}

static int give_addresses(int sock, int index, const struct link_address *addresses, size_t count)
{
    int r = 0;

    for (size_t i = 0; i < count && r == 0; i++)
        if (addresses[i].address.family)
            r = give_address(sock, index, &addresses[i]);
    return r;
}

/* ---- on the host ----------------------------------------------------------------------------- */

/* With a hardware address of its own: otherwise it would change with the ports that come and go. */
static int new_bridge(int sock, const struct link_bridge *bridge)
{
    const struct ifinfomsg header = {.ifi_family = AF_UNSPEC};
    struct netlink_request request;
    unsigned char mac[NET_MAC_SIZE];

    netlink_begin(&request, RTM_NEWLINK, NEW, &header, sizeof(header));
    netlink_add_str(&request, IFLA_IFNAME, bridge->name);
    if (bridge->mtu)
        netlink_add_u32(&request, IFLA_MTU, bridge->mtu);
    if (bridge->addresses[0].address.family) {
        net_mac_of(&bridge->addresses[0].address, mac);
        netlink_add(&request, IFLA_ADDRESS, mac, sizeof(mac));
    }
    struct nlattr *info = begin_kind(&request, "bridge");
    netlink_nest_end(&request, info);
    return netlink_send(sock, &request);
}

int link_make_bridge(int sock, const struct link_bridge *bridge, struct error *err)
{
    int r = new_bridge(sock, bridge);

    if (r < 0 && r != -EEXIST)
        return error_sys_hint(err, -r,
                r == -EPERM        ? "it takes CAP_NET_ADMIN: run as root, or without a network"
                : r == -EOPNOTSUPP ? "this kernel has no bridges (module bridge)"
                                   : NULL,
                "make the bridge %s", bridge->name);
    int index = link_find(sock, bridge->name, NULL);
    if (index < 0)
        return error_sys(err, -index, "look at the bridge %s", bridge->name);
    r = give_addresses(sock, index, bridge->addresses, LINK_ADDRESSES_MAX);
    if (r < 0)
        return error_sys(err, -r, "give the bridge %s its addresses", bridge->name);
    r = set_up(sock, index);
    return r < 0 ? error_sys(err, -r, "bring the bridge %s up", bridge->name) : 0;
}

int link_make_veth(int sock, const struct link_veth *veth, int pid, struct error *err)
{
    const struct ifinfomsg header = {
            .ifi_family = AF_UNSPEC, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    const struct ifinfomsg peer_header = {.ifi_family = AF_UNSPEC};
    struct netlink_request request;
    int bridge = link_find(sock, veth->bridge, NULL);

    if (bridge < 0)
        return error_sys(err, -bridge, "look at the bridge %s", veth->bridge);
    netlink_begin(&request, RTM_NEWLINK, NEW, &header, sizeof(header));
    netlink_add_str(&request, IFLA_IFNAME, veth->device);
    netlink_add_u32(&request, IFLA_MASTER, (uint32_t)bridge);
    if (veth->mtu)
        netlink_add_u32(&request, IFLA_MTU, veth->mtu);
    struct nlattr *info = begin_kind(&request, "veth");
    struct nlattr *data = netlink_nest(&request, IFLA_INFO_DATA);
    struct nlattr *peer = netlink_nest(&request, VETH_INFO_PEER);
    netlink_add_raw(&request, &peer_header, sizeof(peer_header));
    netlink_add_str(&request, IFLA_IFNAME, veth->inside);
    netlink_add(&request, IFLA_ADDRESS, veth->mac, sizeof(veth->mac));
    netlink_add_u32(&request, IFLA_NET_NS_PID, (uint32_t)pid);
    if (veth->mtu)
        netlink_add_u32(&request, IFLA_MTU, veth->mtu);
    netlink_nest_end(&request, peer);
    netlink_nest_end(&request, data);
    netlink_nest_end(&request, info);
    int r = netlink_send(sock, &request);
    return r < 0 ? error_sys(err, -r,
                           "make the pair of interfaces %s, on %s, and %s, in the sandbox",
                           veth->device, veth->bridge, veth->inside)
                 : 0;
}

int link_join_bridge(
        int sock, const char *device, const char *bridge, uint32_t mtu, struct error *err)
{
    int index = link_find(sock, device, NULL);
    int master = link_find(sock, bridge, NULL);
    struct netlink_request request;

    if (index < 0 || master < 0)
        return error_sys(err, index < 0 ? -index : -master, "look at the interface %s",
                index < 0 ? device : bridge);
    const struct ifinfomsg header = {
            .ifi_family = AF_UNSPEC, .ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    netlink_begin(&request, RTM_NEWLINK, 0, &header, sizeof(header));
    netlink_add_u32(&request, IFLA_MASTER, (uint32_t)master);
    if (mtu)
        netlink_add_u32(&request, IFLA_MTU, mtu);
    int r = netlink_send(sock, &request);
    return r < 0 ? error_sys(err, -r, "put the interface %s on the bridge %s", device, bridge) : 0;
}

int link_set_hairpin(int sock, const char *device, struct error *err)
{
    int index = link_find(sock, device, NULL);
    const struct ifinfomsg header = {.ifi_family = AF_BRIDGE, .ifi_index = index};
    struct netlink_request request;
    const uint8_t on = 1;

    if (index < 0)
        return error_sys(err, -index, "look at the interface %s", device);
    netlink_begin(&request, RTM_SETLINK, 0, &header, sizeof(header));
    struct nlattr *port = netlink_nest(&request, IFLA_PROTINFO);
    netlink_add(&request, IFLA_BRPORT_MODE, &on, sizeof(on));
    netlink_nest_end(&request, port);
    int r = netlink_send(sock, &request);
    return r < 0 ? error_sys(err, -r, "let frames turn round at %s", device) : 0;
}

int link_move(int sock, const char *name, int namespace_fd, struct error *err)
{
    int index = link_find(sock, name, NULL);
    const struct ifinfomsg header = {.ifi_family = AF_UNSPEC, .ifi_index = index};
    struct netlink_request request;

    if (index < 0)
        return error_sys(err, -index, "look at the interface %s", name);
    netlink_begin(&request, RTM_NEWLINK, 0, &header, sizeof(header));
    netlink_add_u32(&request, IFLA_NET_NS_FD, (uint32_t)namespace_fd);
    int r = netlink_send(sock, &request);
    return r < 0 ? error_sys(err, -r, "move the interface %s to another network namespace", name)
                 : 0;
}

int link_make_ifb(int sock, const char *name, struct error *err)
{
    const struct ifinfomsg header = {
            .ifi_family = AF_UNSPEC, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    struct netlink_request request;

    netlink_begin(&request, RTM_NEWLINK, NEW, &header, sizeof(header));
    netlink_add_str(&request, IFLA_IFNAME, name);
    struct nlattr *info = begin_kind(&request, "ifb");
    netlink_nest_end(&request, info);
    int r = netlink_send(sock, &request);
    return r < 0 && r != -EEXIST
                   ? error_sys_hint(err, -r,
                             r == -EOPNOTSUPP ? "this kernel lacks the module ifb" : NULL,
                             "make the interface %s, which limits what a sandbox sends", name)
                   : 0;
}

int link_remove(int sock, const char *name, struct error *err)
{
    const struct ifinfomsg header = {.ifi_family = AF_UNSPEC};
    struct netlink_request request;

    netlink_begin(&request, RTM_DELLINK, 0, &header, sizeof(header));
    netlink_add_str(&request, IFLA_IFNAME, name);
    int r = netlink_send(sock, &request);
    return r < 0 && r != -ENODEV ? error_sys(err, -r, "take away the interface %s", name) : 0;
}

/* ---- inside ---------------------------------------------------------------------------------- */

static int add_route(int sock, int index, const struct link_route *route)
{
    const struct net_address *to = &route->to.base;
    bool far = route->gateway.family || to->family == AF_INET6;
    const struct rtmsg header = {
            .rtm_family = (unsigned char)to->family,
            .rtm_dst_len = (unsigned char)route->to.prefix,
            .rtm_table = RT_TABLE_MAIN,
            .rtm_protocol = RTPROT_STATIC,
            .rtm_scope = far ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK,
            .rtm_type = RTN_UNICAST,
            .rtm_flags = route->onlink ? RTNH_F_ONLINK : 0,
    };
    struct netlink_request request;

    netlink_begin(&request, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &header, sizeof(header));
    if (route->to.prefix)
        netlink_add(&request, RTA_DST, to->bytes, net_address_size(to));
    if (route->gateway.family)
        netlink_add(&request, RTA_GATEWAY, route->gateway.bytes, net_address_size(&route->gateway));
    if (route->source.family)
        netlink_add(&request, RTA_PREFSRC, route->source.bytes, net_address_size(&route->source));
    if (route->metric)
        netlink_add_u32(&request, RTA_PRIORITY, route->metric);
    netlink_add_u32(&request, RTA_OIF, (uint32_t)index);
    return netlink_send(sock, &request);
}

static int add_routes(int sock, int index, const struct link_inside *inside, struct error *err)
{
    int r = 0;

    for (size_t i = 0; i < inside->routes.count && r == 0; i++)
        r = add_route(sock, index, &inside->routes.items[i]);
    return r < 0 ? error_sys(err, -r, "set the sandbox's routes by %s", inside->name) : 0;
}

int link_configure(int sock, const struct link_inside *inside, struct error *err)
{
    int index = link_find(sock, inside->name, NULL);

    if (index < 0)
        return error_sys(err, -index, "look at the sandbox's interface %s", inside->name);
    int r = give_addresses(sock, index, inside->addresses.items, inside->addresses.count);
    if (r < 0)
        return error_sys_hint(err, -r,
                r == -EOPNOTSUPP || r == -EACCES ? "this kernel, or this sandbox's sysctls, have "
                                                   "IPv6 switched off"
                                                 : NULL,
                "give the sandbox's interface %s its addresses", inside->name);
    r = set_up(sock, index);
    if (r < 0)
        return error_sys(err, -r, "bring the sandbox's interface %s up", inside->name);
    return add_routes(sock, index, inside, err);
}
