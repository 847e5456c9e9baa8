#include "container/clone.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "ns/namespaces.h"
#include "plan/run.h"
#include "sys/process.h"

#define CLONE_KINDS                                                                                \
    (uint64_t)(CLONE_NEWUSER | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWPID |         \
               CLONE_NEWNS)

static void reset_signals(void)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int i = 1; i < NSIG; i++)
        signal(i, SIG_DFL);
}

/* The child's first steps; never returns. */
static void begin_child(struct plan_run *run, const struct container_clone *args, int channel[2])
{
    close(channel[0]);
    run->channel = channel[1];
    run->child = getpid();
    plan_child_begin(run);
    reset_signals();
    sys_setsid(); /* a terminal that it inherits must not be its controlling one */
    if (args->die_with_host)
        sys_prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (args->hide)
        sys_prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    plan_serve_child(run);
}

static pid_t clone_child(struct plan_run *run, const struct container_clone *args, int channel[2],
        uint64_t more_flags)
{
    int pidfd = -1;
    struct clone_args clone_args = {
            .flags = (args->new_kinds & CLONE_KINDS) | more_flags | CLONE_PIDFD,
            .pidfd = (uint64_t)(uintptr_t)&pidfd,
            .exit_signal = more_flags & CLONE_PARENT ? 0 : SIGCHLD,
    };

    if (args->cgroup_slot >= 0 && run->fds[args->cgroup_slot] >= 0) {
        clone_args.flags |= CLONE_INTO_CGROUP;
        clone_args.cgroup = (unsigned)run->fds[args->cgroup_slot];
    }
    pid_t pid = sys_clone3(&clone_args);
    if (pid == 0)
        begin_child(run, args, channel);
    run->child_pidfd = pidfd;
    return pid;
}

/*
 * Joining a PID namespace changes where children are born, not the caller. The host's process goes
 * back to its own afterwards, so that hooks and helpers are not born there as well.
 */
static pid_t clone_in_pid_ns(
        struct plan_run *run, const struct container_clone *args, int channel[2])
{
    _cleanup_close_ int own = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);

    if (own < 0)
        return -errno;
    int r = sys_setns(run->fds[args->pid_slot], CLONE_NEWPID);
    if (r < 0)
        return r;
    pid_t pid = clone_child(run, args, channel, 0);
    r = sys_setns(own, CLONE_NEWPID);
    return r < 0 ? r : pid;
}

/*
 * A user namespace cannot be left again, nor can a PID namespace by root of a user namespace: a
 * process in between joins them, the PID namespace with the right that only the user namespace
 * gives, and makes the child as its sibling. It shares this process's
 * memory (as vfork(2) does), so it can note the pid here.
 */
static bool needs_another(const struct container_clone *args)
{
    return args->user_slot >= 0 || (args->pid_slot >= 0 && args->rootless);
}

static pid_t clone_through_another(
        struct plan_run *run, const struct container_clone *args, int channel[2])
{
    volatile pid_t pid = -EPIPE;
    pid_t between = vfork();

    if (between == 0) {
        int r = args->user_slot < 0 ? 0 : sys_setns(run->fds[args->user_slot], CLONE_NEWUSER);
        if (r == 0 && args->pid_slot >= 0)
            r = sys_setns(run->fds[args->pid_slot], CLONE_NEWPID);
        pid = r < 0 ? r : clone_child(run, args, channel, CLONE_PARENT);
        _exit(0);
    }
    if (between < 0)
        return -errno;
    siginfo_t info;
    sys_waitid(P_PID, (id_t)between, &info, WEXITED);
    if (pid > 0) /* that process had descriptors of its own; the child is ours to wait for */
        run->child_pidfd = sys_pidfd_open(pid, 0);
    return pid;
}

static int clone_failed(int code, struct error *err)
{
    const char *advice = "";

    if (code == EPERM)
        advice = " (user namespaces may be switched off here, see "
                 "/proc/sys/user/max_user_namespaces, or this is a chroot, where none can be made)";
    else if (code == EAGAIN)
        advice = " (the limit on processes is reached: see pids.max and RLIMIT_NPROC)";
    else if (code == ENOSPC)
        advice = " (the limit on namespaces is reached: see /proc/sys/user)";
    return error_sys(err, code, "clone3 a child with new namespaces%s", advice);
}

static int clone_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct container_clone *args = step->args;
    int channel[2];
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) < 0)
        return error_sys(err, errno, "make the channel to the child");
    if (needs_another(args))
        pid = clone_through_another(run, args, channel);
    else if (args->pid_slot >= 0)
        pid = clone_in_pid_ns(run, args, channel);
    else
        pid = clone_child(run, args, channel, 0);
    close(channel[1]);
    if (pid < 0) {
        close(channel[0]);
        return clone_failed(-pid, err);
    }
    run->child = pid;
    run->channel = channel[0];
    plan_child_made(run);
    run->carriers[STEP_CHILD] = plan_carry_to_child;
    return 0;
}

static int clone_undo(const struct step *step, struct plan_run *run, struct error *err)
{
    siginfo_t info = {0};

    (void)step;
    cleanup_close(&run->channel);
    if (run->child_status >= 0)
        return 0;
    int r = sys_pidfd_send_signal(run->child_pidfd, SIGKILL);
    if (r < 0 && r != -ESRCH)
        return error_sys(err, -r, "kill the child (pid %d)", run->child);
    r = sys_waitid(P_PIDFD, (id_t)run->child_pidfd, &info, WEXITED | __WALL);
    if (r < 0)
        return error_sys(err, -r, "wait for the child (pid %d)", run->child);
    run->child_status = 0;
    return 0;
}

static void clone_describe(const struct step *step, struct step_text *text)
{
    const struct container_clone *args = step->args;
    bool between = needs_another(args);
    uint64_t flags = args->new_kinds & CLONE_KINDS;
    char names[NS_FLAGS_TEXT_MAX];

    if (between)
        step_call(text, "vfork()");
    if (args->user_slot >= 0)
        step_call(text, "setns(<user namespace>, CLONE_NEWUSER)");
    if (args->pid_slot >= 0)
        step_call(text, "setns(<pid namespace>, CLONE_NEWPID)");
    step_call(text, "clone3({flags=%s%sCLONE_PIDFD%s%s, exit_signal=%s%s}, 88)",
            flags ? ns_flags_text(flags, names) : "", flags ? "|" : "",
            between ? "|CLONE_PARENT" : "", args->cgroup_slot >= 0 ? "|CLONE_INTO_CGROUP" : "",
            between ? "0" : "SIGCHLD", args->cgroup_slot >= 0 ? ", cgroup=<cgroup>" : "");
    if (args->pid_slot >= 0 && !between)
        step_call(text, "setns(<own pid namespace>, CLONE_NEWPID)");
    step_call(text, "setsid()");
    if (args->die_with_host)
        step_call(text, "prctl(PR_SET_PDEATHSIG, SIGKILL)");
    if (args->hide)
        step_call(text, "prctl(PR_SET_DUMPABLE, SUID_DUMP_DISABLE)");
    step_why(text, flags ? "Makes the process that becomes the workload, born inside "
                           "namespaces of its own."
                         : "Makes the process that becomes the workload.");
}

static const struct step_ops clone_ops = {
        .name = "clone3",
        .manual = "clone(2)",
        .apply = clone_apply,
        .undo = clone_undo,
        .describe = clone_describe,
};

void container_clone_step(
        struct plan *plan, const struct container_clone *args, const char *because)
{
    plan_add(plan, STEP_HOST, &clone_ops, because, arena_memdup(plan->arena, args, sizeof(*args)));
}
