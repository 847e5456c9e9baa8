#include "engine/vm_call.h"

#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "container/update.h"
#include "engine/vm.h"
#include "engine/vm_boot.h"
#include "engine/vm_socket.h"
#include "engine/vm_spec.h"
#include "spec/check.h"

bool vm_is(const struct container *container)
{
    return str_equal(container->state.isolation, "vm");
}

/* ---- the connection -------------------------------------------------------------------------- */

/* viv-vmm answers "OK <port>\n" when the agent has taken the connection, else it closes. */
static int read_answer(int sock)
{
    char c;

    for (size_t length = 0; length < 32; length++) {
        int r = io_read_exact(sock, &c, 1);
        if (r < 0)
            return r;
        if (c == '\n')
            return 0;
    }
    return -EPROTO;
}

static int connect_through(int dir_fd, int *ret)
{
    static const struct timeval patience = {VM_PATIENCE_MS / 1000, 0};
    _cleanup_close_ int sock = vm_socket_connect(dir_fd, VM_SOCKET, SOCK_STREAM);
    char line[32];
    int length = snprintf(line, sizeof(line), "CONNECT %d\n", AGENT_PORT);

    if (sock < 0) {
        int r = sock;
        sock = -1;
        return r;
    }
    if (setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
        return -errno;
    int r = io_write_all(sock, line, (size_t)length);
    if (r == 0)
        r = read_answer(sock);
    if (r == 0)
        *ret = take_fd(&sock);
    return r;
}

static int check_running(const struct container *container, struct error *err)
{
    const char *name = container->state.id;
    enum spec_status status = container_status(container);

    if (status == SPEC_PAUSED)
        return error_set(err, EBUSY,
                "sandbox \"%s\" is paused, and its machine with it; viv unpause %s first", name,
                name);
    if (container->dir_fd < 0 || status == SPEC_STOPPED)
        return error_set(err, ESRCH, "sandbox \"%s\" is not running", name);
    return 0;
}

static int not_there(const char *name, struct error *err)
{
    return error_set(err, ESRCH, "the machine of sandbox \"%s\" has ended, or not begun", name);
}

int vm_connect_control(const struct container *container, int *ret_fd, struct error *err)
{
    const char *name = container->state.id;
    int r = check_running(container, err);

    if (r < 0)
        return r;
    r = vm_socket_connect(container->dir_fd, VM_CONTROL, SOCK_SEQPACKET);
    if (r == -ECONNREFUSED || r == -ENOENT)
        return not_there(name, err);
    if (r < 0)
        return error_sys(err, -r, "connect to viv-vmm of sandbox \"%s\"", name);
    *ret_fd = r;
    return 0;
}

/* A stopped or busy viv-vmm keeps nobody who only looks. */
#define FIGURES_SECONDS 5

int vm_figures(const struct container *container, struct arena *arena, struct proto_stats *ret,
        struct error *err)
{
    struct proto_control request = {.command = "stats"};
    static const struct timeval patience = {FIGURES_SECONDS, 0};
    struct proto_control_reply reply = {0};
    _cleanup_close_ int sock = -1;
    int r = vm_connect_control(container, &sock, err);

    if (r == 0 && setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
        r = error_sys(err, errno, "limit how long viv-vmm is waited for");
    if (r == 0)
        r = proto_control_ask(sock, &request, -1, arena, &reply, err);
    if (r == 0 && !reply.stats)
        r = error_set(err, EPROTO, "viv-vmm has answered without figures");
    if (r == 0)
        *ret = *reply.stats;
    return r;
}

int vm_connect(const struct container *container, int *ret_fd, struct error *err)
{
    const char *name = container->state.id;
    int r = check_running(container, err);

    if (r < 0)
        return r;
    r = connect_through(container->dir_fd, ret_fd);
    if (r == -ECONNREFUSED || r == -ENOENT || r == -ENODATA)
        return not_there(name, err);
    if (r == -EAGAIN) /* SO_RCVTIMEO */
        return error_set(err, ETIMEDOUT,
                "the agent in the machine of sandbox \"%s\" did not answer within %d s: its kernel "
                "may "
                "hang; viv kill ends it",
                name, VM_PATIENCE_MS / 1000);
    return r < 0 ? error_sys(err, -r, "connect to the machine of sandbox \"%s\"", name) : 0;
}

int vm_call(const struct container *container, const struct agent_call *call,
        struct json_object **ret, struct error *err)
{
    _cleanup_close_ int sock = -1;
    _cleanup_buf_ struct buf out = {.max = AGENT_TEXT_MAX};
    struct agent_frame frame;
    int r = vm_connect(container, &sock, err);

    if (r < 0)
        return r;
    _cleanup_(agent_link_free) struct agent_link link = {.fd = sock};
    agent_put_record(&out, AGENT_CALL, &agent_call_record, call);
    r = agent_send(&link, &out, err);
    if (r == 0)
        r = agent_expect(&link, VM_PATIENCE_MS, AGENT_RESULT, &frame, err);
    if (r == 0 && ret)
        r = json_parse(frame.data, frame.length, "the agent's answer", ret, err);
    return r;
}

/* ---- both kinds ------------------------------------------------------------------------------ */

/* SIGKILL ends the machine from outside, whatever state it is in. */
int workload_kill(const struct container *container, int signal, bool all, struct error *err)
{
    struct agent_call call = {.verb = "kill", .signal = signal, .all = all};

    if (!vm_is(container) || signal == SIGKILL)
        return container_kill(container, signal, all && !vm_is(container), err);
    return vm_call(container, &call, NULL, err);
}

/* What the machine as a whole may use, for an update of the workload's limits. Its memory is there
 * already: the guest's own limit is what changes. */
static struct spec_resources outer_limits(const struct spec_resources *resources)
{
    struct spec_resources outer = {0};

    outer.cpu = resources->cpu;
    return outer;
}

int workload_update(const struct container *container, const struct spec_resources *resources,
        struct error *err)
{
    if (!vm_is(container))
        return container_update(container, resources, err);
    struct spec_resources inner = *resources;
    vm_drop_host_cpus(&inner);
    _cleanup_json_ struct json_object *json = record_write(&spec_resources_record, &inner);
    struct agent_call call = {.verb = "update", .resources = json_text(json)};
    struct spec_resources outer = outer_limits(resources);
    int r = vm_call(container, &call, NULL, err);
    return r < 0 ? r : container_update(container, &outer, err);
}

/* A paused machine cannot answer: what it costs the host is told then. */
int workload_stats(const struct container *container, struct arena *arena, struct cgroup_stats *ret,
        struct error *err)
{
    struct record_report report = {.arena = arena};
    _cleanup_json_ struct json_object *json = NULL;
    struct agent_call call = {.verb = "stats"};

    if (!vm_is(container) || container_status(container) == SPEC_PAUSED)
        return cgroup_stats_read(&container->state.cgroup, arena, ret, err);
    int r = vm_call(container, &call, &json, err);
    if (r < 0)
        return r;
    *ret = (struct cgroup_stats){0};
    record_read(&cgroup_stats_record, json, "", ret, &report);
    return record_error(&report, "the agent's answer", err);
}
