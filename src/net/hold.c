#include "net/hold.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

#define CHOOSE_TRIES 64

union socket_address {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
};

static socklen_t fill(
        union socket_address *into, int family, const struct net_address *host, uint16_t port)
{
    *into = (union socket_address){0};
    into->any.sa_family = (sa_family_t)family;
    if (family == AF_INET) {
        into->four.sin_port = htons(port);
        if (host)
            memcpy(&into->four.sin_addr, host->bytes, 4);
        return sizeof(into->four);
    }
    into->six.sin6_port = htons(port);
    if (host)
        memcpy(&into->six.sin6_addr, host->bytes, 16);
    return sizeof(into->six);
}

/* A bound socket; its port when that was to be chosen. -ENOPROTOOPT: this kernel has no such
 * protocol, so that nobody can have the port. `again`: connections that an earlier one had are in
 * nobody's way (TIME_WAIT). */
static int bind_one(int family, const struct net_publish *publish, const struct net_address *host,
        bool again, uint16_t port, uint16_t *ret_port)
{
    int type = publish->protocol == NET_UDP ? SOCK_DGRAM : SOCK_STREAM;
    const int on = 1;
    union socket_address address;
    socklen_t size = fill(&address, family, host, port);
    _cleanup_close_ int fd =
            socket(family, type | SOCK_CLOEXEC, net_protocol_number(publish->protocol));

    if (fd < 0)
        return errno == EPROTONOSUPPORT || errno == EAFNOSUPPORT || errno == ESOCKTNOSUPPORT
                       ? -ENOPROTOOPT
                       : -errno;
    if (family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    if (again && type == SOCK_STREAM)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, &address.any, size) < 0)
        return -errno;
    if (getsockname(fd, &address.any, &size) < 0)
        return -errno;
    *ret_port = ntohs(family == AF_INET ? address.four.sin_port : address.six.sin6_port);
    return take_fd(&fd);
}

static void keep(struct net_hold *hold, struct arena *arena, int fd)
{
    if (fd < 0)
        return;
    hold->fds = arena_grow(arena, hold->fds, hold->count, &hold->capacity, sizeof(int));
    hold->fds[hold->count++] = fd;
}

static void keep_relayed(struct net_hold *hold, struct arena *arena,
        const struct net_publish *publish, uint16_t inside, int fd)
{
    if (fd < 0)
        return;
    struct net_relayed *slot = RECORD_APPEND(arena, &hold->relayed);
    *slot = (struct net_relayed){.fd = fd, .protocol = publish->protocol, .port = inside};
}

static const struct net_address loopback6 = {.family = AF_INET6, .bytes = {[15] = 1}};

bool net_hold_is_loopback6(const struct net_address *address)
{
    return net_address_equal(address, &loopback6);
}

/* No rule redirects what is sent to it, but viv-relay listens: it holds the port against those who
 * want all addresses, as :: would, which was free just before. */
static int take_loopback6(
        const struct net_publish *publish, uint16_t *port, int *all_fd, int *ret_fd)
{
    cleanup_close(all_fd);
    int fd = bind_one(AF_INET6, publish, &loopback6, true, *port, port);

    if (fd < 0)
        return fd;
    *ret_fd = fd;
    return 0;
}

/* One port in each place that it is for, the same number in all. */
static int take_port(struct net_hold *hold, struct arena *arena, const struct net_publish *publish,
        struct net_hold_where where, uint16_t inside, uint16_t *port)
{
    const struct net_address *host = publish->host.family ? &publish->host : NULL;
    bool chosen = *port == 0;
    int r = 0;

    for (unsigned i = 0; i < (chosen ? CHOOSE_TRIES : 1); i++) {
        uint16_t number = *port;
        _cleanup_close_ int relayed = -1;
        _cleanup_close_ int first =
                where.four ? bind_one(AF_INET, publish, host, false, number, &number) : -1;
        if (where.four && first < 0 && first != -ENOPROTOOPT)
            return first;
        _cleanup_close_ int second =
                where.six ? bind_one(AF_INET6, publish, host, where.relay, number, &number) : -1;
        r = where.six && second < 0 && second != -ENOPROTOOPT ? second : 0;
        if (r == 0 && where.relay)
            r = take_loopback6(publish, &number, &second, &relayed);
        if (r == -EADDRINUSE && chosen)
            continue;
        if (r < 0)
            return r;
        if (!number)
            return -EPROTONOSUPPORT; /* nothing to choose from */
        *port = number;
        keep(hold, arena, take_fd(&first));
        keep(hold, arena, take_fd(&second));
        keep_relayed(hold, arena, publish, inside, take_fd(&relayed));
        return 0;
    }
    return r;
}

/* The first of several that nobody has. */
static int take_first(struct net_hold *hold, struct arena *arena, const struct net_publish *publish,
        struct net_hold_where where, uint16_t inside, uint16_t *port)
{
    unsigned last = *port + (publish->choices ? publish->choices - 1U : 0);
    int r = take_port(hold, arena, publish, where, inside, port);

    while (r == -EADDRINUSE && *port < last) {
        ++*port;
        r = take_port(hold, arena, publish, where, inside, port);
    }
    return r;
}

static int cannot_take(struct arena *arena, const struct net_publish *publish, unsigned port,
        int code, struct error *err)
{
    const char *host = publish->host.family ? net_address_text(arena, &publish->host) : "";
    const char *hint =
            code == EADDRINUSE
                    ? "somebody has it: `viv ps` shows sandboxes, `ss -lntup` the host's "
                      "own servers"
            : code == EADDRNOTAVAIL ? "this host has no such address (ip address)"
            : code == EACCES        ? "ports below 1024 take root"
                                    : NULL;

    return error_sys_hint(err, code, hint, "publish port %s%s%u/%s", host, *host ? " " : "", port,
            net_protocol_name(publish->protocol));
}

static bool has_loopback6(void)
{
    const struct net_publish any = {.protocol = NET_UDP};
    uint16_t port;
    _cleanup_close_ int fd = bind_one(AF_INET6, &any, &loopback6, false, 0, &port);

    return fd >= 0;
}

/* A host address that is given is the only one. */
static struct net_hold_where places_of(
        const struct net_publish *publish, struct net_hold_where where)
{
    bool relayed = where.relay && publish->protocol != NET_SCTP;
    const struct net_address *host = &publish->host;

    if (!host->family)
        return (struct net_hold_where){where.four, where.six, relayed && has_loopback6()};
    if (relayed && net_hold_is_loopback6(host))
        return (struct net_hold_where){.relay = true};
    return (struct net_hold_where){host->family == AF_INET, host->family == AF_INET6, false};
}

int net_hold_take(struct net_hold *hold, struct arena *arena, const struct net_publish *publish,
        struct net_hold_where where, struct net_port **ports, size_t *count, struct error *err)
{
    const struct net_address *host = &publish->host;
    struct net_port *made = arena_new_array(arena, struct net_port, *count + publish->count);

    where = places_of(publish, where);
    if (*count + publish->count > NET_PORTS_MAX)
        return error_set(err, E2BIG, "more than %d published ports", NET_PORTS_MAX);
    if (*count)
        memcpy(made, *ports, *count * sizeof(*made));
    for (unsigned i = 0; i < publish->count; i++) {
        uint16_t port = (uint16_t)(publish->host_port ? publish->host_port + i : 0);
        uint16_t inside = (uint16_t)(publish->port + i);
        int r = take_first(hold, arena, publish, where, inside, &port);
        if (r < 0)
            return cannot_take(arena, publish, port, -r, err);
        made[*count + i] = (struct net_port){
                .host_ip = host->family ? net_address_text(arena, host) : "",
                .host_port = port,
                .container_port = inside,
                .protocol = net_protocol_name(publish->protocol),
        };
    }
    *ports = made;
    *count += publish->count;
    return 0;
}

void net_hold_release(struct net_hold *hold)
{
    for (size_t i = 0; i < hold->count; i++)
        cleanup_close(&hold->fds[i]);
    hold->count = 0;
    for (size_t i = 0; i < hold->relayed.count; i++)
        cleanup_close(&hold->relayed.items[i].fd);
    hold->relayed.count = 0;
}
