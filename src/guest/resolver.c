#include "guest/resolver.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "guest/readdress.h"
#include "proto/agent.h"
#include "proto/questions.h"

struct resolver {
    int sock;
    resolver_ask_fn ask;
    void *data;
    struct questions questions;
    unsigned char message[AGENT_DATA_MAX];
};

static void on_question(struct loop *loop, int fd, uint32_t events, void *data)
{
    struct resolver *resolver = data;
    struct sockaddr_in from = {0};
    socklen_t size = sizeof(from);
    ssize_t got = recvfrom(fd, resolver->message, sizeof(resolver->message), MSG_DONTWAIT,
            (struct sockaddr *)&from, &size);

    (void)loop, (void)events;
    if (got > 0 && questions_begin(&resolver->questions, &from, resolver->message, (size_t)got))
        (void)resolver->ask(resolver->data, resolver->message, (size_t)got);
}

void resolver_answer(struct resolver *resolver, const void *message, size_t length)
{
    struct sockaddr_in to;

    if (length > sizeof(resolver->message))
        return;
    memcpy(resolver->message, message, length);
    if (questions_end(&resolver->questions, resolver->message, length, &to))
        (void)sendto(resolver->sock, resolver->message, length, MSG_DONTWAIT | MSG_NOSIGNAL,
                (struct sockaddr *)&to, sizeof(to));
}

int resolver_open(struct loop *loop, const char *address, resolver_ask_fn ask, void *data,
        struct resolver **ret, struct error *err)
{
    struct sockaddr_in meant = {.sin_family = AF_INET, .sin_port = htons(AGENT_NAMES_PORT)};
    struct sockaddr_in own = {.sin_family = AF_INET};
    socklen_t size = sizeof(own);
    _cleanup_free_ struct resolver *resolver = calloc(1, sizeof(*resolver));
    _cleanup_close_ int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (!resolver)
        return error_set(err, ENOMEM, "out of memory");
    if (inet_pton(AF_INET, address, &meant.sin_addr) != 1)
        return error_set(err, EINVAL, "%s is no address of a name server", address);
    own.sin_addr = meant.sin_addr;
    if (sock < 0 || bind(sock, (struct sockaddr *)&own, sizeof(own)) < 0 ||
            getsockname(sock, (struct sockaddr *)&own, &size) < 0)
        return error_sys(err, errno, "answer for names at %s", address);
    int r = readdress(&meant, own.sin_port, err);
    if (r < 0)
        return r;
    r = loop_add_fd(loop, sock, EPOLLIN, on_question, resolver, NULL);
    if (r < 0)
        return error_sys(err, -r, "wait for questions for names");
    resolver->sock = take_fd(&sock);
    resolver->ask = ask;
    resolver->data = data;
    *ret = resolver;
    resolver = NULL;
    return 0;
}
