/* create and run: from a bundle to a container. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/path.h"
#include "base/str.h"
#include "container/console.h"
#include "container/host.h"
#include "container/seccomp.h"
#include "engine/monitor.h"
#include "engine/session.h"
#include "engine/streams.h"
#include "oci/command.h"
#include "oci/words.h"
#include "security/seccomp_cache.h"
#include "spec/check.h"

#define PRESERVE_MAX 1024

/* The options of both. */
struct create {
    const char *id;
    const char *bundle;
    const char *config;
    const char *console_socket;
    const char *pid_file;
    const char *pidfd_socket;
    int64_t preserve_fds;
    bool no_pivot, no_new_keyring;
    bool detach, keep, no_subreaper; /* of run */
    struct spec spec;
    struct container_host host;
    struct container_request request;
};

enum {
    OPT_CONFIG = 256,
    OPT_CONSOLE,
    OPT_PID,
    OPT_PIDFD,
    OPT_PRESERVE,
    OPT_NO_PIVOT,
    OPT_NO_KEYRING,
    OPT_NO_SUBREAPER,
    OPT_KEEP
};

static const struct option options[] = {
        {"bundle", required_argument, NULL, 'b'},
        {"config", required_argument, NULL, 'f'},
        {"console-socket", required_argument, NULL, OPT_CONSOLE},
        {"pid-file", required_argument, NULL, OPT_PID},
        {"pidfd-socket", required_argument, NULL, OPT_PIDFD},
        {"preserve-fds", required_argument, NULL, OPT_PRESERVE},
        {"no-pivot", no_argument, NULL, OPT_NO_PIVOT},
        {"no-new-keyring", no_argument, NULL, OPT_NO_KEYRING},
        {"no-subreaper", no_argument, NULL, OPT_NO_SUBREAPER},
        {"keep", no_argument, NULL, OPT_KEEP},
        {"detach", no_argument, NULL, 'd'},
        {0},
};

static int set_option(struct create *create, int option, struct error *err)
{
    switch (option) {
    case 'b':
        create->bundle = optarg;
        return 0;
    case 'f':
        create->config = optarg;
        return 0;
    case 'd':
        create->detach = true;
        return 0;
    case OPT_CONSOLE:
        create->console_socket = optarg;
        return 0;
    case OPT_PID:
        create->pid_file = optarg;
        return 0;
    case OPT_PIDFD:
        create->pidfd_socket = optarg;
        return 0;
    case OPT_PRESERVE:
        return oci_number("preserve-fds", optarg, 0, PRESERVE_MAX, &create->preserve_fds, err);
    case OPT_NO_PIVOT:
        create->no_pivot = true;
        return 0;
    case OPT_NO_KEYRING:
        create->no_new_keyring = true;
        return 0;
    case OPT_KEEP:
        create->keep = true;
        return 0;
    default:
        create->no_subreaper = true;
        return 0;
    }
}

static int parse(struct create *create, int argc, char **argv, struct error *err)
{
    int option;
    int r;

    while ((option = oci_getopt(argc, argv, "b:f:d", options, false, err)) != -1) {
        r = option == '?' ? -EINVAL : set_option(create, option, err);
        if (r < 0)
            return r;
    }
    r = oci_one_word(argc, argv, &create->id, err);
    return r < 0 ? r : store_check_id(create->id, err);
}

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

static int compile_filter(struct oci *oci, struct create *create, struct error *err)
{
    struct seccomp_profile profile;
    struct seccomp_filter *filter = arena_new(oci->arena, struct seccomp_filter);

    if (!create->spec.linux.seccomp)
        return 0;
    container_seccomp_profile(oci->arena, create->spec.linux.seccomp, &profile);
    _cleanup_close_ int cache =
            seccomp_cache_open(path_join(oci->arena, oci->root, ".seccomp"), NULL);
    int r = seccomp_get_filter(oci->arena, &profile, cache, filter, err);
    create->request.seccomp = filter;
    return r;
}

/* systemd's socket activation: the descriptors go on to the workload. */
static void pass_listen_fds(struct oci *oci, struct create *create)
{
    const char *count = getenv("LISTEN_FDS");
    uint32_t fds;

    if (str_empty(count) || str_to_u32(count, &fds) < 0 || fds > PRESERVE_MAX)
        return;
    struct strv *env = &create->spec.process->env;
    strv_add(oci->arena, env, arena_printf(oci->arena, "LISTEN_FDS=%u", fds));
    strv_add(oci->arena, env, "LISTEN_PID=1");
    create->preserve_fds += fds;
}

static int prepare(struct oci *oci, struct create *create, int argc, char **argv, struct error *err)
{
    int r = parse(create, argc, argv, err);

    if (r == 0)
        r = load_config(oci, create, err);
    if (r < 0)
        return r;
    if (!create->spec.process)
        return error_set(err, EINVAL, "config.json: /process: required to create a container");
    const struct spec_namespace *user = spec_namespace_find(&create->spec, "user");
    if (!user) /* without a user namespace the workload's root owns our program file */
        r = oci_protect(oci, err);
    if (r == 0)
        r = container_host_detect(oci->arena, &create->host, err);
    if (r == 0)
        r = compile_filter(oci, create, err);
    if (r < 0)
        return r;
    pass_listen_fds(oci, create);
    create->request.arena = oci->arena;
    create->request.host = &create->host;
    create->request.spec = &create->spec;
    create->request.id = create->id;
    create->request.bundle = create->bundle;
    create->request.dir_fd = -1;
    create->request.cgroup_manager = oci->manager;
    create->request.default_cgroup =
            oci->manager == CGROUP_MANAGER_SYSTEMD
                    ? arena_printf(oci->arena, ":viv:%s", create->id)
                    : arena_printf(oci->arena, create->host.rootless ? "%s" : "/%s", create->id);
    create->request.cgroup_strict = true;
    create->request.console_socket = create->spec.process->terminal ? create->console_socket : NULL;
    create->request.console_fd = -1;
    create->request.no_pivot = create->no_pivot;
    create->request.no_new_keyring = create->no_new_keyring;
    create->request.preserve_fds = (unsigned)create->preserve_fds;
    return 0;
}

static void warn_about(struct oci *oci, const struct container_built *built)
{
    const char *warning;

    strv_foreach (warning, &built->warnings) {
        log_write(&oci->log, LOG_WARN, "%s", warning);
    }
}

static int send_pidfd(const char *path, int pidfd, struct error *err)
{
    int sock = -1;

    if (!path)
        return 0;
    int r = container_connect(path, &sock, err);
    if (r < 0)
        return r;
    r = io_send_fds(sock, "pidfd", 5, &pidfd, 1);
    close(sock);
    return r < 0 ? error_sys(err, -r, "send the pidfd to %s", path) : 0;
}

/* Makes it, and tells its pid; on failure nothing is left. */
static int make(
        struct oci *oci, struct create *create, struct container_making *making, struct error *err)
{
    struct container_apply apply = {0};
    int r = container_make(&oci->store, &create->request, &apply, making, err);

    if (r < 0)
        return r;
    warn_about(oci, &making->built);
    r = oci_write_pid(create->pid_file, making->run.child, err);
    if (r == 0)
        r = send_pidfd(create->pidfd_socket, making->run.child_pidfd, err);
    if (r < 0) {
        struct container container = {0};
        if (container_open(&oci->store, create->id, oci->arena, &container, NULL) == 0)
            container_delete(&container, true, NULL);
        container_close(&container);
    }
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
    struct create create = {0};
    struct container_making making;
    int r = prepare(oci, &create, argc, argv, err);

    if (r == 0)
        r = check_terminal(&create, true, err);
    if (r < 0)
        return r;
    create.request.wait_for_start = true;
    return make(oci, &create, &making, err);
}

/* ---- run ------------------------------------------------------------------------------------- */

/* In the foreground: our streams are the workload's, signals are passed on. */
static int watch(struct container_making *making, struct streams *streams, struct error *err)
{
    struct monitor_config config = {.dir_fd = -1,
            .pidfd = making->run.child_pidfd,
            .streams = streams,
            .local = true,
            .client = -1,
            .signals = true};
    int status = 0;
    int r = monitor_run(&config, &status, err);

    return r < 0 ? r : status;
}

static int delete_it(struct oci *oci, const char *id, struct error *err)
{
    _cleanup_container_ struct container container = {0};
    int r = container_open(&oci->store, id, oci->arena, &container, err);

    return r < 0 ? r : container_delete(&container, true, err);
}

int oci_run(struct oci *oci, int argc, char **argv, struct error *err)
{
    struct create create = {0};
    struct container_making making;
    _cleanup_streams_ struct streams streams;
    int r = streams_open(STREAMS_INHERIT, true, &streams, err);

    if (r == 0)
        r = prepare(oci, &create, argc, argv, err);
    if (r == 0)
        r = check_terminal(&create, create.detach || create.console_socket, err);
    if (r == 0 && create.spec.process->terminal && !create.console_socket) {
        r = streams_open(STREAMS_TERMINAL, true, &streams, err);
        create.request.console_fd = streams.console_peer;
    }
    if (r == 0)
        r = make(oci, &create, &making, err);
    if (r < 0 || create.detach)
        return r;
    r = streams_settle(&streams, err);
    if (r == 0)
        r = watch(&making, &streams, err);
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
