#include "guest/net.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "net/link.h"
#include "sys/netlink.h"
#include "sys/netns.h"
#include "sys/process.h"

#define DEVICES "/sys/class/net"

#define MAC_TEXT_SIZE 18
#define ADDRESS_MAX 32 /* the kernel's MAX_ADDR_LEN */

/* The address that a device was made with, whatever it was given since. */
static bool read_device(int sock, const char *name, char text[MAC_TEXT_SIZE])
{
    _Alignas(struct ethtool_perm_addr) unsigned char
            answer[sizeof(struct ethtool_perm_addr) + ADDRESS_MAX];
    struct ethtool_perm_addr *head = (struct ethtool_perm_addr *)answer;
    struct ifreq request = {.ifr_data = (char *)answer};
    const unsigned char *mac = answer + sizeof(*head);

    *head = (struct ethtool_perm_addr){.cmd = ETHTOOL_GPERMADDR, .size = ADDRESS_MAX};
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    if (ioctl(sock, SIOCETHTOOL, &request) < 0 || head->size != ETH_ALEN)
        return false;
    snprintf(text, MAC_TEXT_SIZE, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
            mac[4], mac[5]);
    return true;
}

/* The next interface whose device's address begins so; `dir` is DEVICES. */
static bool next_device(
        DIR *dir, int sock, const char *begins, char name[IFNAMSIZ], char device[MAC_TEXT_SIZE])
{
    struct dirent *entry;

    while ((entry = readdir(dir))) {
        if (entry->d_name[0] == '.' || strlen(entry->d_name) >= IFNAMSIZ ||
                !read_device(sock, entry->d_name, device) || !str_after(device, begins))
            continue;
        snprintf(name, IFNAMSIZ, "%s", entry->d_name);
        return true;
    }
    return false;
}

static int find_device(const char *device, char name[IFNAMSIZ])
{
    _cleanup_close_ int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    _cleanup_closedir_ DIR *dir = opendir(DEVICES);
    char found[MAC_TEXT_SIZE];

    return dir && sock >= 0 && !str_empty(device) && next_device(dir, sock, device, name, found)
                   ? 0
                   : -ENODEV;
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
    int r = find_device(interface->device, found);

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
    int r = find_device(interface->device, found);

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

/* ---- spare devices --------------------------------------------------------------------------- */

#define OWN_NAMESPACE "/proc/self/ns/net"

/* What it is called while it waits: there it is found by its name. */
static void parked_name(const char *device, char name[IFNAMSIZ])
{
    size_t length = strlen(device);

    snprintf(name, IFNAMSIZ, "viv%.2s%.2s", length > 4 ? device + length - 5 : "",
            length > 1 ? device + length - 2 : "");
}

static int take_down(int sock, const char *name)
{
    struct ifreq request = {0};

    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    if (ioctl(sock, SIOCGIFFLAGS, &request) < 0)
        return -errno;
    request.ifr_flags = (short)(request.ifr_flags & ~IFF_UP);
    return ioctl(sock, SIOCSIFFLAGS, &request) < 0 ? -errno : 0;
}

static int make_parking(int *parked, struct error *err)
{
    _cleanup_close_ int own = -1;

    if (*parked >= 0)
        return 0;
    own = open(OWN_NAMESPACE, O_RDONLY | O_CLOEXEC);
    int r = own < 0 ? -errno : sys_unshare(CLONE_NEWNET);
    if (r < 0)
        return error_sys(err, -r, "make a network namespace for spare devices");
    *parked = open(OWN_NAMESPACE, O_RDONLY | O_CLOEXEC);
    r = sys_setns(own, CLONE_NEWNET);
    return r < 0 ? error_sys(err, -r, "come back from the spare devices") : 0;
}

static int park_away(int *parked, const char *found, const char *device, struct error *err)
{
    _cleanup_close_ int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    _cleanup_close_ int netlink = netlink_open();
    char name[IFNAMSIZ];
    int r = make_parking(parked, err);

    if (r < 0)
        return r;
    if (sock < 0 || netlink < 0)
        return error_set(err, EMFILE, "make a socket");
    parked_name(device, name);
    r = take_down(sock, found);
    if (r == 0 && !str_equal(found, name))
        r = rename_interface(found, name);
    if (r < 0)
        return error_sys(err, -r, "take the interface %s away", found);
    return link_move(netlink, name, *parked, err);
}

int guest_park_spares(int *parked, struct error *err)
{
    _cleanup_close_ int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    _cleanup_closedir_ DIR *dir = opendir(DEVICES);
    char name[IFNAMSIZ], device[MAC_TEXT_SIZE];
    int r = 0;

    while (r == 0 && dir && sock >= 0 && next_device(dir, sock, AGENT_SPARE_DEVICES, name, device))
        r = park_away(parked, name, device, err);
    return r;
}

int guest_disconnect_interface(int *parked, const char *device, struct error *err)
{
    char found[IFNAMSIZ];
    int r = find_device(device, found);

    if (r < 0)
        return error_sys(err, -r, "find the network device %s", device ? device : "");
    return park_away(parked, found, device, err);
}

int guest_connect_interface(int *parked, const struct agent_interface *interface, struct error *err)
{
    const char *device = interface->device ? interface->device : "";
    _cleanup_close_ int own = open(OWN_NAMESPACE, O_RDONLY | O_CLOEXEC);
    _cleanup_close_ int there = *parked < 0 ? -ENODEV : sys_netns_netlink(*parked);
    char name[IFNAMSIZ];

    if (there < 0 || own < 0)
        return error_sys(
                err, there < 0 ? -there : errno, "find the spare network device %s", device);
    parked_name(device, name);
    int r = link_move(there, name, own, err);
    if (r < 0)
        return r;
    r = set_up(interface, err);
    if (r < 0)
        (void)guest_disconnect_interface(parked, device, NULL);
    return r;
}

int guest_route_interface(const struct agent_interface *interface, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    struct link_inside inside;

    if (str_empty(interface->name))
        return error_set(err, EINVAL, "the interface has no name");
    int r = read_inside(&arena, interface, &inside, err);
    return r < 0 ? r : configure(&inside, err);
}

int guest_set_up_loopback(struct error *err)
{
    const struct link_inside inside = {.name = "lo"};

    return configure(&inside, err);
}
