/* exec: one more process in a running container. */
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "cgroup/sub.h"
#include "container/annotations.h"
#include "engine/session.h"
#include "engine/vm_call.h"
#include "engine/vm_exec.h"
#include "oci/command.h"
#include "oci/words.h"
#include "security/entry.h"
#include "security/passwd.h"
#include "spec/check.h"
#include "spec/names.h"

struct exec {
    const char *process_file;
    const char *cwd, *user, *console_socket, *pid_file, *pidfd_socket;
    const char *label, *apparmor;
    struct strv env, caps, gids, cgroups;
    struct opt_bool no_new_privs;
    struct opt_u64 preserve_fds;
    bool tty, detach, ignore_paused;
    struct strv words; /* the id, then the command */
    struct container container;
    struct spec spec;
    struct cgroup_sub_list sub_cgroups;
    struct container_host host;
    struct container_exec_request request;
};

#define ROW(letter_, name_, kind_, member_, value_, help_)                                         \
    OPTION(letter_, name_, OPTION_##kind_, struct exec, member_, value_, help_)

static const struct option_row rows[] = {
        ROW('p', "process", TEXT, process_file, "FILE", "the process, as in config.json"),
        ROW(0, "console-socket", TEXT, console_socket, "SOCKET", "receives the terminal"),
        ROW(0, "cwd", TEXT, cwd, "DIR", "working directory"),
        ROW('e', "env", LIST, env, "NAME=VALUE", "one more variable"),
        ROW('t', "tty", FLAG, tty, NULL, "with a terminal"),
        ROW('u', "user", TEXT, user, "UID[:GID]", "who runs it, by number or by name"),
        ROW('g', "additional-gids", LIST, gids, "GID", "one more group"),
        ROW('d', "detach", FLAG, detach, NULL, "returns once it runs"),
        ROW(0, "pid-file", TEXT, pid_file, "FILE", "where its pid is written"),
        ROW(0, "pidfd-socket", TEXT, pidfd_socket, "SOCKET", "receives a pidfd of it"),
        ROW(0, "process-label", TEXT, label, "LABEL", "its SELinux label"),
        ROW(0, "apparmor", TEXT, apparmor, "PROFILE", "its AppArmor profile"),
        ROW(0, "no-new-privs", SWITCH, no_new_privs, NULL, "gains no privileges by execve"),
        ROW('c', "cap", LIST, caps, "CAPABILITY", "one more capability"),
        ROW(0, "preserve-fds", COUNT, preserve_fds, "N", "so many descriptors more go to it"),
        ROW(0, "cgroup", LIST, cgroups, "[CONTROLLER,...:]PATH",
                "in this cgroup below the container's"),
        ROW(0, "ignore-paused", FLAG, ignore_paused, NULL, "also while the container is paused"),
};
static const struct option_table table = OPTION_TABLE("Options", rows);

static int parse(struct oci *oci, struct exec *exec, int argc, char **argv, struct error *err)
{
    static const struct option_command command = {.name = "viv-oci exec",
            .usage = "CONTAINER-ID [COMMAND [ARGUMENT...]]",
            .about = "Runs one more process in a container.",
            .order = OPTIONS_FIRST,
            .least = 1,
            .most = SIZE_MAX,
            .tables = {&table}};
    int r = oci_read(&command, argc, argv, oci, exec, &exec->words, err);

    if (r != 0)
        return r;
    if (!exec->process_file && exec->words.count < 2)
        return error_set(err, EINVAL, "process args cannot be empty");
    if (exec->preserve_fds.value > OCI_PRESERVE_MAX)
        return error_set(err, EINVAL, "flag --preserve-fds takes a number up to %d, not %llu",
                OCI_PRESERVE_MAX, (unsigned long long)exec->preserve_fds.value);
    return 0;
}

static int set_gids(
        struct oci *oci, struct exec *exec, struct spec_process *process, struct error *err)
{
    size_t count = process->user.additionalGids.count;
    uint32_t *gids = arena_new_array(oci->arena, uint32_t, count + exec->gids.count + 1);
    const char *word;

    for (size_t i = 0; i < count; i++)
        gids[i] = process->user.additionalGids.items[i];
    strv_foreach (word, &exec->gids) {
        if (str_to_u32(word, &gids[count]) < 0 || gids[count] == UINT32_MAX)
            return error_set(
                    err, EINVAL, "flag --additional-gids wants a group's number, not \"%s\"", word);
        count++;
    }
    process->user.additionalGids.items = gids;
    process->user.additionalGids.count = count;
    return 0;
}

/* As runc has it: what is not told stays, the group and the further groups too. Names are ours. */
static int set_user(
        struct oci *oci, struct exec *exec, struct spec_process *process, struct error *err)
{
    struct passwd_user user;
    uint32_t number;
    char path[64];

    if (!exec->user || vm_is(&exec->container)) /* a machine's agent looks it up */
        return 0;
    snprintf(path, sizeof(path), "/proc/%d/root", exec->container.state.pid);
    _cleanup_close_ int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return error_sys(err, errno, "open the container's root");
    int r = passwd_lookup(root, exec->user, oci->arena, &user, err);
    if (r < 0)
        return r;
    process->user.uid = user.uid;
    if (str_to_u32(exec->user, &number) < 0)
        process->user.gid = user.gid;
    return 0;
}

static int set_env(
        struct oci *oci, const struct exec *exec, struct spec_process *process, struct error *err)
{
    const char *word;

    strv_foreach (word, &exec->env) {
        if (!strchr(word, '=') || *word == '=')
            return error_set(err, EINVAL, "invalid environment variable: \"%s\"", word);
        strv_add(oci->arena, &process->env, word);
    }
    return 0;
}

static void add_capabilities(struct oci *oci, const struct exec *exec, struct spec_process *process)
{
    struct spec_capabilities *caps = process->capabilities;
    const char *word;

    strv_foreach (word, &exec->caps) {
        if (!spec_words_have(&spec_capabilities, word)) {
            log_write(&oci->log, LOG_WARN, "ignoring unknown or unavailable capabilities: [%s]",
                    word);
            continue;
        }
        if (!caps)
            caps = process->capabilities = arena_new(oci->arena, struct spec_capabilities);
        strv_add(oci->arena, &caps->bounding, word);
        strv_add(oci->arena, &caps->effective, word);
        strv_add(oci->arena, &caps->permitted, word);
        if (strv_contains(&caps->inheritable, word)) /* or the kernel would not have it */
            strv_add(oci->arena, &caps->ambient, word);
    }
}

/* Without --process: the container's own process, with what the options change. */
static int change_process(struct oci *oci, struct exec *exec, struct error *err)
{
    struct spec_process *process = exec->spec.process;

    process->args = (struct strv){0};
    for (size_t i = 1; i < exec->words.count; i++)
        strv_add(oci->arena, &process->args, exec->words.words[i]);
    process->terminal = exec->tty;
    if (exec->cwd)
        process->cwd = exec->cwd;
    if (exec->label)
        process->selinuxLabel = exec->label;
    if (exec->apparmor)
        process->apparmorProfile = exec->apparmor;
    if (exec->no_new_privs.set)
        process->noNewPrivileges = exec->no_new_privs.value;
    add_capabilities(oci, exec, process);
    int r = set_env(oci, exec, process, err);
    if (r == 0)
        r = set_user(oci, exec, process, err);
    return r < 0 ? r : set_gids(oci, exec, process, err);
}

static int load_process(struct oci *oci, struct exec *exec, struct error *err)
{
    _cleanup_buf_ struct buf text = {.max = JSON_SIZE_MAX};
    int r = io_read_file_at(AT_FDCWD, exec->process_file, &text);

    if (r < 0)
        return error_sys(err, -r, "read the process from %s", exec->process_file);
    struct spec_process *process = arena_new(oci->arena, struct spec_process);
    struct strv warnings = {0};
    const char *warning;
    r = spec_load_process(
            buf_text(&text), text.length, exec->process_file, oci->arena, process, &warnings, err);
    strv_foreach (warning, &warnings) {
        log_write(&oci->log, LOG_WARN, "%s", warning);
    }
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

static int load(struct oci *oci, struct exec *exec, struct error *err)
{
    const struct container_state *state = &exec->container.state;
    bool own = state->namespaces & CLONE_NEWUSER || vm_is(&exec->container);
    int r = own ? 0 : oci_protect(oci, err);

    if (r == 0)
        r = spec_load_at(exec->container.dir_fd, "config.json", oci->arena, &exec->spec, NULL, err);
    if (r == 0)
        r = exec->process_file ? load_process(oci, exec, err) : change_process(oci, exec, err);
    if (r == 0)
        r = oci_host(oci, &exec->host, err);
    if (r == 0)
        r = container_annotated_filter(oci->arena, &exec->spec, &exec->request.seccomp, err);
    if (r == 0)
        r = oci_filter(oci, exec->spec.linux.seccomp, &exec->request.seccomp, err);
    return r < 0 ? r : 0;
}

static void fill_request(struct oci *oci, struct exec *exec)
{
    const struct container_state *state = &exec->container.state;
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
    exec->request.sub_cgroups = &exec->sub_cgroups;
    exec->request.state = told;
    exec->request.console_socket = exec->spec.process->terminal ? exec->console_socket : NULL;
    exec->request.console_fd = -1;
    exec->request.preserve_fds = (unsigned)exec->preserve_fds.value;
    exec->request.seccomp_config = exec->spec.linux.seccomp;
}

static int prepare(struct oci *oci, struct exec *exec, struct error *err)
{
    int r = oci_open(oci, exec->words.words[0], &exec->container, err);

    if (r == 0)
        r = cgroup_sub_parse(oci->arena, &exec->cgroups, &exec->sub_cgroups, err);
    if (r == 0)
        r = check_status(exec, err);
    if (r == 0)
        r = load(oci, exec, err);
    if (r == 0)
        fill_request(oci, exec);
    return r;
}

static int make(struct exec *exec, struct streams *streams, struct error *err)
{
    struct container_apply apply = {.slow_fd = security_entry_take_mount()};
    struct container_making making;
    struct vm_exec inside = {.user = exec->user, .interactive = true};

    if (!exec->detach)
        session_hold_signals();
    int r = vm_is(&exec->container)
                    ? vm_exec(&exec->container, &exec->request, &inside, &making, err)
                    : container_exec(&exec->request, &apply, &making, err);

    if (r == 0)
        r = oci_write_pid(exec->pid_file, making.run.child, err);
    if (r == 0)
        r = oci_send_pidfd(exec->pidfd_socket, making.run.child_pidfd, err);
    if (r < 0 || exec->detach)
        return r;
    return oci_watch(&making, streams, err);
}

int oci_exec(struct oci *oci, int argc, char **argv, struct error *err)
{
    struct exec exec = {0};
    _cleanup_streams_ struct streams streams;
    int r = streams_open(STREAMS_INHERIT, true, &streams, err);

    if (r == 0)
        r = parse(oci, &exec, argc, argv, err);
    if (r > 0)
        return 0;
    if (r == 0)
        r = prepare(oci, &exec, err);
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
    return r;
}
