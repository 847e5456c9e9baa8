#include "net/port.h"

#include "base/cleanup.h"
#include "test.h"

/* "udp 127.0.0.1 8080 80 3", in the order of the struct. */
static const char *told(struct arena *arena, const struct net_publish *publish)
{
    return arena_printf(arena, "%s %s %u %u %u", net_protocol_name(publish->protocol),
            publish->host.family ? net_address_text(arena, &publish->host) : "any",
            publish->host_port, publish->port, publish->count);
}

TEST(published_ports_have_many_forms)
{
    static const char *const cases[][2] = {
            {"80", "tcp any 0 80 1"},
            {"8080:80", "tcp any 8080 80 1"},
            {"127.0.0.1:8080:80", "tcp 127.0.0.1 8080 80 1"},
            {"127.0.0.1::80", "tcp 127.0.0.1 0 80 1"},
            {"[::1]:8080:80/udp", "udp ::1 8080 80 1"},
            {"[::1]::80", "tcp ::1 0 80 1"},
            {"8000-8009:80-89", "tcp any 8000 80 10"},
            {"8000-8009:80", "tcp any 8000 80 1"},
            {"80-89/UDP", "udp any 0 80 10"},
            {"127.0.0.1::80-89/sctp", "sctp 127.0.0.1 0 80 10"},
            {"65535:65535", "tcp any 65535 65535 1"},
    };
    _cleanup_arena_ struct arena arena = {0};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct net_publish publish;
        struct error err = ERROR_NONE;
        if (net_publish_parse(cases[i][0], &publish, &err) < 0)
            test_report(__FILE__, __LINE__, "%s: %s", cases[i][0], err.text);
        else
            CHECK_STR(told(&arena, &publish), cases[i][1]);
    }
}

TEST(wrong_ports_are_refused)
{
    static const char *const cases[] = {"", ":", "0", "65536", "80:", ":80", "80:0", "a:80",
            "80/icmp", "80/", "8080:80:1", "8000-8009:80-81", "80-8", "1-60000", "::1:80:80",
            "[::1]:80", "[::1]80:80", "localhost:80:80", "10.1:80:80", "-1:80", "80-:80-"};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct net_publish publish = {.count = 7};
        if (net_publish_parse(cases[i], &publish, NULL) != -EINVAL || publish.count != 7)
            test_report(__FILE__, __LINE__, "\"%s\" is taken", cases[i]);
    }
}

TEST(exposed_ports_have_no_host)
{
    struct net_publish publish;

    CHECK_INT(net_expose_parse("80-89/udp", &publish, NULL), 0);
    CHECK_INT(publish.count, 10);
    CHECK_INT(net_expose_parse("8080:80", &publish, NULL), -EINVAL);
}

TEST_MAIN()
