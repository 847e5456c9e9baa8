#include "net/lease.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/path.h"
#include "base/recordfile.h"
#include "sys/process.h"

#define LEASES_MAX 65536

static const struct field lease_fields[] = {
        FIELD_REQUIRED(struct net_lease, network, FIELD_STR),
        FIELD_REQUIRED(struct net_lease, id, FIELD_STR),
        FIELD_REQUIRED(struct net_lease, sandbox, FIELD_STR),
        FIELD(struct net_lease, names, FIELD_STRV),
        FIELD(struct net_lease, interface, FIELD_STR),
        FIELD(struct net_lease, device, FIELD_STR),
        FIELD(struct net_lease, ipv4, FIELD_STR),
        FIELD(struct net_lease, ipv6, FIELD_STR),
        FIELD(struct net_lease, mac, FIELD_STR),
        FIELD(struct net_lease, dns, FIELD_STRV),
        FIELD_OF(struct net_lease, ports, "ports", FIELD_LIST, &net_port_record),
        FIELD(struct net_lease, rate_in, FIELD_U64),
        FIELD(struct net_lease, rate_out, FIELD_U64),
        FIELD(struct net_lease, boot, FIELD_STR),
        FIELD(struct net_lease, maker, FIELD_I32),
        FIELD(struct net_lease, maker_start, FIELD_U64),
        FIELD(struct net_lease, init, FIELD_I32),
        FIELD(struct net_lease, init_start, FIELD_U64),
};
const struct record net_lease_record = RECORD(struct net_lease, lease_fields);

static const char *folder_of(struct arena *arena, const char *network)
{
    return arena_printf(arena, "%s/leases", network);
}

const char *lease_file(const struct net_lease *lease)
{
    return str_empty(lease->ipv4) ? lease->ipv6 : lease->ipv4;
}

int lease_lock(const struct networks *networks, const char *network, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    struct stat found;
    _cleanup_close_ int fd =
            openat(networks->fd, folder_of(&arena, network), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r;

    if (fd < 0)
        return error_sys(err, errno, "open the leases of network \"%s\"", network);
    do
        r = flock(fd, LOCK_EX);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return error_sys(err, errno, "lock the leases of network \"%s\"", network);
    if (fstat(fd, &found) < 0 || found.st_nlink == 0)
        return error_set(err, ENOENT, "the network \"%s\" has just been taken away", network);
    return take_fd(&fd);
}

static int read_lease(int folder, const char *name, struct arena *arena, struct net_lease *ret)
{
    struct net_lease lease;
    int r = recordfile_load(folder, name, &net_lease_record, arena, &lease, NULL);

    if (r < 0)
        return r;
    if (!str_equal(lease_file(&lease), path_base(name)))
        return -EINVAL;
    *ret = lease;
    return 0;
}

int lease_list(const struct networks *networks, const char *network, struct arena *arena,
        struct net_leases *ret, struct error *err)
{
    *ret = (struct net_leases){0};
    int fd = networks->fd < 0 ? -1
                              : openat(networks->fd, folder_of(arena, network),
                                        O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (networks->fd < 0 || (fd < 0 && errno == ENOENT))
        return 0;
    _cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct net_leases leases = {0};
    const struct dirent *entry;
    size_t capacity = 0;

    if (!dir)
        return error_sys(err, errno, "read the leases of network \"%s\"", network);
    while ((entry = readdir(dir)) && leases.count < LEASES_MAX) {
        struct net_lease lease;
        if (entry->d_name[0] == '.' || read_lease(fd, entry->d_name, arena, &lease) < 0)
            continue;
        leases.items = arena_grow(arena, leases.items, leases.count, &capacity, sizeof(lease));
        leases.items[leases.count++] = lease;
    }
    *ret = leases;
    return 0;
}

/* ---- choosing -------------------------------------------------------------------------------- */

static const char *own_address(const struct net_lease *lease, int family)
{
    return family == AF_INET ? lease->ipv4 : lease->ipv6;
}

static const struct net_lease *holder(const struct net_leases *leases, const char *address)
{
    for (size_t i = 0; i < leases->count; i++)
        if (str_equal(leases->items[i].ipv4, address) || str_equal(leases->items[i].ipv6, address))
            return &leases->items[i];
    return NULL;
}

/* Of an address that was asked for: its usual spelling. */
static int check_wanted(const struct network *network, const struct net_leases *leases,
        struct arena *arena, int family, const char **text, struct error *err)
{
    const struct net_subnet *range = network_range(network, family);
    const struct net_address *gateway = network_gateway(network, family);
    struct net_address address;

    if (net_address_parse(*text, false, &address) < 0 || address.family != family)
        return error_set(err, EINVAL, "address \"%.64s\": write an address of IPv%c", *text,
                family == AF_INET ? '4' : '6');
    *text = net_address_text(arena, &address);
    if (!range)
        return error_set(err, EINVAL, "address %s: the network \"%s\" has no subnet of IPv%c",
                *text, network->name, family == AF_INET ? '4' : '6');
    uint64_t index = net_subnet_index(range, &address);
    if (!net_subnet_contains(range, &address) || index == 0 ||
            (family == AF_INET && index > net_subnet_last(range)))
        return error_set(err, EINVAL, "address %s: the network \"%s\" has those of %s", *text,
                network->name, net_subnet_text(arena, range));
    if (gateway && net_address_equal(gateway, &address))
        return error_set(err, EADDRINUSE, "address %s is the gateway of network \"%s\"", *text,
                network->name);
    const struct net_lease *other = holder(leases, *text);
    if (other)
        return error_set(err, EADDRINUSE, "address %s of network \"%s\" belongs to sandbox \"%s\"",
                *text, network->name, other->sandbox);
    return 0;
}

/* A bit for each of the first addresses, so that choosing costs one pass over the leases. */
#define CHOSEN_FROM 65536

static int choose_free(const struct network *network, const struct net_leases *leases,
        struct arena *arena, int family, const char **ret, struct error *err)
{
    const struct net_subnet *range = network_range(network, family);
    const struct net_subnet *part = network_chosen_from(network, family);
    unsigned char *used = arena_alloc(arena, CHOSEN_FROM);
    uint64_t first = net_subnet_index(range, &part->base);
    uint64_t last = first + net_subnet_size(part) - 1;

    if (last > net_subnet_last(range))
        last = net_subnet_last(range);
    if (!first)
        first = 1;
    for (size_t i = 0; i <= leases->count; i++) {
        struct net_address address;
        if (i == leases->count) {
            address = *network_gateway(network, family);
        } else {
            const char *text = own_address(&leases->items[i], family);
            if (str_empty(text) || net_address_parse(text, false, &address) < 0)
                continue;
        }
        uint64_t index = net_subnet_index(range, &address);
        if (index >= first && index - first < CHOSEN_FROM)
            used[index - first] = 1;
    }
    for (uint64_t i = first; i <= last && i - first < CHOSEN_FROM; i++) {
        if (used[i - first])
            continue;
        struct net_address address = net_subnet_at(range, i);
        *ret = net_address_text(arena, &address);
        return 0;
    }
    return error_set(err, EADDRNOTAVAIL,
            "all addresses of network \"%s\" (%s) are in use; remove sandboxes, or make a network "
            "with a larger --subnet",
            network->name, net_subnet_text(arena, part));
}

static int choose_family(const struct network *network, const struct net_leases *leases,
        struct arena *arena, int family, const char **text, struct error *err)
{
    if (!str_empty(*text))
        return check_wanted(network, leases, arena, family, text, err);
    return network_range(network, family) ? choose_free(network, leases, arena, family, text, err)
                                          : 0;
}

int lease_choose(const struct network *network, const struct net_leases *others,
        struct arena *arena, struct net_lease *lease, struct error *err)
{
    struct net_address address;
    unsigned char mac[NET_MAC_SIZE];
    int r = choose_family(network, others, arena, AF_INET, &lease->ipv4, err);

    if (r == 0)
        r = choose_family(network, others, arena, AF_INET6, &lease->ipv6, err);
    if (r < 0)
        return r;
    lease->network = network->name;
    if (str_empty(lease->mac) && net_address_parse(lease_file(lease), false, &address) == 0) {
        net_mac_of(&address, mac);
        lease->mac = net_mac_text(arena, mac);
    }
    return 0;
}

/* ---- storing --------------------------------------------------------------------------------- */

static const char *boot_id(struct arena *arena)
{
    char text[64] = "";

    io_read_small_at(AT_FDCWD, "/proc/sys/kernel/random/boot_id", text, sizeof(text));
    return arena_strdup(arena, text);
}

int lease_store(const struct networks *networks, struct arena *arena, const struct net_lease *lease,
        struct error *err)
{
    const char *path =
            arena_printf(arena, "%s/%s", folder_of(arena, lease->network), lease_file(lease));
    int r = recordfile_save(networks->fd, path, &net_lease_record, lease, RECORDFILE_PUBLIC);

    return r < 0 ? error_sys(err, -r, "write the lease %s/%s", networks->path, path) : 0;
}

int lease_save(const struct networks *networks, struct arena *arena, struct net_lease *lease,
        struct error *err)
{
    lease->boot = boot_id(arena);
    lease->maker = getpid();
    sys_process_start_time(lease->maker, &lease->maker_start);
    return lease_store(networks, arena, lease, err);
}

int lease_note_init(const struct networks *networks, struct arena *arena, struct net_lease *lease,
        int pid, struct error *err)
{
    lease->maker = getpid();
    sys_process_start_time(lease->maker, &lease->maker_start);
    lease->init = pid;
    sys_process_start_time(pid, &lease->init_start);
    return lease_store(networks, arena, lease, err);
}

int lease_drop(const struct networks *networks, struct arena *arena, const struct net_lease *lease,
        struct error *err)
{
    const char *path =
            arena_printf(arena, "%s/%s", folder_of(arena, lease->network), lease_file(lease));
    struct net_lease found;

    if (read_lease(networks->fd, path, arena, &found) == 0 && !str_equal(found.id, lease->id))
        return 0; /* given back before, and somebody else's by now */
    if (unlinkat(networks->fd, path, 0) < 0 && errno != ENOENT)
        return error_sys(err, errno, "take away the lease %s/%s", networks->path, path);
    return 0;
}

static bool lives(int pid, uint64_t start)
{
    uint64_t found;

    return pid > 0 && sys_process_start_time(pid, &found) == 0 && found == start;
}

bool lease_is_alive(const struct net_lease *lease)
{
    _cleanup_arena_ struct arena arena = {0};

    return str_equal(lease->boot, boot_id(&arena)) &&
           (lives(lease->maker, lease->maker_start) || lives(lease->init, lease->init_start));
}
