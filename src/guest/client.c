#include "guest/client.h"

#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cgroup/group.h"
#include "guest/boot.h"
#include "guest/resolver.h"
#include "proto/carry.h"
#include "sys/process.h"

struct client {
    struct guest *guest;
    struct arena arena;
    struct carry *carry;
    struct guest_process process;
    struct loop_source *over;
    struct client *next;
    int fd;
    bool first, workload; /* the machine's own connection; it made the workload */
    bool parked; /* it has made the workload, and is lost; who takes the machine over goes on */
    bool has_process, attached, ended, told;
    struct agent_exit end;
};

static void free_client(struct client *client)
{
    struct client **at = &client->guest->clients;

    while (*at && *at != client)
        at = &(*at)->next;
    if (*at)
        *at = client->next;
    loop_remove(client->over);
    carry_free(client->carry);
    if (client->has_process)
        guest_process_end(&client->process);
    cleanup_close(&client->fd);
    arena_free(&client->arena);
    free(client);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void on_over(struct loop *loop, void *data)
{
    struct client *client = data;
    struct guest *guest = client->guest;
    bool first = client->first;

    (void)loop;
    client->over = NULL;
    if (first && client->workload) {
        client->first = false;
        client->parked = true;
        cleanup_close(&client->fd);
    } else {
        if (client->has_process && !client->ended)
            (void)sys_pidfd_send_signal(client->process.making.run.child_pidfd, SIGKILL);
        free_client(client);
    }
    /* a host is there when the guest goes on from a snapshot, and none when it was the host's end
     */
    if (first && client_greet(guest, NULL) < 0)
        guest_power_off();
}

static void on_lost(void *data, int reason)
{
    struct client *client = data;

    (void)reason;
    if (!client->over) /* not from within the carrier that is to be freed */
        (void)loop_add_timer(client->guest->loop, 0, on_over, client, &client->over);
}

static void on_moved(void *data)
{
    struct client *client = data;

    if (!client->ended || client->told || !client->attached || !carry_sources_ended(client->carry))
        return;
    client->told = true;
    _cleanup_buf_ struct buf frame = {0};
    agent_put_record(&frame, AGENT_EXIT, &agent_exit_record, &client->end);
    carry_send_buf(client->carry, &frame);
}

static void end_process(struct client *client, const siginfo_t *info)
{
    const struct guest *guest = client->guest;
    uint64_t kills = 0;

    client->ended = true;
    client->end.code = info->si_code == CLD_EXITED ? info->si_status : 128 + info->si_status;
    if (client->workload && cgroup_oom_kills(&guest->workload.state.cgroup, &kills) == 0)
        client->end.oom_killed = kills > 0;
    if (client->attached)
        carry_finish_sources(client->carry);
}

void clients_reap(struct guest *guest)
{
    siginfo_t info = {0};

    while (sys_waitid(P_ALL, 0, &info, WEXITED | WNOHANG | __WALL) == 0 && info.si_pid) {
        for (struct client *client = guest->clients; client; client = client->next)
            if (client->has_process && client->process.making.run.child == info.si_pid) {
                end_process(client, &info);
                break;
            }
        info.si_pid = 0;
    }
}

/* ---- its process ----------------------------------------------------------------------------- */

/* From here on the connection carries the process's streams. */
static int attach(struct client *client)
{
    const struct streams *streams = &client->process.streams;

    client->attached = true;
    if (streams->output >= 0)
        fcntl(streams->output, F_SETFL, O_RDWR | O_NONBLOCK);
    if (streams->input >= 0)
        carry_sink(client->carry, 0, fcntl(streams->input, F_DUPFD_CLOEXEC, 3), true);
    if (streams->input >= 0 && streams->input != streams->output)
        cleanup_close(&client->process.streams.input);
    if (streams->output >= 0)
        carry_source(client->carry, 1, streams->output);
    if (streams->error >= 0)
        carry_source(client->carry, 2, streams->error);
    if (client->ended)
        carry_finish_sources(client->carry);
    return 0;
}

/* To whoever stands on the host for the workload; the connection may be another one by now. */
static bool ask_host(void *data, const void *message, size_t length)
{
    const struct guest *guest = data;
    struct client *client = guest->clients;

    while (client && (!client->workload || client->parked || client->over))
        client = client->next;
    if (!client || carry_waiting(client->carry) >= AGENT_WINDOW)
        return false;
    carry_send(client->carry, AGENT_ASK, message, length);
    return true;
}

static int take_answer(const struct client *client, const struct agent_frame *frame)
{
    if (!client->workload || !client->guest->resolver)
        return -EPROTO;
    resolver_answer(client->guest->resolver, frame->data, frame->length);
    return 0;
}

static int create(struct client *client, const struct agent_frame *frame, struct error *err)
{
    struct guest *guest = client->guest;
    struct agent_create create;
    int r = agent_read(frame, &agent_create_record, &guest->arena, &create, err);

    if (r == 0 && create.resolver && !guest->resolver)
        r = resolver_open(guest->loop, create.resolver, ask_host, guest, &guest->resolver, err);
    if (r == 0)
        r = guest_create(guest, &create, &client->process, err);
    if (r < 0)
        return r;
    client->has_process = true;
    client->workload = true;
    carry_send(client->carry, AGENT_CREATED, NULL, 0);
    if (create.wait)
        return 0;
    carry_send(client->carry, AGENT_STARTED, NULL, 0);
    return attach(client);
}

static int start(struct client *client, struct error *err)
{
    if (!client->workload || client->attached)
        return error_set(err, EPROTO, "there is nothing to start");
    int r = guest_start(client->guest, err);
    if (r < 0)
        return r;
    carry_send(client->carry, AGENT_STARTED, NULL, 0);
    return attach(client);
}

static struct client *find_parked(const struct guest *guest)
{
    struct client *client = guest->clients;

    while (client && !client->parked)
        client = client->next;
    return client;
}

/* The process is this connection's from here on. */
static void take_process(struct client *client, struct client *from)
{
    client->process = from->process;
    client->workload = client->has_process = client->attached = true;
    client->ended = from->ended;
    client->end = from->end;
    from->has_process = false;
}

static int resume(struct client *client, const struct agent_frame *frame, struct error *err)
{
    struct client *parked = find_parked(client->guest);
    _cleanup_buf_ struct buf out = {0};
    struct agent_resume resume;
    uint64_t passed[AGENT_STREAMS] = {0}, from[AGENT_STREAMS];
    int r = agent_read(frame, &agent_resume_record, &client->arena, &resume, err);

    if (r < 0)
        return r;
    if (!client->first || !parked || !parked->attached)
        return error_set(err, ESRCH, "the machine has no workload that was started");
    if (resume.known) {
        passed[1] = resume.output;
        passed[2] = resume.error;
    }
    carry_take_over(client->carry, parked->carry, passed, from);
    take_process(client, parked);
    free_client(parked);
    struct agent_resumed resumed = {from[1], from[2]};
    agent_put_record(&out, AGENT_RESUMED, &agent_resumed_record, &resumed);
    carry_send_buf(client->carry, &out);
    carry_send_again(client->carry);
    return 0;
}

static int exec(struct client *client, const struct agent_frame *frame, struct error *err)
{
    struct agent_exec exec;
    int r = agent_read(frame, &agent_exec_record, &client->arena, &exec, err);

    if (r == 0)
        r = guest_exec(client->guest, &exec, &client->arena, &client->process, err);
    if (r < 0)
        return r;
    client->has_process = true;
    carry_send(client->carry, AGENT_STARTED, NULL, 0);
    return attach(client);
}

static int call(struct client *client, const struct agent_frame *frame, struct error *err)
{
    _cleanup_json_ struct json_object *answer = NULL;
    _cleanup_buf_ struct buf out = {0};
    struct agent_call call;
    int r = agent_read(frame, &agent_call_record, &client->arena, &call, err);

    if (r == 0)
        r = guest_call(client->guest, &call, &answer, err);
    if (r < 0)
        return r;
    agent_put_json(&out, AGENT_RESULT, answer);
    carry_send_buf(client->carry, &out);
    return 0;
}

/* ---- frames ---------------------------------------------------------------------------------- */

static int welcome(struct client *client, const struct agent_frame *frame, struct error *err)
{
    struct agent_welcome welcome;
    int r = agent_read(frame, &agent_welcome_record, &client->arena, &welcome, err);

    if (r == 0 && welcome.version != AGENT_VERSION)
        r = error_set(err, EPROTONOSUPPORT,
                "the host speaks version %u of the agent's protocol, this guest %d",
                welcome.version, AGENT_VERSION);
    return r < 0 ? r : guest_take_identity(&welcome, err);
}

static int take_signal(struct client *client, const struct agent_frame *frame)
{
    uint32_t number;
    int r = agent_number(frame, &number);

    if (r == 0 && client->has_process && !client->ended && number > 0 && number < NSIG)
        (void)sys_pidfd_send_signal(client->process.making.run.child_pidfd, (int)number);
    return r;
}

static int take_size(struct client *client, const struct agent_frame *frame)
{
    struct winsize size = {0};
    int r = agent_size(frame, &size.ws_col, &size.ws_row);

    if (r == 0 && client->attached && client->process.terminal)
        (void)ioctl(client->process.streams.output, TIOCSWINSZ, &size);
    return r;
}

static bool asks(enum agent_type type)
{
    return type == AGENT_WELCOME || type == AGENT_CREATE || type == AGENT_START ||
           type == AGENT_RESUME || type == AGENT_EXEC || type == AGENT_CALL;
}

static int ask(struct client *client, const struct agent_frame *frame, struct error *err)
{
    switch (frame->type) {
    case AGENT_WELCOME:
        return welcome(client, frame, err);
    case AGENT_CREATE:
        return client->has_process ? -EPROTO : create(client, frame, err);
    case AGENT_START:
        return start(client, err);
    case AGENT_RESUME:
        return client->has_process ? -EPROTO : resume(client, frame, err);
    case AGENT_EXEC:
        return client->has_process ? -EPROTO : exec(client, frame, err);
    default:
        return call(client, frame, err);
    }
}

static int on_frame(void *data, const struct agent_frame *frame)
{
    struct client *client = data;
    struct error err = ERROR_NONE;
    int r;

    if (frame->type == AGENT_SIGNAL)
        return take_signal(client, frame);
    if (frame->type == AGENT_SIZE)
        return take_size(client, frame);
    if (frame->type == AGENT_ANSWER)
        return take_answer(client, frame);
    if (!asks(frame->type))
        return -EPROTO;
    r = ask(client, frame, &err);
    if (r < 0 && !err.errnum)
        return r;
    if (r < 0) {
        _cleanup_buf_ struct buf out = {0};
        agent_put_error(&out, &err);
        carry_send_buf(client->carry, &out);
    }
    return 0;
}

int client_new(struct guest *guest, int fd, bool first, struct error *err)
{
    struct client *client = calloc(1, sizeof(*client));

    if (!client) {
        close(fd);
        return error_set(err, ENOMEM, "out of memory");
    }
    client->guest = guest;
    client->fd = fd;
    client->first = first;
    client->next = guest->clients;
    guest->clients = client;
    struct carry_config config = {
            .loop = guest->loop,
            .link = fd,
            .data = client,
            .keeps = true,
            .on_frame = on_frame,
            .on_lost = on_lost,
            .on_moved = on_moved,
    };
    int r = carry_new(&config, &client->carry, err);
    if (r < 0) {
        free_client(client);
        return r;
    }
    if (!first)
        return 0;
    struct agent_hello hello = {.version = AGENT_VERSION, .last_capability = caps_kernel_last()};
    _cleanup_buf_ struct buf out = {0};
    agent_put_record(&out, AGENT_HELLO, &agent_hello_record, &hello);
    carry_send_buf(client->carry, &out);
    return 0;
}

int client_greet(struct guest *guest, struct error *err)
{
    struct sockaddr_vm host = {
            .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = AGENT_PORT};
    _cleanup_close_ int sock = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (sock < 0 || connect(sock, (struct sockaddr *)&host, sizeof(host)) < 0)
        return error_sys(err, errno, "connect to the host");
    return client_new(guest, take_fd(&sock), true, err);
}
