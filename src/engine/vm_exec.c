#include "engine/vm_exec.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/install.h"
#include "container/clone.h"
#include "container/console.h"
#include "engine/vm_boot.h"
#include "engine/vm_call.h"
#include "engine/vm_spec.h"
#include "engine/vm_steps.h"

static int ask(int sock, const struct container_exec_request *request, const struct vm_exec *exec,
        struct error *err)
{
    struct spec_process wanted = *request->process;
    vm_keep_open_files(request->arena, &wanted);
    _cleanup_json_ struct json_object *process = record_write(&spec_process_record, &wanted);
    _cleanup_(agent_link_free) struct agent_link link = {.fd = sock};
    _cleanup_buf_ struct buf out = {.max = AGENT_TEXT_MAX};
    struct agent_filter filter;
    struct agent_frame frame;
    struct agent_exec message = {
            .process = json_text(process),
            .user = exec->user,
            .filter = vm_filter(request->arena, request->seccomp, &filter),
            .interactive = exec->interactive,
    };

    agent_put_record(&out, AGENT_EXEC, &agent_exec_record, &message);
    int r = agent_send(&link, &out, err);
    return r < 0 ? r : agent_expect(&link, VM_PATIENCE_MS, AGENT_STARTED, &frame, err);
}

/* On the host: a process in the sandbox's control group that becomes viv-shim. */
static int build(const struct container_exec_request *request, struct vm *vm,
        struct container_making *making, struct error *err)
{
    struct plan *plan = &making->plan;
    struct cgroup_request cgroup = {.manager = CGROUP_MANAGER_FS, .place = STEP_HOST};
    int r = cgroup_steps_join(
            plan, request->cgroup, request->init, NULL, &making->built.cgroup, err);

    if (r < 0)
        return r;
    making->built.console_slot = -1;
    if (request->console_socket)
        making->built.console_slot =
                container_console_connect_step(plan, request->console_socket, "/terminal");
    else if (request->process->terminal)
        making->built.console_slot = plan_new_slot(plan);
    vm->host_slot = plan_new_slot(plan);
    vm->status_slot = vm->log_slot = -1;
    struct container_clone clone = {
            .user_slot = -1,
            .pid_slot = -1,
            .cgroup_slot = making->built.cgroup.unified_slot,
            .rootless = request->host->rootless,
            .die_with_host = request->die_with_host,
    };
    container_clone_step(plan, &clone, "");
    r = cgroup_steps_attach(plan, request->host->cgroups, &cgroup, &making->built.cgroup, err);
    if (r < 0)
        return r;
    if (making->built.console_slot >= 0) {
        struct container_console console = {
                .socket_slot = making->built.console_slot, .host = true};
        container_console_step(plan, &console, "/terminal");
    }
    vm_step_shim(plan, vm);
    return 0;
}

static int apply(const struct container_exec_request *request, const struct vm_exec *exec, int sock,
        const struct vm *vm, struct container_making *making, struct error *err)
{
    plan_run_init(&making->run, &making->plan);
    if (making->built.console_slot >= 0 && request->console_fd >= 0)
        making->run.fds[making->built.console_slot] =
                fcntl(request->console_fd, F_DUPFD_CLOEXEC, 3);
    making->run.fds[vm->host_slot] = fcntl(sock, F_DUPFD_CLOEXEC, 3);
    making->run.watch = exec->apply.watch;
    making->run.faults = exec->apply.faults;
    int r = plan_apply(&making->run, err);
    if (r < 0)
        plan_run_end(&making->run);
    return r;
}

int vm_exec(const struct container *container, const struct container_exec_request *request,
        const struct vm_exec *exec, struct container_making *ret, struct error *err)
{
    struct vm *vm = arena_new(request->arena, struct vm);
    _cleanup_close_ int sock = -1;

    *ret = (struct container_making){.plan = {.arena = request->arena}};
    int r = install_find_program(request->arena, "viv-shim", &vm->shim, err);
    if (r == 0)
        r = build(request, vm, ret, err);
    if (r == 0)
        r = vm_connect(container, &sock, err);
    if (r == 0)
        r = ask(sock, request, exec, err);
    return r < 0 ? r : apply(request, exec, sock, vm, ret, err);
}
