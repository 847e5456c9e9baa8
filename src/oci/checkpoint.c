/* checkpoint and restore, with runc's options. */
#include "container/restore.h"

#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "engine/session.h"
#include "oci/command.h"
#include "oci/words.h"
#include "sys/process.h"

struct criu {
    struct checkpoint_options criu;
    const char *bundle, *pid_file, *console_socket;
    bool detach, no_subreaper, no_pivot;
};

#define ROW(letter_, name_, kind_, member_, value_, help_)                                         \
    OPTION(letter_, name_, OPTION_##kind_, struct criu, member_, value_, help_)

static const struct option_row common_rows[] = {
        ROW(0, "image-path", TEXT, criu.images, "DIR", "the images (default: checkpoint)"),
        ROW(0, "work-path", TEXT, criu.work, "DIR", "where CRIU keeps its statistics"),
        ROW(0, "tcp-established", FLAG, criu.tcp_established, NULL, "with open TCP connections"),
        ROW(0, "ext-unix-sk", FLAG, criu.ext_unix_sk, NULL, "with Unix sockets to the outside"),
        ROW(0, "shell-job", FLAG, criu.shell_job, NULL, "with a terminal of the outside"),
        ROW(0, "lazy-pages", FLAG, criu.lazy_pages, NULL, "memory follows when it is needed"),
        ROW(0, "file-locks", FLAG, criu.file_locks, NULL, "with file locks"),
        ROW(0, "manage-cgroups-mode", CHOICE, criu.cgroups, "soft|full|strict|ignore",
                "how control groups are restored"),
        ROW(0, "empty-ns", LIST, criu.empty_ns, "NAMESPACE", "made, and left empty"),
        ROW(0, "auto-dedup", FLAG, criu.auto_dedup, NULL, "pages that are read twice go"),
        ROW(0, "network-lock", CHOICE, criu.network_lock, "iptables|nftables|skip",
                "how its network is kept still meanwhile"),
};
static const struct option_row dump_rows[] = {
        ROW(0, "parent-path", TEXT, criu.parent, "DIR",
                "an earlier dump, of which this is the rest"),
        ROW(0, "leave-running", FLAG, criu.leave_running, NULL, "the container goes on"),
        ROW(0, "tcp-skip-in-flight", FLAG, criu.tcp_skip_in_flight, NULL, "without half-open ones"),
        ROW(0, "link-remap", FLAG, criu.link_remap, NULL, "with files that have been unlinked"),
        ROW(0, "status-fd", COUNT, criu.status_fd, "FD", "gets a byte once lazy pages can be had"),
        ROW(0, "page-server", TEXT, criu.page_server, "ADDRESS:PORT", "where memory is sent"),
        ROW(0, "pre-dump", FLAG, criu.pre_dump, NULL, "memory only, the container goes on"),
};
static const struct option_row restore_rows[] = {
        ROW('b', "bundle", TEXT, bundle, "DIR", "the bundle (default: the working directory)"),
        ROW('d', "detach", FLAG, detach, NULL, "returns once it runs"),
        ROW(0, "pid-file", TEXT, pid_file, "FILE", "where its pid is written"),
        ROW(0, "console-socket", TEXT, console_socket, "SOCKET", "receives the terminal"),
        ROW(0, "no-subreaper", FLAG, no_subreaper, NULL, "orphans go to this process's parent"),
        ROW(0, "no-pivot", FLAG, no_pivot, NULL, "accepted: CRIU changes the root"),
        ROW(0, "tcp-close", FLAG, criu.tcp_close, NULL, "TCP connections come back closed"),
        ROW(0, "lsm-profile", TEXT, criu.lsm_profile, "TYPE:NAME", "another security profile"),
        ROW(0, "lsm-mount-context", TEXT, criu.lsm_mount_context, "CONTEXT", "another mount label"),
};
static const struct option_table common_table = OPTION_TABLE("Options", common_rows);
static const struct option_table dump_table = OPTION_TABLE("Options of checkpoint", dump_rows);
static const struct option_table restore_table = OPTION_TABLE("Options of restore", restore_rows);

int oci_checkpoint(struct oci *oci, int argc, char **argv, struct error *err)
{
    static const struct option_command command = {.name = "viv-oci checkpoint",
            .usage = "CONTAINER-ID",
            .about = "Writes a running container to disk, by CRIU.",
            .least = 1,
            .most = 1,
            .tables = {&common_table, &dump_table}};
    _cleanup_container_ struct container container = {0};
    struct criu options = {.criu.images = "checkpoint"};
    int r = oci_read_id(&command, argc, argv, oci, &options, &container, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = container_checkpoint(&container, &options.criu, err);
    if (r < 0 || options.criu.leave_running || options.criu.pre_dump)
        return r;
    return container_delete(&container, true, err);
}

/* ---- restore --------------------------------------------------------------------------------- */

/* A terminal is the caller's own in the foreground, unless a socket takes it. */
static int open_terminal(const struct criu *options, struct restore_request *request,
        struct streams *streams, struct error *err)
{
    bool terminal = false;
    int r = container_restore_has_terminal(request, &terminal, err);

    if (r < 0 || !terminal || options->console_socket)
        return r;
    if (options->detach)
        return error_set(err, EINVAL,
                "cannot allocate tty if runc will detach without setting console socket");
    r = streams_open(STREAMS_TERMINAL, true, streams, err);
    request->console_fd = streams->console_peer;
    return r;
}

static int fill_request(struct oci *oci, const struct criu *options, struct container_host *host,
        struct restore_request *request, struct error *err)
{
    _cleanup_free_ char *bundle = realpath(options->bundle, NULL);

    if (!bundle)
        return error_sys(err, errno, "open the bundle %s", options->bundle);
    request->bundle = arena_strdup(oci->arena, bundle);
    int r = oci_host(oci, host, err);
    if (r < 0)
        return r;
    request->host = host;
    request->cgroup_manager = oci->manager;
    request->default_cgroup = oci_default_cgroup(oci, host, request->id);
    return 0;
}

/* In the foreground: until its end, after which it is taken away. Its exit status. */
static int watch(
        struct oci *oci, const char *id, pid_t pid, struct streams *streams, struct error *err)
{
    struct container_making making = {.run = {.child = pid, .child_pidfd = -1}};
    _cleanup_container_ struct container container = {0};
    _cleanup_close_ int pidfd = sys_pidfd_open(pid, 0);

    making.run.child_pidfd = pidfd;
    int status = pidfd < 0 ? error_sys(err, -pidfd, "open the restored process %d", pid)
                           : oci_watch(&making, streams, err);
    int r = oci_open(oci, id, &container, status < 0 ? NULL : err);
    if (r == 0)
        r = oci_remove(oci, &container, true, status < 0 ? NULL : err);
    return status < 0 ? status : r < 0 ? r : status;
}

int oci_restore(struct oci *oci, int argc, char **argv, struct error *err)
{
    static const struct option_command command = {.name = "viv-oci restore",
            .usage = "CONTAINER-ID",
            .about = "Makes a container from what checkpoint wrote.",
            .least = 1,
            .most = 1,
            .tables = {&common_table, &restore_table}};
    struct criu options = {.criu.images = "checkpoint", .bundle = "."};
    struct restore_request request = {
            .arena = oci->arena, .options = &options.criu, .console_fd = -1};
    struct container_host host = {0};
    _cleanup_streams_ struct streams streams = STREAMS_NONE;
    struct strv rest = {0};
    pid_t pid = 0;
    int r = oci_read(&command, argc, argv, oci, &options, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    request.id = rest.words[0];
    request.console_socket = options.console_socket;
    r = fill_request(oci, &options, &host, &request, err);
    if (r == 0)
        r = open_terminal(&options, &request, &streams, err);
    if (r < 0)
        return r;
    if (!options.detach && !options.no_subreaper)
        sys_prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    if (!options.detach)
        session_hold_signals();
    r = container_restore(&oci->store, &request, &pid, err);
    if (r == 0)
        r = oci_write_pid(options.pid_file, pid, err);
    return r < 0 || options.detach ? r : watch(oci, request.id, pid, &streams, err);
}
