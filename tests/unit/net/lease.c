#include "net/lease.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "test.h"

static struct network small(struct arena *arena, const char *subnet, const char *gateway)
{
    struct network network = {.name = "n"};
    struct network_subnet *slot = RECORD_APPEND(arena, &network.subnets);

    *slot = (struct network_subnet){subnet, gateway};
    net_subnet_parse(subnet, &network.ranges[0], NULL);
    net_address_parse(gateway, false, &network.gateways[0]);
    return network;
}

TEST(the_first_free_address_is_chosen)
{
    _cleanup_arena_ struct arena arena = {0};
    struct network network = small(&arena, "10.1.1.0/29", "10.1.1.1");
    struct net_lease taken[6] = {{.ipv4 = "10.1.1.2"}, {.ipv4 = "10.1.1.4"}};
    struct net_leases others = {taken, 2};
    struct net_lease lease = {0};
    struct error err = ERROR_NONE;

    CHECK_INT(lease_choose(&network, &others, &arena, &lease, &err), 0);
    CHECK_STR(lease.ipv4, "10.1.1.3");
    CHECK_STR(lease.mac, "06:76:0a:01:01:03");
    CHECK(!lease.ipv6);
    for (unsigned i = 0; i < 5; i++)
        taken[i].ipv4 = arena_printf(&arena, "10.1.1.%u", i + 2);
    others.count = 5;
    lease = (struct net_lease){0};
    CHECK_INT(lease_choose(&network, &others, &arena, &lease, &err), -EADDRNOTAVAIL);
    CHECK(strstr(err.text, "(10.1.1.0/29) are in use"));
}

TEST(an_address_that_is_asked_for_is_checked)
{
    _cleanup_arena_ struct arena arena = {0};
    struct network network = small(&arena, "10.1.1.0/29", "10.1.1.6");
    struct net_lease taken[] = {{.ipv4 = "10.1.1.2", .sandbox = "db"}};
    struct net_leases others = {taken, 1};
    static const struct {
        const char *address;
        int code;
    } cases[] = {{"10.1.1.3", 0}, {"10.1.1.2", -EADDRINUSE}, {"10.1.1.6", -EADDRINUSE},
            {"10.1.1.0", -EINVAL}, {"10.1.1.7", -EINVAL}, {"10.1.2.1", -EINVAL}, {"x", -EINVAL}};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct net_lease lease = {.ipv4 = cases[i].address};
        CHECK_INT(lease_choose(&network, &others, &arena, &lease, NULL), cases[i].code);
    }
    struct net_lease lease = {.ipv6 = "fd00::2"};
    CHECK_INT(lease_choose(&network, &others, &arena, &lease, NULL), -EINVAL);
}

/* A folder of networks with one in it, taken away at the end. */
struct place {
    char path[32];
    struct networks networks;
    struct arena arena;
};

static void place_make(struct place *place)
{
    *place = (struct place){.path = "/tmp/viv-lease-XXXXXX"};
    if (!mkdtemp(place->path) ||
            networks_open(&place->arena, place->path, true, &place->networks, NULL) < 0 ||
            io_make_dirs_at(place->networks.fd, "n/leases", 0755) < 0)
        abort();
}

static void place_end(struct place *place)
{
    networks_close(&place->networks);
    io_remove_tree_at(AT_FDCWD, place->path);
    arena_free(&place->arena);
}
#define _cleanup_place_ __attribute__((cleanup(place_end)))

TEST(leases_live_as_long_as_their_processes)
{
    _cleanup_place_ struct place place;
    struct net_lease lease = {.network = "n", .id = "1", .sandbox = "web", .ipv4 = "10.1.1.2"};
    struct net_leases found;

    place_make(&place);
    CHECK_INT(lease_save(&place.networks, &place.arena, &lease, NULL), 0);
    CHECK(lease_is_alive(&lease));
    CHECK_INT(lease_note_init(&place.networks, &place.arena, &lease, getpid(), NULL), 0);
    CHECK_INT(lease_list(&place.networks, "n", &place.arena, &found, NULL), 0);
    CHECK_INT(found.count, 1);
    CHECK_STR(found.items[0].sandbox, "web");
    CHECK(lease_is_alive(&found.items[0]));
    lease.maker_start++; /* another process has that pid by now */
    CHECK(lease_is_alive(&lease));
    lease.init_start++;
    CHECK(!lease_is_alive(&lease));
    lease = found.items[0];
    lease.boot = "another";
    CHECK(!lease_is_alive(&lease));
}

TEST(only_the_owner_gives_an_address_back)
{
    _cleanup_place_ struct place place;
    struct net_lease lease = {.network = "n", .id = "1", .sandbox = "web", .ipv4 = "10.1.1.2"};
    struct net_lease other = lease;
    struct net_leases found;

    place_make(&place);
    other.id = "2";
    CHECK_INT(lease_save(&place.networks, &place.arena, &lease, NULL), 0);
    CHECK_INT(lease_drop(&place.networks, &place.arena, &other, NULL), 0);
    CHECK_INT(lease_list(&place.networks, "n", &place.arena, &found, NULL), 0);
    CHECK_INT(found.count, 1);
    CHECK_INT(lease_drop(&place.networks, &place.arena, &lease, NULL), 0);
    CHECK_INT(lease_drop(&place.networks, &place.arena, &lease, NULL), 0);
    CHECK_INT(lease_list(&place.networks, "n", &place.arena, &found, NULL), 0);
    CHECK_INT(found.count, 0);
}

TEST(files_that_are_no_leases_are_left_out)
{
    _cleanup_place_ struct place place;
    struct net_leases found;

    place_make(&place);
    io_replace_file_at(place.networks.fd, "n/leases/10.1.1.9", "{}", 2, 0644, false);
    io_replace_file_at(place.networks.fd, "n/leases/10.1.1.8", "frob", 4, 0644, false);
    CHECK_INT(lease_list(&place.networks, "n", &place.arena, &found, NULL), 0);
    CHECK_INT(found.count, 0);
    CHECK_INT(lease_list(&place.networks, "nosuch", &place.arena, &found, NULL), 0);
    CHECK_INT(lease_lock(&place.networks, "nosuch", NULL), -ENOENT);
}

TEST_MAIN()
