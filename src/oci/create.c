/* create and run: from a bundle to a container. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "base/str.h"
#include "container/annotations.h"
#include "container/notify.h"
#include "container/outside.h"
#include "engine/session.h"
#include "engine/vm_joined.h"
#include "oci/command.h"
#include "oci/machine.h"
#include "oci/notify.h"
#include "oci/words.h"
#include "security/entry.h"
#include "spec/check.h"

/* The options of both. */
struct create {
    const char *id;
    const char *bundle;
    const char *config;
    const char *console_socket;
    const char *pid_file;
    const char *pidfd_socket;
    struct opt_u64 preserve_fds;
    bool no_pivot, no_new_keyring, no_subreaper;
    bool detach, keep; /* of run */
    bool machine;      /* it gets one */
    struct spec spec;
    struct container_host host;
    struct container_request request;
};

#define ROW(letter_, name_, kind_, member_, value_, help_)                                         \
    OPTION(letter_, name_, OPTION_##kind_, struct create, member_, value_, help_)

static const struct option_row create_rows[] = {
        ROW('b', "bundle", TEXT, bundle, "DIR", "the bundle (default: the working directory)"),
        ROW('f', "config", TEXT, config, "FILE", "the configuration, in place of config.json"),
        ROW(0, "console-socket", TEXT, console_socket, "SOCKET", "receives the terminal"),
        ROW(0, "pid-file", TEXT, pid_file, "FILE", "where the first process's pid is written"),
        ROW(0, "pidfd-socket", TEXT, pidfd_socket, "SOCKET", "receives a pidfd of it"),
        ROW(0, "preserve-fds", COUNT, preserve_fds, "N", "so many descriptors more go to it"),
        ROW(0, "no-pivot", FLAG, no_pivot, NULL, "for a root on an initramfs"),
        ROW(0, "no-new-keyring", FLAG, no_new_keyring, NULL, "keeps the caller's session keyring"),
        ROW(0, "no-subreaper", FLAG, no_subreaper, NULL, "accepted: orphans never come to us"),
};
static const struct option_row run_rows[] = {
        ROW('d', "detach", FLAG, detach, NULL, "returns once the container runs"),
        ROW(0, "keep", FLAG, keep, NULL, "keeps the container when it has ended"),
};
static const struct option_table create_table = OPTION_TABLE("Options", create_rows);
static const struct option_table run_table = OPTION_TABLE("Options of run", run_rows);

static int load_config(struct oci *oci, struct create *create, struct error *err)
{
    struct strv warnings = {0};
    const char *warning;
    const char *file = create->config ? create->config : "config.json";
    char *absolute = realpath(create->bundle ? create->bundle : ".", NULL);

    if (!absolute)
        return error_sys(err, errno, "open the bundle %s", create->bundle);
    create->bundle = arena_strdup(oci->arena, absolute);
    free(absolute);
    _cleanup_close_ int dir = open(create->bundle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return error_sys(err, errno, "open the bundle %s", create->bundle);
    int r = spec_load_at(dir, file, oci->arena, &create->spec, &warnings, err);
    if (r == -ENOENT)
        return error_set(err, ENOENT,
                "JSON specification file %s not found: no such file or directory in the bundle %s",
                file, create->bundle);
    strv_foreach (warning, &warnings) {
        log_write(&oci->log, LOG_WARN, "%s", warning);
    }
    return r;
}

/* systemd's socket activation: the descriptors go on to the workload. */
static void pass_listen_fds(struct oci *oci, struct create *create)
{
    const char *count = getenv("LISTEN_FDS");
    const char *names = getenv("LISTEN_FDNAMES");
    uint32_t fds;

    if (str_empty(count) || str_to_u32(count, &fds) < 0 || fds > OCI_PRESERVE_MAX)
        return;
    struct strv *env = &create->spec.process->env;
    strv_add(oci->arena, env, arena_printf(oci->arena, "LISTEN_FDS=%u", fds));
    strv_add(oci->arena, env, "LISTEN_PID=1");
    if (!str_empty(names))
        strv_add(oci->arena, env, arena_printf(oci->arena, "LISTEN_FDNAMES=%s", names));
    create->preserve_fds.value += fds;
}

/* The sandbox's folder as its mounts name it. */
static int add_notify(struct oci *oci, struct create *create, struct error *err)
{
    _cleanup_free_ char *root = oci_notify_socket() ? realpath(oci->root, NULL) : NULL;

    if (!oci_notify_socket())
        return 0;
    if (!root)
        return error_sys(err, errno, "open the folder of sandboxes %s", oci->root);
    container_notify_into_spec(oci->arena, &create->spec, path_join(oci->arena, root, create->id));
    create->request.notify = true;
    return 0;
}

static int check_config(const struct create *create, struct error *err)
{
    if (!create->spec.process)
        return error_set(err, EINVAL, "config.json: /process: required to create a container");
    if (create->preserve_fds.value > OCI_PRESERVE_MAX)
        return error_set(err, EINVAL, "flag --preserve-fds takes a number up to %d, not %llu",
                OCI_PRESERVE_MAX, (unsigned long long)create->preserve_fds.value);
    if (create->spec.vm && !create->machine)
        return error_set(err, EOPNOTSUPP,
                "config.json: /vm: a virtual machine is asked for, and viv-oci makes containers; "
                "viv-oci-vm makes machines");
    return 0;
}

static void fill_request(struct oci *oci, struct create *create)
{
    struct container_request *request = &create->request;

    request->arena = oci->arena;
    request->host = &create->host;
    request->spec = &create->spec;
    request->id = create->id;
    request->bundle = create->bundle;
    request->dir_fd = -1;
    request->cgroup_manager = oci->manager;
    request->default_cgroup = oci_default_cgroup(oci, &create->host, create->id);
    request->cgroup_strict = true;
    request->console_socket = create->spec.process->terminal ? create->console_socket : NULL;
    request->console_fd = -1;
    request->no_pivot = create->no_pivot;
    request->no_new_keyring = create->no_new_keyring;
    request->preserve_fds = (unsigned)create->preserve_fds.value;
    request->own_null = true;
    if (!oci->machine)
        outside_stream_names(oci->arena, &request->streams);
}

/* The filter, unless an annotation brings one that is compiled already. */
static int find_filter(struct oci *oci, struct create *create, struct error *err)
{
    const struct seccomp_filter **filter = &create->request.seccomp;
    int r = container_annotated_filter(oci->arena, &create->spec, filter, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = oci_filter(oci, create->spec.linux.seccomp, filter, err);
    if (r == 0 && *filter && (*filter)->notes.count &&
            spec_annotation(&create->spec, "run.oci.seccomp_fail_unknown_syscall"))
        return error_set(err, EINVAL, "config.json: /linux/seccomp: %s", (*filter)->notes.words[0]);
    return r;
}

static int prepare(struct oci *oci, struct create *create, struct error *err)
{
    int r = store_check_id(create->id, err);

    if (r == 0)
        r = load_config(oci, create, err);
    create->machine = oci->machine && !vm_holds_pod(&create->spec);
    if (r == 0)
        r = check_config(create, err);
    if (r == 0)
        r = container_annotations_apply(oci->arena, &create->spec, err);
    if (r < 0)
        return r;
    if (!create->pidfd_socket)
        create->pidfd_socket = spec_annotation(&create->spec, "run.oci.pidfd_receiver");
    /* without a user namespace the workload's root owns our program file */
    if (!spec_namespace_find(&create->spec, "user") && !create->machine)
        r = oci_protect(oci, err);
    if (r == 0)
        r = oci_host(oci, &create->host, err);
    if (r == 0)
        r = find_filter(oci, create, err);
    if (r < 0)
        return r;
    pass_listen_fds(oci, create);
    fill_request(oci, create);
    return add_notify(oci, create, err);
}

static int delete_it(struct oci *oci, const char *id, struct error *err)
{
    _cleanup_container_ struct container container = {0};
    int r = container_open(&oci->store, id, oci->arena, &container, err);

    return r < 0 ? r : oci_remove(oci, &container, true, err);
}

/* Makes it, and tells its pid; on failure nothing is left. */
static int make(
        struct oci *oci, struct create *create, struct container_making *making, struct error *err)
{
    struct container_apply apply = {.slow_fd = security_entry_take_mount()};
    const char *warning;
    int r = create->machine ? oci_machine_make(oci, &create->request, making, err)
                            : container_make(&oci->store, &create->request, &apply, making, err);

    if (r < 0)
        return r;
    strv_foreach (warning, &making->built.warnings) {
        log_write(&oci->log, LOG_WARN, "%s", warning);
    }
    r = oci_write_pid(create->pid_file, making->run.child, err);
    if (r == 0)
        r = oci_send_pidfd(create->pidfd_socket, making->run.child_pidfd, err);
    if (r < 0)
        delete_it(oci, create->id, NULL);
    return r;
}

static int check_terminal(const struct create *create, bool detached, struct error *err)
{
    bool terminal = create->spec.process->terminal;

    if (terminal && detached && !create->console_socket)
        return error_set(err, EINVAL,
                "cannot allocate tty if runc will detach without setting console socket");
    if (!terminal && create->console_socket)
        return error_set(
                err, EINVAL, "cannot use console socket if runc will not detach or allocate tty");
    return 0;
}

int oci_create(struct oci *oci, int argc, char **argv, struct error *err)
{
    static const struct option_command command = {.name = "viv-oci create",
            .usage = "CONTAINER-ID",
            .about = "Makes a container from a bundle; its workload waits to be started.",
            .least = 1,
            .most = 1,
            .tables = {&create_table}};
    struct create create = {0};
    struct container_making making;
    struct strv rest = {0};
    int r = oci_read(&command, argc, argv, oci, &create, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    create.id = rest.words[0];
    r = prepare(oci, &create, err);
    if (r == 0)
        r = check_terminal(&create, true, err);
    if (r < 0)
        return r;
    create.request.wait_for_start = true;
    return make(oci, &create, &making, err);
}

/* ---- run ------------------------------------------------------------------------------------- */

/* What a service manager waits for must be listened to before the workload runs. */
static int start_notifying(
        struct oci *oci, struct create *create, struct container_making *making, struct error *err)
{
    _cleanup_container_ struct container container = {0};
    int pidfd = take_fd(&making->run.child_pidfd);

    plan_run_end(&making->run); /* the gate tells of the workload when nobody else holds it */
    making->run.child_pidfd = pidfd;
    int r = oci_open(oci, create->id, &container, err);

    if (r == 0)
        r = oci_notify_start(&container, !create->detach, err);
    if (r < 0)
        delete_it(oci, create->id, NULL);
    return r;
}

/* The streams, of which a terminal's kind is known only once the configuration is read. */
static int start(struct oci *oci, struct create *create, struct streams *streams,
        struct container_making *making, struct error *err)
{
    int r = prepare(oci, create, err);

    if (r == 0)
        r = check_terminal(create, create->detach || create->console_socket, err);
    if (r == 0 && create->spec.process->terminal && !create->console_socket) {
        r = streams_open(STREAMS_TERMINAL, true, streams, err);
        create->request.console_fd = streams->console_peer;
    }
    if (r < 0)
        return r;
    create->request.wait_for_start = create->request.notify;
    if (!create->detach)
        session_hold_signals();
    r = make(oci, create, making, err);
    return r < 0 || !create->request.notify ? r : start_notifying(oci, create, making, err);
}

int oci_run(struct oci *oci, int argc, char **argv, struct error *err)
{
    static const struct option_command command = {.name = "viv-oci run",
            .usage = "CONTAINER-ID",
            .about = "Makes a container from a bundle, starts it, and takes it away at its end.",
            .least = 1,
            .most = 1,
            .tables = {&create_table, &run_table}};
    struct create create = {0};
    struct container_making making;
    _cleanup_streams_ struct streams streams;
    struct strv rest = {0};
    int r = streams_open(STREAMS_INHERIT, true, &streams, err);

    if (r == 0)
        r = oci_read(&command, argc, argv, oci, &create, &rest, err);
    if (r != 0)
        return r < 0 ? r : 0;
    create.id = rest.words[0];
    r = start(oci, &create, &streams, &making, err);
    if (r < 0 || create.detach)
        return r;
    r = oci_watch(&making, &streams, err);
    if (!create.keep) {
        struct error delete_error = ERROR_NONE;
        int deleted = delete_it(oci, create.id, &delete_error);
        if (r >= 0 && deleted < 0) {
            *err = delete_error;
            return deleted;
        }
    }
    return r;
}
