#include "container/streams.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"

static int open_null(int *ret, struct error *err)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (fd < 0)
        return error_sys(err, errno, "open /dev/null");
    *ret = fd;
    return 0;
}

static int open_pipe(int *ret_read, int *ret_write, struct error *err)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_sys(err, errno, "make a pipe for the workload's output");
    *ret_read = ends[0];
    *ret_write = ends[1];
    return 0;
}

static int open_outputs(struct streams *streams, struct error *err)
{
    int r = open_pipe(&streams->output, &streams->child[1], err);

    return r < 0 ? r : open_pipe(&streams->error, &streams->child[2], err);
}

static int open_terminal(struct streams *streams, struct error *err)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return error_sys(err, errno, "make a socket for the terminal");
    streams->console = pair[0];
    streams->console_peer = pair[1];
    return 0;
}

int streams_open(enum streams_kind kind, bool interactive, struct streams *ret, struct error *err)
{
    struct streams streams = STREAMS_NONE;
    int r = 0;

    if (kind == STREAMS_TERMINAL)
        r = open_terminal(&streams, err);
    else if (!interactive)
        r = open_null(&streams.child[0], err);
    else if (kind == STREAMS_PIPES)
        r = open_pipe(&streams.child[0], &streams.input, err);
    if (r == 0 && (kind == STREAMS_TEE || kind == STREAMS_PIPES))
        r = open_outputs(&streams, err);
    if (r < 0) {
        streams_close(&streams);
        return r;
    }
    *ret = streams;
    return 0;
}

int streams_swap_in(struct streams *streams, struct error *err)
{
    streams->swapped = true;
    for (int i = 0; i < 3; i++) {
        if (streams->child[i] < 0)
            continue;
        streams->saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 10); /* -1 where it is closed: fine */
        if (dup2(streams->child[i], i) < 0) {
            int code = errno;
            streams_swap_out(streams);
            return error_sys(err, code, "put the workload's stream %d in place", i);
        }
    }
    return 0;
}

void streams_swap_out(struct streams *streams)
{
    for (int i = 0; streams->swapped && i < 3; i++) {
        if (streams->saved[i] >= 0)
            dup2(streams->saved[i], i);
        else if (streams->child[i] >= 0)
            close(i);
        cleanup_close(&streams->saved[i]);
    }
    streams->swapped = false;
}

int streams_settle(struct streams *streams, struct error *err)
{
    char name[64];
    size_t count = 0;

    for (int i = 0; i < 3; i++)
        cleanup_close(&streams->child[i]);
    cleanup_close(&streams->console_peer);
    if (streams->console < 0)
        return 0;
    ssize_t got = io_receive_fds(streams->console, name, sizeof(name), &streams->output, 1, &count);
    if (got <= 0 || count != 1)
        return error_set(err, EPROTO, "the container did not hand over its terminal");
    cleanup_close(&streams->console);
    streams->input = streams->output;
    return 0;
}

void streams_close(struct streams *streams)
{
    streams_swap_out(streams);
    for (int i = 0; i < 3; i++)
        cleanup_close(&streams->child[i]);
    if (streams->input == streams->output)
        streams->input = -1;
    cleanup_close(&streams->input);
    cleanup_close(&streams->output);
    cleanup_close(&streams->error);
    cleanup_close(&streams->console);
    cleanup_close(&streams->console_peer);
}
