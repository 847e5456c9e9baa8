#include "relay/relay.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/loop.h"

#define PIECE 16384u
#define DATAGRAM 65536u
#define BACKLOG 128
#define LOOK_US 30000000u

struct relay;

/* One socket that clients of ::1 come to. */
struct entrance {
    struct relay *relay;
    const struct net_relayed *port;
    struct loop_source *source;
};

/* One end of a connection, with what was read from it and not yet written to the other. */
struct side {
    int fd;
    struct loop_source *source;
    size_t start, length;
    bool ended; /* nothing more comes from it */
    bool shut;  /* nothing more goes to it */
    char data[PIECE];
};

struct stream {
    struct relay *relay;
    struct side sides[2]; /* the client, the sandbox */
    bool connecting;
};

/* A client of UDP: the sandbox's answers to this socket are its. */
struct client {
    struct client *next;
    struct entrance *entrance;
    struct sockaddr_in6 address;
    int fd;
    struct loop_source *source;
    uint64_t used_us;
};

struct relay {
    struct loop *loop;
    struct net_address to;
    struct entrance *entrances;
    size_t entrance_count;
    size_t streams;
    struct client *clients; /* the latest first */
    size_t client_count;
};

static uint64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* A socket on its way to the sandbox's port; -EINPROGRESS is no failure. */
static int connect_inside(const struct relay *relay, const struct net_relayed *port, int type)
{
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port->port)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port->port)};
    bool is_four = relay->to.family == AF_INET;
    _cleanup_close_ int fd = socket(relay->to.family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    memcpy(is_four ? (void *)&four.sin_addr : (void *)&six.sin6_addr, relay->to.bytes,
            net_address_size(&relay->to));
    if (fd < 0)
        return -errno;
    int r = is_four ? connect(fd, (struct sockaddr *)&four, sizeof(four))
                    : connect(fd, (struct sockaddr *)&six, sizeof(six));
    return r < 0 && errno != EINPROGRESS ? -errno : take_fd(&fd);
}

/* ---- TCP ------------------------------------------------------------------------------------- */

static void listen_to_more(struct relay *relay)
{
    uint32_t events = relay->streams < RELAY_STREAMS ? EPOLLIN : 0;

    for (size_t i = 0; i < relay->entrance_count; i++)
        if (relay->entrances[i].port->protocol == NET_TCP)
            loop_change_fd(relay->entrances[i].source, events);
}

static void stream_free(struct stream *stream)
{
    struct relay *relay = stream->relay;

    for (size_t i = 0; i < 2; i++) {
        loop_remove(stream->sides[i].source);
        cleanup_close(&stream->sides[i].fd);
    }
    free(stream);
    if (relay->streams-- == RELAY_STREAMS)
        listen_to_more(relay);
}

/* The client is told as if the sandbox's own answer had reached it. */
static void stream_refuse(struct stream *stream)
{
    const struct linger at_once = {.l_onoff = 1};

    setsockopt(stream->sides[0].fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    stream_free(stream);
}

static bool may_wait(ssize_t result)
{
    return result < 0 && (errno == EAGAIN || errno == EINTR);
}

/* From one end to the other what can be: 1 something, 0 nothing, -1 the connection is broken. */
static int carry(struct side *from, struct side *to)
{
    int moved = 0;

    if (!from->length && !from->ended) {
        ssize_t got = read(from->fd, from->data, sizeof(from->data));
        if (got < 0 && !may_wait(got))
            return -1;
        from->ended = got == 0;
        from->start = 0;
        from->length = got > 0 ? (size_t)got : 0;
        moved = got >= 0;
    }
    if (from->length) {
        ssize_t put = send(to->fd, from->data + from->start, from->length, MSG_NOSIGNAL);
        if (put < 0 && !may_wait(put))
            return -1;
        from->start += put > 0 ? (size_t)put : 0;
        from->length -= put > 0 ? (size_t)put : 0;
        moved |= put > 0;
    }
    if (from->ended && !from->length && !to->shut) {
        to->shut = true;
        if (shutdown(to->fd, SHUT_WR) < 0)
            return -1;
    }
    return moved;
}

static void want(struct side *side, const struct side *other, bool connecting)
{
    uint32_t in = !side->length && !side->ended && !connecting ? EPOLLIN : 0;
    uint32_t out = other->length || connecting ? EPOLLOUT : 0;

    loop_change_fd(side->source, in | out);
}

static void stream_pump(struct stream *stream, bool broken)
{
    struct side *client = &stream->sides[0];
    struct side *sandbox = &stream->sides[1];
    int there = carry(client, sandbox);
    int back = there < 0 ? -1 : carry(sandbox, client);
    bool over = client->shut && sandbox->shut;

    if (there < 0 || back < 0 || over || (broken && !there && !back)) {
        stream_free(stream);
        return;
    }
    want(client, sandbox, false);
    want(sandbox, client, false);
}

static void on_stream(struct loop *loop, int fd, uint32_t events, void *data)
{
    struct stream *stream = data;
    int why = 0;
    socklen_t size = sizeof(why);

    (void)loop;
    if (stream->connecting && fd == stream->sides[0].fd) {
        stream_free(stream); /* nothing was asked for but news of its end */
        return;
    }
    if (stream->connecting) {
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &size) < 0 || why != 0) {
            stream_refuse(stream);
            return;
        }
        stream->connecting = false;
    }
    stream_pump(stream, events & (EPOLLHUP | EPOLLERR));
}

static void stream_new(struct entrance *entrance, int fd)
{
    struct relay *relay = entrance->relay;
    struct stream *stream = calloc(1, sizeof(*stream));
    const int on = 1;

    if (!stream) {
        close(fd);
        return;
    }
    stream->relay = relay;
    stream->connecting = true;
    stream->sides[0].fd = fd;
    relay->streams++;
    stream->sides[1].fd = connect_inside(relay, entrance->port, SOCK_STREAM);
    bool well = stream->sides[1].fd >= 0;
    for (size_t i = 0; i < 2 && well; i++) {
        struct side *side = &stream->sides[i];
        setsockopt(side->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        well = loop_add_fd(relay->loop, side->fd, i ? EPOLLOUT : 0, on_stream, stream,
                       &side->source) == 0;
    }
    if (!well)
        stream_refuse(stream);
    else if (relay->streams == RELAY_STREAMS)
        listen_to_more(relay);
}

static void on_connection(struct loop *loop, int fd, uint32_t events, void *data)
{
    int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    (void)loop, (void)events;
    if (client >= 0)
        stream_new(data, client);
}

/* ---- UDP ------------------------------------------------------------------------------------- */

static void client_drop(struct relay *relay, struct client **at)
{
    struct client *client = *at;

    *at = client->next;
    loop_remove(client->source);
    cleanup_close(&client->fd);
    free(client);
    relay->client_count--;
}

static void on_answer(struct loop *loop, int fd, uint32_t events, void *data)
{
    struct client *client = data;
    char datagram[DATAGRAM];

    (void)loop, (void)events;
    ssize_t got = recv(fd, datagram, sizeof(datagram), MSG_DONTWAIT);
    if (got < 0)
        return; /* nobody listens there: the client asks again, or not */
    client->used_us = now_us();
    sendto(client->entrance->port->fd, datagram, (size_t)got, MSG_DONTWAIT | MSG_NOSIGNAL,
            (struct sockaddr *)&client->address, sizeof(client->address));
}

static struct client *client_new(struct entrance *entrance, const struct sockaddr_in6 *address)
{
    struct relay *relay = entrance->relay;
    struct client *client = calloc(1, sizeof(*client));

    if (!client)
        return NULL;
    *client = (struct client){relay->clients, entrance, *address, -1, NULL, 0};
    client->fd = connect_inside(relay, entrance->port, SOCK_DGRAM);
    if (client->fd < 0 ||
            loop_add_fd(relay->loop, client->fd, EPOLLIN, on_answer, client, &client->source) < 0) {
        cleanup_close(&client->fd);
        free(client);
        return NULL;
    }
    relay->clients = client;
    relay->client_count++;
    return client;
}

static struct client *client_of(struct entrance *entrance, const struct sockaddr_in6 *address)
{
    struct relay *relay = entrance->relay;
    struct client **oldest = NULL;

    for (struct client **at = &relay->clients; *at; at = &(*at)->next) {
        struct client *client = *at;
        if (client->entrance == entrance && client->address.sin6_port == address->sin6_port)
            return client;
        if (!oldest || client->used_us < (*oldest)->used_us)
            oldest = at;
    }
    if (oldest && relay->client_count == RELAY_CLIENTS)
        client_drop(relay, oldest);
    return client_new(entrance, address);
}

static void on_datagram(struct loop *loop, int fd, uint32_t events, void *data)
{
    struct sockaddr_in6 from;
    socklen_t size = sizeof(from);
    char datagram[DATAGRAM];

    (void)loop, (void)events;
    ssize_t got =
            recvfrom(fd, datagram, sizeof(datagram), MSG_DONTWAIT, (struct sockaddr *)&from, &size);
    struct client *client = got < 0 ? NULL : client_of(data, &from);
    if (!client)
        return;
    client->used_us = now_us();
    send(client->fd, datagram, (size_t)got, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void on_time(struct loop *loop, void *data)
{
    struct relay *relay = data;
    uint64_t now = now_us();

    for (struct client **at = &relay->clients; *at;)
        if (now - (*at)->used_us > RELAY_IDLE_US)
            client_drop(relay, at);
        else
            at = &(*at)->next;
    loop_add_timer(loop, LOOK_US, on_time, data, NULL);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static void on_end(struct loop *loop, int fd, uint32_t events, void *data)
{
    (void)fd, (void)events, (void)data;
    loop_quit(loop, 0);
}

static int open_entrance(struct entrance *entrance, struct error *err)
{
    bool stream = entrance->port->protocol == NET_TCP;

    if (stream && listen(entrance->port->fd, BACKLOG) < 0)
        return error_sys(err, errno, "listen on ::1");
    int r = loop_add_fd(entrance->relay->loop, entrance->port->fd, EPOLLIN,
            stream ? on_connection : on_datagram, entrance, &entrance->source);
    return r < 0 ? error_sys(err, -r, "wait for clients") : 0;
}

int relay_open(const struct net_address *to, const struct net_relayed *ports, size_t count,
        int life_fd, struct relay **ret, struct error *err)
{
    struct relay *relay = calloc(1, sizeof(*relay));
    struct entrance *entrances = calloc(count, sizeof(*entrances));

    if (!relay || !entrances) {
        free(relay);
        free(entrances);
        return error_set(err, ENOMEM, "out of memory");
    }
    *relay = (struct relay){.to = *to, .entrances = entrances, .entrance_count = count};
    int r = loop_new(&relay->loop, err);
    for (size_t i = 0; i < count && r == 0; i++) {
        entrances[i] = (struct entrance){.relay = relay, .port = &ports[i]};
        r = open_entrance(&entrances[i], err);
    }
    if (r == 0)
        r = loop_add_fd(relay->loop, life_fd, 0, on_end, NULL, NULL);
    if (r == 0)
        r = loop_add_timer(relay->loop, LOOK_US, on_time, relay, NULL);
    *ret = relay;
    return r;
}

int relay_run(struct relay *relay)
{
    return loop_run(relay->loop);
}
