#include "net/network.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/path.h"
#include "base/recordfile.h"
#include "base/utc.h"
#include "net/routes.h"

#define FILE_NAME "network.json"
#define INTERFACES_MAX 4096

static const struct field subnet_fields[] = {
        FIELD_REQUIRED(struct network_subnet, subnet, FIELD_STR),
        FIELD(struct network_subnet, gateway, FIELD_STR),
        FIELD(struct network_subnet, range, FIELD_STR),
};
static const struct record subnet_record = RECORD(struct network_subnet, subnet_fields);

static const struct field options_fields[] = {
        FIELD(struct network_options, mtu, FIELD_U32),
        FIELD_WRITTEN(struct network_options, isolate, FIELD_BOOL),
};
static const struct record options_record = RECORD(struct network_options, options_fields);

static const struct field network_fields[] = {
        FIELD_REQUIRED(struct network, name, FIELD_STR),
        FIELD_REQUIRED(struct network, id, FIELD_STR),
        FIELD_WRITTEN(struct network, driver, FIELD_STR),
        FIELD_REQUIRED(struct network, network_interface, FIELD_STR),
        FIELD(struct network, created, FIELD_STR),
        FIELD_OF(struct network, subnets, "subnets", FIELD_LIST, &subnet_record),
        FIELD_WRITTEN(struct network, ipv6_enabled, FIELD_BOOL),
        FIELD_WRITTEN(struct network, internal, FIELD_BOOL),
        FIELD_WRITTEN(struct network, dns_enabled, FIELD_BOOL),
        FIELD(struct network, labels, FIELD_MAP),
        FIELD_OF(struct network, options, "options", FIELD_RECORD, &options_record),
};
const struct record network_record = RECORD(struct network, network_fields);

/* ---- the folder ------------------------------------------------------------------------------ */

int networks_open(struct arena *arena, const char *data_root, bool make, struct networks *ret,
        struct error *err)
{
    const char *path = path_join(arena, data_root, "networks");
    int r = make ? io_make_dirs_at(AT_FDCWD, path, 0755) : 0;

    if (r < 0)
        return error_sys(err, -r, "make the folder of networks, %s", path);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && (make || errno != ENOENT))
        return error_sys(err, errno, "open the folder of networks, %s", path);
    *ret = (struct networks){fd, path};
    return 0;
}

void networks_close(struct networks *networks)
{
    if (networks->path)
        cleanup_close(&networks->fd);
}

int networks_lock(const struct networks *networks, struct error *err)
{
    _cleanup_close_ int fd = openat(networks->fd, ".lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int r;

    if (fd < 0)
        return error_sys(err, errno, "open %s/.lock", networks->path);
    do
        r = flock(fd, LOCK_EX);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return error_sys(err, errno, "lock %s/.lock", networks->path);
    return take_fd(&fd);
}

static int compare_words(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int networks_list(
        const struct networks *networks, struct arena *arena, struct strv *ret, struct error *err)
{
    *ret = (struct strv){0};
    if (networks->fd < 0)
        return 0;
    int fd = openat(networks->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    struct strv names = {0};

    if (!dir)
        return error_sys(err, errno, "read the folder of networks, %s", networks->path);
    while ((entry = readdir(dir)))
        if (entry->d_name[0] != '.' &&
                faccessat(networks->fd, arena_printf(arena, "%s/" FILE_NAME, entry->d_name), F_OK,
                        0) == 0)
            strv_add(arena, &names, entry->d_name);
    if (names.count)
        qsort(names.words, names.count, sizeof(*names.words), compare_words);
    *ret = names;
    return 0;
}

bool network_exists(const struct networks *networks, const char *name)
{
    _cleanup_arena_ struct arena arena = {0};

    return network_check_name(name, NULL) == 0 && networks->fd >= 0 &&
           faccessat(networks->fd, arena_printf(&arena, "%s/" FILE_NAME, name), F_OK, 0) == 0;
}

int network_check_name(const char *name, struct error *err)
{
    static const char *const taken[] = {
            "none", "host", "container", "ns", "private", "default", "pasta", "slirp4netns"};
    size_t length = strlen(name);
    bool good = length > 0 && length <= NETWORK_NAME_MAX && isalnum((unsigned char)name[0]);

    for (size_t i = 0; i < length && good; i++)
        good = isalnum((unsigned char)name[i]) || strchr("_.-", name[i]);
    if (!good)
        return error_set(err, EINVAL,
                "network \"%.80s\": a name has up to %d letters, digits, \"_\", \".\" and \"-\", a "
                "letter or digit first",
                name, NETWORK_NAME_MAX);
    for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
        if (str_equal(name, taken[i]))
            return error_set(err, EINVAL,
                    "network \"%s\": --network has a meaning of its own for this word; choose "
                    "another name",
                    name);
    return 0;
}

/* ---- reading --------------------------------------------------------------------------------- */

const struct net_subnet *network_range(const struct network *network, int family)
{
    for (size_t i = 0; i < network->subnets.count; i++)
        if (network->ranges[i].base.family == family)
            return &network->ranges[i];
    return NULL;
}

const struct net_subnet *network_chosen_from(const struct network *network, int family)
{
    for (size_t i = 0; i < network->subnets.count; i++)
        if (network->ranges[i].base.family == family)
            return network->chosen_from[i].base.family ? &network->chosen_from[i]
                                                       : &network->ranges[i];
    return NULL;
}

const struct net_address *network_gateway(const struct network *network, int family)
{
    for (size_t i = 0; i < network->subnets.count; i++)
        if (network->gateways[i].family == family)
            return &network->gateways[i];
    return NULL;
}

/* A part of the subnet, that is a subnet itself. */
static int read_range(struct arena *arena, struct network_subnet *from,
        const struct net_subnet *range, struct net_subnet *ret, struct error *err)
{
    *ret = *range;
    if (str_empty(from->range))
        return 0;
    if (net_subnet_parse(from->range, ret, err) < 0)
        return error_prefix(err, "the range of addresses");
    if (ret->prefix < range->prefix || !net_subnet_contains(range, &ret->base))
        return error_set(err, EINVAL, "the range of addresses %s is not inside of the subnet %s",
                from->range, from->subnet);
    from->range = net_subnet_text(arena, ret);
    return 0;
}

/* The texts of the subnets as values. A gateway that is not said is the first address. */
static int read_subnets(struct arena *arena, struct network *network, struct error *err)
{
    if (network->subnets.count > NETWORK_SUBNETS_MAX)
        return error_set(err, EINVAL, "a network has one subnet of IPv4 and one of IPv6 at most");
    for (size_t i = 0; i < network->subnets.count; i++) {
        struct network_subnet *from = &network->subnets.items[i];
        struct net_subnet *range = &network->ranges[i];
        struct net_address *gateway = &network->gateways[i];
        if (net_subnet_parse(from->subnet, range, err) < 0)
            return -EINVAL;
        if (i && range->base.family == network->ranges[0].base.family)
            return error_set(err, EINVAL, "subnets %s and %s are of one family: give one of each",
                    network->subnets.items[0].subnet, from->subnet);
        if (net_subnet_last(range) < 2)
            return error_set(err, EINVAL,
                    "subnet %s: too small, there has to be room for the bridge and one sandbox",
                    from->subnet);
        from->subnet = net_subnet_text(arena, range);
        if (str_empty(from->gateway)) {
            *gateway = net_subnet_at(range, 1);
            from->gateway = net_address_text(arena, gateway);
        }
        if (net_address_parse(from->gateway, false, gateway) < 0 ||
                !net_subnet_contains(range, gateway))
            return error_set(err, EINVAL, "gateway \"%.64s\": write an address of the subnet %s",
                    from->gateway, from->subnet);
        if (read_range(arena, from, range, &network->chosen_from[i], err) < 0)
            return -EINVAL;
    }
    return 0;
}

static int load(const struct networks *networks, const char *name, struct arena *arena,
        struct network *ret, struct error *err)
{
    struct network network;
    const char *path = arena_printf(arena, "%s/" FILE_NAME, name);
    int r = recordfile_load(networks->fd, path, &network_record, arena, &network, err);

    if (r == 0)
        r = read_subnets(arena, &network, err);
    if (r == 0)
        *ret = network;
    return r;
}

/* ---- making ---------------------------------------------------------------------------------- */

/* All that a new network must keep clear of. */
struct taken {
    struct arena *arena;
    struct strv names;        /* of other networks */
    struct network *others;   /* as many */
    struct net_routes routes; /* of the host */
};

static int find_taken(
        const struct networks *networks, struct arena *arena, struct taken *ret, struct error *err)
{
    struct taken taken = {.arena = arena};
    int r = networks_list(networks, arena, &taken.names, err);

    if (r < 0)
        return r;
    taken.others = arena_new_array(arena, struct network, taken.names.count + 1);
    for (size_t i = 0; i < taken.names.count; i++) {
        r = load(networks, taken.names.words[i], arena, &taken.others[i], err);
        if (r < 0)
            return r;
    }
    r = net_routes_read(arena, &taken.routes, err);
    if (r == 0)
        *ret = taken;
    return r;
}

/* Who has something of a subnet; NULL: nobody. */
static const char *taken_by(const struct taken *taken, const struct net_subnet *range)
{
    for (size_t i = 0; i < taken->names.count; i++)
        for (size_t j = 0; j < taken->others[i].subnets.count; j++)
            if (net_subnet_overlaps(&taken->others[i].ranges[j], range))
                return arena_printf(taken->arena, "the network \"%s\" (%s)", taken->names.words[i],
                        taken->others[i].subnets.items[j].subnet);
    for (size_t i = 0; i < taken->routes.count; i++) {
        const struct net_route *route = &taken->routes.items[i];
        if (route->to.prefix && net_subnet_overlaps(&route->to, range))
            return arena_printf(taken->arena, "this host's route to %s by %s",
                    net_subnet_text(taken->arena, &route->to), route->device);
    }
    return NULL;
}

/* The pools that a subnet is chosen from: a thousand /24. */
static int choose_subnet(const struct taken *taken, struct network *network, struct error *err)
{
    static const char *const pools[] = {
            "10.90.0.0/16", "10.91.0.0/16", "172.30.0.0/16", "192.168.0.0/16"};

    for (size_t i = 0; i < ARRAY_SIZE(pools) * 256; i++) {
        struct net_subnet range;
        net_subnet_parse(pools[i / 256], &range, NULL);
        range.prefix = 24;
        range.base.bytes[2] = (unsigned char)(i % 256);
        if (taken_by(taken, &range))
            continue;
        struct network_subnet *slot = RECORD_APPEND(taken->arena, &network->subnets);
        slot->subnet = net_subnet_text(taken->arena, &range);
        return 0;
    }
    return error_set(err, EADDRNOTAVAIL,
            "all subnets to choose from (10.90.0.0/15, 172.30.0.0/16, 192.168.0.0/16) are in use "
            "on "
            "this host; name one with --subnet");
}

/* A unique local prefix of our own, RFC 4193. */
static int choose_subnet6(const struct taken *taken, struct network *network, struct error *err)
{
    struct net_subnet range = {.base = {AF_INET6, {0xfd}}, .prefix = 64};

    if (getrandom(range.base.bytes + 1, 7, 0) != 7)
        return error_sys(err, errno, "read random bytes");
    struct network_subnet *slot = RECORD_APPEND(taken->arena, &network->subnets);
    slot->subnet = net_subnet_text(taken->arena, &range);
    return 0;
}

static bool has_family(const struct network *network, bool six)
{
    for (size_t i = 0; i < network->subnets.count; i++)
        if (!strchr(network->subnets.items[i].subnet, ':') == !six)
            return true;
    return false;
}

static int settle_subnets(const struct taken *taken, struct network *network, struct error *err)
{
    bool said = network->subnets.count > 0;
    int r = 0;

    if (!has_family(network, false) && !(said && network->ipv6_enabled == false))
        r = choose_subnet(taken, network, err);
    if (r == 0 && network->ipv6_enabled && !has_family(network, true))
        r = choose_subnet6(taken, network, err);
    if (r == 0)
        r = read_subnets(taken->arena, network, err);
    if (r < 0)
        return r;
    network->ipv6_enabled = network_range(network, AF_INET6);
    for (size_t i = 0; i < network->subnets.count; i++) {
        const char *whose = taken_by(taken, &network->ranges[i]);
        if (whose)
            return error_set(err, EADDRINUSE,
                    "subnet %s overlaps with %s; choose another one, or leave --subnet out",
                    network->subnets.items[i].subnet, whose);
    }
    return 0;
}

static bool interface_taken(const struct taken *taken, const char *name)
{
    for (size_t i = 0; i < taken->names.count; i++)
        if (str_equal(taken->others[i].network_interface, name))
            return true;
    return if_nametoindex(name) != 0;
}

static int choose_interface(const struct taken *taken, struct network *network, struct error *err)
{
    const char *said = network->network_interface;

    if (said && (!*said || strlen(said) >= IFNAMSIZ || strpbrk(said, "/ \t\n\"\\:%*") ||
                        str_equal(said, ".") || str_equal(said, "..")))
        return error_set(err, EINVAL,
                "interface \"%.32s\": a name has 1 to %d characters, no blanks and none of "
                "/ \" \\ : %% *",
                said, IFNAMSIZ - 1);
    if (said && interface_taken(taken, said))
        return error_set(
                err, EEXIST, "there is a network interface %s already; choose another name", said);
    for (unsigned i = 0; !said && i < INTERFACES_MAX; i++) {
        const char *name = arena_printf(taken->arena, "viv%u", i);
        if (interface_taken(taken, name))
            continue;
        network->network_interface = name;
        break;
    }
    return network->network_interface ? 0 : error_set(err, EEXIST, "too many network interfaces");
}

static int make_id(struct arena *arena, const char **ret, struct error *err)
{
    unsigned char bytes[32];
    char *text = arena_alloc(arena, sizeof(bytes) * 2 + 1);

    if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
        return error_sys(err, errno, "read random bytes");
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(text + i * 2, 3, "%02x", bytes[i]);
    *ret = text;
    return 0;
}

static const char *now_text(struct arena *arena)
{
    char text[UTC_TEXT_SIZE];

    return arena_printf(arena, "%sZ", utc_text(time(NULL), text));
}

/* The folder is there, whole, once its definition is: it is renamed into its place. */
static int store(const struct networks *networks, struct arena *arena,
        const struct network *network, struct error *err)
{
    const char *path = arena_printf(arena, "%s/" FILE_NAME, network->name);
    const char *folder = arena_printf(arena, "%s/leases", network->name);
    int r = io_make_dirs_at(networks->fd, folder, 0755);

    if (r == 0)
        r = recordfile_save(networks->fd, path, &network_record, network,
                RECORDFILE_PUBLIC | RECORDFILE_DURABLE | RECORDFILE_PRETTY);
    return r < 0 ? error_sys(err, -r, "write %s/%s", networks->path, path) : 0;
}

/* All but storing it; the caller holds the lock, or wants to know only. */
static int settle(const struct networks *networks, struct arena *arena, struct network *network,
        struct error *err)
{
    struct taken taken;
    int r = find_taken(networks, arena, &taken, err);

    if (r == 0 && strv_contains(&taken.names, network->name))
        r = error_set(err, EEXIST, "there is a network \"%s\" already", network->name);
    if (r == 0)
        r = choose_interface(&taken, network, err);
    if (r == 0)
        r = settle_subnets(&taken, network, err);
    if (r == 0)
        r = make_id(arena, &network->id, err);
    network->driver = "bridge";
    network->created = now_text(arena);
    return r;
}

int network_create(const struct networks *networks, struct arena *arena, struct network *network,
        struct error *err)
{
    struct network made = *network;
    int r = network_check_name(made.name, err);

    if (r < 0)
        return r;
    _cleanup_close_ int lock = networks_lock(networks, err);
    if (lock < 0)
        return lock;
    r = settle(networks, arena, &made, err);
    if (r == 0)
        r = store(networks, arena, &made, err);
    if (r == 0)
        *network = made;
    return r;
}

static int make_default(const struct networks *networks, struct arena *arena, bool make,
        struct network *ret, struct error *err)
{
    struct network network = {
            .name = NETWORK_DEFAULT, .dns_enabled = true, .options = {.isolate = true}};
    int r = make ? network_create(networks, arena, &network, err)
                 : settle(networks, arena, &network, err);

    if (r == -EEXIST && make) /* another process was faster */
        return load(networks, NETWORK_DEFAULT, arena, ret, err);
    if (r == 0)
        *ret = network;
    return r < 0 ? error_prefix(err, "make the default network") : 0;
}

int network_load(const struct networks *networks, const char *name, bool make, struct arena *arena,
        struct network *ret, struct error *err)
{
    int r = network_check_name(name, err);

    if (r < 0)
        return r;
    if (network_exists(networks, name))
        return load(networks, name, arena, ret, err);
    if (str_equal(name, NETWORK_DEFAULT))
        return make_default(networks, arena, make, ret, err);
    return error_set(err, ENOENT,
            "there is no network \"%s\"; `viv network ls` lists them, `viv network create %s` "
            "makes one",
            name, name);
}

int network_forget(const struct networks *networks, const char *name, struct error *err)
{
    int r = io_remove_tree_at(networks->fd, name);

    return r < 0 ? error_sys(err, -r, "take away %s/%s", networks->path, name) : 0;
}
