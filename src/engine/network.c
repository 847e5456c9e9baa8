#include "engine/network.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/install.h"
#include "base/path.h"
#include "container/host.h"
#include "engine/netfiles.h"
#include "engine/records.h"
#include "net/firewall.h"
#include "net/hold.h"
#include "net/request.h"
#include "net/shape.h"
#include "net/steps.h"
#include "net/sweep.h"
#include "spec/defaults.h"
#include "sys/netlink.h"
#include "sys/process.h"
#include "sys/tap.h"

#define PASTA_INTERFACE "eth0" /* inside, where its traffic is limited */

/* One network that the sandbox joins. */
struct attachment {
    struct network network;
    struct sandbox_interface interface;
};

struct sandbox_networks {
    struct arena *arena;
    struct networks networks;
    const struct net_request *request;
    const char *folder; /* of the sandbox in the store, absolute */
    const char *sandbox;
    const char *id;
    const char *nft; /* paths of the helper programs */
    const char *dns;
    struct attachment *attached;
    struct sandbox_interface *interfaces; /* the same, for those who only read */
    size_t count;
    struct net_hold hold;
    struct net_relay_args relay; /* no program: no port of ::1 */
    int relay_life;
    struct netfiles files;
    struct net_pasta_args pasta;
    struct net_lease pasta_lease; /* its ports, as if it were a network's */
    bool taken;                   /* leases were saved */
};

/* ---- looking up ------------------------------------------------------------------------------ */

static uint64_t hash_text(uint64_t hash, const char *text)
{
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3ULL; /* FNV-1a */
    return hash;
}

const char *sandbox_device_name(struct arena *arena, const char *id, const char *network)
{
    uint64_t hash = hash_text(0xcbf29ce484222325ULL, id);

    hash = hash_text(hash_text(hash, "/"), network);
    return arena_printf(arena, "vv%010" PRIx64, hash & 0xffffffffff);
}

static int find_programs(struct sandbox_networks *all, struct error *err)
{
    bool names = false;
    int r = install_find_program(all->arena, "viv-nft", &all->nft, err);

    for (size_t i = 0; i < all->count; i++)
        names = names || all->attached[i].network.dns_enabled;
    if (r == 0 && names)
        r = install_find_program(all->arena, "viv-dns", &all->dns, err);
    return r;
}

static int load_networks(struct sandbox_networks *all, bool take, struct error *err)
{
    const struct net_request *request = all->request;

    all->attached = arena_new_array(all->arena, struct attachment, request->joins.count);
    all->count = request->joins.count;
    for (size_t i = 0; i < all->count; i++) {
        const char *name = request->joins.items[i].network;
        for (size_t j = 0; j < i; j++)
            if (str_equal(request->joins.items[j].network, name))
                return error_set(err, EINVAL, "--network %s is given twice", name);
        int r = network_load(
                &all->networks, name, take, all->arena, &all->attached[i].network, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- ports ----------------------------------------------------------------------------------- */

typedef int (*parse_fn)(const char *text, struct net_publish *ret, struct error *err);

static int hold_list(struct sandbox_networks *all, const struct strv *list, parse_fn parse,
        struct net_hold_where where, struct error *err)
{
    struct net_lease *lease = &all->attached[0].interface.lease;
    const char *text;

    strv_foreach (text, list) {
        struct net_publish publish;
        int r = parse(text, &publish, err);
        if (r == 0)
            r = net_hold_take(&all->hold, all->arena, &publish, where, &lease->ports.items,
                    &lease->ports.count, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* What viv-relay is told; the sandbox's address comes with its lease. */
static int prepare_relay(struct sandbox_networks *all, struct error *err)
{
    const struct net_hold *hold = &all->hold;

    for (size_t i = 0; i < hold->relayed.count; i++)
        strv_add(all->arena, &all->relay.ports,
                arena_printf(all->arena, "%s:%u",
                        net_protocol_name(hold->relayed.items[i].protocol),
                        hold->relayed.items[i].port));
    all->relay.hold = &all->hold;
    all->relay.life = &all->relay_life;
    return hold->relayed.count
                   ? install_find_program(all->arena, "viv-relay", &all->relay.program, err)
                   : 0;
}

static int hold_ports(struct sandbox_networks *all, struct error *err)
{
    const struct net_request *request = all->request;
    const struct network *network = &all->attached[0].network;
    const struct net_hold_where where = {
            network_range(network, AF_INET), network_range(network, AF_INET6), true};
    int r = hold_list(all, &request->publish, net_publish_parse, where, err);

    if (r == 0 && request->publish_all)
        r = hold_list(all, &request->exposed, net_expose_parse, where, err);
    return r < 0 ? r : prepare_relay(all, err);
}

/* ---- addresses ------------------------------------------------------------------------------- */

void sandbox_fill_inside(struct arena *arena, const struct network *network,
        const struct net_lease *lease, bool *routed, struct link_inside *ret)
{
    const char *texts[] = {lease->ipv4, lease->ipv6};
    const int families[] = {AF_INET, AF_INET6};

    *ret = (struct link_inside){.name = lease->interface};
    for (size_t i = 0; i < LINK_ADDRESSES_MAX; i++) {
        const struct net_subnet *range = network_range(network, families[i]);
        const struct net_address *gateway = network_gateway(network, families[i]);
        if (!range || str_empty(texts[i]))
            continue;
        struct link_address *address = RECORD_APPEND(arena, &ret->addresses);
        net_address_parse(texts[i], false, &address->address);
        address->prefix = range->prefix;
        if (network->internal || routed[i] || !gateway)
            continue;
        struct link_route *route = RECORD_APPEND(arena, &ret->routes);
        *route = (struct link_route){.to.base.family = families[i], .gateway = *gateway};
        routed[i] = true;
    }
}

static void fill_lease(const struct sandbox_networks *all, size_t index, struct net_lease *lease)
{
    const struct net_join *join = &all->request->joins.items[index];
    struct arena *arena = all->arena;
    const char *alias;

    lease->network = join->network;
    lease->id = all->id;
    lease->sandbox = all->sandbox;
    strv_add(arena, &lease->names, all->sandbox);
    strv_add(arena, &lease->names, arena_strndup(arena, all->id, SANDBOX_SHORT_ID));
    strv_foreach (alias, &join->aliases) {
        strv_add(arena, &lease->names, alias);
    }
    lease->interface = join->interface ? join->interface : arena_printf(arena, "eth%zu", index);
    lease->device = sandbox_device_name(arena, all->id, join->network);
    lease->ipv4 = join->ip;
    lease->ipv6 = join->ip6;
    lease->mac = join->mac;
    lease->dns = all->request->dns;
    lease->rate_in = all->request->rate_in;
    lease->rate_out = all->request->rate_out;
}

/* Under the network's lock, where anything is stored. */
static int take_lease(struct sandbox_networks *all, size_t index, bool take, struct error *err)
{
    struct attachment *attached = &all->attached[index];
    struct net_lease *lease = &attached->interface.lease;
    const char *name = attached->network.name;
    struct net_leases others;
    _cleanup_close_ int lock = take ? lease_lock(&all->networks, name, err) : -1;

    if (take && lock < 0)
        return lock;
    int r = take ? net_sweep(&all->networks, all->nft, name, err) : 0;
    if (r >= 0)
        r = lease_list(&all->networks, name, all->arena, &others, err);
    if (r == 0)
        r = lease_choose(&attached->network, &others, all->arena, lease, err);
    if (r == 0 && take)
        r = lease_save(&all->networks, all->arena, lease, err);
    return r;
}

static int take_leases(struct sandbox_networks *all, bool take, struct error *err)
{
    bool routed[LINK_ADDRESSES_MAX] = {false};

    for (size_t i = 0; i < all->count; i++) {
        struct attachment *attached = &all->attached[i];
        fill_lease(all, i, &attached->interface.lease);
        int r = take_lease(all, i, take, err);
        if (r < 0) {
            all->count = i; /* those that were taken are given back */
            return r;
        }
        attached->interface.network = attached->network.name;
        attached->interface.mtu = attached->network.options.mtu;
        sandbox_fill_inside(all->arena, &attached->network, &attached->interface.lease, routed,
                &attached->interface.inside);
    }
    return 0;
}

/* ---- files ----------------------------------------------------------------------------------- */

static bool has_mount(const struct spec *spec, const char *destination)
{
    for (size_t i = 0; i < spec->mounts.count; i++)
        if (str_equal(spec->mounts.items[i].destination, destination))
            return true;
    return false;
}

static int compose_files(struct sandbox_networks *all, const struct spec *spec, struct error *err)
{
    struct netfiles_input input = {.arena = all->arena,
            .request = all->request,
            .hostname = spec->hostname,
            .sandbox = all->sandbox};

    for (size_t i = 0; i < all->count; i++) {
        const struct network *network = &all->attached[i].network;
        const struct net_lease *lease = &all->attached[i].interface.lease;
        strv_add(all->arena, &input.addresses, lease_file(lease));
        if (network->subnets.count && str_empty(input.gateway))
            input.gateway = network->subnets.items[0].gateway;
        if (network->dns_enabled && str_empty(input.responder))
            input.responder = network->subnets.items[0].gateway;
    }
    return netfiles_compose(&input, &all->files, err);
}

static void mount_files(struct engine *engine, struct engine_run *run, struct sandbox_networks *all)
{
    bool idmap = run->meta.idmap_root && !engine->host.rootless &&
                 container_host_can_idmap(engine->store.root);
    const char *options = idmap ? "bind,nosuid,nodev,noexec,idmap" : "bind,nosuid,nodev,noexec";

    for (size_t i = 0; i < all->files.count; i++) {
        struct netfile *file = &all->files.items[i];
        const char *destination = arena_printf(all->arena, "/etc/%s", file->name);
        if (has_mount(run->spec, destination))
            continue;
        file->path = path_join(all->arena, all->folder, file->name);
        spec_add_mount(all->arena, run->spec, destination, "bind", file->path, options);
    }
}

/* A sandbox in another one's network namespace knows names as that one does. */
static void share_files(struct engine *engine, struct engine_run *run)
{
    static const char *const names[] = {"hosts", "resolv.conf"};
    const struct sandbox_meta *meta = &run->meta;

    for (size_t i = 0; i < meta->joins.count; i++) {
        _cleanup_sandbox_ struct sandbox other = {.record_fd = -1};
        if (!str_equal(meta->joins.items[i].kind, "network") ||
                engine_find(engine, meta->joins.items[i].sandbox, &other, NULL) < 0)
            continue;
        const char *folder = record_run_path(engine, other.meta.name);
        for (size_t j = 0; j < ARRAY_SIZE(names); j++) {
            const char *path = path_join(engine->arena, folder, names[j]);
            const char *destination = arena_printf(engine->arena, "/etc/%s", names[j]);
            if (j == 0 && meta->network.no_hosts)
                continue;
            if (access(path, F_OK) == 0 && !has_mount(run->spec, destination))
                spec_add_mount(engine->arena, run->spec, destination, "bind", path,
                        "bind,nosuid,nodev,noexec");
        }
    }
}

/* ---- preparing ------------------------------------------------------------------------------- */

/* Ports of one -p, which are chosen here: pasta would not tell which it took. */
static int add_pasta_port(struct sandbox_networks *all, const struct net_publish *publish,
        bool *used, struct error *err)
{
    struct net_lease *lease = &all->pasta_lease;
    const char *host = publish->host.family ? net_address_text(all->arena, &publish->host) : "";
    size_t at = lease->ports.count;
    int r = net_hold_take(&all->hold, all->arena, publish, (struct net_hold_where){.four = true},
            &lease->ports.items, &lease->ports.count, err);

    if (r < 0)
        return r;
    bool chosen = !publish->host_port || publish->choices > 1;
    unsigned each = chosen ? 1 : publish->count;
    used[publish->protocol == NET_UDP] = true;
    for (unsigned i = 0; i < publish->count; i += each) {
        unsigned port = lease->ports.items[at + i].host_port;
        unsigned inside = publish->port + i;
        strv_add(all->arena, &all->pasta.words, publish->protocol == NET_UDP ? "-u" : "-t");
        strv_add(all->arena, &all->pasta.words,
                arena_printf(all->arena, "%s%s%u-%u:%u-%u", host, *host ? "/" : "", port,
                        port + each - 1, inside, inside + each - 1));
    }
    return 0;
}

static int add_pasta_ports(struct sandbox_networks *all, const struct strv *list, parse_fn parse,
        bool *used, struct error *err)
{
    const char *text;

    strv_foreach (text, list) {
        struct net_publish publish;
        int r = parse(text, &publish, err);
        if (r == 0 && publish.protocol == NET_SCTP)
            r = error_set(err, EOPNOTSUPP, "-p %s: pasta forwards TCP and UDP", text);
        if (r == 0)
            r = add_pasta_port(all, &publish, used, err);
        if (r < 0)
            return r;
    }
    return 0;
}

const char *sandbox_network_pasta(struct arena *arena)
{
    const char *program;

    if (install_find_program(arena, "pasta", &program, NULL) == 0)
        return program;
    return access("/usr/bin/pasta", X_OK) == 0 ? "/usr/bin/pasta" : NULL;
}

/* Frames of a megabit's worth would not fit into the bucket. */
static void add_pasta_rates(struct sandbox_networks *all)
{
    static const char *const words[] = {"--ns-ifname", PASTA_INTERFACE, "--mtu", "1500"};
    struct net_lease *lease = &all->pasta_lease;

    lease->device = PASTA_INTERFACE;
    lease->rate_in = all->request->rate_in;
    lease->rate_out = all->request->rate_out;
    for (size_t i = 0; i < ARRAY_SIZE(words) && (lease->rate_in || lease->rate_out); i++)
        strv_add(all->arena, &all->pasta.words, words[i]);
}

/* The words of pasta(1): its address and routes as the host's, and the ports that are published,
 * none by itself. */
static int prepare_pasta(struct sandbox_networks *all, struct error *err)
{
    const struct net_request *request = all->request;
    struct strv *words = &all->pasta.words;
    bool used[2] = {false};

    all->pasta.program = sandbox_network_pasta(all->arena);
    if (!all->pasta.program)
        return error_set(err, ENOENT,
                "an ordinary user's network is carried by pasta, which is not there: install the "
                "package passt, or use --network none");
    all->pasta.pid_file = path_join(all->arena, all->folder, NETFILE_PASTA_PID);
    strv_add(all->arena, words, "pasta");
    strv_add(all->arena, words, "--config-net");
    strv_add(all->arena, words, "--quiet");
    strv_add(all->arena, words, "--no-map-gw"); /* the host's own loopback is not for sandboxes */
    int r = add_pasta_ports(all, &request->publish, net_publish_parse, used, err);
    if (r == 0 && request->publish_all)
        r = add_pasta_ports(all, &request->exposed, net_expose_parse, used, err);
    net_hold_release(&all->hold); /* pasta takes them itself */
    if (r < 0)
        return r;
    add_pasta_rates(all);
    const char *const silent[] = {used[0] ? NULL : "-t", used[1] ? NULL : "-u", "-T", "-U"};
    for (size_t i = 0; i < ARRAY_SIZE(silent); i++) {
        if (!silent[i])
            continue;
        strv_add(all->arena, words, silent[i]);
        strv_add(all->arena, words, "none");
    }
    return 0;
}

static int prepare_bridges(
        struct engine *engine, struct sandbox_networks *all, bool take, struct error *err)
{
    if (engine->host.rootless)
        return error_set(err, EPERM,
                "--network %s: bridges take root; an ordinary user has --network pasta",
                all->request->joins.items[0].network);
    int r = networks_open(engine->arena, engine->data_root, take, &all->networks, err);
    if (r == 0)
        r = load_networks(all, take, err);
    if (r == 0)
        r = find_programs(all, err);
    if (r == 0)
        r = hold_ports(all, err);
    all->taken = take;
    if (r == 0)
        r = take_leases(all, take, err);
    else
        all->count = 0;
    if (!take)
        net_hold_release(&all->hold);
    if (r < 0)
        return r;
    const struct net_lease *first = &all->attached[0].interface.lease;
    all->relay.to = str_empty(first->ipv4) ? first->ipv6 : first->ipv4;
    all->interfaces = arena_new_array(all->arena, struct sandbox_interface, all->count);
    for (size_t i = 0; i < all->count; i++)
        all->interfaces[i] = all->attached[i].interface;
    return 0;
}

/* What pasta has published, for who asks later. */
static void note_pasta_ports(struct sandbox_networks *all)
{
    struct net_lease *lease = &all->pasta_lease;

    if (!lease->ports.count)
        return;
    lease->network = "pasta";
    lease->id = all->id;
    lease->sandbox = all->sandbox;
    _cleanup_json_ struct json_object *json = record_write(&net_lease_record, lease);
    all->files.items[all->files.count++] =
            (struct netfile){NETFILE_PASTA_PORTS, arena_strdup(all->arena, json_text(json)),
                    path_join(all->arena, all->folder, NETFILE_PASTA_PORTS)};
}

int sandbox_networks_prepare(struct engine *engine, struct engine_run *run, bool take,
        struct sandbox_networks **ret, struct error *err)
{
    struct sandbox_networks *all;
    int r = 0;

    *ret = NULL;
    if (!net_wants_anything(&run->meta.network)) {
        share_files(engine, run);
        return 0;
    }
    all = arena_new(engine->arena, struct sandbox_networks);
    *all = (struct sandbox_networks){.arena = engine->arena,
            .networks = {.fd = -1},
            .relay_life = -1,
            .request = &run->meta.network,
            .folder = record_run_path(engine, run->meta.name),
            .sandbox = run->meta.name,
            .id = run->meta.id};
    if (run->meta.network.pasta)
        r = prepare_pasta(all, err);
    else if (run->meta.network.joins.count)
        r = prepare_bridges(engine, all, take, err);
    if (r == 0)
        r = compose_files(all, run->spec, err);
    if (r < 0) {
        sandbox_networks_give_back(all, NULL);
        return r;
    }
    mount_files(engine, run, all);
    note_pasta_ports(all);
    *ret = all;
    return 0;
}

/* ---- steps ----------------------------------------------------------------------------------- */

#define BECAUSE "/linux/namespaces"

static void add_before(struct sandbox_networks *all, struct plan *plan)
{
    for (size_t i = 0; i < all->count; i++) {
        const struct network *network = &all->attached[i].network;
        struct net_bridge_args bridge = {&all->networks, network, all->nft};
        struct net_names_args names = {&all->networks, network, all->dns};
        net_add_bridge(plan, &bridge, BECAUSE);
        if (network->dns_enabled)
            net_add_names(plan, &names, BECAUSE);
    }
    for (size_t i = 0; i < all->files.count; i++) {
        struct net_file_args file = {all->files.items[i].path, all->files.items[i].text};
        if (file.path)
            net_add_file(plan, &file, "/mounts");
    }
}

static void add_with_child(struct sandbox_networks *all, struct plan *plan)
{
    for (size_t i = 0; i < all->count; i++) {
        struct net_lease *lease = &all->attached[i].interface.lease;
        struct net_pair_args pair = {&all->networks, &all->attached[i].network, lease};
        struct net_ports_args ports = {lease, all->nft};
        net_add_pair(plan, &pair, BECAUSE);
        if (lease->rate_in || lease->rate_out)
            net_add_shape(plan, lease, BECAUSE);
        if (lease->ports.count)
            net_add_ports(plan, &ports, BECAUSE);
    }
    if (all->relay.program)
        net_add_relay(plan, &all->relay, BECAUSE);
    if (all->pasta.program)
        net_add_pasta(plan, &all->pasta, BECAUSE);
}

static void add_inside(struct sandbox_networks *all, struct plan *plan)
{
    const struct net_lease *lease = &all->pasta_lease;

    for (size_t i = 0; i < all->count; i++)
        net_add_inside(plan, &all->attached[i].interface.inside, BECAUSE);
    if (all->pasta.program && (lease->rate_in || lease->rate_out))
        net_add_shape_inside(plan, lease, BECAUSE);
}

int sandbox_networks_steps(
        void *data, enum container_point point, struct plan *plan, struct error *err)
{
    struct sandbox_networks *all = data;

    (void)err;
    if (point == CONTAINER_BEFORE_CHILD)
        add_before(all, plan);
    else if (point == CONTAINER_WITH_CHILD)
        add_with_child(all, plan);
    else
        add_inside(all, plan);
    return 0;
}

int sandbox_networks_give_back(struct sandbox_networks *all, struct error *err)
{
    int result = 0;

    if (!all)
        return 0;
    for (size_t i = 0; i < all->count && all->taken; i++) {
        int r = net_release(&all->networks, all->nft, &all->attached[i].interface.lease,
                result < 0 ? NULL : err);
        result = result < 0 ? result : r;
    }
    all->count = 0;
    if (all->pasta.program)
        net_end_pasta(all->pasta.pid_file);
    net_hold_release(&all->hold);
    cleanup_close(&all->relay_life);
    networks_close(&all->networks);
    return result;
}

/* ---- machines -------------------------------------------------------------------------------- */

size_t sandbox_networks_interfaces(
        const struct sandbox_networks *all, const struct sandbox_interface **ret)
{
    *ret = all ? all->interfaces : NULL;
    return all ? all->count : 0;
}

const char *sandbox_networks_file(const struct sandbox_networks *all, const char *name)
{
    for (size_t i = 0; all && i < all->files.count; i++)
        if (str_equal(all->files.items[i].name, name))
            return all->files.items[i].text;
    return NULL;
}

int sandbox_open_tap(const struct network *network, const struct net_lease *lease, const char *nft,
        int *ret_fd, struct error *err)
{
    struct net_ports_args ports = {lease, nft};
    _cleanup_close_ int sock = netlink_open();
    _cleanup_close_ int fd = sys_tap_open(lease->device);

    if (fd < 0)
        return error_sys(err, -fd, "make the tap %s", lease->device);
    if (sock < 0)
        return error_sys(err, -sock, "open a netlink socket");
    int r = link_join_bridge(
            sock, lease->device, network->network_interface, network->options.mtu, err);
    if (r == 0 && (lease->rate_in || lease->rate_out))
        r = shape_add(
                sock, lease->device, &(struct shape){lease->rate_in, lease->rate_out, false}, err);
    if (r == 0 && lease->ports.count)
        r = net_load_ports(&ports, true, err);
    if (r == 0)
        *ret_fd = take_fd(&fd);
    return r;
}

int sandbox_networks_open_taps(struct sandbox_networks *all, int *fds, struct error *err)
{
    for (size_t i = 0; i < all->count; i++) {
        const struct attachment *attached = &all->attached[i];
        int r = sandbox_open_tap(
                &attached->network, &attached->interface.lease, all->nft, &fds[i], err);
        if (r < 0) {
            while (i-- > 0)
                cleanup_close(&fds[i]);
            return r;
        }
    }
    return all->relay.program ? net_start_relay(&all->relay, err) : 0;
}

int sandbox_networks_note_init(struct sandbox_networks *all, int pid, struct error *err)
{
    int r = 0;

    for (size_t i = 0; all && i < all->count && r == 0; i++)
        r = lease_note_init(
                &all->networks, all->arena, &all->attached[i].interface.lease, pid, err);
    return r;
}
