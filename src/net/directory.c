#include "net/directory.h"

#include <strings.h>
#include <sys/stat.h>

#define MEMORY_MAX ((size_t)256 << 20)

/* A number that changes when a lease of any network comes, goes or changes. */
static uint64_t look(const struct networks *networks, const struct strv *names, struct arena *arena)
{
    uint64_t stamp = names->count + 1;
    const char *name;

    strv_foreach (name, names) {
        struct stat found;
        if (fstatat(networks->fd, arena_printf(arena, "%s/leases", name), &found, 0) < 0)
            continue;
        stamp = stamp * 0x100000001b3ULL ^ (uint64_t)found.st_mtim.tv_sec;
        stamp = stamp * 0x100000001b3ULL ^ (uint64_t)found.st_mtim.tv_nsec;
        stamp = stamp * 0x100000001b3ULL ^ found.st_ino;
    }
    return stamp;
}

static void append(struct arena *arena, struct net_leases *to, const struct net_leases *from)
{
    struct net_lease *items = arena_new_array(arena, struct net_lease, to->count + from->count + 1);

    for (size_t i = 0; i < to->count; i++)
        items[i] = to->items[i];
    for (size_t i = 0; i < from->count; i++)
        items[to->count + i] = from->items[i];
    *to = (struct net_leases){items, to->count + from->count};
}

static int read_all(struct directory *ret, const struct networks *networks,
        const struct strv *names, struct error *err)
{
    const char *name;

    strv_foreach (name, names) {
        struct network network;
        struct net_leases leases;
        if (network_load(networks, name, false, &ret->arena, &network, NULL) < 0)
            continue; /* it is just being taken away */
        int r = lease_list(networks, name, &ret->arena, &leases, err);
        if (r < 0)
            return r;
        append(&ret->arena, &ret->leases, &leases);
        if (network.internal)
            strv_add(&ret->arena, &ret->closed, name);
    }
    return 0;
}

int directory_refresh(
        struct directory *directory, const struct networks *networks, struct error *err)
{
    struct directory fresh = {.arena = {.limit = MEMORY_MAX}};
    struct strv names = {0};
    int r = networks_list(networks, &fresh.arena, &names, err);

    if (r == 0)
        fresh.stamp = look(networks, &names, &fresh.arena);
    if (r < 0 || fresh.stamp == directory->stamp) {
        directory_free(&fresh);
        return r;
    }
    r = read_all(&fresh, networks, &names, err);
    if (r < 0) {
        directory_free(&fresh);
        return r;
    }
    directory_free(directory);
    *directory = fresh;
    return 0;
}

void directory_free(struct directory *directory)
{
    arena_free(&directory->arena);
}

static bool has_address(const struct net_lease *lease, const struct net_address *address)
{
    const char *text = address->family == AF_INET ? lease->ipv4 : lease->ipv6;
    struct net_address own;

    return !str_empty(text) && net_address_parse(text, false, &own) == 0 &&
           net_address_equal(&own, address);
}

const struct net_lease *directory_client(
        const struct directory *directory, const char *network, const struct net_address *address)
{
    for (size_t i = 0; i < directory->leases.count; i++) {
        const struct net_lease *lease = &directory->leases.items[i];
        if (str_equal(lease->network, network) && has_address(lease, address))
            return lease;
    }
    return NULL;
}

static bool same_sandbox(const struct net_lease *a, const struct net_lease *b)
{
    return str_equal(a->id, b->id);
}

/* Whether a client is on a network, with whatever lease. */
static bool is_on(
        const struct directory *directory, const struct net_lease *client, const char *network)
{
    for (size_t i = 0; i < directory->leases.count; i++)
        if (str_equal(directory->leases.items[i].network, network) &&
                same_sandbox(&directory->leases.items[i], client))
            return true;
    return false;
}

static bool has_name(const struct net_lease *lease, const char *name)
{
    for (size_t i = 0; i < lease->names.count; i++)
        if (strcasecmp(lease->names.words[i], name) == 0)
            return true;
    return false;
}

static void add_address(struct dns_reply *reply, const char *text)
{
    if (!str_empty(text) && reply->count < DNS_ANSWERS_MAX &&
            net_address_parse(text, false, &reply->addresses[reply->count]) == 0)
        reply->count++;
}

bool directory_answer(const struct directory *directory, const struct net_lease *client,
        const struct dns_question *question, struct dns_reply *ret)
{
    struct net_address asked;
    bool reverse = question->type == DNS_PTR && dns_reverse(question->name, &asked);
    struct dns_reply reply = {0};
    bool found = false;

    for (size_t i = 0; i < directory->leases.count; i++) {
        const struct net_lease *lease = &directory->leases.items[i];
        bool fits = reverse ? has_address(lease, &asked) : has_name(lease, question->name);
        if (!fits || !is_on(directory, client, lease->network))
            continue;
        found = true;
        if (reverse) {
            reply.pointer = lease->names.count ? lease->names.words[0] : NULL;
            break;
        }
        add_address(&reply, lease->ipv4);
        add_address(&reply, lease->ipv6);
    }
    if (found)
        *ret = reply;
    return found;
}

bool directory_may_ask(const struct directory *directory, const struct net_lease *client)
{
    for (size_t i = 0; i < directory->leases.count; i++)
        if (same_sandbox(&directory->leases.items[i], client) &&
                !strv_contains(&directory->closed, directory->leases.items[i].network))
            return true;
    return false;
}
