/* One more process in a running container: its plan (build.h) and its making (container.h). */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/str.h"
#include "container/build_parts.h"
#include "container/clone.h"
#include "container/console.h"
#include "container/container.h"
#include "container/join.h"

/* ---- the plan ------------------------------------------------------------------------------ */

struct exec_build {
    const struct container_exec_request *request;
    struct plan *plan;
    struct container_built *built;
    struct security security;
    struct container_target *target;
    struct cgroup_request cgroup;
    bool own_userns;
};

static void prepare(struct exec_build *build)
{
    const struct container_exec_request *request = build->request;
    const struct spec_seccomp *seccomp = request->seccomp_config;
    uint64_t by_clone = CLONE_NEWUSER | CLONE_NEWPID;

    build->own_userns = request->namespaces & CLONE_NEWUSER;
    build->target = arena_new(request->arena, struct container_target);
    *build->target = (struct container_target){
            .init = request->init,
            .pidfd_slot = plan_new_slot(build->plan),
            .root_slot = request->namespaces & CLONE_NEWNS ? -1 : plan_new_slot(build->plan),
            .kinds = request->namespaces & ~by_clone,
    };
    build_security(request->arena, request->process, NULL, request->host, build->own_userns,
            &build->security, &build->built->warnings);
    build->security.id = request->id;
    build->security.process_at = request->process_at;
    build->security.preserve_fds = request->preserve_fds;
    build->security.death_signal = request->die_with_host ? 9 : 0;
    build->security.seccomp = request->seccomp;
    if (seccomp && !str_empty(seccomp->listenerPath)) {
        struct json_object *state = spec_state_write(request->state);
        build->security.listener =
                (struct security_listener){seccomp->listenerPath, seccomp->listenerMetadata,
                        arena_strdup(request->arena, json_text(state)), request->state->ociVersion};
        json_object_put(state);
    }
    build->cgroup = (struct cgroup_request){.manager = CGROUP_MANAGER_FS, .place = STEP_HOST};
}

static int add_host_steps(struct exec_build *build, struct error *err)
{
    const struct container_exec_request *request = build->request;
    const struct security *security = &build->security;
    struct plan *plan = build->plan;

    const struct spec_cpu_affinity *affinity = request->process->execCPUAffinity;
    container_target_open_step(plan, build->target);
    if (affinity && !str_empty(affinity->initial)) {
        /* before the child is made, which so begins on these CPUs */
        int r = security_step_affinity(plan, STEP_HOST,
                plan_pointer(plan, "%s/execCPUAffinity/initial", request->process_at),
                affinity->initial, err);
        if (r < 0)
            return r;
    }
    if (security->oom_score_adj.set || !str_empty(security->apparmor_profile) ||
            !str_empty(security->selinux_label) || security->listener.path)
        build->security.proc_slot = rootfs_add_proc(plan, STEP_HOST);
    int r = security_steps_connect(plan, &build->security, err);
    if (r < 0)
        return r;
    const char *terminal = plan_pointer(plan, "%s/terminal", request->process_at);
    if (request->console_socket)
        build->built->console_slot =
                container_console_connect_step(plan, request->console_socket, terminal);
    else if (request->console_fd >= 0)
        build->built->console_slot = plan_new_slot(plan);
    return cgroup_steps_join(
            plan, request->cgroup, request->init, request->sub_cgroups, &build->built->cgroup, err);
}

static int add_child_steps(struct exec_build *build, struct error *err)
{
    const struct container_exec_request *request = build->request;
    struct plan *plan = build->plan;
    struct container_clone clone = {
            .user_slot = build->own_userns ? build->target->pidfd_slot : -1,
            .pid_slot = request->namespaces & CLONE_NEWPID ? build->target->pidfd_slot : -1,
            .cgroup_slot = build->built->cgroup.unified_slot,
            .rootless = request->host->rootless,
            .die_with_host = request->die_with_host,
            .hide = true,
    };

    container_clone_step(plan, &clone, "");
    int r = cgroup_steps_attach(
            plan, request->host->cgroups, &build->cgroup, &build->built->cgroup, err);
    if (r == 0 && build->own_userns)
        r = security_steps_limits(plan, STEP_HOST, &build->security, err);
    if (r < 0)
        return r;
    container_target_join_step(plan, build->target);
    if (build->own_userns)
        ns_add_become_root(plan, request->host->rootless, "");
    r = security_steps_session(plan, STEP_CHILD, &build->security, err);
    if (r < 0)
        return r;
    if (build->built->console_slot >= 0 && request->process->terminal) {
        struct container_console console = {.socket_slot = build->built->console_slot};
        if (request->process->consoleSize) {
            console.columns = (uint16_t)request->process->consoleSize->width;
            console.lines = (uint16_t)request->process->consoleSize->height;
        }
        container_console_step(
                plan, &console, plan_pointer(plan, "%s/terminal", request->process_at));
    }
    if (!build->own_userns)
        r = security_steps_limits(plan, STEP_CHILD, &build->security, err);
    if (r == 0)
        r = security_steps_confine(plan, STEP_CHILD, &build->security, err);
    return r < 0 ? r : security_steps_enter(plan, STEP_CHILD, &build->security, err);
}

int container_build_exec(const struct container_exec_request *request, struct plan *plan,
        struct container_built *ret, struct error *err)
{
    struct exec_build build = {.request = request, .plan = plan, .built = ret};

    *ret = (struct container_built){.console_slot = -1};
    prepare(&build);
    int r = add_host_steps(&build, err);
    return r < 0 ? r : add_child_steps(&build, err);
}

/* ---- making it ----------------------------------------------------------------------------- */

static bool same_namespace(pid_t pid, const char *file)
{
    char path[64];
    struct stat own;
    struct stat other;

    snprintf(path, sizeof(path), "/proc/self/ns/%s", file);
    if (stat(path, &own) < 0)
        return false;
    snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, file);
    return stat(path, &other) == 0 && own.st_ino == other.st_ino && own.st_dev == other.st_dev;
}

uint64_t container_exec_kinds(const struct container_state *state)
{
    uint64_t kinds = state->namespaces;

    /* one's own user namespace cannot be joined: EINVAL */
    if (kinds & CLONE_NEWUSER && same_namespace(state->pid, "user"))
        kinds &= ~(uint64_t)CLONE_NEWUSER;
    return kinds;
}

int container_exec(const struct container_exec_request *request,
        const struct container_apply *apply, struct container_making *ret, struct error *err)
{
    *ret = (struct container_making){.plan = {.arena = request->arena}};
    int r = container_build_exec(request, &ret->plan, &ret->built, err);

    if (r < 0)
        return r;
    plan_run_init(&ret->run, &ret->plan);
    if (ret->built.console_slot >= 0 && request->console_fd >= 0)
        ret->run.fds[ret->built.console_slot] = fcntl(request->console_fd, F_DUPFD_CLOEXEC, 3);
    ret->run.watch = apply->watch;
    ret->run.faults = apply->faults;
    ret->run.slow_fd = apply->slow_fd;
    r = plan_apply(&ret->run, err);
    if (r < 0)
        plan_run_end(&ret->run);
    return r;
}
