#include "net/routes.h"

#include <net/if.h>
#include <string.h>

#include "base/cleanup.h"
#include "sys/netlink.h"

struct reading {
    struct arena *arena;
    struct net_routes routes;
    size_t capacity;
};

static int read_route(void *data, const struct nlmsghdr *message)
{
    struct reading *reading = data;
    const struct rtmsg *header = NLMSG_DATA(message);
    const struct nlattr *to = netlink_find(message, sizeof(*header), RTA_DST);
    const struct nlattr *device = netlink_find(message, sizeof(*header), RTA_OIF);
    struct net_route route = {
            .to = {.base = {.family = header->rtm_family}, .prefix = header->rtm_dst_len}};
    char name[IF_NAMESIZE] = "?";
    uint32_t index;

    if ((header->rtm_family != AF_INET && header->rtm_family != AF_INET6) ||
            header->rtm_type != RTN_UNICAST || reading->routes.count == NET_ROUTES_MAX)
        return 0;
    size_t size = net_address_size(&route.to.base);
    if (route.to.prefix && (!to || netlink_size(to) != size || route.to.prefix > size * 8))
        return 0;
    if (to && netlink_size(to) == size)
        memcpy(route.to.base.bytes, netlink_data(to), size);
    if (device && netlink_size(device) == sizeof(index)) {
        memcpy(&index, netlink_data(device), sizeof(index));
        if_indextoname(index, name);
    }
    if (strcmp(name, "lo") == 0 ||
            (header->rtm_family == AF_INET6 && route.to.base.bytes[0] >= 0xfe)) /* link, groups */
        return 0;
    route.device = arena_strdup(reading->arena, name);
    reading->routes.items = arena_grow(reading->arena, reading->routes.items, reading->routes.count,
            &reading->capacity, sizeof(route));
    reading->routes.items[reading->routes.count++] = route;
    return 0;
}

int net_routes_read(struct arena *arena, struct net_routes *ret, struct error *err)
{
    static const unsigned char families[] = {AF_INET, AF_INET6};
    struct reading reading = {.arena = arena};
    _cleanup_close_ int sock = netlink_open();

    if (sock < 0)
        return error_sys(err, -sock, "open a netlink socket");
    for (size_t i = 0; i < sizeof(families); i++) {
        const struct rtmsg header = {.rtm_family = families[i]};
        struct netlink_request request;
        netlink_begin(&request, RTM_GETROUTE, NLM_F_DUMP, &header, sizeof(header));
        int r = netlink_ask(sock, &request, read_route, &reading);
        if (r < 0 && r != -EAFNOSUPPORT && r != -EOPNOTSUPP)
            return error_sys(err, -r, "read this host's routes");
    }
    *ret = reading.routes;
    return 0;
}
