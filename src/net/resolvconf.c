#include "net/resolvconf.h"

#include <fcntl.h>
#include <string.h>

#include "base/io.h"
#include "net/address.h"

#define WORDS_MAX 32

static void add_words(struct arena *arena, const struct strv *words, struct strv *into)
{
    for (size_t i = 1; i < words->count && into->count < WORDS_MAX; i++)
        strv_add(arena, into, words->words[i]);
}

static void read_line(const char *line, struct arena *arena, struct resolvconf *conf)
{
    char *plain = arena_strdup(arena, line);
    struct strv words = {0};

    for (char *at = plain; *at; at++)
        if (*at == '\t' || *at == '\r')
            *at = ' ';
    strv_split(arena, &words, plain, ' ');
    if (words.count < 2)
        return;
    if (str_equal(words.words[0], "nameserver") && conf->servers.count < RESOLVCONF_SERVERS_MAX)
        strv_add(arena, &conf->servers, words.words[1]);
    if (str_equal(words.words[0], "search") || str_equal(words.words[0], "domain")) {
        conf->search = (struct strv){0}; /* the last one counts */
        add_words(arena, &words, &conf->search);
    }
    if (str_equal(words.words[0], "options"))
        add_words(arena, &words, &conf->options);
}

void resolvconf_parse(const char *text, struct arena *arena, struct resolvconf *ret)
{
    struct strv lines = {0};
    const char *line;

    strv_split(arena, &lines, text, '\n');
    strv_foreach (line, &lines) {
        if (*line != '#' && *line != ';')
            read_line(line, arena, ret);
    }
}

static bool on_loopback(const char *text)
{
    struct net_address address;

    if (net_address_parse(text, false, &address) < 0)
        return false;
    if (address.family == AF_INET)
        return address.bytes[0] == 127;
    static const unsigned char loopback[16] = {[15] = 1};
    return memcmp(address.bytes, loopback, sizeof(loopback)) == 0;
}

static int read_all(const char *path, struct arena *arena, struct resolvconf *ret)
{
    _cleanup_buf_ struct buf text = {.max = 65536};
    int r = io_read_file_at(AT_FDCWD, path, &text);

    if (r == 0)
        resolvconf_parse(buf_text(&text), arena, ret);
    return r;
}

static void read_file(const char *path, struct arena *arena, struct resolvconf *ret)
{
    struct resolvconf found = {0};
    struct strv reachable = {0};
    const char *server;

    if (read_all(path, arena, &found) < 0)
        return;
    strv_foreach (server, &found.servers) {
        if (!on_loopback(server))
            strv_add(arena, &reachable, server);
    }
    found.servers = reachable;
    *ret = found;
}

void resolvconf_host(struct arena *arena, struct resolvconf *ret)
{
    struct resolvconf found = {0};

    read_file("/etc/resolv.conf", arena, &found);
    if (!found.servers.count) {
        struct resolvconf behind = {0};
        read_file("/run/systemd/resolve/resolv.conf", arena, &behind);
        found.servers = behind.servers;
    }
    *ret = found;
}

const char *resolvconf_loopback(const char *path, struct arena *arena)
{
    struct resolvconf found = {0};
    struct net_address address;
    const char *server;

    (void)read_all(path, arena, &found);
    strv_foreach (server, &found.servers) {
        if (net_address_parse(server, false, &address) == 0 && address.family == AF_INET &&
                address.bytes[0] == 127)
            return net_address_text(arena, &address);
    }
    return NULL;
}
