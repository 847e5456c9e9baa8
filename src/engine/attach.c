#include "engine/attach.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"

int attach_send(int sock, enum attach_type type, const void *data, size_t length)
{
    struct attach_frame frame = {(uint32_t)type, (uint32_t)length};
    struct iovec parts[2] = {{&frame, sizeof(frame)}, {(void *)(uintptr_t)data, length}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

    return sendmsg(sock, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

ssize_t attach_receive(int sock, enum attach_type *ret_type, void *data)
{
    struct attach_frame frame = {0};
    struct iovec parts[2] = {{&frame, sizeof(frame)}, {data, ATTACH_DATA_MAX}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t got;

    do
        got = recvmsg(sock, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return -errno;
    if (got == 0)
        return -ENODATA;
    if ((size_t)got < sizeof(frame) || frame.length != (size_t)got - sizeof(frame) ||
            frame.type > ATTACH_SIZE)
        return -EPROTO;
    *ret_type = (enum attach_type)frame.type;
    return (ssize_t)frame.length;
}

/* The folder's path may be longer than a socket's address: it is named through its descriptor. */
static int socket_at(int dir_fd, struct sockaddr_un *address)
{
    address->sun_family = AF_UNIX;
    snprintf(address->sun_path, sizeof(address->sun_path), "/proc/self/fd/%d/" ATTACH_SOCKET,
            dir_fd);
    int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    return sock < 0 ? -errno : sock;
}

int attach_listen(int dir_fd, int *ret_sock, struct error *err)
{
    struct sockaddr_un address = {0};
    _cleanup_close_ int sock = socket_at(dir_fd, &address);

    if (sock < 0)
        return error_sys(err, -sock, "make a socket");
    unlinkat(dir_fd, ATTACH_SOCKET, 0);
    if (bind(sock, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(sock, 8) < 0)
        return error_sys(err, errno, "listen on " ATTACH_SOCKET);
    *ret_sock = take_fd(&sock);
    return 0;
}

int attach_connect(int dir_fd, int *ret_sock, struct error *err)
{
    struct sockaddr_un address = {0};
    _cleanup_close_ int sock = socket_at(dir_fd, &address);

    if (sock < 0)
        return error_sys(err, -sock, "make a socket");
    if (connect(sock, (struct sockaddr *)&address, sizeof(address)) < 0) {
        if (errno == ENOENT || errno == ECONNREFUSED)
            return error_set(err, ENOTCONN,
                    "the sandbox has no streams to attach to: it has ended, or was started in the "
                    "foreground with --rm");
        return error_sys(err, errno, "connect to " ATTACH_SOCKET);
    }
    *ret_sock = take_fd(&sock);
    return 0;
}
