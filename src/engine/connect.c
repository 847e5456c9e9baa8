#include "engine/connect.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/install.h"
#include "base/io.h"
#include "base/recordfile.h"
#include "engine/nametexts.h"
#include "engine/netfiles.h"
#include "engine/network.h"
#include "engine/vm_call.h"
#include "engine/vm_connect.h"
#include "net/firewall.h"
#include "net/shape.h"
#include "net/steps.h"
#include "net/sweep.h"
#include "sys/netlink.h"
#include "sys/netns.h"
#include "sys/proc.h"

#define MARK "connected"

int engine_networks(struct engine *engine, bool make, struct networks *ret, struct error *err)
{
    return networks_open(engine->arena, engine->data_root, make, ret, err);
}

bool sandbox_was_connected(int run_fd)
{
    return faccessat(run_fd, MARK, F_OK, 0) == 0;
}

/* ---- who is where ---------------------------------------------------------------------------- */

int network_users(struct engine *engine, const struct networks *networks, const char *name,
        struct net_leases *ret, struct error *err)
{
    const char *nft = "viv-nft";
    _cleanup_close_ int lock = lease_lock(networks, name, err);

    if (lock < 0)
        return lock;
    install_find_program(engine->arena, "viv-nft", &nft, NULL);
    int r = net_sweep(networks, nft, name, err);
    return r < 0 ? r : lease_list(networks, name, engine->arena, ret, err);
}

static int compare_interfaces(const void *a, const void *b)
{
    return strcmp(
            ((const struct net_lease *)a)->interface, ((const struct net_lease *)b)->interface);
}

static void add_leases_of(
        struct arena *arena, const char *id, const struct net_leases *from, struct net_leases *to)
{
    for (size_t i = 0; i < from->count; i++)
        if (str_equal(from->items[i].id, id)) {
            struct net_lease *slot = RECORD_APPEND(arena, to);
            *slot = from->items[i];
        }
}

int sandbox_leases(struct engine *engine, const char *id, struct net_leases *ret, struct error *err)
{
    _cleanup_networks_ struct networks networks = {0};
    struct net_leases found = {0};
    struct strv names = {0};
    const char *name;
    int r = engine_networks(engine, false, &networks, err);

    if (r == 0)
        r = networks_list(&networks, engine->arena, &names, err);
    if (r < 0)
        return r;
    strv_foreach (name, &names) {
        struct net_leases leases;
        if (lease_list(&networks, name, engine->arena, &leases, NULL) == 0)
            add_leases_of(engine->arena, id, &leases, &found);
    }
    if (found.count)
        qsort(found.items, found.count, sizeof(*found.items), compare_interfaces);
    *ret = found;
    return 0;
}

int sandbox_ports(struct engine *engine, const struct sandbox *sandbox, struct net_leases *ret,
        struct error *err)
{
    struct net_lease lease;

    if (!sandbox->meta.network.pasta)
        return sandbox_leases(engine, sandbox->meta.id, ret, err);
    *ret = (struct net_leases){0};
    if (sandbox->container.dir_fd < 0 ||
            recordfile_load(sandbox->container.dir_fd, NETFILE_PASTA_PORTS, &net_lease_record,
                    engine->arena, &lease, NULL) < 0)
        return 0;
    struct net_lease *slot = RECORD_APPEND(engine->arena, ret);
    *slot = lease;
    return 0;
}

/* ---- joining --------------------------------------------------------------------------------- */

/* What a sandbox that runs needs to join. */
struct joining {
    struct engine *engine;
    const struct sandbox *sandbox;
    struct networks networks;
    struct network network;
    struct net_lease lease;
    struct net_leases before;
    const char *nft;
    pid_t pid;
};

/* ---- names ----------------------------------------------------------------------------------- */

/* Who answers for names to a sandbox with these leases, as it is when it starts: its first network
 * that does, or else the servers that it was given, or the host's. */
static struct strv servers_of(const struct joining *joining, const struct net_leases *leases)
{
    struct arena *arena = joining->engine->arena;
    struct strv servers = joining->sandbox->meta.network.dns;

    for (size_t i = 0; i < leases->count; i++) {
        struct network network;
        if (network_load(&joining->networks, leases->items[i].network, false, arena, &network,
                    NULL) < 0 ||
                !network.dns_enabled || !network.subnets.count)
            continue;
        servers = (struct strv){0};
        strv_add(arena, &servers, network.subnets.items[0].gateway);
        return servers;
    }
    if (!servers.count)
        netfiles_host_servers(arena, &servers);
    return servers;
}

/* After it has joined a network or left one. */
static int change_names(struct joining *joining, const struct net_lease *joined,
        const struct net_lease *left, const struct net_leases *after, struct error *err)
{
    const struct sandbox *sandbox = joining->sandbox;
    struct nametexts_change change = {.joined = joined ? lease_file(joined) : NULL,
            .left = left ? lease_file(left) : NULL,
            .name = sandbox->meta.name,
            .servers_before = servers_of(joining, &joining->before),
            .servers = servers_of(joining, after)};

    for (size_t i = 0; i < joining->before.count; i++)
        strv_add(joining->engine->arena, &change.own, lease_file(&joining->before.items[i]));
    return nametexts_apply(sandbox->container.dir_fd, joining->engine->arena, &change, err);
}

/* ---- addresses ------------------------------------------------------------------------------- */

static const char *free_interface(const struct joining *joining)
{
    for (unsigned i = 0;; i++) {
        const char *name = arena_printf(joining->engine->arena, "eth%u", i);
        bool taken = false;
        for (size_t j = 0; j < joining->before.count; j++)
            taken = taken || str_equal(joining->before.items[j].interface, name);
        if (!taken)
            return name;
    }
}

static void fill_lease(struct joining *joining, const struct net_join *join)
{
    struct arena *arena = joining->engine->arena;
    const struct sandbox_meta *meta = &joining->sandbox->meta;
    struct net_lease *lease = &joining->lease;
    const char *alias;

    *lease = (struct net_lease){.network = join->network,
            .id = meta->id,
            .sandbox = meta->name,
            .interface = join->interface ? join->interface : free_interface(joining),
            .device = sandbox_device_name(arena, meta->id, join->network),
            .ipv4 = join->ip,
            .ipv6 = join->ip6,
            .mac = join->mac,
            .dns = meta->network.dns,
            .rate_in = meta->network.rate_in,
            .rate_out = meta->network.rate_out};
    strv_add(arena, &lease->names, meta->name);
    strv_add(arena, &lease->names, arena_strndup(arena, meta->id, SANDBOX_SHORT_ID));
    strv_foreach (alias, &join->aliases) {
        strv_add(arena, &lease->names, alias);
    }
}

static int take_lease(struct joining *joining, struct error *err)
{
    struct arena *arena = joining->engine->arena;
    const char *name = joining->network.name;
    struct net_leases others;
    _cleanup_close_ int lock = lease_lock(&joining->networks, name, err);
    int r = lock < 0 ? lock : net_sweep(&joining->networks, joining->nft, name, err);

    if (r >= 0)
        r = lease_list(&joining->networks, name, arena, &others, err);
    if (r == 0)
        r = lease_choose(&joining->network, &others, arena, &joining->lease, err);
    return r < 0 ? r : lease_save(&joining->networks, arena, &joining->lease, err);
}

/* A netlink socket inside: a socket stays in the namespace that it was made in. */
static int open_inside(pid_t pid, struct error *err)
{
    char number[16];
    _cleanup_close_ int proc = sys_proc_open_shared(err);

    if (proc < 0)
        return proc;
    snprintf(number, sizeof(number), "%d", pid);
    _cleanup_close_ int inside = sys_proc_open_ns(proc, number, "net");
    int sock = inside < 0 ? inside : sys_netns_netlink(inside);
    return sock < 0 ? error_sys(err, -sock,
                              "open a netlink socket in the sandbox's network "
                              "namespace")
                    : sock;
}

/* The families that have a default route by what was there before. */
static void note_routes(const struct joining *joining, bool *routed)
{
    for (size_t i = 0; i < joining->before.count; i++) {
        const struct net_lease *lease = &joining->before.items[i];
        struct network network;
        if (network_load(&joining->networks, lease->network, false, joining->engine->arena,
                    &network, NULL) < 0 ||
                network.internal)
            continue;
        routed[0] = routed[0] || !str_empty(lease->ipv4);
        routed[1] = routed[1] || !str_empty(lease->ipv6);
    }
}

static int plug_in_container(
        struct joining *joining, const struct link_inside *inside, struct error *err)
{
    struct net_pair_args pair = {&joining->networks, &joining->network, &joining->lease};
    const struct net_lease *lease = &joining->lease;
    _cleanup_close_ int sock = open_inside(joining->pid, err);
    _cleanup_close_ int here = sock < 0 ? -1 : netlink_open();

    if (sock < 0)
        return sock;
    int r = net_make_pair(&pair, joining->pid, err);
    if (r == 0 && (lease->rate_in || lease->rate_out))
        r = shape_add(
                here, lease->device, &(struct shape){lease->rate_in, lease->rate_out, false}, err);
    return r < 0 ? r : link_configure(sock, inside, err);
}

static int plug_in_machine(
        struct joining *joining, const struct link_inside *inside, struct error *err)
{
    struct net_lease *lease = &joining->lease;
    struct arena *arena = joining->engine->arena;
    _cleanup_close_ int fd = -1;
    int r = sandbox_open_tap(&joining->network, lease, joining->nft, &fd, err);

    if (r == 0)
        r = lease_note_init(&joining->networks, arena, lease, joining->pid, err);
    if (r < 0)
        return r;
    struct vm_plug plug = {.sandbox = joining->sandbox->meta.name,
            .tap = lease->device,
            .fd = fd,
            .mac = lease->mac,
            .mtu = joining->network.options.mtu,
            .inside = inside};
    return vm_plug_in(&joining->sandbox->container, arena, &plug, err);
}

static bool is_machine(const struct joining *joining)
{
    return vm_is(&joining->sandbox->container);
}

static int plug_in(struct joining *joining, struct error *err)
{
    bool routed[LINK_ADDRESSES_MAX] = {false};
    struct link_inside inside;

    note_routes(joining, routed);
    sandbox_fill_inside(
            joining->engine->arena, &joining->network, &joining->lease, routed, &inside);
    return is_machine(joining) ? plug_in_machine(joining, &inside, err)
                               : plug_in_container(joining, &inside, err);
}

/* Of a container the interface goes with its end on the bridge. */
static int pull_out(struct joining *joining, const char *network, struct error *err)
{
    const struct sandbox *sandbox = joining->sandbox;
    struct arena *arena = joining->engine->arena;

    if (!is_machine(joining))
        return 0;
    return vm_pull_out(
            &sandbox->container, arena, sandbox_device_name(arena, sandbox->meta.id, network), err);
}

static int find_programs(struct joining *joining, const char **ret_dns, struct error *err)
{
    struct arena *arena = joining->engine->arena;
    int r = install_find_program(arena, "viv-nft", &joining->nft, err);

    return r < 0 ? r : install_find_program(arena, "viv-dns", ret_dns, err);
}

static int name_joined(struct joining *joining, struct error *err)
{
    struct net_leases after = {0};
    int r = sandbox_leases(joining->engine, joining->sandbox->meta.id, &after, err);

    return r < 0 ? r : change_names(joining, &joining->lease, NULL, &after, err);
}

/* All of it for a sandbox that runs; on failure nothing is left. */
static int join_running(struct joining *joining, const struct net_join *join, struct error *err)
{
    struct net_bridge_args bridge = {&joining->networks, &joining->network, NULL};
    struct net_names_args names = {&joining->networks, &joining->network, NULL};
    const char *dns = NULL;
    int r = find_programs(joining, &dns, err);

    if (r < 0)
        return r;
    bridge.nft = joining->nft;
    names.program = dns;
    fill_lease(joining, join);
    r = take_lease(joining, err);
    if (r < 0)
        return r;
    r = net_make_bridge(&bridge, err);
    if (r == 0 && joining->network.dns_enabled)
        r = net_start_names(&names, err);
    if (r == 0)
        r = plug_in(joining, err);
    if (r == 0)
        r = name_joined(joining, err);
    if (r < 0) {
        (void)pull_out(joining, joining->network.name, NULL);
        net_release(&joining->networks, joining->nft, &joining->lease, NULL);
    }
    return r;
}

static bool has_join(const struct net_request *request, const char *network)
{
    for (size_t i = 0; i < request->joins.count; i++)
        if (str_equal(request->joins.items[i].network, network))
            return true;
    return false;
}

static void note_connected(const struct sandbox *sandbox)
{
    _cleanup_close_ int fd =
            openat(sandbox->container.dir_fd, MARK, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
}

static bool runs(const struct sandbox *sandbox)
{
    return sandbox->container.dir_fd >= 0 && sandbox->status != SPEC_STOPPED;
}

int sandbox_connect(
        struct engine *engine, const char *name, const struct net_join *join, struct error *err)
{
    _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
    struct joining joining = {.engine = engine, .sandbox = &sandbox};
    int r = engine_find(engine, name, &sandbox, err);

    if (r < 0)
        return r;
    struct net_request *request = &sandbox.meta.network;
    if (!request->joins.count)
        return error_set(err, EOPNOTSUPP,
                "sandbox \"%s\" was made without a network of its own: connect joins further ones "
                "to those that it has",
                name);
    if (has_join(request, join->network))
        return error_set(
                err, EEXIST, "sandbox \"%s\" is on network \"%s\" already", name, join->network);
    r = engine_networks(engine, true, &joining.networks, err);
    _cleanup_networks_ struct networks opened = joining.networks;
    if (r == 0)
        r = network_load(
                &joining.networks, join->network, true, engine->arena, &joining.network, err);
    if (r == 0 && runs(&sandbox)) {
        joining.pid = sandbox.container.state.pid;
        r = sandbox_leases(engine, sandbox.meta.id, &joining.before, err);
        if (r == 0) {
            note_connected(&sandbox);
            r = join_running(&joining, join, err);
        }
    }
    if (r < 0)
        return r;
    struct net_join *slot = RECORD_APPEND(engine->arena, &request->joins);
    *slot = *join;
    return sandbox_meta_save(sandbox.record_fd, &sandbox.meta, sandbox.kept, err);
}

/* ---- leaving --------------------------------------------------------------------------------- */

/* The default route went with the interface: another network takes over. */
static int route_anew(struct joining *joining, struct error *err)
{
    const struct container *container = &joining->sandbox->container;
    struct arena *arena = joining->engine->arena;
    bool routed[LINK_ADDRESSES_MAX] = {false};
    _cleanup_close_ int sock = is_machine(joining) ? -1 : open_inside(joining->pid, err);
    int r = sock < 0 && !is_machine(joining) ? sock : 0;

    for (size_t i = 0; i < joining->before.count && r == 0; i++) {
        struct link_inside inside;
        r = network_load(&joining->networks, joining->before.items[i].network, false, arena,
                &joining->network, err);
        if (r < 0)
            break;
        sandbox_fill_inside(arena, &joining->network, &joining->before.items[i], routed, &inside);
        r = is_machine(joining) ? vm_route(container, arena, &inside, err)
                                : link_configure(sock, &inside, err);
    }
    return r;
}

static struct net_leases without(struct arena *arena, const struct net_leases *leases, size_t index)
{
    struct net_leases rest = {0};

    for (size_t i = 0; i < leases->count; i++) {
        if (i == index)
            continue;
        struct net_lease *slot = RECORD_APPEND(arena, &rest);
        *slot = leases->items[i];
    }
    return rest;
}

static int leave_running(struct joining *joining, const char *network, struct error *err)
{
    struct net_leases *before = &joining->before;
    const char *nft = "viv-nft";
    int r = sandbox_leases(joining->engine, joining->sandbox->meta.id, before, err);

    if (r == 0)
        r = pull_out(joining, network, err);
    install_find_program(joining->engine->arena, "viv-nft", &nft, NULL);
    for (size_t i = 0; i < before->count && r == 0; i++) {
        if (!str_equal(before->items[i].network, network))
            continue;
        const struct net_lease left = before->items[i];
        struct net_leases after = without(joining->engine->arena, before, i);
        r = net_release(&joining->networks, nft, &left, err);
        if (r == 0)
            r = change_names(joining, NULL, &left, &after, err);
        *before = after;
        return r < 0 ? r : route_anew(joining, err);
    }
    return r;
}

static void drop_join(struct net_request *request, const char *network)
{
    size_t kept = 0;

    for (size_t i = 0; i < request->joins.count; i++)
        if (!str_equal(request->joins.items[i].network, network))
            request->joins.items[kept++] = request->joins.items[i];
    request->joins.count = kept;
}

int sandbox_disconnect(
        struct engine *engine, const char *name, const char *network, struct error *err)
{
    _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
    struct joining joining = {.engine = engine, .sandbox = &sandbox};
    int r = engine_find(engine, name, &sandbox, err);

    if (r < 0)
        return r;
    if (!has_join(&sandbox.meta.network, network))
        return error_set(err, ENOENT, "sandbox \"%s\" is not on network \"%s\"", name, network);
    r = engine_networks(engine, false, &joining.networks, err);
    _cleanup_networks_ struct networks opened = joining.networks;
    if (r == 0 && runs(&sandbox)) {
        joining.pid = sandbox.container.state.pid;
        r = leave_running(&joining, network, err);
    }
    if (r < 0)
        return r;
    drop_join(&sandbox.meta.network, network);
    return sandbox_meta_save(sandbox.record_fd, &sandbox.meta, sandbox.kept, err);
}

/* ---- renaming, reloading --------------------------------------------------------------------- */

static int rename_lease(struct engine *engine, const struct networks *networks,
        const struct net_lease *lease, const char *name, struct error *err)
{
    struct net_lease renamed = *lease;
    _cleanup_close_ int lock = lease_lock(networks, lease->network, err);

    if (lock < 0)
        return lock;
    renamed.names = (struct strv){0};
    for (size_t i = 0; i < lease->names.count; i++)
        strv_add(engine->arena, &renamed.names, i ? lease->names.words[i] : name);
    renamed.sandbox = name;
    return lease_store(networks, engine->arena, &renamed, err);
}

int sandbox_rename_leases(
        struct engine *engine, const char *id, const char *name, struct error *err)
{
    _cleanup_networks_ struct networks networks = {0};
    struct net_leases leases = {0};
    int r = engine_networks(engine, false, &networks, err);

    if (r == 0)
        r = sandbox_leases(engine, id, &leases, err);
    for (size_t i = 0; i < leases.count && r == 0; i++)
        r = rename_lease(engine, &networks, &leases.items[i], name, err);
    return r;
}

int networks_reload(struct engine *engine, struct error *err)
{
    _cleanup_networks_ struct networks networks = {0};
    const char *nft;
    int r = engine_networks(engine, false, &networks, err);

    if (r == 0)
        r = install_find_program(engine->arena, "viv-nft", &nft, err);
    return r < 0 ? r : net_load_rules(&networks, nft, err);
}

/* ---- taking away ----------------------------------------------------------------------------- */

static int in_use(
        struct arena *arena, const char *name, const struct net_leases *users, struct error *err)
{
    struct strv names = {0};

    for (size_t i = 0; i < users->count && i < 5; i++)
        strv_add(arena, &names, users->items[i].sandbox);
    return error_set(err, EBUSY,
            "network \"%s\" is used by %zu sandbox%s (%s%s): stop them first, or take it from them "
            "with `viv network rm -f %s`",
            name, users->count, users->count == 1 ? "" : "es", strv_join(arena, &names, ", "),
            users->count > 5 ? " …" : "", name);
}

static int drop_bridge(const char *nft, const struct network *network, struct error *err)
{
    _cleanup_buf_ struct buf rules = {0};
    _cleanup_close_ int sock = netlink_open();
    int r = 0;

    if (sock < 0)
        return error_sys(err, -sock, "open a netlink socket");
    firewall_network(network, false, &rules);
    if (firewall_is_loaded(NULL) > 0)
        r = firewall_load(nft, buf_text(&rules), err);
    return r < 0 ? r : link_remove(sock, network->network_interface, err);
}

static int release_all(const struct networks *networks, const char *nft,
        const struct net_leases *users, struct error *err)
{
    int r = 0;

    for (size_t i = 0; i < users->count && r == 0; i++)
        r = net_release(networks, nft, &users->items[i], err);
    return r;
}

int network_remove(struct engine *engine, const char *name, bool force, struct error *err)
{
    _cleanup_networks_ struct networks networks = {0};
    struct network network;
    struct net_leases users;
    const char *nft = "viv-nft";
    int r = engine_networks(engine, true, &networks, err);

    if (r < 0)
        return r;
    _cleanup_close_ int lock = networks_lock(&networks, err);
    if (lock < 0)
        return lock;
    install_find_program(engine->arena, "viv-nft", &nft, NULL);
    if (!network_exists(&networks, name))
        return error_set(
                err, ENOENT, "there is no network \"%s\"; `viv network ls` lists them", name);
    r = network_load(&networks, name, false, engine->arena, &network, err);
    if (r == 0)
        r = network_users(engine, &networks, name, &users, err);
    if (r < 0)
        return r;
    _cleanup_close_ int leases = lease_lock(&networks, name, err);
    if (leases < 0)
        return leases;
    r = lease_list(&networks, name, engine->arena, &users, err);
    if (r == 0 && users.count && !force)
        return in_use(engine->arena, name, &users, err);
    if (r == 0)
        r = release_all(&networks, nft, &users, err);
    if (r == 0)
        r = drop_bridge(nft, &network, err);
    return r < 0 ? r : network_forget(&networks, name, err);
}
