#include "net/resolvconf.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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

TEST(a_server_on_the_loopback_is_found)
{
    _cleanup_arena_ struct arena arena = {0};
    char path[] = "/tmp/viv-test-XXXXXX";
    int fd = mkstemp(path);

    CHECK(fd >= 0);
    CHECK(resolvconf_loopback(path, &arena) == NULL);
    CHECK(dprintf(fd, "nameserver ::1\nnameserver 10.1.1.1\nnameserver 127.0.0.11\n") > 0);
    CHECK_STR(resolvconf_loopback(path, &arena), "127.0.0.11");
    CHECK(unlink(path) == 0);
    CHECK(resolvconf_loopback(path, &arena) == NULL);
    close(fd);
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
