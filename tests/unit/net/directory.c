#include "net/directory.h"

#include "base/cleanup.h"
#include "test.h"

static void name(struct arena *arena, struct net_lease *lease, const char *word)
{
    strv_add(arena, &lease->names, word);
}

/* "web" on both networks, "db" on the second, "me" on the first, "far" on the internal one. */
static void fill(struct directory *directory)
{
    static const struct net_lease from[] = {{.network = "a", .id = "1", .ipv4 = "10.1.1.2"},
            {.network = "b", .id = "1", .ipv4 = "10.2.2.2", .ipv6 = "fd00::2"},
            {.network = "b", .id = "2", .ipv4 = "10.2.2.3"},
            {.network = "a", .id = "3", .ipv4 = "10.1.1.4"},
            {.network = "in", .id = "4", .ipv4 = "10.3.3.2"}};
    static const char *const names[] = {"web", "web", "db", "me", "far"};
    struct net_lease *leases = arena_memdup(&directory->arena, from, sizeof(from));

    for (size_t i = 0; i < ARRAY_SIZE(from); i++)
        name(&directory->arena, &leases[i], names[i]);
    name(&directory->arena, &leases[1], "www");
    strv_add(&directory->arena, &directory->closed, "in");
    directory->leases = (struct net_leases){leases, ARRAY_SIZE(from)};
}

static const struct net_lease *client_at(
        const struct directory *directory, const char *network, const char *text)
{
    struct net_address address;

    net_address_parse(text, false, &address);
    return directory_client(directory, network, &address);
}

TEST(names_are_those_of_shared_networks)
{
    struct directory directory = {0};
    struct dns_question question = {.type = DNS_A};
    struct dns_reply reply = {0};

    fill(&directory);
    const struct net_lease *me = client_at(&directory, "a", "10.1.1.4");
    const struct net_lease *db = client_at(&directory, "b", "10.2.2.3");
    CHECK(me && db && !client_at(&directory, "b", "10.1.1.4"));
    strcpy(question.name, "WEB");
    CHECK(directory_answer(&directory, me, &question, &reply));
    CHECK_INT(reply.count, 1);
    CHECK_INT(reply.addresses[0].bytes[1], 1);
    CHECK(directory_answer(&directory, db, &question, &reply));
    CHECK_INT(reply.count, 2);
    strcpy(question.name, "www"); /* an alias of the other network */
    CHECK(!directory_answer(&directory, me, &question, &reply));
    CHECK(directory_answer(&directory, db, &question, &reply));
    strcpy(question.name, "db");
    CHECK(!directory_answer(&directory, me, &question, &reply));
    directory_free(&directory);
}

TEST(the_reverse_gives_the_name)
{
    struct directory directory = {0};
    struct dns_question question = {.type = DNS_PTR, .name = "2.2.2.10.in-addr.arpa"};
    struct dns_reply reply = {0};

    fill(&directory);
    CHECK(directory_answer(&directory, client_at(&directory, "b", "10.2.2.3"), &question, &reply));
    CHECK_STR(reply.pointer, "web");
    CHECK(!directory_answer(&directory, client_at(&directory, "a", "10.1.1.4"), &question, &reply));
    directory_free(&directory);
}

TEST(internal_networks_ask_nobody)
{
    struct directory directory = {0};

    fill(&directory);
    CHECK(directory_may_ask(&directory, client_at(&directory, "a", "10.1.1.4")));
    CHECK(!directory_may_ask(&directory, client_at(&directory, "in", "10.3.3.2")));
    directory_free(&directory);
}

TEST_MAIN()
