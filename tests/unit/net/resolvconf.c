#include "net/resolvconf.h"

#include "test.h"

TEST(resolv_conf_is_read_line_by_line)
{
    _cleanup_arena_ struct arena arena = {0};
    struct resolvconf conf = {0};

    resolvconf_parse(
            "# nameserver 1.1.1.1\n; no\nnameserver 10.1.1.1\nnameserver\tfe80::1%eth0 \r\n"
            "domain old.test\nsearch a.test b.test\noptions ndots:2 edns0\nfrob x\n"
            "nameserver",
            &arena, &conf);
    CHECK_INT(conf.servers.count, 2);
    CHECK_STR(conf.servers.words[1], "fe80::1%eth0");
    CHECK_STR(strv_join(&arena, &conf.search, " "), "a.test b.test");
    CHECK_STR(strv_join(&arena, &conf.options, " "), "ndots:2 edns0");
}

TEST(servers_are_bounded)
{
    _cleanup_arena_ struct arena arena = {0};
    struct resolvconf conf = {0};
    char text[4096] = "";

    for (int i = 0; i < 50; i++)
        strcat(text, "nameserver 10.1.1.1\n");
    resolvconf_parse(text, &arena, &conf);
    CHECK_INT(conf.servers.count, RESOLVCONF_SERVERS_MAX);
}

TEST_MAIN()
