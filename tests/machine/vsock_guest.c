/*
 * The guest's side of the vsock tests, static so that it runs in an initramfs:
 *     guest-vsock connect PORT   to the host: sends standard input, then prints what comes back
 *     guest-vsock echo PORT N    serves N connections from the host, one after the other
 */
#include <linux/vm_sockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int open_socket(unsigned cid, unsigned port, struct sockaddr_vm *ret)
{
    *ret = (struct sockaddr_vm){.svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port};
    return socket(AF_VSOCK, SOCK_STREAM, 0);
}

/* Copies until the end of input; false when the output fails. */
static int copy(int from, int to)
{
    char data[65536];
    ssize_t n;

    while ((n = read(from, data, sizeof(data))) > 0)
        for (ssize_t at = 0, w; at < n; at += w)
            if ((w = write(to, data + at, (size_t)(n - at))) <= 0)
                return 1;
    return n < 0;
}

static int connect_host(unsigned port)
{
    struct sockaddr_vm address;
    int fd = open_socket(VMADDR_CID_HOST, port, &address);

    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        perror("connect");
        return 1;
    }
    if (copy(0, fd))
        return 1;
    shutdown(fd, SHUT_WR);
    return copy(fd, 1);
}

static int serve_echo(unsigned port, int count)
{
    struct sockaddr_vm address;
    int fd = open_socket(VMADDR_CID_ANY, port, &address);

    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 16) < 0) {
        perror("listen");
        return 1;
    }
    puts("listening");
    fflush(stdout);
    while (count-- > 0) {
        int client = accept(fd, NULL, NULL);
        if (client < 0 || copy(client, client))
            return 1;
        close(client);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc >= 3 && !strcmp(argv[1], "connect"))
        return connect_host((unsigned)atoi(argv[2]));
    if (argc >= 4 && !strcmp(argv[1], "echo"))
        return serve_echo((unsigned)atoi(argv[2]), atoi(argv[3]));
    return 2;
}
