#include "dns/responder.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "dns/forward.h"

#define PORT 53
#define MESSAGE_MAX 65535
#define DATAGRAM_MAX 4096
#define SERVERS_MAX 3
#define PATIENCE_US 2000000 /* before the next server is asked */
#define LOOK_US 30000000    /* between two looks for sandboxes whose monitor was killed */
#define CLIENT_PATIENCE_S 5

/* A question that somebody else is asked. Each has a socket, and with it a port, of its own: that
 * makes answers hard to forge. */
struct pending {
    struct responder *responder;
    struct pending *next_free;
    struct loop_source *source, *timer;
    int sock;
    int client_sock;
    union dns_peer client;
    socklen_t client_size;
    uint16_t id;
    union dns_peer servers[SERVERS_MAX];
    size_t server_count, server;
    unsigned char message[DATAGRAM_MAX];
    size_t length;
};

static bool address_of(const union dns_peer *peer, struct net_address *ret)
{
    const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)peer;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)peer;

    *ret = (struct net_address){.family = peer->any.sa_family};
    if (ret->family == AF_INET)
        memcpy(ret->bytes, &four->sin_addr, 4);
    else if (ret->family == AF_INET6)
        memcpy(ret->bytes, &six->sin6_addr, 16);
    return ret->family == AF_INET || ret->family == AF_INET6;
}

static bool is_same(const union dns_peer *peer, const struct net_address *address)
{
    struct net_address other;

    return address_of(peer, &other) && net_address_equal(&other, address);
}

/* ---- asking others --------------------------------------------------------------------------- */

static void drop_pending(struct pending *pending)
{
    loop_remove(pending->source);
    loop_remove(pending->timer);
    pending->source = pending->timer = NULL;
    cleanup_close(&pending->sock);
    pending->next_free = pending->responder->pending;
    pending->responder->pending = pending;
}

static void give_up(struct pending *pending)
{
    unsigned char answer[DNS_HEADER];
    size_t length = dns_refuse(pending->id, DNS_SERVFAIL, answer);

    sendto(pending->client_sock, answer, length, 0, &pending->client.any, pending->client_size);
    drop_pending(pending);
}

static void ask_next(struct pending *pending);

static void on_late(struct loop *loop, void *data)
{
    struct pending *pending = data;

    (void)loop;
    pending->timer = NULL;
    ask_next(pending);
}

/* Only the server that was asked can send to a connected socket; the id has to be the question's.
 */
static void on_answer(struct loop *loop, int fd, uint32_t events, void *data)
{
    struct pending *pending = data;
    unsigned char answer[DATAGRAM_MAX];
    ssize_t got = recv(fd, answer, sizeof(answer), MSG_DONTWAIT);

    (void)loop, (void)events;
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got < 0) {
        ask_next(pending); /* refused */
        return;
    }
    if (got < DNS_HEADER || memcmp(answer, pending->message, 2) != 0)
        return;
    sendto(pending->client_sock, answer, (size_t)got, 0, &pending->client.any,
            pending->client_size);
    drop_pending(pending);
}

static int ask(struct pending *pending, const union dns_peer *server)
{
    struct loop *loop = pending->responder->loop;
    _cleanup_close_ int sock = socket(server->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (sock < 0 || connect(sock, &server->any, forward_size(server)) < 0 ||
            send(sock, pending->message, pending->length, 0) < 0)
        return -errno;
    int r = loop_add_fd(loop, sock, EPOLLIN, on_answer, pending, &pending->source);
    if (r == 0)
        r = loop_add_timer(loop, PATIENCE_US, on_late, pending, &pending->timer);
    if (r == 0)
        pending->sock = take_fd(&sock);
    return r;
}

static void ask_next(struct pending *pending)
{
    loop_remove(pending->source);
    loop_remove(pending->timer);
    pending->source = pending->timer = NULL;
    cleanup_close(&pending->sock);
    while (pending->server < pending->server_count)
        if (ask(pending, &pending->servers[pending->server++]) == 0)
            return;
    give_up(pending);
}

/* Whether this client has its share of the room already. */
static bool has_share(const struct responder *responder, const union dns_peer *client)
{
    struct net_address address;
    size_t count = 0;

    if (!address_of(client, &address))
        return true;
    for (size_t i = 0; i < RESPONDER_PENDING; i++)
        count += responder->room[i].sock >= 0 && is_same(&responder->room[i].client, &address);
    return count >= RESPONDER_PENDING_EACH;
}

/* False when nobody can be asked. */
static bool forward(struct responder *responder, const struct net_lease *lease, int sock,
        const union dns_peer *client, socklen_t client_size, const unsigned char *message,
        size_t length)
{
    struct pending *pending = responder->pending;
    const unsigned id = (unsigned)(message[0] << 8 | message[1]);

    if (!pending || length > sizeof(pending->message) || has_share(responder, client))
        return false;
    responder->pending = pending->next_free;
    pending->client_sock = sock;
    pending->client = *client;
    pending->client_size = client_size;
    pending->id = (uint16_t)id;
    pending->length = length;
    memcpy(pending->message, message, length);
    pending->server = 0;
    pending->server_count = forward_servers(lease, pending->servers, SERVERS_MAX);
    ask_next(pending);
    return true;
}

/* ---- answering ------------------------------------------------------------------------------- */

/*
 * The length of the answer; 0: there is none to give, since it is no question or comes from no
 * sandbox of this network; -EAGAIN: others have to be asked for *ret_client.
 */
static ssize_t answer_here(struct responder *responder, const union dns_peer *from,
        const unsigned char *message, size_t length, bool datagram, unsigned char *answer,
        const struct net_lease **ret_client)
{
    struct dns_question question;
    struct dns_reply reply = {.code = DNS_NXDOMAIN};
    struct net_address address;
    int r = dns_parse(message, length, &question);

    directory_refresh(&responder->directory, responder->networks, NULL);
    if (!address_of(from, &address))
        return 0;
    const struct net_lease *client =
            directory_client(&responder->directory, responder->network->name, &address);
    if (!client || r == -EBADMSG)
        return 0;
    if (r < 0)
        return (ssize_t)dns_refuse(question.id, DNS_NOTIMP, answer);
    bool known = directory_answer(&responder->directory, client, &question, &reply);
    if (!known && directory_may_ask(&responder->directory, client)) {
        *ret_client = client;
        return -EAGAIN;
    }
    return (ssize_t)dns_answer(message, &question, &reply, datagram, answer);
}

static void on_datagram(struct loop *loop, int fd, uint32_t events, void *data)
{
    struct responder *responder = data;
    unsigned char message[DATAGRAM_MAX];
    unsigned char answer[DNS_ANSWER_MAX];
    const struct net_lease *client = NULL;
    union dns_peer from = {0};
    socklen_t size = sizeof(from);
    ssize_t got = recvfrom(fd, message, sizeof(message), MSG_DONTWAIT, &from.any, &size);

    (void)loop, (void)events;
    if (got < 0)
        return;
    ssize_t length = answer_here(responder, &from, message, (size_t)got, true, answer, &client);
    if (length == -EAGAIN) {
        if (forward(responder, client, fd, &from, size, message, (size_t)got))
            return;
        length =
                (ssize_t)dns_refuse((uint16_t)(message[0] << 8 | message[1]), DNS_SERVFAIL, answer);
    }
    if (length > 0)
        sendto(fd, answer, (size_t)length, 0, &from.any, size);
}

/* A client over TCP, in a process of its own that may wait. */
static void serve_stream(struct responder *responder, int sock, const union dns_peer *from)
{
    const struct timeval patience = {CLIENT_PATIENCE_S, 0};
    static unsigned char message[MESSAGE_MAX];
    static unsigned char answer[MESSAGE_MAX];
    ssize_t got;

    setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    while ((got = forward_receive(sock, message, sizeof(message))) > 0) {
        const struct net_lease *client = NULL;
        ssize_t length = answer_here(responder, from, message, (size_t)got, false, answer, &client);
        if (length == -EAGAIN)
            length = forward_stream(client, message, (size_t)got, answer, sizeof(answer));
        if (length < 0)
            length = (ssize_t)dns_refuse(
                    (uint16_t)(message[0] << 8 | message[1]), DNS_SERVFAIL, answer);
        if (length == 0 || forward_send(sock, answer, (size_t)length) < 0)
            return;
    }
}

static void close_sockets(struct responder *responder)
{
    for (size_t i = 0; i < NETWORK_SUBNETS_MAX; i++) {
        cleanup_close(&responder->datagrams[i]);
        cleanup_close(&responder->streams[i]);
    }
}

static void forget_ended(struct responder *responder)
{
    pid_t ended;

    while ((ended = waitpid(-1, NULL, WNOHANG)) > 0)
        for (size_t i = 0; i < RESPONDER_CLIENTS; i++)
            if (responder->streaming[i].pid == ended)
                responder->streaming[i].pid = 0;
}

/* A place for one more of this client; NULL: there is none, or it has its share. */
static struct responder_stream *free_stream(
        struct responder *responder, const union dns_peer *client)
{
    struct responder_stream *found = NULL;
    size_t count = 0;

    for (size_t i = 0; i < RESPONDER_CLIENTS; i++) {
        struct responder_stream *one = &responder->streaming[i];
        count += one->pid && is_same(client, &one->client);
        if (!one->pid)
            found = one;
    }
    if (!found || count >= RESPONDER_CLIENTS_EACH || !address_of(client, &found->client))
        return NULL;
    return found;
}

static void on_stream(struct loop *loop, int fd, uint32_t events, void *data)
{
    struct responder *responder = data;
    union dns_peer from = {0};
    socklen_t size = sizeof(from);
    _cleanup_close_ int sock = accept4(fd, &from.any, &size, SOCK_CLOEXEC);

    (void)loop, (void)events;
    forget_ended(responder);
    struct responder_stream *slot = sock < 0 ? NULL : free_stream(responder, &from);
    if (!slot)
        return;
    pid_t pid = fork();
    if (pid == 0) {
        /* nothing that the next responder needs is kept */
        cleanup_close(&responder->place);
        close_sockets(responder);
        serve_stream(responder, sock, &from);
        _exit(0);
    }
    if (pid > 0)
        slot->pid = pid;
}

/* ---- the end --------------------------------------------------------------------------------- */

/* Whether the network is still used; when it is not, its lock stays taken. */
static bool is_used(struct responder *responder, int *ret_lock)
{
    _cleanup_arena_ struct arena arena = {0};
    struct net_leases leases = {0};
    _cleanup_close_ int lock = lease_lock(responder->networks, responder->network->name, NULL);

    if (lock >= 0)
        lease_list(responder->networks, responder->network->name, &arena, &leases, NULL);
    for (size_t i = 0; i < leases.count; i++)
        if (lease_is_alive(&leases.items[i]))
            return true;
    *ret_lock = take_fd(&lock);
    return false;
}

struct ending {
    struct responder *responder;
    int lock;
};

static void look(struct loop *loop, struct ending *ending)
{
    if (!is_used(ending->responder, &ending->lock))
        loop_quit(loop, 0);
}

static void on_change(struct loop *loop, int fd, uint32_t events, void *data)
{
    char bytes[4096];

    (void)events;
    while (read(fd, bytes, sizeof(bytes)) > 0) {
    }
    look(loop, data);
}

static void on_time(struct loop *loop, void *data)
{
    loop_add_timer(loop, LOOK_US, on_time, data, NULL);
    look(loop, data);
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* Tells of leases that go. */
static int watch_leases(const struct responder *responder, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    const char *path = arena_printf(
            &arena, "%s/%s/leases", responder->networks->path, responder->network->name);
    _cleanup_close_ int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

    if (fd < 0 || inotify_add_watch(fd, path, IN_DELETE | IN_DELETE_SELF) < 0)
        return error_sys(err, errno, "watch %s", path);
    return take_fd(&fd);
}

static int bind_one(const struct net_address *at, int type, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    const char *text = net_address_text(&arena, at);
    union dns_peer address = {0};
    const int on = 1;
    _cleanup_close_ int fd = socket(at->family, type | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return error_sys(err, errno, "make a socket for %s", text);
    address.any.sa_family = (sa_family_t)at->family;
    if (at->family == AF_INET) {
        struct sockaddr_in *four = (struct sockaddr_in *)(void *)&address;
        four->sin_port = htons(PORT);
        memcpy(&four->sin_addr, at->bytes, 4);
    } else {
        struct sockaddr_in6 *six = (struct sockaddr_in6 *)(void *)&address;
        six->sin6_port = htons(PORT);
        memcpy(&six->sin6_addr, at->bytes, 16);
    }
    if (type == SOCK_STREAM)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, &address.any, forward_size(&address)) < 0 ||
            (type == SOCK_STREAM && listen(fd, RESPONDER_CLIENTS) < 0))
        return error_sys_hint(err, errno,
                errno == EADDRINUSE ? "a DNS server of this host listens on all addresses: keep it "
                                      "off the bridges, or make the network with --disable-dns"
                                    : NULL,
                "answer for names at %s, port %d", text, PORT);
    return take_fd(&fd);
}

int responder_bind(struct responder *responder, struct error *err)
{
    for (size_t i = 0; i < NETWORK_SUBNETS_MAX; i++)
        responder->datagrams[i] = responder->streams[i] = -1;
    for (size_t i = 0; i < responder->network->subnets.count; i++) {
        const struct net_address *gateway = &responder->network->gateways[i];
        responder->datagrams[i] = bind_one(gateway, SOCK_DGRAM, err);
        if (responder->datagrams[i] < 0)
            return responder->datagrams[i];
        responder->streams[i] = bind_one(gateway, SOCK_STREAM, err);
        if (responder->streams[i] < 0)
            return responder->streams[i];
    }
    responder->changes = watch_leases(responder, err);
    return responder->changes < 0 ? responder->changes : 0;
}

static int listen_all(struct responder *responder)
{
    int r = 0;

    for (size_t i = 0; i < NETWORK_SUBNETS_MAX && r == 0; i++) {
        if (responder->datagrams[i] < 0)
            continue;
        r = loop_add_fd(
                responder->loop, responder->datagrams[i], EPOLLIN, on_datagram, responder, NULL);
        if (r == 0)
            r = loop_add_fd(
                    responder->loop, responder->streams[i], EPOLLIN, on_stream, responder, NULL);
    }
    return r;
}

int responder_run(struct responder *responder, int *ret_lock, struct error *err)
{
    struct ending ending = {responder, -1};
    _cleanup_free_ struct pending *room = calloc(RESPONDER_PENDING, sizeof(*room));
    if (!room)
        return error_set(err, ENOMEM, "out of memory");
    responder->room = room;
    int r = loop_new(&responder->loop, err);

    if (r < 0)
        return r;
    for (size_t i = 0; i < RESPONDER_PENDING; i++) {
        room[i] = (struct pending){
                .responder = responder, .next_free = responder->pending, .sock = -1};
        responder->pending = &room[i];
    }
    r = listen_all(responder);
    if (r == 0)
        r = loop_add_fd(responder->loop, responder->changes, EPOLLIN, on_change, &ending, NULL);
    if (r == 0)
        r = loop_add_timer(responder->loop, LOOK_US, on_time, &ending, NULL);
    if (r == 0)
        r = loop_run(responder->loop);
    else
        error_sys(err, -r, "watch the sockets");
    for (size_t i = 0; i < RESPONDER_PENDING; i++)
        cleanup_close(&room[i].sock);
    loop_free(responder->loop);
    directory_free(&responder->directory);
    close_sockets(responder); /* whoever takes the lock next binds them */
    *ret_lock = ending.lock;
    return r;
}
