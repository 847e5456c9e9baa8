#include "net/address.h"

#include "base/cleanup.h"
#include "test.h"

TEST(addresses_are_read_and_written)
{
    static const struct {
        const char *text;
        bool brackets;
        const char *again; /* NULL: refused */
    } cases[] = {
            {"10.1.2.3", false, "10.1.2.3"},
            {"fd00:0::1", false, "fd00::1"},
            {"[fd00::1]", true, "fd00::1"},
            {"[fd00::1]", false, NULL},
            {"10.1.2", false, NULL},
            {"10.1.2.256", false, NULL},
            {"", true, NULL},
            {"[]", true, NULL},
            {"::1%lo", false, NULL},
            {"1111:2222:3333:4444:5555:6666:7777:8888:9999:0000:1111", false, NULL},
    };
    _cleanup_arena_ struct arena arena = {0};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct net_address address = {0};
        int r = net_address_parse(cases[i].text, cases[i].brackets, &address);
        if ((r == 0) != (cases[i].again != NULL))
            test_report(__FILE__, __LINE__, "%s gives %d", cases[i].text, r);
        if (r == 0)
            CHECK_STR(net_address_text(&arena, &address), cases[i].again);
    }
}

TEST(subnets_lose_the_bits_of_hosts)
{
    _cleanup_arena_ struct arena arena = {0};
    struct net_subnet subnet;
    static const char *const cases[][2] = {{"10.1.2.3/24", "10.1.2.0/24"},
            {"10.1.2.255/25", "10.1.2.128/25"}, {"10.1.2.3/32", "10.1.2.3/32"},
            {"255.255.255.255/0", "0.0.0.0/0"}, {"fd00:7:8:9::1/60", "fd00:7:8::/60"}};
    static const char *const bad[] = {"10.1.2.3", "10.1.2.3/33", "10.1.2.3/", "/24", "fd00::/129",
            "10.1.2.3/-1", "10.1.2.3/24/5", "x/1"};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CHECK_INT(net_subnet_parse(cases[i][0], &subnet, NULL), 0);
        CHECK_STR(net_subnet_text(&arena, &subnet), cases[i][1]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        CHECK_INT(net_subnet_parse(bad[i], &subnet, NULL), -EINVAL);
}

static bool overlap(const char *one, const char *other)
{
    struct net_subnet a, b;

    net_subnet_parse(one, &a, NULL);
    net_subnet_parse(other, &b, NULL);
    bool found = net_subnet_overlaps(&a, &b);
    return found == net_subnet_overlaps(&b, &a) && found;
}

TEST(subnets_overlap)
{
    CHECK(overlap("10.1.2.0/24", "10.1.2.128/25"));
    CHECK(overlap("10.1.2.0/24", "10.0.0.0/8"));
    CHECK(overlap("0.0.0.0/0", "10.0.0.0/8"));
    CHECK(!overlap("10.1.2.0/24", "10.1.3.0/24"));
    CHECK(!overlap("10.1.2.0/25", "10.1.2.128/25"));
    CHECK(!overlap("0.0.0.0/0", "::/0"));
    CHECK(overlap("fd00::/63", "fd00:0:0:1::/64"));
}

TEST(addresses_of_a_subnet_have_numbers)
{
    _cleanup_arena_ struct arena arena = {0};
    struct net_subnet subnet;
    struct net_address address;

    net_subnet_parse("10.1.0.0/16", &subnet, NULL);
    CHECK_INT(net_subnet_last(&subnet), 65534);
    address = net_subnet_at(&subnet, 258);
    CHECK_STR(net_address_text(&arena, &address), "10.1.1.2");
    CHECK_INT(net_subnet_index(&subnet, &address), 258);
    CHECK(net_subnet_contains(&subnet, &address));
    net_subnet_parse("10.1.0.0/31", &subnet, NULL);
    CHECK_INT(net_subnet_last(&subnet), 0);
    net_subnet_parse("fd00::/64", &subnet, NULL);
    CHECK_INT(net_subnet_last(&subnet), 0xfffffffe);
    address = net_subnet_at(&subnet, 0x10002);
    CHECK_STR(net_address_text(&arena, &address), "fd00::1:2");
}

TEST(ethernet_addresses_are_of_one_host)
{
    _cleanup_arena_ struct arena arena = {0};
    unsigned char mac[NET_MAC_SIZE];
    struct net_address address;

    CHECK_INT(net_mac_parse("02:00:00:00:00:fF", mac), 0);
    CHECK_STR(net_mac_text(&arena, mac), "02:00:00:00:00:ff");
    CHECK_INT(net_mac_parse("03:00:00:00:00:01", mac), -EINVAL);
    CHECK_INT(net_mac_parse("02:00:00:00:00:1", mac), -EINVAL);
    CHECK_INT(net_mac_parse("02:00:00:00:00:01:02", mac), -EINVAL);
    net_address_parse("10.90.0.2", false, &address);
    net_mac_of(&address, mac);
    CHECK_STR(net_mac_text(&arena, mac), "06:76:0a:5a:00:02");
}

TEST_MAIN()
