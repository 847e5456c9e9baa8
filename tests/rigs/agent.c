/*
 * Runs commands inside a rig for tests outside. One process serves each of the virtio ports named
 * rig.0, rig.1 …; a port runs one command at a time. As pid 1 it also reaps orphans.
 *
 * A frame is a byte for its kind, four bytes of length (little endian) and the payload:
 *
 *     to the rig    S token      ends what runs; answered by the same frame: both sides agree again
 *                   R text       runs the text by bash
 *                   I data       for its standard input; without data: the end of it
 *     from the rig  O, E data    its standard output, its standard error
 *                   X status     it has ended: four bytes, the exit status or 128 + the signal
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAYLOAD_MAX (1u << 20)
#define HEAD 5
#define ABSENT_US 30000
#define ABSENT_MAX 10
#define IDLE_SECONDS 5 /* should the kernel ever not tell of the next client */

struct server {
    int port;
    int absent; /* how often in a row nobody was there */
    pid_t pid;  /* of what runs; 0: nothing does */
    int pidfd;
    int in, out, err; /* our ends of its pipes; -1: closed */

    uint8_t frame[HEAD + PAYLOAD_MAX]; /* what has come of the next frame */
    size_t have;

    uint8_t *input; /* for the command, not written yet */
    size_t input_length;
    bool input_ends;
};

static void close_one(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Gives up when the other side stays away: the next one starts with a sync. */
static void put(struct server *server, const void *data, size_t length)
{
    const uint8_t *at = data;
    int absent = 0;

    while (length > 0) {
        struct pollfd ready = {.fd = server->port, .events = POLLOUT};
        poll(&ready, 1, -1);
        if (ready.revents & (POLLHUP | POLLERR)) {
            if (++absent == ABSENT_MAX)
                return;
            usleep(ABSENT_US);
            continue;
        }
        ssize_t done = write(server->port, at, length);
        if (done < 0 && errno != EAGAIN && errno != EINTR)
            return;
        if (done > 0) {
            at += done;
            length -= (size_t)done;
        }
    }
}

static void put_frame(struct server *server, char kind, const void *data, uint32_t length)
{
    uint8_t head[HEAD] = {(uint8_t)kind, (uint8_t)length, (uint8_t)(length >> 8),
            (uint8_t)(length >> 16), (uint8_t)(length >> 24)};

    put(server, head, sizeof(head));
    put(server, data, length);
}

static void forget(struct server *server)
{
    server->pid = 0;
    close_one(&server->pidfd);
    close_one(&server->in);
    close_one(&server->out);
    close_one(&server->err);
    free(server->input);
    server->input = NULL;
    server->input_length = 0;
    server->input_ends = false;
}

static void stop(struct server *server)
{
    if (server->pid == 0)
        return;
    kill(-server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    forget(server);
}

static void child(const char *text, int in, int out, int err)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setsid();
    dup2(in, 0);
    dup2(out, 1);
    dup2(err, 2);
    close_range(3, ~0u, 0);
    execl("/bin/bash", "bash", "-c", text, NULL);
    _exit(127);
}

static void start(struct server *server, const char *text)
{
    int in[2], out[2], err[2];

    stop(server);
    if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0)
        abort();
    pid_t pid = fork();
    if (pid == 0)
        child(text, in[0], out[1], err[1]);
    if (pid < 0)
        abort();
    close(in[0]);
    close(out[1]);
    close(err[1]);
    server->pid = pid;
    server->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    server->in = in[1];
    server->out = out[0];
    server->err = err[0];
    fcntl(server->in, F_SETFL, O_NONBLOCK);
    fcntl(server->out, F_SETFL, O_NONBLOCK);
    fcntl(server->err, F_SETFL, O_NONBLOCK);
}

static void keep_input(struct server *server, const uint8_t *data, size_t length)
{
    if (length == 0) {
        server->input_ends = true;
        return;
    }
    server->input = realloc(server->input, server->input_length + length);
    if (!server->input)
        abort();
    memcpy(server->input + server->input_length, data, length);
    server->input_length += length;
}

static void write_input(struct server *server)
{
    if (server->in < 0)
        return;
    if (server->input_length > 0) {
        ssize_t done = write(server->in, server->input, server->input_length);
        if (done < 0 && errno == EPIPE)
            close_one(&server->in);
        if (done > 0) {
            server->input_length -= (size_t)done;
            memmove(server->input, server->input + done, server->input_length);
        }
    }
    if (server->input_length == 0 && server->input_ends)
        close_one(&server->in);
}

static void pass_output(struct server *server, int *fd, char kind)
{
    uint8_t data[65536];

    while (*fd >= 0) {
        ssize_t got = read(*fd, data, sizeof(data));
        if (got > 0)
            put_frame(server, kind, data, (uint32_t)got);
        else if (got < 0 && errno == EAGAIN)
            return;
        else
            close_one(fd);
    }
}

/* What the command wrote before its end is in the pipes; daemons may keep these open. */
static void end(struct server *server)
{
    int status = 0;
    uint8_t code[4] = {0};

    waitpid(server->pid, &status, 0);
    pass_output(server, &server->out, 'O');
    pass_output(server, &server->err, 'E');
    code[0] = (uint8_t)(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    forget(server);
    put_frame(server, 'X', code, sizeof(code));
}

static void handle(struct server *server, char kind, uint8_t *data, size_t length)
{
    uint8_t after = data[length];

    data[length] = 0; /* the text of a command ends here; the byte is the next frame's */
    if (kind == 'S') {
        stop(server);
        put_frame(server, 'S', data, (uint32_t)length);
    } else if (kind == 'R') {
        start(server, (const char *)data);
    } else if (kind == 'I' && server->pid > 0) {
        keep_input(server, data, length);
    }
    data[length] = after;
}

static void read_port(struct server *server)
{
    ssize_t got = read(
            server->port, server->frame + server->have, sizeof(server->frame) - 1 - server->have);

    if (got <= 0)
        return;
    server->have += (size_t)got;
    while (server->have >= HEAD) {
        const uint8_t *head = server->frame;
        size_t length =
                head[1] | (size_t)head[2] << 8 | (size_t)head[3] << 16 | (size_t)head[4] << 24;
        if (length > PAYLOAD_MAX - HEAD - 1) {
            server->have = 0;
            return;
        }
        if (server->have < HEAD + length)
            return;
        handle(server, (char)head[0], server->frame + HEAD, length);
        server->have -= HEAD + length;
        memmove(server->frame, server->frame + HEAD + length, server->have);
    }
}

static sigset_t of_sigio(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGIO);
    return set;
}

/*
 * The kernel tells late that the other side has gone: the next client's first frames may be there
 * before that, so only an absence that lasts ends what runs. The next client is told of by SIGIO,
 * which waits, blocked; poll(2) would return at once.
 */
static void gone(struct server *server)
{
    const sigset_t set = of_sigio();
    const struct timespec idle = {IDLE_SECONDS, 0};

    if (++server->absent < ABSENT_MAX) {
        usleep(ABSENT_US);
        return;
    }
    stop(server);
    server->have = 0;
    sigtimedwait(&set, NULL, &idle);
}

static void serve(struct server *server)
{
    for (;;) {
        bool writing = server->input_length > 0 || server->input_ends;
        struct pollfd ready[] = {
                {.fd = server->port, .events = POLLIN},
                {.fd = server->pid ? server->pidfd : -1, .events = POLLIN},
                {.fd = server->out, .events = POLLIN},
                {.fd = server->err, .events = POLLIN},
                {.fd = writing ? server->in : -1, .events = POLLOUT},
        };
        if (poll(ready, 5, -1) < 0)
            continue;
        if (ready[0].revents & (POLLHUP | POLLERR)) {
            gone(server);
        } else {
            server->absent = 0;
            if (ready[0].revents & POLLIN)
                read_port(server);
        }
        if (server->pid == 0)
            continue;
        pass_output(server, &server->out, 'O');
        pass_output(server, &server->err, 'E');
        write_input(server);
        if (ready[1].revents)
            end(server);
    }
}

static void serve_port(const char *device)
{
    char path[300];
    struct server *server = calloc(1, sizeof(*server));

    snprintf(path, sizeof(path), "/dev/%s", device);
    if (!server)
        abort();
    server->pidfd = server->in = server->out = server->err = -1;
    server->port = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (server->port < 0) {
        perror(path);
        _exit(1);
    }
    const sigset_t set = of_sigio();
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    if (fcntl(server->port, F_SETOWN, getpid()) < 0 ||
            fcntl(server->port, F_SETFL, O_NONBLOCK | O_ASYNC) < 0) {
        perror(path);
        _exit(1);
    }
    serve(server);
}

static bool is_ours(const char *device)
{
    char path[300], name[64] = "";
    FILE *file;

    snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", device);
    file = fopen(path, "re");
    if (!file)
        return false;
    if (!fgets(name, sizeof(name), file))
        name[0] = 0;
    fclose(file);
    return strncmp(name, "rig.", 4) == 0;
}

/*
 * Two machines that never run, one with a local APIC and one without, for as long as the rig is up.
 * KVM patches its own code (static keys) at the first machine with an APIC that is not enabled yet,
 * and back after the last one. QEMU's TCG at times goes on running the translation of the moment in
 * which the code was a breakpoint: a processor that comes by then stays in its handler for ever.
 */
static void hold_kvm(void)
{
    struct kvm_enable_cap split = {.cap = KVM_CAP_SPLIT_IRQCHIP, .args = {24}};
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

    for (int i = 0; kvm >= 0 && i < 2; i++) {
        int machine = ioctl(kvm, KVM_CREATE_VM, 0);
        if (machine < 0 || (i == 0 && ioctl(machine, KVM_ENABLE_CAP, &split) < 0) ||
                ioctl(machine, KVM_CREATE_VCPU, 0) < 0)
            perror("a machine that is held");
    }
}

int main(void)
{
    DIR *ports = opendir("/sys/class/virtio-ports");

    if (!ports) {
        perror("/sys/class/virtio-ports");
        return 1;
    }
    for (struct dirent *entry = readdir(ports); entry; entry = readdir(ports))
        if (entry->d_name[0] != '.' && is_ours(entry->d_name) && fork() == 0)
            serve_port(entry->d_name);
    closedir(ports);
    hold_kvm();
    for (;;)
        if (waitpid(-1, NULL, 0) < 0 && errno == ECHILD)
            return 1;
}
