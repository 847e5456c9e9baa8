#include "oci/words.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/install.h"
#include "base/io.h"
#include "base/path.h"
#include "container/console.h"
#include "container/host.h"
#include "container/seccomp.h"
#include "engine/idrange.h"
#include "engine/monitor.h"
#include "engine/vm_netns.h"
#include "security/seccomp_cache.h"
#include "security/self.h"

int oci_read(const struct option_command *command, int argc, char **argv, struct oci *oci,
        void *into, struct strv *ret_rest, struct error *err)
{
    _cleanup_buf_ struct buf text = {.max = 65536};
    struct option_command as_go_has_it = *command;

    as_go_has_it.long_with_one_dash = true;
    int r = options_parse(&as_go_has_it, argc, argv, oci->arena, into, ret_rest, err);

    if (r != OPTIONS_HELP)
        return r;
    options_help(command, 0, &text);
    fputs(buf_text(&text), stdout);
    return 1;
}

int oci_open(struct oci *oci, const char *id, struct container *ret, struct error *err)
{
    int r = container_open(&oci->store, id, oci->arena, ret, err);

    /* the words that engines look for */
    if (r == -ENOENT)
        return error_set(err, ENOENT, "container does not exist: \"%s\"", id);
    return r;
}

int oci_read_id(const struct option_command *command, int argc, char **argv, struct oci *oci,
        void *into, struct container *ret, struct error *err)
{
    struct strv rest = {0};
    int r = oci_read(command, argc, argv, oci, into, &rest, err);

    return r != 0 ? r : oci_open(oci, rest.words[0], ret, err);
}

int oci_remove(struct oci *oci, struct container *container, bool force, struct error *err)
{
    const char *warning;
    int r = vm_netns_delete(container, force, err);

    strv_foreach (warning, &container->warnings) {
        log_write(&oci->log, LOG_WARN, "%s", warning);
    }
    if (oci->machine)
        idrange_sweep(&oci->store); /* what its viv-vmm had */
    return r;
}

int oci_host(struct oci *oci, struct container_host *ret, struct error *err)
{
    int r = container_host_detect(oci->arena, ret, err);

    if (r == 0 && oci->rootless.set)
        ret->rootless = oci->rootless.value;
    return r;
}

const char *oci_default_cgroup(
        const struct oci *oci, const struct container_host *host, const char *id)
{
    if (oci->manager == CGROUP_MANAGER_SYSTEMD)
        return arena_printf(oci->arena, ":viv:%s", id);
    return arena_printf(oci->arena, host->rootless ? "%s" : "/%s", id);
}

int oci_write_pid(const char *path, pid_t pid, struct error *err)
{
    char text[16];

    if (!path)
        return 0;
    int length = snprintf(text, sizeof(text), "%d", pid);
    int r = io_replace_file_at(AT_FDCWD, path, text, (size_t)length, 0644, false);
    return r < 0 ? error_sys(err, -r, "write the pid file %s", path) : 0;
}

int oci_send_pidfd(const char *path, int pidfd, struct error *err)
{
    _cleanup_close_ int sock = -1;

    if (!path)
        return 0;
    int r = container_connect(path, &sock, err);
    if (r < 0)
        return r;
    r = io_send_fds(sock, "pidfd", 5, &pidfd, 1);
    return r < 0 ? error_sys(err, -r, "send the pidfd to %s", path) : 0;
}

int oci_filter(struct oci *oci, const struct spec_seccomp *seccomp,
        const struct seccomp_filter **ret, struct error *err)
{
    struct seccomp_profile profile;
    struct seccomp_filter *filter = arena_new(oci->arena, struct seccomp_filter);

    if (!seccomp)
        return 0;
    container_seccomp_profile(oci->arena, seccomp, &profile);
    _cleanup_close_ int cache =
            seccomp_cache_open(path_join(oci->arena, oci->root, ".seccomp"), NULL);
    int r = seccomp_get_filter(oci->arena, &profile, cache, filter, err);
    if (r == 0)
        *ret = filter;
    return r;
}

int oci_watch(struct container_making *making, struct streams *streams, struct error *err)
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

int oci_protect(struct oci *oci, struct error *err)
{
    install_keep_place();
    return security_protect_self(oci->argv, environ, err);
}

void oci_print_json(struct json_object *json)
{
    printf("%s\n",
            json_object_to_json_string_ext(json, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
                                                         JSON_C_TO_STRING_NOSLASHESCAPE));
}
