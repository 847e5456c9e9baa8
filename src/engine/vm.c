#include "engine/vm.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/install.h"
#include "container/clone.h"
#include "container/console.h"
#include "container/hook_steps.h"
#include "engine/vm_boot.h"
#include "engine/vm_joined.h"
#include "engine/vm_mounts.h"
#include "engine/vm_network.h"
#include "engine/vm_spec.h"
#include "engine/vm_steps.h"
#include "engine/vm_template.h"
#include "ns/join.h"

/* ---- the plan -------------------------------------------------------------------------------- */

static int add_cgroup(struct vm *vm, struct cgroup_request *cgroup, struct error *err)
{
    const struct container_request *request = vm->request;
    const char *path = request->spec->linux.cgroupsPath;

    *cgroup = (struct cgroup_request){
            .manager = request->cgroup_manager,
            .path = str_empty(path) ? request->default_cgroup : path,
            .limits = vm_host_limits(vm),
            .pointer = "/linux/resources",
            .strict = request->cgroup_strict,
            .place = STEP_HOST,
            .systemd = request->host->systemd,
    };
    return cgroup_steps_create(
            &vm->making->plan, request->host->cgroups, cgroup, &vm->making->built.cgroup, err);
}

static int add_child(struct vm *vm, const struct cgroup_request *cgroup, struct error *err)
{
    const struct container_request *request = vm->request;
    struct container_built *built = &vm->making->built;
    struct container_clone clone = {
            .new_kinds = ns_set_flags(&vm->outside, NS_NEW),
            .user_slot = -1,
            .pid_slot = -1,
            .cgroup_slot = built->cgroup.unified_slot,
            .die_with_host = request->die_with_host,
            .rootless = request->host->rootless,
    };

    container_clone_step(&vm->making->plan, &clone, "");
    return cgroup_steps_attach(
            &vm->making->plan, request->host->cgroups, cgroup, &built->cgroup, err);
}

/* The steps that the agent will apply: worked out by the same function, shown as the guest's. */
static int add_guest(struct vm *vm, struct error *err)
{
    struct plan *plan = &vm->making->plan;
    struct container_request request;
    struct container_making making;

    container_guest_request(vm->arena, &vm->guest, &request);
    int r = container_plan(&request, &making, err);
    if (r < 0)
        return r;
    if (!vm->agent_plans_alike)
        container_plan_digest(&making.plan, 0, making.plan.count, vm->digest);
    vm->guest_from = plan->count;
    for (size_t i = 0; i < making.plan.count; i++)
        plan_add(plan, STEP_GUEST, making.plan.steps[i].ops, making.plan.steps[i].because,
                making.plan.steps[i].args);
    vm->guest_to = plan->count;
    return 0;
}

/* Hooks may fill the network namespace, which is read behind them. What the specification calls the
 * container's namespaces are here those of viv-shim; startContainer is the guest's. */
static void add_hooks(struct vm *vm)
{
    struct plan *plan = &vm->making->plan;
    const struct spec_hooks *hooks = &vm->request->spec->hooks;
    const struct spec_state *state = vm->request->state;

    container_hook_steps(plan, STEP_HOST, &hooks->prestart, "prestart", state, SPEC_CREATING);
    container_hook_steps(
            plan, STEP_HOST, &hooks->createRuntime, "createRuntime", state, SPEC_CREATING);
    container_hook_steps(
            plan, STEP_CHILD, &hooks->createContainer, "createContainer", state, SPEC_CREATING);
}

static void add_process(struct vm *vm)
{
    struct container_request *request = vm->request;
    const struct spec_process *process = request->spec->process;
    struct plan *plan = &vm->making->plan;

    if (vm->making->built.console_slot >= 0 && process->terminal) {
        struct container_console console = {
                .socket_slot = vm->making->built.console_slot, .host = true};
        container_console_step(plan, &console, "/process/terminal");
    }
    if (request->wait_for_start)
        container_gate_wait_step(plan, &vm->gate);
    vm_step_shim(plan, vm);
}

static int build(struct vm *vm, struct error *err)
{
    struct container_request *request = vm->request;
    struct container_built *built = &vm->making->built;
    struct plan *plan = &vm->making->plan;
    struct cgroup_request cgroup;
    int r = add_cgroup(vm, &cgroup, err);

    if (r < 0)
        return r;
    built->console_slot = -1;
    if (request->console_socket)
        built->console_slot =
                container_console_connect_step(plan, request->console_socket, "/process/terminal");
    else if (request->console_fd >= 0)
        built->console_slot = plan_new_slot(plan);
    vm->status_slot = vm->config->status_fd >= 0 ? plan_new_slot(plan) : -1;
    if (request->wait_for_start) {
        vm->gate.dir_fd = request->dir_fd;
        container_gate_make_step(plan, &vm->gate);
    }
    vm_step_mounts(plan, vm);
    vm_step_sockets(plan, vm);
    r = vm_network_steps(plan, vm, err);
    if (r < 0)
        return r;
    ns_add_open_joins(plan, &vm->outside);
    r = add_child(vm, &cgroup, err);
    if (r < 0)
        return r;
    ns_add_joins(plan, &vm->outside);
    add_hooks(vm);
    vm_joined_steps(plan, vm);
    vm_step_template(plan, vm);
    vm_step_start(plan, vm);
    vm_steps_machine(plan, vm);
    r = add_guest(vm, err);
    if (r == 0)
        add_process(vm);
    return r;
}

static int plan_machine(void *data, struct container_request *request, struct container_making *ret,
        struct error *err)
{
    struct vm *vm = data;

    container_plan_begin(request, ret);
    ret->state.isolation = "vm";
    ret->state.namespaces = 0; /* on the host */
    ret->state.own_pids = true;
    vm->making = ret;
    vm->request = request;
    vm->arena = request->arena;
    int r = install_find_program(vm->arena, "viv-shim", &vm->shim, err);
    if (r == 0)
        r = install_find_program(vm->arena, "viv-vmm", &vm->vmm, err);
    if (r == 0)
        r = vm_describe(vm, err);
    if (r == 0)
        template_init(&vm->template, vm->config->going_on ? NULL : vm->config->templates, vm->vmm,
                &vm->machine);
    if (r == 0)
        r = build(vm, err);
    ret->state.cgroup = ret->built.cgroup.saved;
    return r;
}

int vm_plan(struct container_request *request, const struct vm_config *config,
        struct container_making *ret, struct error *err)
{
    struct vm *vm = arena_new(request->arena, struct vm);

    vm->config = config;
    return plan_machine(vm, request, ret, err);
}

/* ---- making it ------------------------------------------------------------------------------- */

static int prepare_run(void *data, struct plan_run *run, struct error *err)
{
    struct vm *vm = data;

    run->carriers[STEP_MACHINE] = vm_carry_machine;
    run->carrier_data[STEP_MACHINE] = vm;
    run->carriers[STEP_GUEST] = vm_carry_guest;
    run->carrier_data[STEP_GUEST] = vm;
    if (vm->config->going_on) {
        run->fds[vm->template_slot] = fcntl(vm->config->going_on->snapshot, F_DUPFD_CLOEXEC, 3);
        if (run->fds[vm->template_slot] < 0)
            return error_sys(err, errno, "keep %s", vm->config->going_on->name);
    }
    if (vm->status_slot < 0)
        return 0;
    run->fds[vm->status_slot] = fcntl(vm->config->status_fd, F_DUPFD_CLOEXEC, 3);
    return run->fds[vm->status_slot] < 0 ? error_sys(err, errno, "keep a pipe for the status") : 0;
}

int vm_make(struct container_request *request, const struct vm_config *config,
        const struct container_apply *apply, struct container_making *ret, struct error *err)
{
    struct vm *vm = arena_new(request->arena, struct vm);
    struct container_planner planner = {plan_machine, prepare_run, vm};
    struct container_apply machine = *apply;

    vm->config = config;
    machine.planner = &planner;
    return container_make_in(request, &machine, ret, err);
}

struct agent_exit vm_read_end(int status_fd)
{
    _cleanup_json_ struct json_object *json = NULL;
    _cleanup_arena_ struct arena arena = {0};
    struct record_report report = {.arena = &arena};
    struct agent_exit end = {0};
    char text[256];
    ssize_t length = read(status_fd, text, sizeof(text));

    if (length > 0 && json_parse(text, (size_t)length, "status", &json, NULL) == 0)
        record_read(&agent_exit_record, json, "", &end, &report);
    return end;
}
