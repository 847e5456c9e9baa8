#include "dns/forward.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "net/resolvconf.h"

#define PORT 53
#define PATIENCE_S 4

/* "10.1.1.1", "fd00::1" or "fe80::1%eth0" */
static int parse_server(const char *text, union dns_peer *ret)
{
    _cleanup_arena_ struct arena arena = {0};
    const char *zone = strchr(text, '%');
    struct net_address address;
    union dns_peer peer = {0};

    if (zone)
        text = arena_strndup(&arena, text, (size_t)(zone - text));
    if (net_address_parse(text, false, &address) < 0)
        return -EINVAL;
    peer.any.sa_family = (sa_family_t)address.family;
    if (address.family == AF_INET) {
        struct sockaddr_in *four = (struct sockaddr_in *)(void *)&peer;
        four->sin_port = htons(PORT);
        memcpy(&four->sin_addr, address.bytes, 4);
    } else {
        struct sockaddr_in6 *six = (struct sockaddr_in6 *)(void *)&peer;
        six->sin6_port = htons(PORT);
        memcpy(&six->sin6_addr, address.bytes, 16);
        six->sin6_scope_id = zone ? if_nametoindex(zone + 1) : 0;
    }
    *ret = peer;
    return 0;
}

socklen_t forward_size(const union dns_peer *peer)
{
    return peer->any.sa_family == AF_INET ? sizeof(struct sockaddr_in)
                                          : sizeof(struct sockaddr_in6);
}

/* The host's file is read each time: networks of laptops change. */
size_t forward_servers(const struct net_lease *client, union dns_peer *ret, size_t max)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_buf_ struct buf text = {.max = 65536};
    struct resolvconf host = {0};
    const struct strv *servers = &client->dns;
    size_t count = 0;

    if (!servers->count && io_read_file_at(AT_FDCWD, "/etc/resolv.conf", &text) == 0) {
        resolvconf_parse(buf_text(&text), &arena, &host);
        servers = &host.servers;
    }
    for (size_t i = 0; i < servers->count && count < max; i++)
        count += parse_server(servers->words[i], &ret[count]) == 0;
    return count;
}

static int read_all(int sock, unsigned char *into, size_t length)
{
    while (length) {
        ssize_t got = read(sock, into, length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return -ECONNRESET;
        into += got;
        length -= (size_t)got;
    }
    return 0;
}

ssize_t forward_receive(int sock, unsigned char *message, size_t size)
{
    unsigned char length[2];

    if (read_all(sock, length, sizeof(length)) < 0)
        return -ECONNRESET;
    size_t wanted = (size_t)(length[0] << 8 | length[1]);
    if (wanted > size)
        return -EMSGSIZE;
    return read_all(sock, message, wanted) < 0 ? -ECONNRESET : (ssize_t)wanted;
}

int forward_send(int sock, const unsigned char *message, size_t length)
{
    unsigned char head[2] = {(unsigned char)(length >> 8), (unsigned char)length};

    if (send(sock, head, sizeof(head), MSG_MORE | MSG_NOSIGNAL) != sizeof(head) ||
            send(sock, message, length, MSG_NOSIGNAL) != (ssize_t)length)
        return -ECONNRESET;
    return 0;
}

static int connect_to(const union dns_peer *server)
{
    const struct timeval patience = {PATIENCE_S, 0};
    _cleanup_close_ int sock = socket(server->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (sock < 0)
        return -errno;
    setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    if (connect(sock, &server->any, forward_size(server)) < 0)
        return -errno;
    return take_fd(&sock);
}

ssize_t forward_stream(const struct net_lease *client, const unsigned char *message, size_t length,
        unsigned char *answer, size_t size)
{
    union dns_peer servers[RESOLVCONF_SERVERS_MAX];
    size_t count = forward_servers(client, servers, RESOLVCONF_SERVERS_MAX);

    for (size_t i = 0; i < count; i++) {
        _cleanup_close_ int sock = connect_to(&servers[i]);
        if (sock < 0 || forward_send(sock, message, length) < 0)
            continue;
        ssize_t got = forward_receive(sock, answer, size);
        if (got > 0)
            return got;
    }
    return -EHOSTUNREACH;
}
