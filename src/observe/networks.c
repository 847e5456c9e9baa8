#include "observe/networks.h"

#include <string.h>

#include "base/cleanup.h"
#include "engine/connect.h"
#include "engine/network.h"

/* ---- list ------------------------------------------------------------------------------------ */

static const char *subnets_text(struct arena *arena, const struct network *network)
{
    struct strv words = {0};

    for (size_t i = 0; i < network->subnets.count; i++)
        strv_add(arena, &words, network->subnets.items[i].subnet);
    return strv_join(arena, &words, ", ");
}

/* What templates see; JSON shows the definition as it is. */
static struct json_object *row_json(struct arena *arena, const struct network *network)
{
    struct json_object *row = json_object_new_object();

    json_add_str(row, "ID", arena_strndup(arena, network->id, SANDBOX_SHORT_ID));
    json_add_str(row, "Id", network->id);
    json_add_str(row, "Name", network->name);
    json_add_str(row, "Driver", network->driver);
    json_add_str(row, "Interface", network->network_interface);
    json_add_str(row, "Subnets", subnets_text(arena, network));
    json_add_str(row, "Created", network->created);
    json_add_str(row, "CreatedAt", network->created);
    json_object_object_add(row, "Internal", json_object_new_boolean(network->internal));
    json_object_object_add(row, "IPv6", json_object_new_boolean(network->ipv6_enabled));
    json_object_object_add(row, "Labels", named_pairs_json(&network->labels));
    return row;
}

static int load(struct engine *engine, const char *name, struct network *ret, struct error *err)
{
    _cleanup_networks_ struct networks networks = {0};
    int r = engine_networks(engine, false, &networks, err);

    return r < 0 ? r : network_load(&networks, name, false, engine->arena, ret, err);
}

static int network_row(
        struct engine *engine, const char *name, struct json_object **ret, struct error *err)
{
    struct network network;
    int r = load(engine, name, &network, err);

    if (r == 0)
        *ret = row_json(engine->arena, &network);
    return r;
}

static int network_whole(
        struct engine *engine, const char *name, struct json_object **ret, struct error *err)
{
    struct network network;
    int r = load(engine, name, &network, err);

    if (r == 0)
        *ret = record_write(&network_record, &network);
    return r;
}

static int network_names(struct engine *engine, struct strv *ret, struct error *err)
{
    _cleanup_networks_ struct networks networks = {0};
    int r = engine_networks(engine, false, &networks, err);

    return r < 0 ? r : networks_list(&networks, engine->arena, ret, err);
}

/* dangling=true: no sandbox is on it. */
static int passes_dangling(
        struct engine *engine, const char *name, const char *value, bool *ret, struct error *err)
{
    _cleanup_networks_ struct networks networks = {0};
    struct net_leases users = {0};
    int r = engine_networks(engine, false, &networks, err);

    if (r == 0)
        r = network_users(engine, &networks, name, &users, err);
    if (r == 0)
        *ret = (users.count == 0) == (str_equal(value, "true") || str_equal(value, "1"));
    return r;
}

static const char *const headings[] = {"ID", "NETWORK ID", "Interface", "BRIDGE", NULL};

const struct named_kind networks_kind = {
        .filters = "name=TEXT, id=ID, driver=bridge, label=KEY[=VALUE], label!=KEY[=VALUE], "
                   "until=TIME or dangling=true",
        .list = {"{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Interface}}\t{{.Subnets}}\t{{.Internal}}",
                headings},
        .names = network_names,
        .row = network_row,
        .whole = network_whole,
        .own_filter = "dangling",
        .own_passes = passes_dangling,
};

/* ---- one of them ----------------------------------------------------------------------------- */

/* "10.90.0.2/24", as Docker writes it; an address alone in our own members. */
static void add_with_prefix(struct json_object *user, const char *member, const char *address,
        const struct network *network, int family)
{
    const struct net_subnet *range = network_range(network, family);
    char text[64];

    if (str_empty(address) || !range)
        return;
    snprintf(text, sizeof(text), "%s/%u", address, (unsigned)range->prefix);
    json_add_str(user, member, text);
}

static struct json_object *user_json(const struct network *network, const struct net_lease *lease)
{
    struct json_object *user = json_object_new_object();
    struct json_object *names = json_object_new_array();

    for (size_t i = 0; i < lease->names.count; i++)
        json_object_array_add(names, json_object_new_string(lease->names.words[i]));
    json_add_str(user, "name", lease->sandbox);
    json_add_str(user, "ipv4", lease->ipv4);
    json_add_str(user, "ipv6", lease->ipv6);
    json_add_str(user, "mac", lease->mac);
    json_add_str(user, "interface", lease->interface);
    json_object_object_add(user, "names", names);
    add_with_prefix(user, "IPv4Address", lease->ipv4, network, AF_INET);
    add_with_prefix(user, "IPv6Address", lease->ipv6, network, AF_INET6);
    json_add_str(user, "MacAddress", lease->mac);
    return user;
}

/* What Docker tells beside what Podman does; the rest differs in capitals alone. */
static void add_docker_names(const struct network *network, struct json_object *into)
{
    struct json_object *ipam = json_object_new_object();
    struct json_object *config = json_object_new_array();

    for (size_t i = 0; i < network->subnets.count; i++) {
        struct json_object *subnet = json_object_new_object();
        json_add_str(subnet, "Subnet", network->subnets.items[i].subnet);
        json_add_str(subnet, "Gateway", network->subnets.items[i].gateway);
        json_object_array_add(config, subnet);
    }
    json_add_str(ipam, "Driver", "default");
    json_object_object_add(ipam, "Config", config);
    json_object_object_add(into, "IPAM", ipam);
    json_add_str(into, "Scope", "local");
    json_object_object_add(into, "EnableIPv6", json_object_new_boolean(network->ipv6_enabled));
}

/* What --network takes beside the names of networks, told as Docker tells it: nothing of it can be
 * changed. */
static const struct network builtins[] = {
        {.name = "none",
                .driver = "null",
                .id = "0000000000000000000000000000000000000000000000000000000000000000"},
        {.name = "host",
                .driver = "host",
                .id = "0000000000000000000000000000000000000000000000000000000000000001"},
};

/* Which of them a sandbox is on, NULL: none. Interfaces that somebody else has made count as
 * neither. */
static const char *builtin_of(struct engine *engine, const struct sandbox *sandbox)
{
    const struct sandbox_meta *meta = &sandbox->meta;
    struct spec spec = {0};

    if (engine_config(engine, sandbox, &spec, NULL) < 0)
        return NULL;
    for (size_t i = 0; i < meta->joins.count; i++)
        if (str_equal(meta->joins.items[i].kind, "network"))
            return NULL;
    for (size_t i = 0; i < spec.linux.namespaces.count; i++) {
        if (!str_equal(spec.linux.namespaces.items[i].type, "network"))
            continue;
        bool empty = str_empty(spec.linux.namespaces.items[i].path) && !meta->network.pasta &&
                     !meta->network.joins.count;
        return empty ? "none" : NULL;
    }
    return "host";
}

static int inspect_builtin(struct engine *engine, const struct network *network,
        struct json_object **ret, struct error *err)
{
    struct strv names = {0};
    const char *name;
    int r = engine_list(engine, &names, err);

    if (r < 0)
        return r;
    struct json_object *object = record_write(&network_record, network);
    struct json_object *containers = json_object_new_object();
    add_docker_names(network, object);
    strv_foreach (name, &names) {
        _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
        if (engine_find(engine, name, &sandbox, NULL) < 0 ||
                (sandbox.status != SPEC_RUNNING && sandbox.status != SPEC_PAUSED) ||
                !str_equal(builtin_of(engine, &sandbox), network->name))
            continue;
        struct json_object *user = json_object_new_object();
        json_add_str(user, "name", sandbox.meta.name);
        json_object_object_add(containers, sandbox.meta.id, user);
    }
    json_object_object_add(object, "containers", containers);
    *ret = object;
    return 0;
}

int networks_inspect(
        struct engine *engine, const char *name, struct json_object **ret, struct error *err)
{
    _cleanup_networks_ struct networks networks = {0};
    struct network network;
    struct net_leases users = {0};

    for (size_t i = 0; i < ARRAY_SIZE(builtins); i++)
        if (str_equal(builtins[i].name, name))
            return inspect_builtin(engine, &builtins[i], ret, err);
    int r = engine_networks(engine, false, &networks, err);
    if (r == 0 && !network_exists(&networks, name))
        r = error_set(err, ENOENT, "there is no network \"%s\"; `viv network ls` lists them", name);
    if (r == 0)
        r = network_load(&networks, name, false, engine->arena, &network, err);
    if (r == 0)
        r = network_users(engine, &networks, name, &users, err);
    if (r < 0)
        return r;
    struct json_object *object = record_write(&network_record, &network);
    add_docker_names(&network, object);
    struct json_object *containers = json_object_new_object();
    for (size_t i = 0; i < users.count; i++)
        json_object_object_add(containers, users.items[i].id, user_json(&network, &users.items[i]));
    json_object_object_add(object, "containers", containers);
    *ret = object;
    return 0;
}

/* ---- of one sandbox -------------------------------------------------------------------------- */

static const char *host_ip(const struct net_port *port, const struct net_lease *lease)
{
    if (!str_empty(port->host_ip))
        return port->host_ip;
    return str_empty(lease->ipv4) && !str_empty(lease->ipv6) ? "::" : "0.0.0.0";
}

static void add_ports(struct arena *arena, const struct net_lease *lease, struct json_object *into)
{
    for (size_t i = 0; i < lease->ports.count; i++) {
        const struct net_port *port = &lease->ports.items[i];
        const char *key = arena_printf(arena, "%u/%s", port->container_port, port->protocol);
        struct json_object *list = json_get(into, key);
        struct json_object *item = json_object_new_object();
        if (!list) {
            list = json_object_new_array();
            json_object_object_add(into, key, list);
        }
        json_add_str(item, "HostIp", host_ip(port, lease));
        json_add_str(item, "HostPort", arena_printf(arena, "%u", port->host_port));
        json_object_array_add(list, item);
    }
}

struct json_object *networks_of_json(struct engine *engine, const struct sandbox *sandbox)
{
    struct json_object *settings = json_object_new_object();
    struct json_object *ports = json_object_new_object();
    struct json_object *all = json_object_new_object();
    struct net_leases leases = {0};

    if (sandbox->meta.id && net_wants_anything(&sandbox->meta.network))
        sandbox_ports(engine, sandbox, &leases, NULL);
    for (size_t i = 0; i < leases.count; i++)
        add_ports(engine->arena, &leases.items[i], ports);
    if (sandbox->meta.network.pasta)
        leases.count = 0; /* no network of ours */
    for (size_t i = 0; i < leases.count; i++) {
        const struct net_lease *lease = &leases.items[i];
        struct json_object *one = json_object_new_object();
        struct json_object *aliases = json_object_new_array();
        for (size_t j = 0; j < lease->names.count; j++)
            json_object_array_add(aliases, json_object_new_string(lease->names.words[j]));
        json_add_str(one, "IPAddress", lease->ipv4);
        json_add_str(one, "GlobalIPv6Address", lease->ipv6);
        json_add_str(one, "MacAddress", lease->mac);
        json_add_str(one, "Interface", lease->interface);
        json_object_object_add(one, "Aliases", aliases);
        json_object_object_add(all, lease->network, one);
    }
    json_object_object_add(settings, "Networks", all);
    json_object_object_add(settings, "Ports", ports);
    return settings;
}

const char *networks_ports_text(struct engine *engine, const struct sandbox *sandbox)
{
    const struct net_request *request = &sandbox->meta.network;
    struct net_leases leases = {0};
    struct strv words = {0};

    if ((!request->publish.count && !request->publish_all) || sandbox->container.dir_fd < 0)
        return "";
    sandbox_ports(engine, sandbox, &leases, NULL);
    for (size_t i = 0; i < leases.count; i++)
        for (size_t j = 0; j < leases.items[i].ports.count; j++) {
            const struct net_port *port = &leases.items[i].ports.items[j];
            const char *host = host_ip(port, &leases.items[i]);
            bool six = strchr(host, ':');
            strv_add(engine->arena, &words,
                    arena_printf(engine->arena, "%s%s%s:%u->%u/%s", six ? "[" : "", host,
                            six ? "]" : "", port->host_port, port->container_port, port->protocol));
        }
    return words.count ? strv_join(engine->arena, &words, ", ") : "";
}

static bool is_port(struct arena *arena, const struct net_port *port, const char *only)
{
    const char *text = arena_printf(arena, "%u/%s", port->container_port, port->protocol);

    return str_equal(only, text) ||
           (!strchr(only, '/') && str_equal(arena_printf(arena, "%s/tcp", only), text));
}

static void print_port(const struct net_port *port, const struct net_lease *lease,
        const struct ports_choice *choice, const char *id, FILE *out)
{
    const char *host = host_ip(port, lease);
    bool six = strchr(host, ':');

    if (choice->rows) {
        struct json_object *row = json_object_new_object();
        json_add_str(row, "ID", id);
        json_object_object_add(row, "Port", json_object_new_int64(port->container_port));
        json_add_str(row, "Protocol", port->protocol);
        json_add_str(row, "HostIp", host);
        json_object_object_add(row, "HostPort", json_object_new_int64(port->host_port));
        json_object_array_add(choice->rows, row);
        return;
    }
    if (choice->with_id)
        fprintf(out, "%.*s\t", SANDBOX_SHORT_ID, id);
    if (!choice->only)
        fprintf(out, "%u/%s -> ", port->container_port, port->protocol);
    fprintf(out, "%s%s%s:%u\n", six ? "[" : "", host, six ? "]" : "", port->host_port);
}

int networks_print_ports(struct engine *engine, const char *name, const struct ports_choice *choice,
        FILE *out, struct error *err)
{
    const char *only = choice->only;
    _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
    struct net_leases leases = {0};
    bool found = false;
    int r = engine_find(engine, name, &sandbox, err);

    if (r == 0)
        r = sandbox_ports(engine, &sandbox, &leases, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < leases.count; i++)
        for (size_t j = 0; j < leases.items[i].ports.count; j++) {
            const struct net_port *port = &leases.items[i].ports.items[j];
            if (only && !is_port(engine->arena, port, only))
                continue;
            print_port(port, &leases.items[i], choice, sandbox.meta.id, out);
            found = true;
        }
    if (only && !found)
        return error_set(err, ENOENT, "sandbox \"%s\" publishes no port %s", name, only);
    return 0;
}
