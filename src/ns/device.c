#include "ns/device.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "ns/namespaces.h"
#include "plan/run.h"
#include "sys/netlink.h"
#include "sys/proc.h"
#include "sys/process.h"

/* Loopback. */

static int loopback_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    _cleanup_close_ int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    (void)step, (void)run;
    if (sock < 0)
        return error_sys(err, errno, "open a socket to bring the interface lo up");
    if (ioctl(sock, SIOCSIFFLAGS, &request) < 0)
        return error_sys(err, errno, "bring the interface lo up");
    return 0;
}

static void loopback_describe(const struct step *step, struct step_text *text)
{
    (void)step;
    step_call(text, "socket(AF_UNIX, SOCK_DGRAM|SOCK_CLOEXEC, 0)");
    step_call(text, "ioctl(<socket>, SIOCSIFFLAGS, {ifr_name=\"lo\", ifr_flags=IFF_UP})");
    step_why(text, "a new network namespace starts with its loopback down; 127.0.0.1 needs it up");
}

static const struct step_ops loopback_ops = {
        "loopback", "netdevice(7)", loopback_apply, NULL, loopback_describe, NULL};

void ns_add_loopback(struct plan *plan, const char *because)
{
    plan_add(plan, STEP_CHILD, &loopback_ops, because, NULL);
}

/* Moving an interface. */

#define ADDRESSES_MAX 64

struct address {
    struct ifaddrmsg header;
    unsigned char local[16], broadcast[4];
    bool has_broadcast;
};

/* What an interface takes along. */
struct device_state {
    int index;
    bool up;
    struct address addresses[ADDRESSES_MAX];
    size_t count;
};

struct move_args {
    struct ns_net_device device;
    int target_slot; /* the child's network namespace, kept for undo */
};

static int read_link(void *data, const struct nlmsghdr *message)
{
    struct device_state *state = data;
    const struct ifinfomsg *info = NLMSG_DATA(message);

    state->index = info->ifi_index;
    state->up = info->ifi_flags & IFF_UP;
    return 0;
}

/* Keeps the addresses that an administrator gave: global, and not leased. */
static int read_address(void *data, const struct nlmsghdr *message)
{
    struct device_state *state = data;
    const struct ifaddrmsg *header = NLMSG_DATA(message);
    const struct nlattr *local = netlink_find(message, sizeof(*header), IFA_LOCAL);
    const struct nlattr *broadcast = netlink_find(message, sizeof(*header), IFA_BROADCAST);

    if (!local)
        local = netlink_find(message, sizeof(*header), IFA_ADDRESS);
    if (header->ifa_index != (unsigned)state->index || header->ifa_scope != RT_SCOPE_UNIVERSE ||
            !(header->ifa_flags & IFA_F_PERMANENT) || !local || netlink_size(local) > 16 ||
            state->count == ADDRESSES_MAX)
        return 0;
    struct address *address = &state->addresses[state->count++];
    address->header = *header;
    memcpy(address->local, netlink_data(local), netlink_size(local));
    address->has_broadcast = broadcast && netlink_size(broadcast) == 4;
    if (address->has_broadcast)
        memcpy(address->broadcast, netlink_data(broadcast), 4);
    return 0;
}

static int read_state(int sock, const char *name, struct device_state *state)
{
    const struct ifinfomsg link = {.ifi_family = AF_UNSPEC};
    const struct ifaddrmsg address = {.ifa_family = AF_UNSPEC};
    struct netlink_request request;

    netlink_begin(&request, RTM_GETLINK, 0, &link, sizeof(link));
    netlink_add_str(&request, IFLA_IFNAME, name);
    int r = netlink_ask(sock, &request, read_link, state);
    if (r < 0)
        return r;
    netlink_begin(&request, RTM_GETADDR, NLM_F_DUMP, &address, sizeof(address));
    return netlink_ask(sock, &request, read_address, state);
}

static int send_move(int sock, int index, int target_ns, const char *new_name)
{
    const struct ifinfomsg link = {.ifi_family = AF_UNSPEC, .ifi_index = index};
    struct netlink_request request;

    netlink_begin(&request, RTM_NEWLINK, 0, &link, sizeof(link));
    netlink_add_u32(&request, IFLA_NET_NS_FD, (uint32_t)target_ns);
    netlink_add_str(&request, IFLA_IFNAME, new_name);
    return netlink_send(sock, &request);
}

static int give_address(int sock, int index, const struct address *address)
{
    struct ifaddrmsg header = address->header;
    struct netlink_request request;
    size_t size = header.ifa_family == AF_INET ? 4 : 16;

    header.ifa_index = (unsigned)index;
    header.ifa_flags = IFA_F_PERMANENT;
    netlink_begin(&request, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &header, sizeof(header));
    netlink_add(&request, IFA_LOCAL, address->local, size);
    netlink_add(&request, IFA_ADDRESS, address->local, size);
    if (address->has_broadcast)
        netlink_add(&request, IFA_BROADCAST, address->broadcast, 4);
    return netlink_send(sock, &request);
}

static int bring_up(int sock, int index)
{
    const struct ifinfomsg link = {
            .ifi_family = AF_UNSPEC, .ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    struct netlink_request request;

    netlink_begin(&request, RTM_NEWLINK, 0, &link, sizeof(link));
    return netlink_send(sock, &request);
}

/* On the other side: the addresses again, and up. */
static int settle(int sock, const char *name, const struct device_state *before, bool up)
{
    struct device_state now = {0};
    int r = read_state(sock, name, &now);

    for (size_t i = 0; i < before->count && r == 0; i++)
        r = give_address(sock, now.index, &before->addresses[i]);
    return r == 0 && up ? bring_up(sock, now.index) : r;
}

/* Moves through two sockets; an interface that arrived but could not be set up is told apart. */
static int move_device(int from, int to, int to_ns, const char *name, const char *new_name, bool up,
        struct error *err)
{
    struct device_state state = {0};
    int r = read_state(from, name, &state);

    if (r < 0)
        return error_sys_hint(err, -r,
                r == -ENODEV ? "is there one of that name here? (ip link)" : NULL,
                "look at the network interface %s", name);
    r = send_move(from, state.index, to_ns, new_name);
    if (r < 0)
        return error_sys_hint(err, -r,
                r == -EEXIST ? "that name is taken there"
                : r == -EINVAL
                        ? "this kind of interface cannot change its namespace, or the name is bad"
                        : NULL,
                "move the network interface %s into the namespace as %s", name, new_name);
    r = settle(to, new_name, &state, up || state.up);
    return r < 0 ? error_sys(err, -r, "give %s its addresses and bring it up", new_name) : 0;
}

/* A netlink socket in another network namespace: entered for the one call, then left. */
static int open_in(int ns_fd, int own_ns_fd, struct error *err)
{
    int r = sys_setns(ns_fd, CLONE_NEWNET);

    if (r < 0)
        return error_sys(err, -r, "enter the sandbox's network namespace");
    int sock = netlink_open();
    r = sys_setns(own_ns_fd, CLONE_NEWNET);
    if (r < 0) {
        if (sock >= 0)
            close(sock);
        return error_sys(err, -r, "come back to the host's network namespace");
    }
    return sock < 0 ? error_sys(err, -sock, "open a netlink socket in the sandbox") : sock;
}

/* From the host into the sandbox, or back. */
static int carry(const struct move_args *args, int target_ns, bool back, struct error *err)
{
    const char *inside = args->device.new_name;
    _cleanup_close_ int own_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

    if (own_ns < 0)
        return error_sys(err, errno, "open /proc/self/ns/net");
    _cleanup_close_ int inner = open_in(target_ns, own_ns, err);
    if (inner < 0)
        return inner;
    _cleanup_close_ int outer = netlink_open();
    if (outer < 0)
        return error_sys(err, -outer, "open a netlink socket");
    if (back)
        return move_device(inner, outer, own_ns, inside, args->device.name, false, err);
    int r = move_device(outer, inner, target_ns, args->device.name, inside, true, err);
    if (r < 0) /* it may have arrived before the failure */
        move_device(inner, outer, own_ns, inside, args->device.name, false, NULL);
    return r;
}

static int move_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct move_args *args = step->args;
    char pid[16];
    _cleanup_close_ int proc = sys_proc_open_shared(err);

    if (proc < 0)
        return proc;
    snprintf(pid, sizeof(pid), "%d", run->child);
    _cleanup_close_ int target = sys_proc_open_ns(proc, pid, "net");
    if (target < 0)
        return error_sys(err, -target, "open the sandbox's network namespace");
    int r = carry(args, target, false, err);
    if (r == 0)
        run->fds[args->target_slot] = take_fd(&target);
    return r;
}

static int move_undo(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct move_args *args = step->args;
    int target = run->fds[args->target_slot];

    return target < 0 ? 0 : carry(args, target, true, err);
}

static void move_describe(const struct step *step, struct step_text *text)
{
    const struct move_args *args = step->args;

    step_call(text, "openat2(AT_FDCWD, \"/proc\", {flags=O_PATH|O_DIRECTORY|O_CLOEXEC}, 24)");
    step_call(text,
            "openat2(<proc>, \"<child>/ns\", {flags=O_PATH|O_DIRECTORY|O_CLOEXEC, "
            "resolve=%s}, 24)",
            SYS_PROC_RESOLVE_TEXT);
    step_call(text, "openat2(<ns>, \"net\", {flags=O_RDONLY|O_CLOEXEC}, 24)");
    step_call(text, "openat(AT_FDCWD, \"/proc/self/ns/net\", O_RDONLY|O_CLOEXEC)");
    step_call(text, "setns(<sandbox-net>, CLONE_NEWNET)");
    step_call(text, "socket(AF_NETLINK, SOCK_RAW|SOCK_CLOEXEC, NETLINK_ROUTE)");
    step_call(text, "setns(<own-net>, CLONE_NEWNET)");
    step_call(text, "socket(AF_NETLINK, SOCK_RAW|SOCK_CLOEXEC, NETLINK_ROUTE)");
    step_call(text, "sendto(<rtnl>, RTM_NEWLINK %s IFLA_NET_NS_FD=<sandbox-net> IFLA_IFNAME=%s)",
            args->device.name, step_quote(text->arena, args->device.new_name));
    step_call(text, "sendto(<rtnl-sandbox>, RTM_NEWLINK %s IFF_UP)", args->device.new_name);
    step_why(text, "the interface %s leaves the host and becomes %s inside, with its addresses",
            args->device.name, args->device.new_name);
}

static const struct step_ops move_ops = {
        "move interface", "rtnetlink(7)", move_apply, move_undo, move_describe, NULL};

void ns_add_net_device(struct plan *plan, const struct ns_net_device *device, const char *because)
{
    struct move_args *args = arena_new(plan->arena, struct move_args);

    args->device = *device;
    if (str_empty(args->device.new_name))
        args->device.new_name = device->name;
    args->target_slot = plan_new_slot(plan);
    plan_add(plan, STEP_HOST, &move_ops, because, args);
}
