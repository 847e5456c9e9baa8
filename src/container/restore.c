#include "container/restore.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/path.h"
#include "cgroup/group.h"
#include "container/annotations.h"
#include "container/build_parts.h"
#include "container/console.h"
#include "container/external.h"
#include "container/hooks.h"
#include "container/outside.h"
#include "container/restore_places.h"
#include "spec/check.h"
#include "sys/process.h"

#define PLACE "criu-root"
#define TERMINAL "orphan-pts-master"

struct restore {
    const struct restore_request *request;
    int dir_fd; /* the container's folder in the store */
    struct container_state state;
    struct cgroup_saved old_group; /* of the container that was written */
    struct spec spec;
    struct strv streams; /* the same one's, as outside_stream_names() has them */
    struct plan plan;    /* its control group */
    struct plan_run run;
    bool owns_group; /* it is there, and nobody else's */
    int console;     /* where a terminal's master end goes; -1: nowhere */
};

static bool cgroups_are(const struct restore *restore, const char *mode)
{
    return str_equal(restore->request->options->cgroups, mode);
}

/* ---- what was written ------------------------------------------------------------------------ */

/* The bundle's, in which an engine may have written other paths by now; without one, that of the
 * container that was written. */
static int load_spec(
        const struct restore_request *request, int images, struct spec *ret, struct error *err)
{
    _cleanup_close_ int bundle = open(request->bundle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (bundle < 0)
        return error_sys(err, errno, "open the bundle %s", request->bundle);
    int r = spec_load_at(bundle, "config.json", request->arena, ret, NULL, err);
    if (r == -ENOENT)
        r = spec_load_at(images, CHECKPOINT_CONFIG, request->arena, ret, NULL, err);
    return r < 0 ? r : container_annotations_apply(request->arena, ret, err);
}

int container_restore_has_terminal(
        const struct restore_request *request, bool *ret, struct error *err)
{
    _cleanup_criu_ struct criu_call call = CRIU_CALL(request->arena, CRIU_RESTORE);
    struct record_map none = {0};
    struct spec spec = {0};
    int r = checkpoint_begin(request->options, &none, false, &call, err);

    if (r == 0)
        r = load_spec(request, call.images_fd, &spec, err);
    if (r == 0)
        *ret = spec.process && spec.process->terminal;
    return r;
}

static void renew_state(struct restore *restore)
{
    const struct restore_request *request = restore->request;
    struct container_state *state = &restore->state;
    const struct spec *spec = &restore->spec;
    const char *root = spec->root ? spec->root->path : "/";

    restore->old_group = state->cgroup;
    state->cgroup = (struct cgroup_saved){0};
    state->resctrl = (struct resctrl_saved){0}; /* CRIU knows none */
    state->id = request->id;
    state->bundle = request->bundle;
    state->rootfs = root[0] == '/' ? root : path_join(request->arena, request->bundle, root);
    state->created = container_now_text(request->arena);
    state->annotations = spec->annotations;
    state->poststart = spec->hooks.poststart;
    state->poststop = spec->hooks.poststop;
    state->making = true;
    state->pid = 0;
    state->streams = (struct strv){0};
    outside_stream_names(request->arena, &state->streams);
}

static int load(struct restore *restore, int images, struct error *err)
{
    _cleanup_buf_ struct buf text = {.max = JSON_SIZE_MAX};
    const struct restore_request *request = restore->request;
    struct arena *arena = request->arena;
    int r = io_read_file_at(images, CHECKPOINT_STATE, &text);

    if (r < 0)
        return error_sys(
                err, -r, "read " CHECKPOINT_STATE " from the images %s", request->options->images);
    r = container_state_parse(buf_text(&text), text.length, arena, &restore->state, err);
    if (r == 0)
        r = load_spec(request, images, &restore->spec, err);
    if (r == 0)
        r = external_load_streams(images, arena, &restore->streams, err);
    if (r == 0)
        r = container_save_config(restore->dir_fd, request->id, &restore->spec, err);
    if (r == 0)
        renew_state(restore);
    return r;
}

/* ---- its control group ----------------------------------------------------------------------- */

/* Where a group's directory is in its hierarchy, as /proc/PID/cgroup has it. */
static const char *in_hierarchy(
        struct arena *arena, const struct cgroup_layout *layout, const char *dir)
{
    for (size_t i = 0; i < layout->count; i++) {
        const struct cgroup_hierarchy *at = &layout->items[i];
        if (path_is_below(dir, at->mount))
            return path_clean(arena, path_join(arena, at->root, dir + strlen(at->mount)));
    }
    return "/";
}

static void add_v1_roots(struct restore *restore, struct buf *options)
{
    const struct cgroup_saved *group = &restore->state.cgroup;
    struct arena *arena = restore->request->arena;

    for (size_t i = 0; i < group->v1.count; i++) {
        char *names = arena_strdup(arena, group->v1.items[i].controllers);
        const char *path = in_hierarchy(
                           arena, restore->request->host->cgroups, group->v1.items[i].path),
                   *name;
        while ((name = strsep(&names, ",")))
            criu_add_cgroup_root(options, name, path);
    }
}

/* CRIU brings the processes back to where they were; another container has another place. */
static void add_group_roots(struct restore *restore, struct buf *options)
{
    const struct cgroup_saved *group = &restore->state.cgroup;
    const char *now = cgroup_saved_any(group), *before = cgroup_saved_any(&restore->old_group);

    if (!now || str_equal(now, before))
        return;
    if (group->unified)
        criu_add_cgroup_root(options, NULL,
                in_hierarchy(
                        restore->request->arena, restore->request->host->cgroups, group->unified));
    add_v1_roots(restore, options);
}

/* A scope's process is moved by systemd, and all are by CRIU: nothing is the process's own act. */
static int carry_nothing(
        struct plan_run *run, size_t from, size_t to, int64_t *ret_ns, struct error *err)
{
    (void)run, (void)from, (void)to, (void)err;
    *ret_ns = 0;
    return 0;
}

/* It is made beforehand, so that it has its limits when the first process enters; a scope cannot be
 * without a process, and "strict" is CRIU's word for groups that it makes itself. */
static bool group_comes_first(const struct restore *restore)
{
    return restore->request->cgroup_manager == CGROUP_MANAGER_FS && !cgroups_are(restore, "strict");
}

static int prepare_group(struct restore *restore, struct error *err)
{
    const struct restore_request *from = restore->request;
    struct container_request request = {.arena = from->arena,
            .host = from->host,
            .spec = &restore->spec,
            .id = from->id,
            .bundle = from->bundle,
            .cgroup_manager = from->cgroup_manager,
            .default_cgroup = from->default_cgroup,
            .cgroup_strict = true};
    struct container_built built = {0};

    restore->plan.arena = from->arena;
    int r = container_build_group(&request, &restore->plan, &built, err);
    if (r < 0)
        return r;
    restore->state.cgroup = built.cgroup.saved;
    plan_run_init(&restore->run, &restore->plan);
    restore->run.carriers[STEP_CHILD] = carry_nothing;
    r = container_state_save(restore->dir_fd, &restore->state, err);
    if (r < 0 || !group_comes_first(restore))
        return r;
    r = plan_apply(&restore->run, err);
    restore->owns_group = r == 0;
    return r;
}

/* Its first process is there, and nothing of what is to run in it. */
static int enter_group(struct restore *restore, struct error *err)
{
    int r = 0;

    restore->owns_group = true;
    if (restore->request->cgroup_manager == CGROUP_MANAGER_SYSTEMD) {
        restore->run.child = restore->state.pid;
        r = plan_apply(&restore->run, err);
    }
    if (r == 0 && cgroups_are(restore, "ignore"))
        r = cgroup_move(&restore->state.cgroup, restore->state.pid, err);
    return r;
}

/* What CRIU made by itself has no filter of devices yet. */
static int confine(struct restore *restore, struct error *err)
{
    const struct cgroup_saved *group = &restore->state.cgroup;
    struct cgroup_limits limits;

    if (!group->manager || group_comes_first(restore))
        return 0;
    build_limits(restore->request->arena, &restore->spec.linux.resources,
            !restore->request->host->rootless, &limits);
    return cgroup_update(group, &limits, "/linux/resources", err);
}

/* ---- CRIU's stages --------------------------------------------------------------------------- */

static int run_hooks(struct restore *restore, const struct spec_hook_list *hooks, const char *name,
        struct error *err)
{
    struct spec_state told;
    int r = 0;

    container_state_as_spec(&restore->state, SPEC_CREATING, &told);
    for (size_t i = 0; i < hooks->count && r == 0; i++)
        r = container_hook_run(&hooks->items[i], &told, restore->request->bundle, err);
    return r < 0 ? error_prefix(err, "%s", name) : 0;
}

static int namespaces_are_there(
        struct restore *restore, const struct criu_notice *notice, struct error *err)
{
    restore->state.pid = notice->pid;
    int r = enter_group(restore, err);
    if (r == 0)
        r = run_hooks(restore, &restore->spec.hooks.prestart, "prestart", err);
    if (r == 0)
        r = run_hooks(restore, &restore->spec.hooks.createRuntime, "createRuntime", err);
    return r;
}

static int hand_out_terminal(
        const struct restore *restore, const struct criu_notice *notice, struct error *err)
{
    if (notice->fd < 0)
        return error_set(err, EBADMSG, "criu tells of a terminal and sends none");
    if (restore->console < 0)
        return error_set(err, EINVAL,
                "the container has a terminal, whose other end was outside: give "
                "--console-socket");
    int r = io_send_fds(restore->console, TERMINAL, strlen(TERMINAL), &notice->fd, 1);
    return r < 0 ? error_sys(err, -r, "send the terminal to the console socket") : 0;
}

static int restore_notice(void *data, const struct criu_notice *notice, struct error *err)
{
    struct restore *restore = data;

    if (str_equal(notice->script, "setup-namespaces"))
        return namespaces_are_there(restore, notice, err);
    if (str_equal(notice->script, TERMINAL))
        return hand_out_terminal(restore, notice, err);
    if (str_equal(notice->script, "pre-resume"))
        return confine(restore, err);
    return 0;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static int connect_console(struct restore *restore, struct error *err)
{
    const struct restore_request *request = restore->request;

    if (request->console_socket)
        return container_connect(request->console_socket, &restore->console, err);
    if (request->console_fd < 0)
        return 0;
    restore->console = fcntl(request->console_fd, F_DUPFD_CLOEXEC, 3);
    return restore->console < 0 ? error_sys(err, errno, "copy the console's socket") : 0;
}

/* Where CRIU has the root as a mount; its path does not depend on the working directory. */
static int make_place(const struct restore *restore, const char **ret, struct error *err)
{
    char name[32], path[PATH_MAX];

    snprintf(name, sizeof(name), "/proc/self/fd/%d", restore->dir_fd);
    if (!realpath(name, path))
        return error_sys(err, errno, "find the container's folder");
    *ret = path_join(restore->request->arena, path, PLACE);
    if (mkdirat(restore->dir_fd, PLACE, 0700) < 0)
        return error_sys(err, errno, "make %s", *ret);
    return 0;
}

static int run_criu(
        struct restore *restore, struct criu_call *call, pid_t *ret_pid, struct error *err)
{
    const struct checkpoint_options *options = restore->request->options;
    struct buf *into = &call->options;

    int r = make_place(restore, &call->place, err);
    if (r == 0)
        r = restore_make_places(
                &restore->spec, restore->state.rootfs, restore->request->bundle, call->arena, err);
    if (r < 0)
        return r;
    call->root = restore->state.rootfs;
    call->on_notice = restore_notice;
    call->data = restore;
    protobuf_add_text(into, CRIU_ROOT, call->place);
    protobuf_add_number(into, CRIU_SIBLING, 1);
    if (options->lsm_profile)
        protobuf_add_text(into, CRIU_LSM_PROFILE, options->lsm_profile);
    if (options->lsm_mount_context)
        protobuf_add_text(into, CRIU_LSM_MOUNT_CONTEXT, options->lsm_mount_context);
    add_group_roots(restore, into);
    r = external_add_restore(
            &restore->spec, restore->request->bundle, &restore->streams, call, err);
    return r < 0 ? r : criu_run(call, ret_pid, err);
}

static int finish(struct restore *restore, pid_t pid, struct error *err)
{
    struct container_state *state = &restore->state;

    if (pid <= 0)
        return error_set(err, EIO, "criu ended well and did not tell the pid");
    state->pid = pid;
    state->making = false;
    sys_process_start_time(pid, &state->start_time);
    return container_state_save(restore->dir_fd, state, err);
}

/* Whatever there is by now goes; also when CRIU was killed and has left its work half done. */
static void take_back(struct restore *restore)
{
    pid_t pid = restore->state.pid;
    siginfo_t info;

    if (pid > 0 && sys_waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0) {
        kill(pid, SIGKILL);
        sys_waitid(P_PID, (id_t)pid, &info, WEXITED);
    }
    if (restore->owns_group)
        cgroup_remove(&restore->state.cgroup, CONTAINER_PATIENCE_MS, NULL);
    if (restore->run.plan)
        plan_undo(&restore->run, NULL);
}

static int restore_reserved(struct restore *restore, pid_t *ret_pid, struct error *err)
{
    const struct restore_request *request = restore->request;
    _cleanup_criu_ struct criu_call call = CRIU_CALL(request->arena, CRIU_RESTORE);
    pid_t pid = 0;
    struct record_map none = {0};
    int r = checkpoint_begin(request->options, &none, false, &call, err);

    if (r == 0)
        r = load(restore, call.images_fd, err);
    if (r == 0)
        r = prepare_group(restore, err);
    if (r == 0)
        r = connect_console(restore, err);
    if (r == 0)
        r = run_criu(restore, &call, &pid, err);
    if (r == 0)
        r = finish(restore, pid, err);
    if (r < 0)
        take_back(restore);
    if (restore->run.plan)
        plan_run_end(&restore->run);
    cleanup_close(&restore->console);
    if (r == 0)
        *ret_pid = pid;
    return r;
}

int container_restore(const struct store *store, const struct restore_request *request,
        pid_t *ret_pid, struct error *err)
{
    struct restore restore = {.request = request, .dir_fd = -1, .console = -1};
    int r = store_reserve(store, request->id, &restore.dir_fd, err);

    if (r < 0)
        return r;
    r = restore_reserved(&restore, ret_pid, err);
    close(restore.dir_fd);
    if (r < 0) {
        store_remove(store, request->id, NULL);
        return error_prefix(err, "restore container %s", request->id);
    }
    store_settle(store, request->id);
    return 0;
}
