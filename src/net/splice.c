#include "net/splice.h"

#include <linux/if_link.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "net/redirect.h"
#include "sys/netlink.h"
#include "sys/netns.h"
#include "sys/tap.h"

#define PRIORITY 0x5656u /* our filters', which tells them from others' */
#define ALIAS_MAX 256    /* the kernel's IFALIASZ */
#define LINKS_MAX 64     /* of one namespace that are looked at */

static void alias_of(const char *owner, char alias[ALIAS_MAX])
{
    snprintf(alias, ALIAS_MAX, "viv %.240s", owner);
}

static void tap_name(int index, char name[IFNAMSIZ])
{
    snprintf(name, IFNAMSIZ, SPLICE_TAP "%d", index);
}

static bool is_tap(const char *name)
{
    return str_starts(name, SPLICE_TAP);
}

/* ---- the tap --------------------------------------------------------------------------------- */

static int open_tap(int namespace_fd, const char *name)
{
    int own = -1;
    int r = sys_netns_enter(namespace_fd, &own);

    if (r < 0)
        return r;
    _cleanup_close_ int fd = sys_tap_open(name);
    r = sys_netns_leave(&own);
    if (r < 0)
        return r;
    return fd < 0 ? fd : take_fd(&fd);
}

/* What the host's stack says by itself on an interface with IPv6 would reach the guest. A kernel
 * without IPv6 has no such setting. */
static void keep_quiet(int sock, int index)
{
    const struct ifinfomsg header = {.ifi_family = AF_UNSPEC, .ifi_index = index};
    const uint8_t none = IN6_ADDR_GEN_MODE_NONE;
    struct netlink_request request;

    netlink_begin(&request, RTM_NEWLINK, 0, &header, sizeof(header));
    struct nlattr *families = netlink_nest(&request, IFLA_AF_SPEC);
    struct nlattr *six = netlink_nest(&request, AF_INET6);
    netlink_add(&request, IFLA_INET6_ADDR_GEN_MODE, &none, sizeof(none));
    netlink_nest_end(&request, six);
    netlink_nest_end(&request, families);
    (void)netlink_send(sock, &request);
}

static int set_up(int sock, int index, uint32_t mtu, const char *owner)
{
    const struct ifinfomsg header = {
            .ifi_family = AF_UNSPEC, .ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    struct netlink_request request;
    char alias[ALIAS_MAX];

    alias_of(owner, alias);
    keep_quiet(sock, index);
    netlink_begin(&request, RTM_NEWLINK, 0, &header, sizeof(header));
    netlink_add(&request, IFLA_IFALIAS, alias, strlen(alias));
    if (mtu)
        netlink_add_u32(&request, IFLA_MTU, mtu);
    return netlink_send(sock, &request);
}

/* A queue that is there may be what a machine left that nobody took away. */
static int take_over(int sock, int from, int to)
{
    int r = redirect_add(sock, from, to, PRIORITY);

    if (r != -EEXIST || redirect_remove(sock, from, PRIORITY) < 0)
        return r;
    return redirect_add(sock, from, to, PRIORITY);
}

static int connect_both(
        int sock, const struct found_interface *interface, int tap, struct error *err)
{
    int r = redirect_add(sock, tap, interface->index, PRIORITY);

    if (r == 0)
        r = take_over(sock, interface->index, tap);
    if (r == -EEXIST)
        return error_set(err, EBUSY,
                "something is at the ingress of %s already (tc qdisc show dev %s ingress): the "
                "machine cannot take over what comes in",
                interface->inside.name, interface->inside.name);
    return r < 0 ? error_sys_hint(err, -r,
                           r == -ENOENT ? "this kernel lacks sch_ingress, cls_u32 or act_mirred"
                                        : NULL,
                           "pass on what comes in by %s to the machine", interface->inside.name)
                 : 0;
}

int splice_add(int namespace_fd, int sock, const struct found_interface *interface,
        const char *owner, int *ret_fd, struct error *err)
{
    char name[IFNAMSIZ];

    tap_name(interface->index, name);
    if (link_find(sock, name, NULL) > 0)
        return error_set(err, EBUSY,
                "the interface %s of the network namespace is another machine's: each machine "
                "takes a network namespace for itself",
                interface->inside.name);
    _cleanup_close_ int fd = open_tap(namespace_fd, name);
    if (fd < 0)
        return error_sys_hint(err, -fd,
                fd == -ENOENT ? "/dev/net/tun is missing: the module tun" : NULL,
                "make the tap %s in the network namespace", name);
    int tap = link_find(sock, name, NULL);
    int r = tap < 0 ? tap : set_up(sock, tap, interface->mtu, owner);
    if (r < 0)
        return error_sys(err, -r, "bring the tap %s up", name);
    r = connect_both(sock, interface, tap, err);
    if (r == 0)
        *ret_fd = take_fd(&fd);
    return r;
}

/* ---- taking it back -------------------------------------------------------------------------- */

struct links {
    struct {
        int index;
        char name[IFNAMSIZ], alias[ALIAS_MAX];
    } items[LINKS_MAX];
    size_t count;
};

static void copy_text(const struct nlattr *from, char *to, size_t size)
{
    size_t length = from ? netlink_size(from) : 0;

    length = length < size ? length : size - 1;
    memcpy(to, from ? netlink_data(from) : "", length);
    to[length] = 0;
}

static int note_link(void *data, const struct nlmsghdr *message)
{
    const struct ifinfomsg *header = NLMSG_DATA(message);
    struct links *links = data;

    if (links->count == LINKS_MAX)
        return 0;
    __typeof__(links->items[0]) *link = &links->items[links->count++];
    link->index = header->ifi_index;
    copy_text(netlink_find(message, sizeof(*header), IFLA_IFNAME), link->name, IFNAMSIZ);
    copy_text(netlink_find(message, sizeof(*header), IFLA_IFALIAS), link->alias, ALIAS_MAX);
    return 0;
}

static bool has(const struct links *links, const char *name)
{
    for (size_t i = 0; i < links->count; i++)
        if (str_equal(links->items[i].name, name))
            return true;
    return false;
}

void splice_remove(int sock, const char *owner)
{
    const struct ifinfomsg header = {.ifi_family = AF_UNSPEC};
    struct netlink_request request;
    struct links links = {0};
    char alias[ALIAS_MAX], name[IFNAMSIZ];

    alias_of(owner, alias);
    netlink_begin(&request, RTM_GETLINK, NLM_F_DUMP, &header, sizeof(header));
    if (netlink_ask(sock, &request, note_link, &links) < 0)
        return;
    for (size_t i = 0; i < links.count; i++)
        if (is_tap(links.items[i].name) && str_equal(links.items[i].alias, alias)) {
            link_remove(sock, links.items[i].name, NULL);
            links.items[i].name[0] = 0;
        }
    for (size_t i = 0; i < links.count; i++) {
        tap_name(links.items[i].index, name);
        if (links.items[i].name[0] && !is_tap(links.items[i].name) && !has(&links, name))
            (void)redirect_remove(sock, links.items[i].index, PRIORITY);
    }
}
