#include "engine/monitor.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/loop.h"
#include "engine/attach.h"
#include "engine/session.h"
#include "engine/slim.h"
#include "sys/process.h"

#define CLIENTS_MAX 16
#define CLIENT_PATIENCE_MS 2000 /* a client that reads nothing for so long is dropped */
#define INPUT_MAX ((size_t)1 << 20)

struct client {
    struct loop_source *source;
    int fd;
};

struct monitor {
    const struct monitor_config *config;
    struct loop *loop;
    struct client clients[CLIENTS_MAX];
    struct loop_source *outputs[2];
    struct loop_source *input; /* waits until the workload takes more */
    struct buf pending;        /* input that it has not taken yet */
    bool input_ends;           /* close it when `pending` is empty */
    bool ended;
    int status;
};

/* ---- output ---------------------------------------------------------------------------------- */

static void drop_client(struct client *client)
{
    loop_remove(client->source);
    client->source = NULL;
    cleanup_close(&client->fd);
}

static void carry_output(
        struct monitor *monitor, enum log_stream stream, const char *data, size_t length)
{
    if (monitor->config->passed)
        monitor->config->passed[stream == LOG_STDOUT ? 0 : 1] += length;
    if (monitor->config->local)
        io_write_all(stream == LOG_STDOUT ? 1 : 2, data, length);
    if (monitor->config->log)
        logfile_add(monitor->config->log, stream, data, length);
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        struct client *client = &monitor->clients[i];
        enum attach_type type = stream == LOG_STDOUT ? ATTACH_STDOUT : ATTACH_STDERR;
        if (client->source && attach_send(client->fd, type, data, length) < 0)
            drop_client(client);
    }
}

static void quit_when_done(struct monitor *monitor)
{
    if (monitor->ended && !monitor->outputs[0] && !monitor->outputs[1])
        loop_quit(monitor->loop, 0);
}

/* ---- input ----------------------------------------------------------------------------------- */

static void end_input(struct monitor *monitor)
{
    struct streams *streams = monitor->config->streams;

    loop_remove(monitor->input);
    monitor->input = NULL;
    if (streams->input >= 0 && streams->input != streams->output)
        cleanup_close(&streams->input);
}

/* Asks to be told when the workload takes more input. A terminal is one descriptor both ways. */
static void want_input(struct monitor *monitor, bool wanted)
{
    bool terminal = monitor->config->streams->input == monitor->config->streams->output;
    uint32_t events = wanted ? EPOLLOUT : 0;

    if (terminal && monitor->outputs[0])
        loop_change_fd(monitor->outputs[0], EPOLLIN | events);
    else if (!terminal && monitor->input)
        loop_change_fd(monitor->input, events);
}

static void write_input(struct monitor *monitor)
{
    struct buf *pending = &monitor->pending;
    int fd = monitor->config->streams->input;

    while (fd >= 0 && pending->length) {
        ssize_t put = write(fd, pending->data, pending->length);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0 && errno != EAGAIN)
            buf_clear(pending); /* nobody reads it any more */
        if (put <= 0)
            break;
        pending->length -= (size_t)put;
        memmove(pending->data, pending->data + put, pending->length);
    }
    want_input(monitor, pending->length > 0);
    if (!pending->length && monitor->input_ends)
        end_input(monitor);
}

static void on_input_ready(struct loop *loop, int fd, uint32_t events, void *data)
{
    (void)loop, (void)fd;
    if (events & (EPOLLERR | EPOLLHUP))
        end_input(data); /* the workload has closed its end */
    else
        write_input(data);
}

static void add_input(struct monitor *monitor, const char *data, size_t length)
{
    if (monitor->config->streams->input < 0)
        return;
    if (monitor->pending.length + length > INPUT_MAX)
        return; /* the workload has not read a megabyte: what comes now is lost, not kept forever */
    buf_add(&monitor->pending, data, length);
    write_input(monitor);
}

static void on_output(struct loop *loop, int fd, uint32_t events, void *data)
{
    struct monitor *monitor = data;
    enum log_stream stream = fd == monitor->config->streams->output ? LOG_STDOUT : LOG_STDERR;
    char chunk[ATTACH_DATA_MAX];

    (void)loop;
    if (events & EPOLLOUT)
        write_input(monitor);
    if (!(events & ~(uint32_t)EPOLLOUT))
        return;
    ssize_t got = read(fd, chunk, sizeof(chunk));
    if (got > 0) {
        carry_output(monitor, stream, chunk, (size_t)got);
        return;
    }
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    loop_remove(monitor->outputs[stream]); /* end of file; EIO from a terminal */
    monitor->outputs[stream] = NULL;
    quit_when_done(monitor);
}

/* ---- clients --------------------------------------------------------------------------------- */

static void on_client(struct loop *loop, int fd, uint32_t events, void *data)
{
    struct monitor *monitor = data;
    static char frame[ATTACH_DATA_MAX];
    struct client *client = NULL;
    enum attach_type type;

    (void)loop, (void)events;
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        if (monitor->clients[i].source && monitor->clients[i].fd == fd)
            client = &monitor->clients[i];
    if (!client)
        return;
    ssize_t length = attach_receive(fd, &type, frame);
    if (length < 0) {
        drop_client(client);
        return;
    }
    if (type == ATTACH_SIZE && length == 4) {
        uint16_t size[2];
        memcpy(size, frame, sizeof(size));
        struct winsize window = {.ws_col = size[0], .ws_row = size[1]};
        ioctl(monitor->config->streams->output, TIOCSWINSZ, &window);
    } else if (type == ATTACH_STDIN && length == 0) {
        monitor->input_ends = true;
        write_input(monitor);
    } else if (type == ATTACH_STDIN) {
        add_input(monitor, frame, (size_t)length);
    }
}

/* Takes the socket over. */
static int add_client(struct monitor *monitor, int fd)
{
    struct timeval patience = {CLIENT_PATIENCE_MS / 1000, 0};
    _cleanup_close_ int sock = fd;
    struct client *client = NULL;

    setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    for (size_t i = 0; i < CLIENTS_MAX && !client; i++)
        if (!monitor->clients[i].source)
            client = &monitor->clients[i];
    if (!client)
        return -EBUSY;
    int r = loop_add_fd(monitor->loop, sock, EPOLLIN, on_client, monitor, &client->source);
    if (r == 0)
        client->fd = take_fd(&sock);
    return r;
}

static void on_connect(struct loop *loop, int fd, uint32_t events, void *data)
{
    int sock = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

    (void)loop, (void)events;
    if (sock >= 0)
        add_client(data, sock);
}

/* ---- the workload ---------------------------------------------------------------------------- */

static void on_signal(struct loop *loop, const struct signalfd_siginfo *info, void *data)
{
    struct monitor *monitor = data;

    (void)loop;
    if (info->ssi_signo == SIGCHLD)
        return;
    sys_pidfd_send_signal(monitor->config->pidfd, (int)info->ssi_signo);
}

static void on_end(struct loop *loop, int fd, uint32_t events, void *data)
{
    struct monitor *monitor = data;
    siginfo_t info = {0};

    (void)loop, (void)events;
    if (!monitor->ended && monitor->config->at_end)
        monitor->config->at_end(monitor->config->data);
    if (sys_waitid(P_PIDFD, (id_t)fd, &info, WEXITED) < 0)
        return;
    monitor->ended = true;
    monitor->status = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
    /* What it left in its pipes is read to the end; but a process that lives on elsewhere and holds
     * a pipe open must not keep us: from now on nothing waits. */
    int ends[2] = {monitor->config->streams->output, monitor->config->streams->error};
    for (int i = 0; i < 2; i++) {
        if (!monitor->outputs[i])
            continue;
        fcntl(ends[i], F_SETFL, O_NONBLOCK);
        char chunk[ATTACH_DATA_MAX];
        ssize_t got;
        while ((got = read(ends[i], chunk, sizeof(chunk))) > 0)
            carry_output(monitor, (enum log_stream)i, chunk, (size_t)got);
        loop_remove(monitor->outputs[i]);
        monitor->outputs[i] = NULL;
    }
    quit_when_done(monitor);
}

static int add_streams(struct monitor *monitor)
{
    struct streams *streams = monitor->config->streams;
    int r = 0;

    if (streams->output >= 0)
        r = loop_add_fd(
                monitor->loop, streams->output, EPOLLIN, on_output, monitor, &monitor->outputs[0]);
    if (r == 0 && streams->error >= 0)
        r = loop_add_fd(
                monitor->loop, streams->error, EPOLLIN, on_output, monitor, &monitor->outputs[1]);
    if (r < 0 || streams->input < 0)
        return r;
    fcntl(streams->input, F_SETFL, O_NONBLOCK);
    if (streams->input == streams->output)
        return 0; /* a terminal takes input as fast as it comes */
    return loop_add_fd(monitor->loop, streams->input, 0, on_input_ready, monitor, &monitor->input);
}

static int add_signals(struct monitor *monitor)
{
    sigset_t set;

    sigemptyset(&set);
    session_add_signals(&set);
    return loop_add_signals(monitor->loop, &set, on_signal, monitor, NULL);
}

static void on_timeout(struct loop *loop, void *data)
{
    struct monitor *monitor = data;

    (void)loop;
    sys_pidfd_send_signal(monitor->config->pidfd, SIGKILL);
}

static int set_up(struct monitor *monitor, int *listener, struct error *err)
{
    const struct monitor_config *config = monitor->config;
    int r = loop_new(&monitor->loop, err);

    if (r == 0 && config->listen)
        r = attach_listen(config->dir_fd, listener, err);
    if (r < 0)
        return r;
    r = add_streams(monitor);
    if (r == 0 && config->signals)
        r = add_signals(monitor);
    if (r == 0 && config->client >= 0)
        r = add_client(monitor, config->client);
    if (r == 0 && config->listen)
        r = loop_add_fd(monitor->loop, *listener, EPOLLIN, on_connect, monitor, NULL);
    if (r == 0)
        r = loop_add_fd(monitor->loop, config->pidfd, EPOLLIN, on_end, monitor, NULL);
    if (r == 0 && config->timeout_ns > 0)
        r = loop_add_timer(
                monitor->loop, (uint64_t)config->timeout_ns / 1000, on_timeout, monitor, NULL);
    return r < 0 ? error_sys(err, -r, "watch the workload") : 0;
}

int monitor_run(const struct monitor_config *config, int *ret_status, struct error *err)
{
    struct monitor monitor = {.config = config};
    _cleanup_close_ int listener = -1;
    void *companion = NULL;

    for (size_t i = 0; i < CLIENTS_MAX; i++)
        monitor.clients[i].fd = -1;
    int r = set_up(&monitor, &listener, err);
    if (r == 0 && config->at_begin)
        config->at_begin(config->data);
    if (r == 0 && config->companion)
        companion = config->companion->begin(monitor.loop, config->data);
    if (r == 0 && config->patient)
        process_slim();
    if (r == 0)
        r = loop_run(monitor.loop);
    if (companion)
        config->companion->end(companion);
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        cleanup_close(&monitor.clients[i].fd);
    loop_free(monitor.loop);
    buf_free(&monitor.pending);
    if (r == 0)
        *ret_status = monitor.status;
    return r;
}
