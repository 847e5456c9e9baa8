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
#include "ns/namespaces.h"
#include "sys/mount.h"
#include "sys/process.h"

/* ---- the steps that only exec has ---------------------------------------------------------- */

struct target {
    pid_t init;
    int pidfd_slot;
    int root_slot;  /* -1: the mount namespace gives the root */
    uint64_t kinds; /* joined by the child itself */
};

static int open_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct target *target = step->args;
    char path[64];

    int pidfd = sys_pidfd_open(target->init, 0);
    if (pidfd == -ESRCH)
        return error_set(err, ESRCH, "container not running");
    if (pidfd < 0)
        return error_sys(err, -pidfd, "open the container's first process %d", target->init);
    run->fds[target->pidfd_slot] = pidfd;
    if (target->root_slot < 0)
        return 0;
    snprintf(path, sizeof(path), "/proc/%d/root", target->init);
    int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return error_sys(err, errno, "open the container's root %s", path);
    run->fds[target->root_slot] = root;
    return 0;
}

static void open_describe(const struct step *step, struct step_text *text)
{
    const struct target *target = step->args;

    step_call(text, "pidfd_open(%d, 0)", target->init);
    if (target->root_slot >= 0)
        step_call(text, "openat(AT_FDCWD, \"/proc/%d/root\", O_PATH|O_DIRECTORY|O_CLOEXEC)",
                target->init);
    step_why(text, "Takes hold of the container's first process, whose namespaces are joined.");
}

static const struct step_ops open_ops = {
        .name = "pidfd_open",
        .manual = "pidfd_open(2)",
        .apply = open_apply,
        .describe = open_describe,
};

static int join_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct target *target = step->args;
    int r = 0;

    if (target->kinds)
        r = sys_setns(run->fds[target->pidfd_slot], (int)target->kinds);
    if (r < 0)
        return error_sys(err, -r, "join the namespaces of pid %d", target->init);
    if (target->root_slot < 0)
        return 0;
    r = sys_fchdir(run->fds[target->root_slot]);
    if (r == 0)
        r = sys_chroot(".");
    return r < 0 ? error_sys(err, -r, "change into the container's root") : 0;
}

static void join_describe(const struct step *step, struct step_text *text)
{
    const struct target *target = step->args;
    char flags[NS_FLAGS_TEXT_MAX];

    if (target->kinds)
        step_call(text, "setns(<init>, %s)", ns_flags_text(target->kinds, flags));
    if (target->root_slot >= 0) {
        step_call(text, "fchdir(<root>)");
        step_call(text, "chroot(\".\")");
    }
    step_why(text, "Joins the namespaces that the container's processes are in.");
}

static const struct step_ops join_ops = {
        .name = "setns",
        .manual = "setns(2)",
        .apply = join_apply,
        .describe = join_describe,
};

/* ---- the plan ------------------------------------------------------------------------------ */

struct exec_build {
    const struct container_exec_request *request;
    struct plan *plan;
    struct container_built *built;
    struct security security;
    struct target *target;
    struct cgroup_request cgroup;
    bool own_userns;
};

static int prepare(struct exec_build *build, struct error *err)
{
    const struct container_exec_request *request = build->request;
    const struct spec_seccomp *seccomp = request->seccomp_config;
    uint64_t by_clone = CLONE_NEWUSER | CLONE_NEWPID;

    build->own_userns = request->namespaces & CLONE_NEWUSER;
    build->target = arena_new(request->arena, struct target);
    *build->target = (struct target){
            .init = request->init,
            .pidfd_slot = plan_new_slot(build->plan),
            .root_slot = request->namespaces & CLONE_NEWNS ? -1 : plan_new_slot(build->plan),
            .kinds = request->namespaces & ~by_clone,
    };
    int r = build_security(request->arena, request->process, NULL, request->host, build->own_userns,
            &build->security, &build->built->warnings, err);
    if (r < 0)
        return r;
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
    return 0;
}

static int add_host_steps(struct exec_build *build, struct error *err)
{
    const struct container_exec_request *request = build->request;
    const struct security *security = &build->security;
    struct plan *plan = build->plan;

    const struct spec_cpu_affinity *affinity = request->process->execCPUAffinity;
    plan_add(plan, STEP_HOST, &open_ops, "", build->target);
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
            plan, request->cgroup, request->init, request->sub_cgroup, &build->built->cgroup, err);
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
    plan_add(plan, STEP_CHILD, &join_ops, "", build->target);
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
    int r = prepare(&build, err);
    if (r == 0)
        r = add_host_steps(&build, err);
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
    r = plan_apply(&ret->run, err);
    if (r < 0)
        plan_run_end(&ret->run);
    return r;
}
