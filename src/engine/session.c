#include "engine/session.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/hold.h"
#include "base/io.h"
#include "base/loop.h"
#include "base/str.h"
#include "engine/attach.h"
#include "sys/tty.h"

struct near_end {
    const struct session *session;
    struct loop *loop;
    struct loop_source *input;
    struct sys_tty_saved saved;
    const char *keys;
    size_t keys_count;
    size_t keys_typed; /* so many of them have been typed, and not been passed on */
};

static void send_size(struct near_end *end)
{
    struct winsize size;

    if (ioctl(0, TIOCGWINSZ, &size) < 0)
        return;
    uint16_t both[2] = {size.ws_col, size.ws_row};
    attach_send(end->session->sock, ATTACH_SIZE, both, sizeof(both));
}

/* Passes input on, but for the detach keys. Whether they were typed to the end. */
static bool pass_input(struct near_end *end, const char *data, size_t length)
{
    char out[2048];
    size_t used = 0;

    for (size_t i = 0; i < length; i++) {
        if (end->keys_count && data[i] != end->keys[end->keys_typed]) {
            /* it was no detach after all: what was held back belongs to the workload */
            memcpy(out + used, end->keys, end->keys_typed);
            used += end->keys_typed;
            end->keys_typed = 0;
        }
        if (end->keys_count && data[i] == end->keys[end->keys_typed]) {
            if (++end->keys_typed == end->keys_count)
                return true;
            continue;
        }
        out[used++] = data[i];
    }
    if (used)
        attach_send(end->session->sock, ATTACH_STDIN, out, used);
    return false;
}

static void on_input(struct loop *loop, int fd, uint32_t events, void *data)
{
    struct near_end *end = data;
    char chunk[1024];

    (void)events;
    ssize_t got = read(fd, chunk, sizeof(chunk));
    if (got < 0 && errno == EINTR)
        return;
    if (got <= 0) {
        attach_send(end->session->sock, ATTACH_STDIN, "", 0);
        loop_remove(end->input);
        end->input = NULL;
        if (end->session->input_alone)
            loop_quit(loop, -ECANCELED);
        return;
    }
    if (pass_input(end, chunk, (size_t)got))
        loop_quit(loop, -ECANCELED);
}

static void on_output(struct loop *loop, int fd, uint32_t events, void *data)
{
    static char frame[ATTACH_DATA_MAX];
    const struct near_end *end = data;
    enum attach_type type;

    (void)events;
    ssize_t length = attach_receive(fd, &type, frame);
    int out = type == ATTACH_STDOUT ? 1 : 2;
    if (length < 0)
        loop_quit(loop, 0);
    else if ((type == ATTACH_STDOUT || type == ATTACH_STDERR) && !end->session->mute[out])
        io_write_all(out, frame, (size_t)length);
}

static void on_signal(struct loop *loop, const struct signalfd_siginfo *info, void *data)
{
    const struct near_end *end = data;

    if (info->ssi_signo == SIGWINCH)
        send_size(data);
    else if (end->session->on_signal)
        end->session->on_signal(end->session->data, (int)info->ssi_signo);
    else
        loop_quit(loop, -ECANCELED);
}

/* A file as stdin cannot be waited for: it is always ready, so it is passed on at once. */
static void pass_file(struct near_end *end)
{
    char chunk[1024];
    ssize_t got;

    while ((got = read(0, chunk, sizeof(chunk))) > 0)
        pass_input(end, chunk, (size_t)got);
    attach_send(end->session->sock, ATTACH_STDIN, "", 0);
}

void session_add_signals(sigset_t *set)
{
    static const int passed_on[] = {
            SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGCONT, SIGALRM};

    for (size_t i = 0; i < ARRAY_SIZE(passed_on); i++)
        sigaddset(set, passed_on[i]);
}

void session_hold_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    session_add_signals(&set);
    hold_signals(&set);
}

static int set_up(struct near_end *end, struct error *err)
{
    const struct session *session = end->session;
    sigset_t set;
    int r = loop_new(&end->loop, err);

    if (r < 0)
        return r;
    sigemptyset(&set);
    sigaddset(&set, SIGWINCH);
    if (session->terminal) {
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGHUP);
    } else if (session->on_signal) {
        session_add_signals(&set);
    }
    r = loop_add_signals(end->loop, &set, on_signal, end, NULL);
    if (r == 0)
        r = loop_add_fd(end->loop, session->sock, EPOLLIN, on_output, end, NULL);
    if (r == 0 && session->input) {
        r = loop_add_fd(end->loop, 0, EPOLLIN, on_input, end, &end->input);
        if (r == -EPERM) {
            pass_file(end);
            r = 0;
        }
    }
    return r < 0 ? error_sys(err, -r, "watch the streams") : 0;
}

int session_run(const struct session *session, struct error *err)
{
    struct near_end end = {.session = session, .saved = {.fd = -1}, .keys = session->detach_keys};
    int r;

    if (session->terminal && session->detach_keys)
        end.keys_count = strnlen(session->detach_keys, SESSION_KEYS_MAX);
    r = set_up(&end, err);
    if (r == 0 && session->terminal) {
        send_size(&end);
        r = sys_tty_raw(0, &end.saved, err);
    }
    if (r == 0)
        r = session->input_alone && !end.input ? -ECANCELED : loop_run(end.loop);
    sys_tty_restore(&end.saved);
    loop_free(end.loop);
    return r;
}
