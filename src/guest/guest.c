#include "guest/guest.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cgroup/group.h"
#include "cgroup/stats.h"
#include "container/guest.h"
#include "container/update.h"
#include "guest/net.h"
#include "guest/ps.h"
#include "guest/root.h"
#include "security/passwd.h"
#include "spec/check.h"

static int read_filter(struct arena *arena, const struct agent_filter *from,
        const struct seccomp_filter **ret, struct error *err)
{
    struct seccomp_filter *filter = arena_new(arena, struct seccomp_filter);
    size_t length;
    void *code;

    *ret = NULL;
    if (!from)
        return 0;
    if (agent_unhex(arena, from->code, &code, &length) < 0 || length % sizeof(struct sock_filter) ||
            length / sizeof(struct sock_filter) > BPF_MAXINSNS || length == 0)
        return error_set(err, EINVAL, "the seccomp filter is damaged");
    filter->code = code;
    filter->count = (uint32_t)(length / sizeof(struct sock_filter));
    filter->flags = from->flags;
    *ret = filter;
    return 0;
}

void guest_warm_up(struct guest *guest)
{
    (void)container_guest_prepare(&guest->arena, &guest->devices, NULL);
}

/* ---- the workload ---------------------------------------------------------------------------- */

static int make_request(struct guest *guest, const struct agent_create *create,
        struct container_request *ret, struct error *err)
{
    struct container_guest agreed = {
            .id = create->id,
            .spec = &guest->spec,
            .last_capability = caps_kernel_last(),
            .wait_for_start = create->wait,
            .delegate = create->delegate,
            .unmasked_devices = create->unmasked_devices,
            .devices = guest->devices.fd >= 0 ? &guest->devices : NULL,
    };
    int r = spec_load(create->config, strlen(create->config), "config.json", &guest->arena,
            &guest->spec, NULL, err);

    if (r == 0)
        r = read_filter(&guest->arena, create->filter, &agreed.seccomp, err);
    if (r < 0)
        return r;
    container_guest_request(&guest->arena, &agreed, ret);
    ret->config_text = create->config;
    guest->host = *ret->host;
    ret->host = &guest->host;
    return security_self_identify(&guest->host.self, err);
}

/* What is about to be applied has to be what the host has shown. */
static int compare_plans(const struct plan *plan, const char *digest, struct error *err)
{
    char own[CONTAINER_DIGEST_SIZE];

    if (!digest)
        return 0;
    container_plan_digest(plan, 0, plan->count, own);
    if (str_equal(own, digest))
        return 0;
    return error_set(err, EINVAL,
            "the machine's agent would do something else than the host has worked out (%s, not "
            "%s): viv and its guest folder are of different versions; build or install both anew",
            own, digest);
}

/* Whether the workload is in the network namespace that the agent is in. */
static bool is_in_first_network(const struct spec *spec)
{
    const struct spec_namespace *network = spec_namespace_find(spec, "network");

    return !network || !str_empty(network->path);
}

static int prepare_guest(
        const struct guest *guest, const struct agent_create *create, struct error *err)
{
    int r = guest_mount_root(create->root, create->root_size, create->upper, err);

    for (size_t i = 0; r == 0 && i < create->shares.count; i++)
        r = guest_mount_share(&create->shares.items[i], err);
    for (size_t i = 0; r == 0 && i < create->files.count; i++)
        r = guest_write_file(&create->files.items[i], err);
    if (r == 0)
        r = guest_set_up_interfaces(create->interfaces.items, create->interfaces.count, err);
    return r == 0 && is_in_first_network(&guest->spec) ? guest_set_up_loopback(err) : r;
}

/* What is asked for, and the guest as it is found. */
struct made {
    const struct guest *guest;
    const struct agent_create *create;
};

/* Compared before there is anything that the host does not see. */
static int plan_guest(void *data, struct container_request *request, struct container_making *ret,
        struct error *err)
{
    const struct made *made = data;
    int r = container_plan(request, ret, err);

    if (r == 0)
        r = compare_plans(&ret->plan, made->create->digest, err);
    return r == 0 ? prepare_guest(made->guest, made->create, err) : r;
}

static int make_streams(struct guest_process *process, bool interactive, struct error *err)
{
    enum streams_kind kind = process->terminal ? STREAMS_TERMINAL : STREAMS_PIPES;

    return streams_open(kind, interactive, &process->streams, err);
}

/* Of what the plan opened only the pidfd is needed from here on; the gate's other end shows its end
 * when nobody else holds it. */
static void keep_pidfd(struct plan_run *run)
{
    int pidfd = take_fd(&run->child_pidfd);

    plan_run_end(run);
    run->child_pidfd = pidfd;
}

static int make(struct guest *guest, const struct agent_create *create,
        struct container_request *request, struct guest_process *ret, struct error *err)
{
    struct made made = {guest, create};
    struct container_planner planner = {.plan = plan_guest, .data = &made};
    struct container_apply apply = {.planner = &planner,
            .faults = {.fail_at = (size_t)create->fail_at},
            .before = (size_t)create->before};

    ret->terminal = guest->spec.process->terminal;
    int r = make_streams(ret, create->interactive, err);
    if (r < 0)
        return r;
    r = streams_swap_in(&ret->streams, err);
    request->console_fd = ret->streams.console_peer;
    if (r == 0)
        r = container_make(&guest->store, request, &apply, &ret->making, err);
    streams_swap_out(&ret->streams);
    if (r == 0)
        r = streams_settle(&ret->streams, err);
    if (r == 0)
        keep_pidfd(&ret->making.run);
    else
        streams_close(&ret->streams);
    return r;
}

int guest_create(struct guest *guest, const struct agent_create *create, struct guest_process *ret,
        struct error *err)
{
    struct container_request request;

    if (guest->made)
        return error_set(err, EEXIST, "the machine has its workload already");
    int r = make_request(guest, create, &request, err);
    if (r == 0)
        r = make(guest, create, &request, ret, err);
    if (r == 0)
        r = container_open(&guest->store, create->id, &guest->arena, &guest->workload, err);
    guest->made = r == 0;
    return r;
}

int guest_start(struct guest *guest, struct error *err)
{
    if (!guest->made)
        return error_set(err, ESRCH, "the machine has no workload yet");
    return container_start(&guest->workload, err);
}

void guest_process_end(struct guest_process *process)
{
    streams_close(&process->streams);
    plan_run_end(&process->making.run);
}

/* ---- one more process ------------------------------------------------------------------------ */

static int look_up_user(struct guest *guest, const char *name, struct arena *arena,
        struct spec_user *into, struct error *err)
{
    char path[64];
    struct passwd_user user;

    if (!name)
        return 0;
    snprintf(path, sizeof(path), "/proc/%d/root", guest->workload.state.pid);
    _cleanup_close_ int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return error_sys(err, errno, "open the sandbox's root");
    int r = passwd_lookup(root, name, arena, &user, err);
    if (r < 0)
        return error_prefix(err, "--user");
    into->uid = user.uid;
    into->gid = user.gid;
    into->additionalGids.items = user.additional_gids.items;
    into->additionalGids.count = user.additional_gids.count;
    return 0;
}

static int exec_request(struct guest *guest, const struct agent_exec *exec, struct arena *arena,
        struct container_exec_request *ret, struct error *err)
{
    struct spec_process *process = arena_new(arena, struct spec_process);
    struct spec_state *told = arena_new(arena, struct spec_state);
    const struct container_state *state = &guest->workload.state;
    int r = spec_load_process(
            exec->process, strlen(exec->process), "process.json", arena, process, NULL, err);

    if (r == 0)
        r = look_up_user(guest, exec->user, arena, &process->user, err);
    *ret = (struct container_exec_request){
            .arena = arena,
            .host = &guest->host,
            .process = process,
            .process_at = "",
            .id = state->id,
            .init = state->pid,
            .namespaces = container_exec_kinds(state),
            .cgroup = &state->cgroup,
            .state = told,
            .console_fd = -1,
    };
    container_state_as_spec(state, SPEC_RUNNING, told);
    return r < 0 ? r : read_filter(arena, exec->filter, &ret->seccomp, err);
}

int guest_exec(struct guest *guest, const struct agent_exec *exec, struct arena *arena,
        struct guest_process *ret, struct error *err)
{
    static const struct container_apply apply;
    struct container_exec_request request;

    if (!guest->made || container_status(&guest->workload) != SPEC_RUNNING)
        return error_set(err, ESRCH, "the machine's workload is not running");
    int r = exec_request(guest, exec, arena, &request, err);
    if (r < 0)
        return r;
    ret->terminal = request.process->terminal;
    r = make_streams(ret, exec->interactive, err);
    if (r < 0)
        return r;
    r = streams_swap_in(&ret->streams, err);
    request.console_fd = ret->streams.console_peer;
    if (r == 0)
        r = container_exec(&request, &apply, &ret->making, err);
    streams_swap_out(&ret->streams);
    if (r == 0)
        r = streams_settle(&ret->streams, err);
    if (r < 0)
        streams_close(&ret->streams);
    return r;
}

/* ---- calls ----------------------------------------------------------------------------------- */

/* The machine's memory was chosen when it was made. */
static int check_memory(const struct spec_resources *resources, struct error *err)
{
    const struct opt_i64 *limit = &resources->memory.limit;
    struct sysinfo info;

    if (!limit->set || limit->value <= 0 || sysinfo(&info) < 0 ||
            (uint64_t)limit->value <= (uint64_t)info.totalram * info.mem_unit)
        return 0;
    return error_set(err, EINVAL,
            "--memory: the machine has %llu MiB, which cannot grow while it runs: start it anew "
            "with "
            "more",
            (unsigned long long)(info.totalram * info.mem_unit >> 20));
}

static int update(struct guest *guest, const struct agent_call *call, struct error *err)
{
    struct spec_resources resources = {0};
    int r = spec_load_resources(call->resources ? call->resources : "{}",
            strlen(call->resources ? call->resources : "{}"), "resources", &guest->arena,
            &resources, NULL, err);

    if (r == 0)
        r = check_memory(&resources, err);
    return r < 0 ? r : container_update(&guest->workload, &resources, err);
}

static int tell_stats(struct guest *guest, struct json_object **ret, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    struct cgroup_stats stats = {0};
    int r = cgroup_stats_read(&guest->workload.state.cgroup, &arena, &stats, err);

    if (r == 0)
        *ret = record_write(&cgroup_stats_record, &stats);
    return r;
}

static int change_interface(struct guest *guest, const struct agent_call *call, struct error *err)
{
    const struct agent_interface *interface = call->interface;

    if (!interface)
        return error_set(err, EINVAL, "%s: which interface is not said", call->verb);
    if (str_equal(call->verb, "connect"))
        return guest_connect_interface(&guest->parked, interface, err);
    if (str_equal(call->verb, "disconnect"))
        return guest_disconnect_interface(&guest->parked, interface->device, err);
    return guest_route_interface(interface, err);
}

static bool is_of_interfaces(const char *verb)
{
    return str_equal(verb, "connect") || str_equal(verb, "disconnect") || str_equal(verb, "route");
}

int guest_call(struct guest *guest, const struct agent_call *call, struct json_object **ret,
        struct error *err)
{
    int r;

    *ret = NULL;
    if (!guest->made)
        return error_set(err, ESRCH, "the machine has no workload yet");
    if (str_equal(call->verb, "ps"))
        r = guest_list_processes(&guest->workload.state.cgroup, ret, err);
    else if (str_equal(call->verb, "stats"))
        r = tell_stats(guest, ret, err);
    else if (str_equal(call->verb, "kill"))
        r = container_kill(&guest->workload, call->signal, call->all, err);
    else if (str_equal(call->verb, "pause"))
        r = container_pause(&guest->workload, err);
    else if (str_equal(call->verb, "resume"))
        r = container_resume(&guest->workload, err);
    else if (str_equal(call->verb, "update"))
        r = update(guest, call, err);
    else if (is_of_interfaces(call->verb))
        r = change_interface(guest, call, err);
    else
        r = error_set(err, EOPNOTSUPP, "the machine's agent does not know \"%s\"", call->verb);
    if (r == 0 && !*ret)
        *ret = json_object_new_object();
    return r;
}
