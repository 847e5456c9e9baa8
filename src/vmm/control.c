#include "vmm/control.h"

#include <fcntl.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "proto/control.h"

/* One request being served. */
struct service {
    struct machine *machine;
    const struct proto_control *request;
    int fd; /* came with it, or -1 */
    struct arena *arena;
    struct proto_control_reply reply;
};

static int do_pause(struct service *service, struct error *err)
{
    (void)err;
    machine_pause(service->machine);
    return 0;
}

static int do_resume(struct service *service, struct error *err)
{
    (void)err;
    machine_resume(service->machine);
    return 0;
}

static int do_stop(struct service *service, struct error *err)
{
    (void)err;
    machine_stop(service->machine);
    return 0;
}

static int do_stats(struct service *service, struct error *err)
{
    (void)err;
    service->reply.stats = arena_new(service->arena, struct proto_stats);
    machine_get_stats(service->machine, service->arena, service->reply.stats);
    return 0;
}

static int do_balloon(struct service *service, struct error *err)
{
    return machine_set_balloon(service->machine, service->request->bytes, err);
}

static int do_snapshot(struct service *service, struct error *err)
{
    const struct proto_control *request = service->request;
    _cleanup_close_ int opened = -1;
    int fd = service->fd;

    if (fd < 0 && !request->path)
        return error_set(err, EINVAL, "a snapshot needs a descriptor or a path");
    if (fd < 0)
        fd = opened = open(request->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_sys(err, errno,
                "open %s for a snapshot: viv-vmm is in a sandbox where it opens no paths; send a "
                "descriptor along (viv snapshot does)",
                request->path);
    bool stands = machine_is_paused(service->machine);
    if (request->stop) /* what it did after the snapshot would be done twice */
        machine_pause(service->machine);
    int r = machine_snapshot(
            service->machine, fd, request->path ? request->path : "file", request->label, err);
    if (r == 0)
        machine_get_nets(service->machine, service->arena, &service->reply);
    if (r == 0 && request->stop)
        machine_stop(service->machine);
    else if (request->stop && !stands)
        machine_resume(service->machine);
    return r;
}

static int do_connect(struct service *service, struct error *err)
{
    if (service->fd < 0)
        return error_set(err, EINVAL, "the tap did not come with the request");
    return machine_connect_net(service->machine, take_fd(&service->fd), service->request->tap,
            service->arena, &service->reply.device, err);
}

static int do_disconnect(struct service *service, struct error *err)
{
    return machine_disconnect_net(
            service->machine, service->request->tap, service->arena, &service->reply.device, err);
}

static const struct {
    const char *name;
    int (*serve)(struct service *service, struct error *err);
} commands[] = {
        {"pause", do_pause},
        {"resume", do_resume},
        {"stop", do_stop},
        {"stats", do_stats},
        {"balloon", do_balloon},
        {"snapshot", do_snapshot},
        {"connect", do_connect},
        {"disconnect", do_disconnect},
};

static int serve(struct service *service, struct error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
        if (str_equal(service->request->command, commands[i].name))
            return commands[i].serve(service, err);
    return error_set(err, EOPNOTSUPP, "this viv-vmm does not know the command \"%s\"",
            service->request->command);
}

static const char *state_of(struct machine *machine)
{
    if (machine_end_of(machine) != MACHINE_RUNS)
        return "ending";
    return machine_is_paused(machine) ? "paused" : "running";
}

/* False at the other end's end. */
static bool answer_next(struct control *control, int sock)
{
    _cleanup_arena_ struct arena arena = {0};
    struct proto_control request = {0};
    struct service service = {
            .machine = control->machine, .request = &request, .fd = -1, .arena = &arena};
    struct error err = ERROR_NONE;
    int r = proto_control_receive(sock, &arena, &request, &service.fd, &err);

    if (r == 0 || (r < 0 && r != -EINVAL && r != -EMSGSIZE))
        return false;
    if (r > 0)
        r = serve(&service, &err);
    cleanup_close(&service.fd);
    service.reply.ok = r == 0;
    service.reply.errnum = -r;
    service.reply.error = r < 0 ? err.text : NULL;
    service.reply.state = state_of(control->machine);
    return proto_control_answer(sock, &service.reply) == 0;
}

static void drop_client(struct control_client *client)
{
    loop_remove(client->source);
    client->source = NULL;
    cleanup_close(&client->fd);
}

static void on_request(struct loop *loop, int fd, uint32_t events, void *data)
{
    struct control_client *client = data;

    (void)loop;
    (void)events;
    if (!answer_next(client->control, fd))
        drop_client(client);
}

/* Takes the descriptor over. */
static int add_client(struct control *control, int fd)
{
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        struct control_client *client = &control->clients[i];
        if (client->fd >= 0)
            continue;
        client->fd = fd;
        int r = loop_add_fd(control->loop, fd, EPOLLIN, on_request, client, &client->source);
        if (r < 0)
            drop_client(client);
        return r;
    }
    close(fd);
    return -EMFILE;
}

static void on_connection(struct loop *loop, int fd, uint32_t events, void *data)
{
    int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

    (void)loop;
    (void)events;
    if (client >= 0)
        (void)add_client(data, client);
}

static bool is_listening(int fd)
{
    int listens = 0;
    socklen_t size = sizeof(listens);

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens;
}

int control_init(struct control *control, struct loop *loop, int fd, struct machine *machine,
        struct error *err)
{
    int r;

    *control = (struct control){.loop = loop, .machine = machine};
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
        control->clients[i] = (struct control_client){.control = control, .fd = -1};
    if (is_listening(fd)) {
        r = loop_add_fd(loop, fd, EPOLLIN, on_connection, control, &control->listener);
    } else {
        int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        r = own < 0 ? -errno : add_client(control, own);
    }
    return r < 0 ? error_sys(err, -r, "listen to the control socket (descriptor %d)", fd) : 0;
}

void control_free(struct control *control)
{
    loop_remove(control->listener);
    control->listener = NULL;
    for (size_t i = 0; control->loop && i < CONTROL_CLIENTS_MAX; i++)
        drop_client(&control->clients[i]);
}
