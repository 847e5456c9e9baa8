#include "net/steps.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "net/firewall.h"
#include "net/shape.h"
#include "net/sweep.h"
#include "plan/run.h"
#include "sys/netlink.h"
#include "sys/program.h"

/* ---- the bridge ------------------------------------------------------------------------------ */

/* Writes a setting of the kernel, unless it has that value already. */
static int set_kernel(const char *path, const char *value, struct error *err)
{
    char found[32] = "";

    io_read_small_at(AT_FDCWD, path, found, sizeof(found));
    if (str_equal(found, value))
        return 0;
    int r = io_write_file_at(AT_FDCWD, path, value);
    return r < 0 ? error_sys_hint(err, -r,
                           r == -EROFS ? "/proc/sys is read-only here: set it from outside" : NULL,
                           "write %s to %s", value, path)
                 : 0;
}

static int set_forwarding(const struct network *network, struct error *err)
{
    char path[128];
    int r = 0;

    if (network_range(network, AF_INET)) {
        snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/route_localnet",
                network->network_interface);
        r = set_kernel(path, "1", err);
    }
    if (network->internal || r < 0)
        return r;
    if (network_range(network, AF_INET))
        r = set_kernel("/proc/sys/net/ipv4/ip_forward", "1", err);
    if (r == 0 && network_range(network, AF_INET6))
        r = set_kernel("/proc/sys/net/ipv6/conf/all/forwarding", "1", err);
    return r;
}

static void bridge_of(const struct network *network, struct link_bridge *ret)
{
    *ret = (struct link_bridge){network->network_interface, network->options.mtu};
    for (size_t i = 0; i < network->subnets.count; i++)
        ret->addresses[i] = (struct link_address){network->gateways[i], network->ranges[i].prefix};
}

/* Without the table, all networks' rules are gone, not only this one's. */
static int load_rules(const struct net_bridge_args *args, bool loaded, struct error *err)
{
    _cleanup_buf_ struct buf text = {0};

    if (!loaded)
        return net_load_rules(args->networks, args->nft, err);
    firewall_base(&text);
    firewall_network(args->network, true, &text);
    return firewall_load(args->nft, buf_text(&text), err);
}

/* The rules come first and the bridge is brought up last: one that is up is complete. */
int net_make_bridge(const struct net_bridge_args *args, struct error *err)
{
    const struct network *network = args->network;
    struct link_bridge bridge;
    bool up = false;
    _cleanup_close_ int lock = lease_lock(args->networks, network->name, err);
    _cleanup_close_ int sock = lock < 0 ? -1 : netlink_open();

    if (lock < 0)
        return lock;
    if (sock < 0)
        return error_sys(err, -sock, "open a netlink socket");
    int index = link_find(sock, network->network_interface, &up);
    int loaded = firewall_is_loaded(err);
    if (loaded < 0 || (loaded && index > 0 && up))
        return loaded < 0 ? loaded : 0;
    int r = load_rules(args, loaded, err);
    bridge_of(network, &bridge);
    if (r == 0)
        r = link_make_bridge(sock, &bridge, err);
    if (r == 0)
        r = set_forwarding(network, err);
    if (r < 0 && index < 0)
        link_remove(sock, network->network_interface, NULL);
    return r < 0 ? error_prefix(err, "network \"%s\"", network->name) : 0;
}

static int bridge_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    (void)run;
    return net_make_bridge(step->args, err);
}

static void bridge_describe(const struct step *step, struct step_text *text)
{
    const struct net_bridge_args *args = step->args;
    const char *name = args->network->network_interface;

    step_call(text, "flock(<%s/leases>, LOCK_EX)", args->network->name);
    step_call(text, "socket(AF_NETLINK, SOCK_RAW|SOCK_CLOEXEC, NETLINK_ROUTE)");
    step_call(text, "sendto(<rtnl>, RTM_GETLINK %s)", name);
    step_call(text, "sendto(<nfnl>, NFT_MSG_GETTABLE inet vivarium)");
    step_call(text, "when missing: execve(%s, [\"viv-nft\"], <environ>)",
            step_quote(text->arena, args->nft));
    step_call(text, "when missing: sendto(<rtnl>, RTM_NEWLINK bridge %s)", name);
    for (size_t i = 0; i < args->network->subnets.count; i++)
        step_call(text, "when missing: sendto(<rtnl>, RTM_NEWADDR %s %s/%u)", name,
                args->network->subnets.items[i].gateway, args->network->ranges[i].prefix);
    step_why(text,
            "the bridge %s joins the sandboxes of network \"%s\"; the first of them makes it, with "
            "the rules that let it out and keep others off",
            name, args->network->name);
}

static const struct step_ops bridge_ops = {
        "bridge", "rtnetlink(7), nft(8)", bridge_apply, NULL, bridge_describe, NULL};

void net_add_bridge(struct plan *plan, const struct net_bridge_args *args, const char *because)
{
    plan_add(plan, STEP_HOST, &bridge_ops, because, arena_memdup(plan->arena, args, sizeof(*args)));
}

/* ---- programs beside a sandbox --------------------------------------------------------------- */

/* The last line that a program said, which is why it ended; pasta complains of a missing system log
 * between its lines. */
static const char *last_line(struct arena *arena, const char *said)
{
    const char *found = "it was killed";
    struct strv lines = {0};
    const char *line;

    strv_split(arena, &lines, said, '\n');
    strv_foreach (line, &lines) {
        if (!strstr(line, "bytes to syslog"))
            found = line;
    }
    return found;
}

/* Starts a program that goes into the background by itself when all is well; what it says when it
 * is not goes to the error. */
static int start_program(const struct program *program, const char *what, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_buf_ struct buf said = {.max = 4096};
    int r = program_run(program, &said);

    if (r < 0)
        return error_sys(err, -r, "start %s", program->path);
    return r ? error_set(err, EREMOTEIO, "%s: %s", what, last_line(&arena, buf_text(&said))) : 0;
}

static int names_run(const struct net_names_args *args)
{
    _cleanup_arena_ struct arena arena = {0};
    const char *path = arena_printf(&arena, "%s/.names", args->network->name);
    _cleanup_close_ int fd = openat(args->networks->fd, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return -errno;
    return flock(fd, LOCK_EX | LOCK_NB) < 0; /* it holds the lock as long as it runs */
}

/* The network's lock makes sure that one is started, and that it does not end just now. */
int net_start_names(const struct net_names_args *args, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_close_ int lock = lease_lock(args->networks, args->network->name, err);
    struct strv words = {0};

    if (lock < 0)
        return lock;
    int r = names_run(args);
    if (r != 0)
        return r < 0 ? error_sys(err, -r, "look whether names of network \"%s\" are answered for",
                               args->network->name)
                     : 0;
    strv_add(&arena, &words, "viv-dns");
    strv_add(&arena, &words, args->networks->path);
    strv_add(&arena, &words, args->network->name);
    struct program program = {.path = args->program, .words = &words, .input = PROGRAM_NOTHING};
    return start_program(&program, "viv-dns, which answers for names", err);
}

static int names_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    (void)run;
    return net_start_names(step->args, err);
}

static void names_describe(const struct step *step, struct step_text *text)
{
    const struct net_names_args *args = step->args;

    step_call(text, "flock(<%s/leases>, LOCK_EX)", args->network->name);
    step_call(text, "flock(<%s/.names>, LOCK_EX|LOCK_NB)", args->network->name);
    step_call(text, "when free: execve(%s, [\"viv-dns\", %s, %s], <environ>)",
            step_quote(text->arena, args->program), step_quote(text->arena, args->networks->path),
            step_quote(text->arena, args->network->name));
    step_why(text,
            "sandboxes of network \"%s\" find each other by name; one small process answers, from "
            "the first sandbox to the last",
            args->network->name);
}

static const struct step_ops names_ops = {
        "names", "viv-dns(8)", names_apply, NULL, names_describe, NULL};

void net_add_names(struct plan *plan, const struct net_names_args *args, const char *because)
{
    plan_add(plan, STEP_HOST, &names_ops, because, arena_memdup(plan->arena, args, sizeof(*args)));
}

static int pasta_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct net_pasta_args *args = step->args;
    _cleanup_arena_ struct arena arena = {0};
    struct strv words = {0};
    const char *word;

    strv_foreach (word, &args->words) {
        strv_add(&arena, &words, word);
    }
    strv_add(&arena, &words, "--pid");
    strv_add(&arena, &words, args->pid_file);
    strv_add(&arena, &words, arena_printf(&arena, "%d", run->child));
    struct program program = {.path = args->program, .words = &words, .input = PROGRAM_NOTHING};
    int r = start_program(&program, "pasta", err);
    if (r < 0 && access("/dev/net/tun", R_OK | W_OK) < 0)
        error_append(err, "; %s",
                errno == ENOENT ? "/dev/net/tun is missing: the module tun"
                                : "/dev/net/tun is not open to you: `chmod 666 /dev/net/tun` as "
                                  "root, or do without a network: --network none");
    return r;
}

/* Whether a process is pasta, by the name of its program ("passt.avx2"). */
static bool is_pasta(int pid)
{
    char path[32], name[32] = "";

    snprintf(path, sizeof(path), "/proc/%d/comm", pid);
    io_read_small_at(AT_FDCWD, path, name, sizeof(name));
    return str_starts(name, "pasta") || str_starts(name, "passt");
}

void net_end_pasta(const char *pid_file)
{
    char text[16] = "";
    int pid;

    if (io_read_small_at(AT_FDCWD, pid_file, text, sizeof(text)) > 0 &&
            str_to_int(text, &pid) == 0 && pid > 1 && is_pasta(pid))
        kill(pid, SIGTERM);
}

static int pasta_undo(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct net_pasta_args *args = step->args;

    (void)run, (void)err;
    net_end_pasta(args->pid_file);
    return 0;
}

static void pasta_describe(const struct step *step, struct step_text *text)
{
    const struct net_pasta_args *args = step->args;

    step_call(text, "execve(%s, [\"%s\", \"--pid\", %s, \"<child>\"], <environ>)",
            step_quote(text->arena, args->program), strv_join(text->arena, &args->words, "\", \""),
            step_quote(text->arena, args->pid_file));
    step_why(text,
            "an ordinary user cannot make interfaces on the host: pasta carries the sandbox's "
            "traffic as connections of its own");
}

static const struct step_ops pasta_ops = {
        "pasta", "pasta(1)", pasta_apply, pasta_undo, pasta_describe, NULL};

void net_add_pasta(struct plan *plan, const struct net_pasta_args *args, const char *because)
{
    plan_add(plan, STEP_HOST, &pasta_ops, because, arena_memdup(plan->arena, args, sizeof(*args)));
}

/* ---- files ----------------------------------------------------------------------------------- */

static int file_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct net_file_args *args = step->args;

    (void)run;
    int r = io_replace_file_at(AT_FDCWD, args->path, args->text, strlen(args->text), 0644, false);
    return r < 0 ? error_sys(err, -r, "write %s", args->path) : 0;
}

static void file_describe(const struct step *step, struct step_text *text)
{
    const struct net_file_args *args = step->args;

    step_call(text, "write(<%s>, %s)", args->path, step_quote(text->arena, args->text));
    step_why(text, "the sandbox sees it as its own file");
}

static const struct step_ops file_ops = {
        "write file", "write(2)", file_apply, NULL, file_describe, NULL};

void net_add_file(struct plan *plan, const struct net_file_args *args, const char *because)
{
    plan_add(plan, STEP_HOST, &file_ops, because, arena_memdup(plan->arena, args, sizeof(*args)));
}

/* ---- the pair -------------------------------------------------------------------------------- */

int net_make_pair(const struct net_pair_args *args, int pid, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    struct net_lease *lease = args->lease;
    struct link_veth veth = {.device = lease->device,
            .bridge = args->network->network_interface,
            .inside = lease->interface,
            .mtu = args->network->options.mtu};
    _cleanup_close_ int sock = netlink_open();

    if (sock < 0)
        return error_sys(err, -sock, "open a netlink socket");
    if (net_mac_parse(lease->mac, veth.mac) < 0)
        return error_set(err, EINVAL, "MAC address \"%s\"", lease->mac);
    int r = link_make_veth(sock, &veth, pid, err);
    if (r < 0)
        return r;
    if (lease->ports.count)
        r = link_set_hairpin(sock, lease->device, err);
    if (r == 0)
        r = lease_note_init(args->networks, &arena, lease, pid, err);
    if (r < 0)
        link_remove(sock, lease->device, NULL);
    return r;
}

static int pair_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    return net_make_pair(step->args, run->child, err);
}

static int pair_undo(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct net_pair_args *args = step->args;
    _cleanup_close_ int sock = netlink_open();

    (void)run;
    if (sock < 0)
        return error_sys(err, -sock, "open a netlink socket");
    return link_remove(sock, args->lease->device, err);
}

static void pair_describe(const struct step *step, struct step_text *text)
{
    const struct net_pair_args *args = step->args;
    const struct net_lease *lease = args->lease;

    step_call(text, "socket(AF_NETLINK, SOCK_RAW|SOCK_CLOEXEC, NETLINK_ROUTE)");
    step_call(text, "sendto(<rtnl>, RTM_GETLINK %s)", args->network->network_interface);
    step_call(text,
            "sendto(<rtnl>, RTM_NEWLINK veth %s IFLA_MASTER=%s VETH_INFO_PEER={%s %s "
            "IFLA_NET_NS_PID=<child>})",
            lease->device, args->network->network_interface, lease->interface, lease->mac);
    if (lease->ports.count)
        step_call(text, "sendto(<rtnl>, RTM_SETLINK %s IFLA_BRPORT_MODE=1)", lease->device);
    step_call(text, "write(<%s/leases/%s>, <lease>)", args->network->name, lease_file(lease));
    step_why(text, "two interfaces joined like a cable: %s on the bridge, %s inside", lease->device,
            lease->interface);
}

static const struct step_ops pair_ops = {
        "veth", "veth(4)", pair_apply, pair_undo, pair_describe, NULL};

void net_add_pair(struct plan *plan, const struct net_pair_args *args, const char *because)
{
    plan_add(plan, STEP_HOST, &pair_ops, because, arena_memdup(plan->arena, args, sizeof(*args)));
}

/* ---- rates ----------------------------------------------------------------------------------- */

static int add_shape(const struct net_lease *lease, bool patient, struct error *err)
{
    const struct shape shape = {lease->rate_in, lease->rate_out, patient};
    _cleanup_close_ int sock = netlink_open();

    if (sock < 0)
        return error_sys(err, -sock, "open a netlink socket");
    return shape_add(sock, lease->device, &shape, err);
}

static int shape_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    (void)run;
    return add_shape(step->args, false, err);
}

static int shape_undo(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct net_lease *lease = step->args;
    _cleanup_close_ int sock = netlink_open();

    (void)run;
    if (sock < 0)
        return error_sys(err, -sock, "open a netlink socket");
    return shape_remove(sock, lease->device, err);
}

static void describe_shape(const struct net_lease *lease, struct step_text *text)
{
    step_call(text, "socket(AF_NETLINK, SOCK_RAW|SOCK_CLOEXEC, NETLINK_ROUTE)");
    if (lease->rate_in)
        step_call(text, "sendto(<rtnl>, RTM_NEWQDISC %s tbf rate %llu bit/s)", lease->device,
                (unsigned long long)lease->rate_in);
    if (lease->rate_out) {
        const char *ifb = shape_ifb(text->arena, lease->device);
        step_call(text, "sendto(<rtnl>, RTM_NEWLINK ifb %s)", ifb);
        step_call(text, "sendto(<rtnl>, RTM_NEWQDISC %s tbf rate %llu bit/s)", ifb,
                (unsigned long long)lease->rate_out);
        step_call(text, "sendto(<rtnl>, RTM_NEWQDISC %s ingress)", lease->device);
        step_call(text, "sendto(<rtnl>, RTM_NEWTFILTER %s mirred redirect to %s)", lease->device,
                ifb);
    }
}

static void shape_describe(const struct step *step, struct step_text *text)
{
    describe_shape(step->args, text);
    step_why(text, "limits the sandbox's traffic from the host's side, where it cannot reach");
}

static const struct step_ops shape_ops = {
        "shape", "tc-tbf(8)", shape_apply, shape_undo, shape_describe, NULL};

void net_add_shape(struct plan *plan, const struct net_lease *lease, const char *because)
{
    plan_add(plan, STEP_HOST, &shape_ops, because, lease);
}

/* pasta is the sender of what comes in, by a TCP of its own that repeats slowly what is dropped. */
static int shape_inside_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    (void)run;
    return add_shape(step->args, true, err);
}

static void shape_inside_describe(const struct step *step, struct step_text *text)
{
    describe_shape(step->args, text);
    step_why(text,
            "limits the sandbox's traffic on its own interface, which is the only one that an "
            "ordinary user has; without CAP_NET_ADMIN it cannot change that");
}

static const struct step_ops shape_inside_ops = {
        "shape", "tc-tbf(8)", shape_inside_apply, NULL, shape_inside_describe, NULL};

void net_add_shape_inside(struct plan *plan, const struct net_lease *lease, const char *because)
{
    struct net_lease *mirrored = arena_memdup(plan->arena, lease, sizeof(*lease));

    mirrored->rate_in = lease->rate_out;
    mirrored->rate_out = lease->rate_in;
    plan_add(plan, STEP_CHILD, &shape_inside_ops, because, mirrored);
}

/* ---- published ports ------------------------------------------------------------------------- */

int net_load_ports(const struct net_ports_args *args, bool add, struct error *err)
{
    _cleanup_buf_ struct buf text = {0};

    firewall_ports(args->lease, add, &text);
    return text.length ? firewall_load(args->nft, buf_text(&text), err) : 0;
}

static int ports_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    (void)run;
    return net_load_ports(step->args, true, err);
}

static int ports_undo(const struct step *step, struct plan_run *run, struct error *err)
{
    (void)run;
    return net_load_ports(step->args, false, err);
}

static void ports_describe(const struct step *step, struct step_text *text)
{
    const struct net_ports_args *args = step->args;
    _cleanup_buf_ struct buf rules = {0};
    struct strv lines = {0};
    const char *line;

    firewall_ports(args->lease, true, &rules);
    strv_split(text->arena, &lines, buf_text(&rules), '\n');
    step_call(text, "execve(%s, [\"viv-nft\"], <environ>)", step_quote(text->arena, args->nft));
    strv_foreach (line, &lines) {
        step_call(text, "write(<viv-nft>, %s)", step_quote(text->arena, line));
    }
    step_why(text, "what arrives at these ports of the host goes to the sandbox, after the "
                   "administrator's rules (chain administrator of table inet vivarium)");
}

static const struct step_ops ports_ops = {
        "publish", "nft(8)", ports_apply, ports_undo, ports_describe, NULL};

void net_add_ports(struct plan *plan, const struct net_ports_args *args, const char *because)
{
    plan_add(plan, STEP_HOST, &ports_ops, because, arena_memdup(plan->arena, args, sizeof(*args)));
}

/* ---- ports of ::1 ---------------------------------------------------------------------------- */

static int spawn_relay(const struct net_relay_args *args, int life, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    const struct net_hold *hold = args->hold;
    int *fds = arena_new_array(&arena, int, hold->relayed.count + 1);
    struct strv words = {0};
    struct program program = {.path = args->program,
            .words = &words,
            .input = PROGRAM_NOTHING,
            .handed = fds,
            .handed_count = hold->relayed.count + 1};
    const char *word;

    strv_add(&arena, &words, "viv-relay");
    strv_add(&arena, &words, args->to);
    strv_foreach (word, &args->ports) {
        strv_add(&arena, &words, word);
    }
    fds[0] = life;
    for (size_t i = 0; i < hold->relayed.count; i++)
        fds[i + 1] = hold->relayed.items[i].fd;
    return start_program(&program, "viv-relay, which carries ports of ::1", err);
}

int net_start_relay(const struct net_relay_args *args, struct error *err)
{
    struct net_hold *hold = args->hold;
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_sys(err, errno, "make a pipe to viv-relay");
    int r = spawn_relay(args, ends[0], err);
    close(ends[0]);
    if (r < 0) {
        close(ends[1]);
        return r;
    }
    cleanup_close(args->life);
    *args->life = ends[1];
    for (size_t i = 0; i < hold->relayed.count; i++)
        cleanup_close(&hold->relayed.items[i].fd);
    hold->relayed.count = 0;
    return 0;
}

static int relay_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    (void)run;
    return net_start_relay(step->args, err);
}

static int relay_undo(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct net_relay_args *args = step->args;

    (void)run, (void)err;
    cleanup_close(args->life);
    return 0;
}

static void relay_describe(const struct step *step, struct step_text *text)
{
    const struct net_relay_args *args = step->args;

    step_call(text, "pipe2(<relay>, O_CLOEXEC)");
    step_call(text, "execve(%s, [\"viv-relay\", \"%s\", \"%s\"], <environ>)",
            step_quote(text->arena, args->program), args->to,
            strv_join(text->arena, &args->ports, "\", \""));
    step_why(text, "clients of ::1 are carried by a process, as nobody and without rights: the "
                   "kernel redirects what is sent to 127.0.0.1, and not what is sent to ::1");
}

static const struct step_ops relay_ops = {
        "relay", "viv-relay(8)", relay_apply, relay_undo, relay_describe, NULL};

void net_add_relay(struct plan *plan, const struct net_relay_args *args, const char *because)
{
    plan_add(plan, STEP_HOST, &relay_ops, because, arena_memdup(plan->arena, args, sizeof(*args)));
}

/* ---- inside ---------------------------------------------------------------------------------- */

static int inside_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    _cleanup_close_ int sock = netlink_open();

    (void)run;
    if (sock < 0)
        return error_sys(err, -sock, "open a netlink socket in the sandbox");
    return link_configure(sock, step->args, err);
}

static void inside_describe(const struct step *step, struct step_text *text)
{
    const struct link_inside *args = step->args;

    step_call(text, "socket(AF_NETLINK, SOCK_RAW|SOCK_CLOEXEC, NETLINK_ROUTE)");
    step_call(text, "sendto(<rtnl>, RTM_GETLINK %s)", args->name);
    for (size_t i = 0; i < args->addresses.count; i++)
        step_call(text, "sendto(<rtnl>, RTM_NEWADDR %s %s/%u)", args->name,
                net_address_text(text->arena, &args->addresses.items[i].address),
                args->addresses.items[i].prefix);
    step_call(text, "sendto(<rtnl>, RTM_NEWLINK %s IFF_UP)", args->name);
    for (size_t i = 0; i < args->routes.count; i++)
        step_call(text, "sendto(<rtnl>, RTM_NEWROUTE default via %s)",
                net_address_text(text->arena, &args->routes.items[i].gateway));
    step_why(text, "the interface gets the addresses that were leased for the sandbox");
}

static const struct step_ops inside_ops = {
        "addresses", "rtnetlink(7)", inside_apply, NULL, inside_describe, NULL};

void net_add_inside(struct plan *plan, const struct link_inside *args, const char *because)
{
    plan_add(
            plan, STEP_CHILD, &inside_ops, because, arena_memdup(plan->arena, args, sizeof(*args)));
}
