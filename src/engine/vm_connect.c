#include "engine/vm_connect.h"

#include "base/cleanup.h"
#include "engine/vm_call.h"
#include "engine/vm_network.h"
#include "proto/control.h"
#include "sys/tap.h"

#define MTU_DEFAULT 1500

static int ask_control(const struct container *container, struct arena *arena, const char *command,
        const char *tap, int fd, const char **ret_device, struct error *err)
{
    struct proto_control request = {.command = command, .tap = tap};
    struct proto_control_reply reply = {0};
    _cleanup_close_ int sock = -1;
    int r = vm_connect_control(container, &sock, err);

    if (r == 0)
        r = proto_control_ask(sock, &request, fd, arena, &reply, err);
    if (r == 0 && str_empty(reply.device))
        r = error_set(err, EPROTO, "viv-vmm has not said which device it is");
    if (r == 0)
        *ret_device = reply.device;
    return r;
}

static int ask_agent(const struct container *container, const char *verb,
        struct agent_interface *interface, struct error *err)
{
    struct agent_call call = {.verb = verb, .interface = interface};

    return vm_call(container, &call, NULL, err);
}

static int none_left(const char *sandbox, struct error *err)
{
    return error_set(err, ENOSPC,
            "the machine of sandbox \"%s\" has no network device left: while it runs it joins %d "
            "networks more than it was started with, as long as it has room for their devices; "
            "disconnect it from one, or stop it, connect it and start it again",
            sandbox, VM_SPARE_NETWORKS);
}

int vm_plug_in(const struct container *container, struct arena *arena, const struct vm_plug *plug,
        struct error *err)
{
    struct agent_interface interface = {
            .mac = plug->mac, .mtu = plug->mtu ? plug->mtu : MTU_DEFAULT};
    int r = sys_tap_set_header(plug->fd, PROTO_TAP_HEADER);

    if (r < 0)
        return error_sys(err, -r, "set up the tap %s", plug->tap);
    (void)vm_pull_out(container, arena, plug->tap, NULL); /* of a connect that was killed */
    r = ask_control(container, arena, "connect", plug->tap, plug->fd, &interface.device, err);
    if (r == -ENOSPC)
        return none_left(plug->sandbox, err);
    if (r < 0)
        return r;
    vm_network_fill(arena, plug->inside, &interface);
    return ask_agent(container, "connect", &interface, err);
}

int vm_pull_out(
        const struct container *container, struct arena *arena, const char *tap, struct error *err)
{
    struct agent_interface interface = {0};
    struct error why = ERROR_NONE;
    int r = ask_control(container, arena, "disconnect", tap, -1, &interface.device, &why);

    if (r == 0)
        r = ask_agent(container, "disconnect", &interface, &why);
    if (r == -ENODEV)
        return 0;
    if (r < 0 && err)
        *err = why;
    return r;
}

int vm_route(const struct container *container, struct arena *arena,
        const struct link_inside *inside, struct error *err)
{
    struct agent_interface interface = {0};

    vm_network_fill(arena, inside, &interface);
    return ask_agent(container, "route", &interface, err);
}
