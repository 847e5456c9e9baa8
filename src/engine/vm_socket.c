#include "engine/vm_socket.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

struct sockaddr_un vm_socket_address(int dir_fd, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", dir_fd, name);
    return address;
}

int vm_socket_connect(int dir_fd, const char *name, int type)
{
    struct sockaddr_un address = vm_socket_address(dir_fd, name);
    _cleanup_close_ int sock = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

    if (sock < 0 || connect(sock, (struct sockaddr *)&address, sizeof(address)) < 0)
        return -errno;
    return take_fd(&sock);
}
