#include "net/found.h"

#include <net/if.h>
#include <net/if_arp.h>
#include <string.h>

#include "sys/netlink.h"

struct reading {
    struct arena *arena;
    const char *ours;
    struct found found;
};

static const char *text_of(const struct nlattr *attribute, size_t most)
{
    const char *text = attribute ? netlink_data(attribute) : NULL;

    return text && netlink_size(attribute) <= most && memchr(text, 0, netlink_size(attribute))
                   ? text
                   : NULL;
}

static bool read_u32(const struct nlattr *attribute, uint32_t *ret)
{
    if (!attribute || netlink_size(attribute) != sizeof(*ret))
        return false;
    memcpy(ret, netlink_data(attribute), sizeof(*ret));
    return true;
}

static bool read_address(int family, const struct nlattr *attribute, struct net_address *ret)
{
    struct net_address address = {.family = family};

    if (!attribute || netlink_size(attribute) != net_address_size(&address))
        return false;
    memcpy(address.bytes, netlink_data(attribute), netlink_size(attribute));
    *ret = address;
    return true;
}

static struct found_interface *interface_of(struct reading *reading, uint32_t index)
{
    for (size_t i = 0; i < reading->found.interfaces.count; i++)
        if (reading->found.interfaces.items[i].index == (int)index)
            return &reading->found.interfaces.items[i];
    return NULL;
}

/* ---- what the kernel tells ------------------------------------------------------------------- */

static int take_link(void *data, const struct nlmsghdr *message)
{
    struct reading *reading = data;
    const struct ifinfomsg *header = NLMSG_DATA(message);
    const char *name = text_of(netlink_find(message, sizeof(*header), IFLA_IFNAME), IFNAMSIZ);
    const struct nlattr *mac = netlink_find(message, sizeof(*header), IFLA_ADDRESS);
    struct found_interface found = {.index = header->ifi_index};

    if (message->nlmsg_type != RTM_NEWLINK || header->ifi_type != ARPHRD_ETHER ||
            !(header->ifi_flags & IFF_UP) || !name || str_starts(name, reading->ours) || !mac ||
            netlink_size(mac) != sizeof(found.mac))
        return 0;
    if (reading->found.interfaces.count == FOUND_MAX)
        return -E2BIG;
    found.inside.name = arena_strdup(reading->arena, name);
    memcpy(found.mac, netlink_data(mac), sizeof(found.mac));
    read_u32(netlink_find(message, sizeof(*header), IFLA_MTU), &found.mtu);
    struct found_interface *slot = RECORD_APPEND(reading->arena, &reading->found.interfaces);
    *slot = found;
    return 0;
}

static int take_address(void *data, const struct nlmsghdr *message)
{
    struct reading *reading = data;
    const struct ifaddrmsg *header = NLMSG_DATA(message);
    struct found_interface *interface = interface_of(reading, header->ifa_index);
    const struct nlattr *local = netlink_find(message, sizeof(*header), IFA_LOCAL);
    struct link_address address = {.prefix = header->ifa_prefixlen};

    if (!local)
        local = netlink_find(message, sizeof(*header), IFA_ADDRESS);
    if (message->nlmsg_type != RTM_NEWADDR || !interface || header->ifa_scope >= RT_SCOPE_LINK ||
            !read_address(header->ifa_family, local, &address.address))
        return 0;
    if (interface->inside.addresses.count == FOUND_PARTS_MAX)
        return -E2BIG;
    struct link_address *slot = RECORD_APPEND(reading->arena, &interface->inside.addresses);
    *slot = address;
    return 0;
}

static bool is_ours_to_tell(const struct nlmsghdr *message, const struct rtmsg *header)
{
    uint32_t table = header->rtm_table;

    read_u32(netlink_find(message, sizeof(*header), RTA_TABLE), &table);
    return message->nlmsg_type == RTM_NEWROUTE && table == RT_TABLE_MAIN &&
           header->rtm_type == RTN_UNICAST && !(header->rtm_flags & RTM_F_CLONED) &&
           header->rtm_protocol != RTPROT_KERNEL && header->rtm_protocol != RTPROT_RA &&
           (header->rtm_family == AF_INET || header->rtm_family == AF_INET6);
}

static int take_route(void *data, const struct nlmsghdr *message)
{
    struct reading *reading = data;
    const struct rtmsg *header = NLMSG_DATA(message);
    const size_t size = sizeof(*header);
    const struct nlattr *gateway = netlink_find(message, size, RTA_GATEWAY);
    struct link_route route = {
            .to = {.base.family = header->rtm_family, .prefix = header->rtm_dst_len},
            .onlink = header->rtm_flags & RTNH_F_ONLINK};
    struct found_interface *interface;
    uint32_t index;

    if (!is_ours_to_tell(message, header))
        return 0;
    if (netlink_find(message, size, RTA_MULTIPATH) || netlink_find(message, size, RTA_VIA) ||
            netlink_find(message, size, RTA_NH_ID) ||
            !read_u32(netlink_find(message, size, RTA_OIF), &index)) {
        reading->found.more_routes = true;
        return 0;
    }
    interface = interface_of(reading, index);
    if (!interface ||
            (route.to.prefix && !read_address(header->rtm_family,
                                        netlink_find(message, size, RTA_DST), &route.to.base)) ||
            (gateway && !read_address(header->rtm_family, gateway, &route.gateway)))
        return 0;
    read_address(header->rtm_family, netlink_find(message, size, RTA_PREFSRC), &route.source);
    read_u32(netlink_find(message, size, RTA_PRIORITY), &route.metric);
    if (interface->inside.routes.count == FOUND_PARTS_MAX)
        return -E2BIG;
    struct link_route *slot = RECORD_APPEND(reading->arena, &interface->inside.routes);
    *slot = route;
    return 0;
}

/* A gateway is reached by a route that is there before it. */
static void order_routes(struct arena *arena, struct found_interface *interface)
{
    size_t count = interface->inside.routes.count, at = 0;
    struct link_route *ordered = arena_new_array(arena, struct link_route, count + 1);

    for (int far = 0; far < 2; far++)
        for (size_t i = 0; i < count; i++)
            if ((interface->inside.routes.items[i].gateway.family != 0) == far)
                ordered[at++] = interface->inside.routes.items[i];
    interface->inside.routes.items = ordered;
}

static int dump(int sock, uint16_t type, const void *header, size_t size, netlink_each_fn fn,
        struct reading *reading)
{
    struct netlink_request request;

    netlink_begin(&request, type, NLM_F_DUMP, header, size);
    return netlink_ask(sock, &request, fn, reading);
}

int found_read(
        int sock, const char *ours, struct arena *arena, struct found *ret, struct error *err)
{
    const struct ifinfomsg links = {.ifi_family = AF_UNSPEC};
    const struct ifaddrmsg addresses = {.ifa_family = AF_UNSPEC};
    const struct rtmsg routes = {.rtm_family = AF_UNSPEC};
    struct reading reading = {.arena = arena, .ours = ours};
    int r = dump(sock, RTM_GETLINK, &links, sizeof(links), take_link, &reading);

    if (r == 0)
        r = dump(sock, RTM_GETADDR, &addresses, sizeof(addresses), take_address, &reading);
    if (r == 0)
        r = dump(sock, RTM_GETROUTE, &routes, sizeof(routes), take_route, &reading);
    if (r == -E2BIG)
        return error_set(err, E2BIG,
                "a machine takes at most %d interfaces, with %d addresses and routes each, of a "
                "network namespace",
                FOUND_MAX, FOUND_PARTS_MAX);
    if (r < 0)
        return error_sys(err, -r, "read the interfaces of the network namespace");
    for (size_t i = 0; i < reading.found.interfaces.count; i++)
        order_routes(arena, &reading.found.interfaces.items[i]);
    *ret = reading.found;
    return 0;
}
