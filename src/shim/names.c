#include "shim/names.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

#define WAITING_MAX                                                                                \
    ((size_t)256 << 10) /* answers are dropped when a machine does not take them                   \
                         */

static void on_answer(struct loop *loop, int fd, uint32_t events, void *data)
{
    const struct names *names = data;
    char message[AGENT_DATA_MAX];
    ssize_t got = recv(fd, message, sizeof(message), MSG_DONTWAIT);

    (void)loop, (void)events;
    if (got > 0 && carry_waiting(names->carry) < WAITING_MAX)
        carry_send(names->carry, AGENT_ANSWER, message, (size_t)got);
}

int names_open(struct names *names, const char *address, struct loop *loop, struct carry *carry,
        struct error *err)
{
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(AGENT_NAMES_PORT)};

    if (inet_pton(AF_INET, address, &server.sin_addr) != 1)
        return error_set(err, EINVAL, "%s is no address of a name server", address);
    _cleanup_close_ int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (sock < 0 || connect(sock, (struct sockaddr *)&server, sizeof(server)) < 0)
        return error_sys(err, errno, "make a socket to the name server %s", address);
    int r = loop_add_fd(loop, sock, EPOLLIN, on_answer, names, NULL);
    if (r < 0)
        return error_sys(err, -r, "watch the socket to the name server");
    names->sock = take_fd(&sock);
    names->carry = carry;
    return 0;
}

int names_ask(const struct names *names, const struct agent_frame *frame)
{
    if (names->sock < 0)
        return -EPROTO;
    (void)send(names->sock, frame->data, frame->length, MSG_DONTWAIT | MSG_NOSIGNAL);
    return 0;
}
