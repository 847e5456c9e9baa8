#include "guest/net.h"

#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "net/link.h"
#include "sys/netlink.h"

#define DEVICES "/sys/class/net"

static int find_by_mac(const char *mac, char name[IFNAMSIZ])
{
    _cleanup_closedir_ DIR *dir = opendir(DEVICES);
    struct dirent *entry;
    char path[300], text[32];

    while (dir && (entry = readdir(dir))) {
        snprintf(path, sizeof(path), DEVICES "/%s/address", entry->d_name);
        if (entry->d_name[0] == '.' || strlen(entry->d_name) >= IFNAMSIZ ||
                io_read_small_at(AT_FDCWD, path, text, sizeof(text)) < 0 || !str_equal(text, mac))
            continue;
        snprintf(name, IFNAMSIZ, "%s", entry->d_name);
        return 0;
    }
    return -ENODEV;
}

static int set_mac(int sock, const char *name, const char *mac)
{
    struct ifreq request = {.ifr_hwaddr.sa_family = ARPHRD_ETHER};
    unsigned bytes[6];

    if (sscanf(mac, "%2x:%2x:%2x:%2x:%2x:%2x", &bytes[0], &bytes[1], &bytes[2], &bytes[3],
                &bytes[4], &bytes[5]) != 6)
        return -EINVAL;
    for (size_t i = 0; i < ARRAY_SIZE(bytes); i++)
        request.ifr_hwaddr.sa_data[i] = (char)bytes[i];
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    return ioctl(sock, SIOCSIFHWADDR, &request) < 0 ? -errno : 0;
}

static int rename_interface(const char *from, const char *to)
{
    _cleanup_close_ int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {0};

    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", from);
    snprintf(request.ifr_newname, sizeof(request.ifr_newname), "%s", to);
    return sock < 0 || ioctl(sock, SIOCSIFNAME, &request) < 0 ? -errno : 0;
}

/* Its address, its name and the size of its packets, while it is down. A machine that goes on
 * from a template has the device of that one's boot, and an address of its own. */
static int prepare(const char *found, const struct agent_interface *interface, struct error *err)
{
    _cleanup_close_ int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int r = str_equal(found, interface->name) ? 0 : rename_interface(found, interface->name);

    if (sock < 0)
        return error_sys(err, errno, "make a socket");
    if (r < 0)
        return error_sys(err, -r, "name the interface %s %s", found, interface->name);
    r = set_mac(sock, interface->name, interface->mac);
    if (r < 0)
        return error_sys(err, -r, "give %s the address %s", interface->name, interface->mac);
    if (!interface->mtu)
        return 0;
    struct ifreq request = {.ifr_mtu = (int)interface->mtu};
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface->name);
    if (ioctl(sock, SIOCSIFMTU, &request) < 0)
        return error_sys(err, errno, "set the MTU of %s", interface->name);
    return 0;
}

static int read_address(const char *text, struct link_address *ret)
{
    char address[64];
    const char *slash = strchr(text, '/');
    uint32_t prefix;

    if (!slash || (size_t)(slash - text) >= sizeof(address) || str_to_u32(slash + 1, &prefix) < 0)
        return -EINVAL;
    snprintf(address, sizeof(address), "%.*s", (int)(slash - text), text);
    ret->prefix = prefix;
    return net_address_parse(address, false, &ret->address);
}

static int read_addresses(struct arena *arena, const struct agent_interface *interface,
        struct link_inside *ret, struct error *err)
{
    const char *text;

    strv_foreach (text, &interface->addresses) {
        struct link_address *slot = RECORD_APPEND(arena, &ret->addresses);
        if (read_address(text, slot) < 0)
            return error_set(err, EINVAL, "%s is no address", text);
    }
    return 0;
}

static int read_route(const struct agent_route *from, struct link_route *to, struct error *err)
{
    *to = (struct link_route){.metric = from->metric, .onlink = from->onlink};
    int r = net_subnet_parse(from->to, &to->to, err);

    if (r == 0 && from->gateway)
        r = net_address_parse(from->gateway, false, &to->gateway);
    if (r == 0 && from->source)
        r = net_address_parse(from->source, false, &to->source);
    return r < 0 ? error_set(err, EINVAL, "the route to %s is none", from->to) : 0;
}

static int read_inside(struct arena *arena, const struct agent_interface *interface,
        struct link_inside *ret, struct error *err)
{
    *ret = (struct link_inside){.name = interface->name};
    for (size_t i = 0; i < interface->routes.count; i++) {
        struct link_route *slot = RECORD_APPEND(arena, &ret->routes);
        if (read_route(&interface->routes.items[i], slot, err) < 0)
            return -EINVAL;
    }
    return read_addresses(arena, interface, ret, err);
}

static int configure(const struct link_inside *inside, struct error *err)
{
    _cleanup_close_ int sock = netlink_open();

    if (sock < 0)
        return error_sys(err, -sock, "open a netlink socket");
    return link_configure(sock, inside, err);
}

static int set_up(const struct agent_interface *interface, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    struct link_inside inside;
    char found[IFNAMSIZ];
    int r = find_by_mac(interface->device, found);

    if (r < 0)
        return error_sys(err, -r, "find the network device %s", interface->device);
    if (str_empty(interface->name) || strlen(interface->name) >= IFNAMSIZ)
        return error_set(err, EINVAL, "an interface's name has 1 to %d bytes", IFNAMSIZ - 1);
    r = read_inside(&arena, interface, &inside, err);
    if (r == 0)
        r = prepare(found, interface, err);
    return r < 0 ? r : configure(&inside, err);
}

/* Out of the way: one may be called as another one is to be. */
static int park(const struct agent_interface *interface, size_t number, struct error *err)
{
    char found[IFNAMSIZ], name[IFNAMSIZ];
    int r = find_by_mac(interface->device, found);

    snprintf(name, sizeof(name), "viv%u", (unsigned)number & 0xffff);
    if (r == 0 && !str_equal(found, interface->name))
        r = rename_interface(found, name);
    return r < 0 ? error_sys(err, -r, "find the network device %s", interface->device) : 0;
}

int guest_set_up_interfaces(
        const struct agent_interface *interfaces, size_t count, struct error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < count; i++)
        r = park(&interfaces[i], i, err);
    for (size_t i = 0; r == 0 && i < count; i++)
        r = set_up(&interfaces[i], err);
    return r;
}

int guest_set_up_loopback(struct error *err)
{
    const struct link_inside inside = {.name = "lo"};

    return configure(&inside, err);
}
