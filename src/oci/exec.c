/* exec: one more process in a running container. */
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/path.h"
#include "base/str.h"
#include "container/host.h"
#include "container/seccomp.h"
#include "engine/monitor.h"
#include "engine/streams.h"
#include "oci/command.h"
#include "oci/words.h"
#include "security/passwd.h"
#include "security/seccomp_cache.h"
#include "spec/check.h"

#define EXEC_FAILED 255 /* runc's status for an exec that did not come about */
#define PRESERVE_MAX 1024

struct exec {
    const char *process_file;
    const char *cwd, *user, *console_socket, *pid_file, *pidfd_socket;
    const char *label, *apparmor, *cgroup;
    struct strv env, caps;
    RECORD_LIST(uint32_t) gids;
    size_t gids_capacity;
    int64_t preserve_fds;
    bool tty, detach, no_new_privs, ignore_paused;
    struct container container;
    struct spec spec;
    struct container_host host;
    struct container_exec_request request;
};

enum {
    OPT_CONSOLE = 256,
    OPT_CWD,
    OPT_PID,
    OPT_PIDFD,
    OPT_LABEL,
    OPT_APPARMOR,
    OPT_NO_NEW_PRIVS,
    OPT_PRESERVE,
    OPT_CGROUP,
    OPT_IGNORE_PAUSED
};

static const struct option options[] = {
        {"process", required_argument, NULL, 'p'},
        {"console-socket", required_argument, NULL, OPT_CONSOLE},
        {"cwd", required_argument, NULL, OPT_CWD},
        {"env", required_argument, NULL, 'e'},
        {"tty", no_argument, NULL, 't'},
        {"user", required_argument, NULL, 'u'},
        {"additional-gids", required_argument, NULL, 'g'},
        {"detach", no_argument, NULL, 'd'},
        {"pid-file", required_argument, NULL, OPT_PID},
        {"pidfd-socket", required_argument, NULL, OPT_PIDFD},
        {"process-label", required_argument, NULL, OPT_LABEL},
        {"apparmor", required_argument, NULL, OPT_APPARMOR},
        {"no-new-privs", no_argument, NULL, OPT_NO_NEW_PRIVS},
        {"cap", required_argument, NULL, 'c'},
        {"preserve-fds", required_argument, NULL, OPT_PRESERVE},
        {"cgroup", required_argument, NULL, OPT_CGROUP},
        {"ignore-paused", no_argument, NULL, OPT_IGNORE_PAUSED},
        {0},
};

static int add_gid(struct oci *oci, struct exec *exec, struct error *err)
{
    int64_t gid;
    int r = oci_number("additional-gids", optarg, 0, UINT32_MAX - 1, &gid, err);

    if (r < 0)
        return r;
    exec->gids.items = arena_grow(
            oci->arena, exec->gids.items, exec->gids.count, &exec->gids_capacity, sizeof(uint32_t));
    exec->gids.items[exec->gids.count++] = (uint32_t)gid;
    return 0;
}

/* Options that are a text or a switch: where they go. */
static bool set_simple(struct exec *exec, int option)
{
    const struct {
        int option;
        const char **text;
        bool *flag;
    } rows[] = {{'p', &exec->process_file, NULL}, {OPT_CONSOLE, &exec->console_socket, NULL},
            {OPT_CWD, &exec->cwd, NULL}, {'u', &exec->user, NULL}, {OPT_PID, &exec->pid_file, NULL},
            {OPT_PIDFD, &exec->pidfd_socket, NULL}, {OPT_LABEL, &exec->label, NULL},
            {OPT_APPARMOR, &exec->apparmor, NULL}, {OPT_CGROUP, &exec->cgroup, NULL},
            {'t', NULL, &exec->tty}, {'d', NULL, &exec->detach},
            {OPT_NO_NEW_PRIVS, NULL, &exec->no_new_privs},
            {OPT_IGNORE_PAUSED, NULL, &exec->ignore_paused}};

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].option != option)
            continue;
        if (rows[i].text)
            *rows[i].text = optarg;
        else
            *rows[i].flag = true;
        return true;
    }
    return false;
}

static int parse(struct oci *oci, struct exec *exec, int argc, char **argv, struct error *err)
{
    int option;

    while ((option = oci_getopt(argc, argv, "p:e:tu:g:dc:", options, true, err)) != -1) {
        int r = 0;
        if (option == '?')
            return -EINVAL;
        if (set_simple(exec, option))
            continue;
        if (option == 'e')
            strv_add(oci->arena, &exec->env, optarg);
        else if (option == 'c')
            strv_add(oci->arena, &exec->caps, optarg);
        else if (option == 'g')
            r = add_gid(oci, exec, err);
        else
            r = oci_number("preserve-fds", optarg, 0, PRESERVE_MAX, &exec->preserve_fds, err);
        if (r < 0)
            return r;
    }
    if (optind >= argc)
        return error_set(err, EINVAL, "exec: requires a container's id");
    if (!exec->process_file && argc - optind < 2)
        return error_set(err, EINVAL, "process args cannot be empty");
    return 0;
}

static int set_user(
        struct oci *oci, struct exec *exec, struct spec_process *process, struct error *err)
{
    struct passwd_user user;
    char path[64];

    if (!exec->user)
        return 0;
    snprintf(path, sizeof(path), "/proc/%d/root", exec->container.state.pid);
    _cleanup_close_ int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return error_sys(err, errno, "open the container's root");
    int r = passwd_lookup(root, exec->user, oci->arena, &user, err);
    if (r < 0)
        return r;
    process->user.uid = user.uid;
    process->user.gid = user.gid;
    process->user.additionalGids.count = 0;
    return 0;
}

/* Without --process: the container's own process, with what the options change. */
static int change_process(
        struct oci *oci, struct exec *exec, int argc, char **argv, struct error *err)
{
    struct spec_process *process = exec->spec.process;
    struct spec_capabilities *caps = process->capabilities;
    const char *word;

    process->args = (struct strv){0};
    for (int i = optind + 1; i < argc; i++)
        strv_add(oci->arena, &process->args, argv[i]);
    process->terminal = exec->tty;
    if (exec->cwd)
        process->cwd = exec->cwd;
    if (exec->label)
        process->selinuxLabel = exec->label;
    if (exec->apparmor)
        process->apparmorProfile = exec->apparmor;
    process->noNewPrivileges = process->noNewPrivileges || exec->no_new_privs;
    strv_foreach (word, &exec->env) {
        strv_add(oci->arena, &process->env, word);
    }
    strv_foreach (word, &exec->caps) {
        if (!caps)
            caps = process->capabilities = arena_new(oci->arena, struct spec_capabilities);
        strv_add(oci->arena, &caps->bounding, word);
        strv_add(oci->arena, &caps->effective, word);
        strv_add(oci->arena, &caps->permitted, word);
    }
    int r = set_user(oci, exec, process, err);
    if (exec->gids.count) {
        process->user.additionalGids.items = exec->gids.items;
        process->user.additionalGids.count = exec->gids.count;
    }
    return r;
}

static int load_process(struct oci *oci, struct exec *exec, struct error *err)
{
    _cleanup_buf_ struct buf text = {.max = JSON_SIZE_MAX};
    int r = io_read_file_at(AT_FDCWD, exec->process_file, &text);

    if (r < 0)
        return error_sys(err, -r, "read the process from %s", exec->process_file);
    struct spec_process *process = arena_new(oci->arena, struct spec_process);
    r = spec_load_process(
            buf_text(&text), text.length, exec->process_file, oci->arena, process, NULL, err);
    if (exec->tty)
        process->terminal = true;
    exec->spec.process = process;
    return r;
}

static int check_status(const struct exec *exec, struct error *err)
{
    enum spec_status status = container_status(&exec->container);

    if (status == SPEC_STOPPED)
        return error_set(err, ESRCH, "cannot exec in a stopped container");
    if (status == SPEC_PAUSED && !exec->ignore_paused)
        return error_set(
                err, EBUSY, "cannot exec in a paused container (use --ignore-paused to override)");
    return 0;
}

static int compile_filter(struct oci *oci, struct exec *exec, struct error *err)
{
    struct seccomp_profile profile;
    struct seccomp_filter *filter = arena_new(oci->arena, struct seccomp_filter);

    if (!exec->spec.linux.seccomp)
        return 0;
    container_seccomp_profile(oci->arena, exec->spec.linux.seccomp, &profile);
    _cleanup_close_ int cache =
            seccomp_cache_open(path_join(oci->arena, oci->root, ".seccomp"), NULL);
    int r = seccomp_get_filter(oci->arena, &profile, cache, filter, err);
    exec->request.seccomp = filter;
    exec->request.seccomp_config = exec->spec.linux.seccomp;
    return r;
}

static int prepare(struct oci *oci, struct exec *exec, int argc, char **argv, struct error *err)
{
    int r = parse(oci, exec, argc, argv, err);

    if (r == 0)
        r = oci_open(oci, argv[optind], &exec->container, err);
    if (r == 0)
        r = check_status(exec, err);
    const struct container_state *state = &exec->container.state;
    if (r == 0 && !(state->namespaces & CLONE_NEWUSER))
        r = oci_protect(oci, err);
    if (r == 0)
        r = spec_load_at(exec->container.dir_fd, "config.json", oci->arena, &exec->spec, NULL, err);
    if (r == 0)
        r = exec->process_file ? load_process(oci, exec, err)
                               : change_process(oci, exec, argc, argv, err);
    if (r == 0)
        r = container_host_detect(oci->arena, &exec->host, err);
    if (r == 0)
        r = compile_filter(oci, exec, err);
    if (r < 0)
        return r;
    struct spec_state *told = arena_new(oci->arena, struct spec_state);
    container_state_as_spec(state, SPEC_RUNNING, told);
    exec->request.arena = oci->arena;
    exec->request.host = &exec->host;
    exec->request.process = exec->spec.process;
    exec->request.process_at = exec->process_file ? "" : "/process";
    exec->request.id = state->id;
    exec->request.init = state->pid;
    exec->request.namespaces = container_exec_kinds(state);
    exec->request.cgroup = &state->cgroup;
    exec->request.sub_cgroup = exec->cgroup;
    exec->request.state = told;
    exec->request.console_socket = exec->spec.process->terminal ? exec->console_socket : NULL;
    exec->request.console_fd = -1;
    exec->request.preserve_fds = (unsigned)exec->preserve_fds;
    return 0;
}

static int watch(struct container_making *making, struct streams *streams, struct error *err)
{
    struct monitor_config config = {.dir_fd = -1,
            .pidfd = making->run.child_pidfd,
            .streams = streams,
            .local = true,
            .client = -1,
            .signals = true};
    int status = 0;
    int r = streams_settle(streams, err);

    if (r == 0)
        r = monitor_run(&config, &status, err);
    return r < 0 ? r : status;
}

static int make(struct exec *exec, struct streams *streams, struct error *err)
{
    struct container_apply apply = {0};
    struct container_making making;
    int r = container_exec(&exec->request, &apply, &making, err);

    if (r == 0)
        r = oci_write_pid(exec->pid_file, making.run.child, err);
    if (r < 0 || exec->detach)
        return r;
    return watch(&making, streams, err);
}

int oci_exec(struct oci *oci, int argc, char **argv, struct error *err)
{
    struct exec exec = {0};
    _cleanup_streams_ struct streams streams;
    int r = streams_open(STREAMS_INHERIT, true, &streams, err);

    if (r == 0)
        r = prepare(oci, &exec, argc, argv, err);
    if (r == 0 && exec.spec.process->terminal && !exec.console_socket) {
        if (exec.detach)
            r = error_set(err, EINVAL,
                    "cannot allocate tty if runc will detach without setting console socket");
        else
            r = streams_open(STREAMS_TERMINAL, true, &streams, err);
        exec.request.console_fd = streams.console_peer;
    }
    if (r == 0)
        r = make(&exec, &streams, err);
    container_close(&exec.container);
    if (r < 0)
        err->exit_status = EXEC_FAILED;
    return r;
}
