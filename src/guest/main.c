/*
 * viv-agent: process 1 of a machine that runs a workload. Sets the guest up, connects to the host,
 * and does what the host asks for (proto/agent.h) until the connection ends, which powers the
 * machine off. What it has to say before that goes to the machine's console.
 */
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "guest/boot.h"
#include "guest/client.h"
#include "guest/net.h"
#include "sys/process.h"

static int listen_for_host(int *ret, struct error *err)
{
    struct sockaddr_vm own = {
            .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = AGENT_PORT};
    _cleanup_close_ int sock = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (sock < 0 || bind(sock, (struct sockaddr *)&own, sizeof(own)) < 0 || listen(sock, 64) < 0)
        return error_sys(err, errno, "listen to the host");
    *ret = take_fd(&sock);
    return 0;
}

static void on_connection(struct loop *loop, int fd, uint32_t events, void *data)
{
    int sock = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

    (void)loop, (void)events;
    if (sock >= 0)
        (void)client_new(data, sock, false, NULL);
}

static void on_child(struct loop *loop, const struct signalfd_siginfo *info, void *data)
{
    (void)loop, (void)info;
    clients_reap(data);
}

static int serve(struct guest *guest, struct error *err)
{
    _cleanup_close_ int listener = -1;
    sigset_t set;
    int r = loop_new(&guest->loop, err);

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    if (r == 0)
        r = store_open(&guest->arena, "/run/viv/sandboxes", &guest->store, err);
    if (r == 0)
        r = listen_for_host(&listener, err);
    if (r == 0)
        r = client_greet(guest, err);
    if (r < 0)
        return r;
    r = loop_add_fd(guest->loop, listener, EPOLLIN, on_connection, guest, NULL);
    if (r == 0)
        r = loop_add_signals(guest->loop, &set, on_child, guest, NULL);
    return r < 0 ? error_sys(err, -r, "wait for the host") : loop_run(guest->loop);
}

int main(void)
{
    struct guest guest = {.store = {.fd = -1}, .devices = {.fd = -1}, .parked = -1};
    struct error err = ERROR_NONE;

    if (getpid() != 1) {
        fprintf(stderr,
                "viv-agent is process 1 of a machine that viv runs; it does nothing here\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    int r = guest_boot(&err);
    if (r == 0)
        r = guest_park_spares(&guest.parked, &err);
    if (r == 0)
        guest_warm_up(&guest);
    if (r == 0)
        r = serve(&guest, &err);
    fprintf(stderr, "viv-agent: %s\n", r < 0 && err.errnum ? err.text : "ended");
    guest_power_off();
}
