#include "sandbox.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/path.h"
#include "cgroup/procs.h"
#include "sys/process.h"

static int clone_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    struct sandbox *box = *(struct sandbox *const *)step->args;
    int pair[2];
    struct clone_args args = {.exit_signal = SIGCHLD};

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return error_sys(err, errno, "socketpair");
    if (box->result.unified_slot >= 0 && run->fds[box->result.unified_slot] >= 0) {
        args.flags = CLONE_INTO_CGROUP;
        args.cgroup = (__u64)run->fds[box->result.unified_slot];
    }
    run->child = sys_clone3(&args);
    if (run->child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(pair[0]);
        run->channel = pair[1];
        plan_serve_child(run);
    }
    close(pair[1]);
    run->channel = pair[0];
    run->carriers[STEP_CHILD] = plan_carry_to_child;
    return run->child < 0 ? error_sys(err, -run->child, "clone3") : 0;
}

static int clone_undo(const struct step *step, struct plan_run *run, struct error *err)
{
    (void)step, (void)err;
    cleanup_close(&run->channel);
    kill(run->child, SIGKILL);
    waitpid(run->child, NULL, 0);
    return 0;
}

static const struct step_ops clone_ops = {
        "clone3", "clone(2)", clone_apply, clone_undo, NULL, NULL};

static int work_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    struct sandbox *box = *(struct sandbox *const *)step->args;

    (void)err;
    cleanup_close(&run->channel); /* as an execve would */
    box->work(box->data);
    _exit(0);
}

static const struct step_ops work_ops = {"work", "", work_apply, NULL, NULL, NULL};

static void add_own(struct sandbox *box, enum step_place place, const struct step_ops *ops)
{
    struct sandbox **args = arena_new(&box->arena, struct sandbox *);

    *args = box;
    plan_add(&box->plan, place, ops, "", args);
}

/* What failed tests have left, so that a failure leaves nothing on the machine. */
static void remove_left(void)
{
    _cleanup_arena_ struct arena arena = {0};
    struct cgroup_layout layout;
    struct dirent *entry;

    if (cgroup_layout_detect(&arena, &layout, NULL) < 0)
        return;
    const char *prefix = arena_printf(&arena, "vivtest-%d-", getpid());
    for (size_t i = 0; i < layout.count; i++) {
        _cleanup_closedir_ DIR *dir = opendir(layout.items[i].mount);
        while (dir && (entry = readdir(dir)))
            if (str_starts(entry->d_name, prefix))
                cgroup_remove_tree(path_join(&arena, layout.items[i].mount, entry->d_name),
                        cgroup_now_us() + 5000000, NULL);
    }
}

void sandbox_init(struct sandbox *box)
{
    static int count;

    if (count == 0)
        atexit(remove_left);

    *box = (struct sandbox){.err = ERROR_NONE};
    if (cgroup_layout_detect(&box->arena, &box->layout, &box->err) < 0)
        fprintf(stderr, "%s\n", box->err.text);
    box->request = (struct cgroup_request){
            .path = arena_printf(&box->arena, "/vivtest-%d-%d", getpid(), count++),
            .limits = &box->limits,
            .pointer = "/linux/resources",
            .strict = true};
}

int sandbox_plan(struct sandbox *box)
{
    box->plan = (struct plan){.arena = &box->arena};
    int r = cgroup_steps_create(&box->plan, &box->layout, &box->request, &box->result, &box->err);
    if (r < 0)
        return r;
    add_own(box, STEP_HOST, &clone_ops);
    r = cgroup_steps_attach(&box->plan, &box->layout, &box->request, &box->result, &box->err);
    if (r == 0)
        add_own(box, STEP_CHILD, &work_ops);
    return r;
}

static int start(struct sandbox *box, void (*work)(void *), void *data)
{
    box->work = work;
    box->data = data;
    plan_run_init(&box->run, &box->plan);
    fflush(NULL);
    int r = plan_apply(&box->run, &box->err);
    box->pid = box->run.child;
    plan_run_end(&box->run);
    if (r < 0)
        fprintf(stderr, "%s\n", box->err.text);
    return r;
}

int sandbox_start(struct sandbox *box, void (*work)(void *), void *data)
{
    int r = sandbox_plan(box);

    if (r < 0) {
        fprintf(stderr, "%s\n", box->err.text);
        return r;
    }
    return start(box, work, data);
}

pid_t sandbox_join(struct sandbox *box, void (*work)(void *), void *data)
{
    struct sandbox more = {.layout = box->layout, .err = ERROR_NONE};

    more.plan.arena = &more.arena;
    int r = cgroup_steps_join(
            &more.plan, &box->result.saved, box->pid, NULL, &more.result, &more.err);
    if (r == 0) {
        add_own(&more, STEP_HOST, &clone_ops);
        r = cgroup_steps_attach(&more.plan, &more.layout, &more.request, &more.result, &more.err);
    }
    if (r == 0) {
        add_own(&more, STEP_CHILD, &work_ops);
        r = start(&more, work, data);
    }
    if (r < 0)
        fprintf(stderr, "%s\n", more.err.text);
    arena_free(&more.arena);
    return r < 0 ? r : more.pid;
}

int sandbox_wait(struct sandbox *box)
{
    int status = -1;

    if (box->pid > 0)
        TEMP_FAILURE_RETRY(waitpid(box->pid, &status, 0));
    box->pid = 0;
    return status;
}

int sandbox_end(struct sandbox *box)
{
    struct error err = ERROR_NONE;

    if (box->pid > 0) {
        kill(box->pid, SIGKILL);
        cgroup_kill(&box->result.saved, SIGKILL, NULL);
    }
    sandbox_wait(box);
    int r = box->result.saved.manager ? cgroup_remove(&box->result.saved, 60000, &err) : 0;
    if (r < 0)
        fprintf(stderr, "%s\n", err.text);
    if (r == 0 && !sandbox_is_gone(box))
        r = -ENOTEMPTY;
    arena_free(&box->arena);
    return r;
}

bool sandbox_is_v2(const struct sandbox *box, enum cgroup_controller controller)
{
    const struct cgroup_hierarchy *found = cgroup_layout_find(&box->layout, controller);

    return found && found->unified;
}

bool sandbox_has(const struct sandbox *box, enum cgroup_controller controller)
{
    return cgroup_layout_find(&box->layout, controller);
}

const char *sandbox_read(
        struct sandbox *box, enum cgroup_controller controller, const char *v1, const char *v2)
{
    static char text[65536];
    const char *dir = cgroup_saved_v1(&box->result.saved, controller);
    const char *file = dir ? v1 : v2;

    dir = dir ? dir : box->result.saved.unified;
    text[0] = '\0';
    if (dir && file)
        io_read_small_at(AT_FDCWD, path_join(&box->arena, dir, file), text, sizeof(text));
    return text;
}

bool sandbox_is_gone(struct sandbox *box)
{
    const struct cgroup_saved *saved = &box->result.saved;

    if (saved->unified && access(saved->unified, F_OK) == 0)
        return false;
    for (size_t i = 0; i < saved->v1.count; i++)
        if (access(saved->v1.items[i].path, F_OK) == 0)
            return false;
    return true;
}
