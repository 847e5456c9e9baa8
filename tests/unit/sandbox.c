#include "sandbox.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "sys/mount.h"
#include "sys/process.h"

static void must(bool went_well, const char *what)
{
    if (went_well)
        return;
    printf("FAILED set-up: %s: %s\n", what, strerror(errno));
    exit(1);
}

void sandbox_begin(struct sandbox *sandbox)
{
    static bool private;

    memset(sandbox, 0, sizeof(*sandbox));
    sandbox->plan.arena = &sandbox->arena;
    if (!private) {
        must(sys_unshare(CLONE_NEWNS) == 0, "unshare");
        must(sys_mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private tree");
        must(sys_mount("scratch", "/mnt", "tmpfs", 0, "mode=755") == 0, "scratch tmpfs");
        private = true;
    }
    snprintf(sandbox->dir, sizeof(sandbox->dir), "/mnt/XXXXXX");
    must(mkdtemp(sandbox->dir) != NULL, "mkdtemp");
    must(chmod(sandbox->dir, 0755) == 0, "chmod");
    snprintf(sandbox->root, sizeof(sandbox->root), "%s/root", sandbox->dir);
    must(mkdir(sandbox->root, 0755) == 0, "mkdir");
}

void sandbox_end(struct sandbox *sandbox)
{
    siginfo_t info;

    if (sandbox->run.child > 0) {
        kill(sandbox->run.child, SIGKILL);
        sys_waitid(P_PID, (id_t)sandbox->run.child, &info, WEXITED);
    }
    if (sandbox->run.plan)
        plan_run_end(&sandbox->run);
    arena_free(&sandbox->arena);
}

void sandbox_file(struct sandbox *sandbox, const char *path, const char *content)
{
    char full[512];

    snprintf(full, sizeof(full), "%s%s%s", sandbox->dir, *path == '/' ? "" : "/", path);
    *strrchr(full, '/') = '\0';
    must(io_make_dirs_at(AT_FDCWD, full, 0755) == 0, full);
    full[strlen(full)] = '/';
    _cleanup_close_ int fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    must(fd >= 0, full);
    must(write(fd, content, strlen(content)) == (ssize_t)strlen(content), full);
}

/* The clone step. */

static int clone_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct ns_set *set = step->args;
    struct clone_args args = {.exit_signal = SIGCHLD};
    uint64_t flags, late;
    int pair[2], saved;

    ns_set_split(set, &flags, &late);
    args.flags = flags;
    must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0, "socketpair");
    int r = ns_pid_enter(set, run, &saved, err);
    if (r < 0)
        return r;
    run->child = sys_clone3(&args);
    if (run->child == 0) {
        close(pair[0]);
        run->channel = pair[1];
        plan_serve_child(run);
    }
    pid_t child = run->child;
    r = ns_pid_return(&saved, err);
    close(pair[1]);
    run->channel = pair[0];
    plan_child_made(run);
    run->carriers[STEP_CHILD] = plan_carry_to_child;
    if (child < 0)
        return error_sys(err, -child, "clone3");
    return r;
}

/* The child waits for orders no longer when the channel is gone. */
static int clone_undo(const struct step *step, struct plan_run *run, struct error *err)
{
    (void)step, (void)err;
    cleanup_close(&run->channel);
    if (run->child > 0)
        kill(run->child, SIGKILL);
    return 0;
}

static void clone_describe(const struct step *step, struct step_text *text)
{
    (void)step;
    step_call(text, "clone3()");
}

static const struct step_ops clone_ops = {
        "clone3", "clone(2)", clone_apply, clone_undo, clone_describe, NULL};

void sandbox_add_clone(struct sandbox *sandbox)
{
    plan_add(&sandbox->plan, STEP_HOST, &clone_ops, "", &sandbox->set);
}

/* The end. */

struct inside {
    void (*run)(void *data);
    void *data;
    int fd;
};

static int inside_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct inside *inside = step->args;

    (void)run, (void)err;
    dup2(inside->fd, STDOUT_FILENO);
    fflush(stdout);
    inside->run(inside->data);
    fflush(stdout);
    _exit(0);
}

static void inside_describe(const struct step *step, struct step_text *text)
{
    (void)step;
    step_call(text, "execve()");
}

static const struct step_ops inside_ops = {
        "inside", "execve(2)", inside_apply, NULL, inside_describe, NULL};

void sandbox_add_run(struct sandbox *sandbox, void (*inside)(void *data), void *data)
{
    struct inside *args = arena_new(&sandbox->arena, struct inside);
    char path[128];

    snprintf(path, sizeof(path), "%s/output", sandbox->dir);
    *args = (struct inside){inside, data, open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
    must(args->fd >= 0, path);
    plan_add(&sandbox->plan, STEP_CHILD, &inside_ops, "", args);
}

static void read_output(struct sandbox *sandbox)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/output", sandbox->dir);
    if (io_read_small_at(AT_FDCWD, path, sandbox->output, sizeof(sandbox->output)) < 0)
        sandbox->output[0] = '\0';
}

int sandbox_apply(struct sandbox *sandbox)
{
    siginfo_t info;

    fflush(stdout);
    plan_run_init(&sandbox->run, &sandbox->plan);
    int r = plan_apply(&sandbox->run, &sandbox->err);
    if (sandbox->run.child > 0)
        sys_waitid(P_PID, (id_t)sandbox->run.child, &info, WEXITED);
    sandbox->run.child = 0;
    read_output(sandbox);
    return r;
}

int sandbox_hold(struct sandbox *sandbox)
{
    fflush(stdout);
    plan_run_init(&sandbox->run, &sandbox->plan);
    return plan_apply(&sandbox->run, &sandbox->err);
}

/* Inside. */

const char *inside_read(const char *path)
{
    static char text[8192];
    ssize_t length = io_read_small_at(AT_FDCWD, path, text, sizeof(text));

    if (length < 0)
        snprintf(text, sizeof(text), "error %s", error_name((int)-length));
    return text;
}

const char *inside_mount(const char *point)
{
    static char text[1024];
    char line[4096], at[1024], options[256], rest[1024];
    _cleanup_fclose_ FILE *file = fopen("/proc/self/mountinfo", "re");

    snprintf(text, sizeof(text), "none");
    while (file && fgets(line, sizeof(line), file)) {
        if (sscanf(line, "%*s %*s %*s %*s %1023s %255s %1023[^\n]", at, options, rest) == 3 &&
                str_equal(at, point))
            snprintf(text, sizeof(text), "%.255s %.700s", options, rest);
    }
    return text;
}
