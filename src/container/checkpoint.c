#include "container/checkpoint.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/path.h"
#include "cgroup/group.h"
#include "container/annotations.h"
#include "container/build_parts.h"
#include "container/criu.h"
#include "container/external.h"
#include "container/outside.h"
#include "spec/check.h"
#include "sys/process.h"

#define STATE "viv-state.json"
#define CONFIG "viv-config.json"
#define PLACE "criu-root"
#define PIDFILE "criu.pid"
#define CONFIG_FILE "/etc/criu/runc.conf"

/* What dump and restore share. */
static void add_common(
        struct arena *arena, const struct checkpoint_options *options, struct strv *words)
{
    const struct {
        bool wanted;
        const char *word;
    } flags[] = {{options->tcp_established, "--tcp-established"},
            {options->ext_unix_sk, "--ext-unix-sk"}, {options->shell_job, "--shell-job"},
            {options->lazy_pages, "--lazy-pages"}, {options->file_locks, "--file-locks"},
            {options->auto_dedup, "--auto-dedup"}, {options->link_remap, "--link-remap"},
            {options->tcp_skip_in_flight, "--skip-in-flight"},
            {options->leave_running, "--leave-running"}, {options->tcp_close, "--tcp-close"}};
    const char *word;

    strv_add(arena, words, "--images-dir");
    strv_add(arena, words, options->images);
    if (options->work) {
        strv_add(arena, words, "--work-dir");
        strv_add(arena, words, options->work);
    }
    strv_add(arena, words, "-v2");
    strv_add(arena, words,
            arena_printf(
                    arena, "--manage-cgroups=%s", options->cgroups ? options->cgroups : "soft"));
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
        if (flags[i].wanted)
            strv_add(arena, words, flags[i].word);
    if (options->network_lock) {
        strv_add(arena, words, "--network-lock");
        strv_add(arena, words, options->network_lock);
    }
    strv_foreach (word, &options->empty_ns) {
        strv_add(arena, words, arena_printf(arena, "--empty-ns=%s", word));
    }
    if (options->status_fd) {
        strv_add(arena, words, "--status-fd");
        strv_add(arena, words, options->status_fd);
    }
}

/* org.criu.config, or the file that runc reads. */
static void add_config(
        struct arena *arena, const struct record_map *annotations, struct strv *words)
{
    const char *file = access(CONFIG_FILE, R_OK) == 0 ? CONFIG_FILE : NULL;

    for (size_t i = 0; i < annotations->count; i++)
        if (str_equal(annotations->items[i].key, "org.criu.config"))
            file = annotations->items[i].value;
    if (str_empty(file))
        return;
    strv_add(arena, words, "--config");
    strv_add(arena, words, file);
}

static int copy_out(int from_fd, const char *from, int to_fd, const char *to, struct error *err)
{
    _cleanup_buf_ struct buf text = {.max = JSON_SIZE_MAX};
    int r = io_read_file_at(from_fd, from, &text);

    if (r == 0)
        r = io_replace_file_at(to_fd, to, buf_text(&text), text.length, 0600, false);
    return r < 0 ? error_sys(err, -r, "copy %s to the images as %s", from, to) : 0;
}

static int open_images(const struct checkpoint_options *options, bool make, struct error *err)
{
    int r = make ? io_make_dirs_at(AT_FDCWD, options->images, 0700) : 0;

    if (r == 0 && options->work)
        r = io_make_dirs_at(AT_FDCWD, options->work, 0700);
    int fd = r < 0 ? -1 : open(options->images, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd >= 0 ? fd : error_sys(err, r < 0 ? -r : errno, "open the images %s", options->images);
}

static void add_dump(const struct container *container, const struct checkpoint_options *options,
        const struct spec *spec, struct strv *words)
{
    struct arena *arena = container->arena;
    const char *server = options->page_server;
    const char *port = server ? strrchr(server, ':') : NULL;

    strv_add(arena, words, options->pre_dump ? "pre-dump" : "dump");
    strv_add(arena, words, "--tree");
    strv_add(arena, words, arena_printf(arena, "%d", container->state.pid));
    strv_add(arena, words, "--root");
    strv_add(arena, words, container->state.rootfs);
    add_common(arena, options, words);
    add_config(arena, &container->state.annotations, words);
    external_add_dump(arena, spec, container->state.pid, words);
    if (options->parent) {
        strv_add(arena, words, "--prev-images-dir");
        strv_add(arena, words, options->parent);
    }
    if (options->parent || options->pre_dump)
        strv_add(arena, words, "--track-mem");
    if (port) {
        strv_add(arena, words, "--page-server");
        strv_add(arena, words, "--address");
        strv_add(arena, words, arena_strndup(arena, server, (size_t)(port - server)));
        strv_add(arena, words, "--port");
        strv_add(arena, words, port + 1);
    }
}

int container_checkpoint(const struct container *container,
        const struct checkpoint_options *options, struct error *err)
{
    enum spec_status status = container_status(container);
    struct strv words = {0};
    struct spec spec = {0};

    if (status != SPEC_RUNNING && status != SPEC_PAUSED)
        return error_set(err, ESRCH, "container cannot be checkpointed in %s state",
                spec_status_name(status));
    int r = container_is_here(container, "checkpoint", err);
    if (r == 0)
        r = spec_load_at(container->dir_fd, "config.json", container->arena, &spec, NULL, err);
    if (r < 0)
        return r;
    _cleanup_close_ int images = open_images(options, true, err);
    if (images < 0)
        return images;
    r = copy_out(container->dir_fd, "state.json", images, STATE, err);
    if (r == 0)
        r = copy_out(container->dir_fd, "config.json", images, CONFIG, err);
    if (r == 0)
        r = external_save_streams(images, &container->state.streams, err);
    if (r < 0)
        return r;
    add_dump(container, options, &spec, &words);
    struct criu_call call = {.words = words};
    r = criu_run(container->arena, &call, err);
    return r < 0 ? error_prefix(err, "checkpoint container %s", container->state.id) : 0;
}

/* ---- restoring ------------------------------------------------------------------------------- */

struct restore {
    const char *id, *bundle, *dir; /* dir: the container's folder in the store */
    int dir_fd;
    struct container_state state;
    struct spec spec;
    struct strv streams; /* of the container that was written, as outside_stream_names() has them */
};

/* The bundle's, in which an engine may have written other paths by now; without one, that of the
 * container that was written. */
static int load_config(struct restore *restore, int images, struct arena *arena, struct error *err)
{
    struct container_state *state = &restore->state;
    struct spec *spec = &restore->spec;
    _cleanup_close_ int bundle = open(restore->bundle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (bundle < 0)
        return error_sys(err, errno, "open the bundle %s", restore->bundle);
    int r = spec_load_at(bundle, "config.json", arena, spec, NULL, err);
    if (r == -ENOENT) {
        r = spec_load_at(images, CONFIG, arena, spec, NULL, err);
    } else if (r == 0) {
        r = container_annotations_apply(arena, spec, err);
        state->annotations = spec->annotations;
        state->poststop = spec->hooks.poststop;
    }
    return r < 0 ? r : container_save_config(restore->dir_fd, restore->id, spec, err);
}

static int load(struct restore *restore, const struct checkpoint_options *options,
        struct arena *arena, struct error *err)
{
    _cleanup_buf_ struct buf text = {.max = JSON_SIZE_MAX};
    _cleanup_close_ int images = open_images(options, false, err);

    if (images < 0)
        return images;
    int r = io_read_file_at(images, STATE, &text);
    if (r < 0)
        return error_sys(err, -r, "read " STATE " from the images %s", options->images);
    r = container_state_parse(buf_text(&text), text.length, arena, &restore->state, err);
    if (r == 0)
        r = load_config(restore, images, arena, err);
    if (r == 0)
        r = external_load_streams(images, arena, &restore->streams, err);
    if (r < 0)
        return r;
    restore->state.streams = (struct strv){0};
    outside_stream_names(arena, &restore->state.streams);
    const char *root = restore->spec.root ? restore->spec.root->path : "/";
    restore->state.id = restore->id;
    restore->state.bundle = restore->bundle;
    restore->state.rootfs = root[0] == '/' ? root : path_join(arena, restore->bundle, root);
    restore->state.created = container_now_text(arena);
    return 0;
}

static int read_pid(const struct restore *restore, pid_t *ret, struct error *err)
{
    char text[16];
    uint32_t pid;

    if (io_read_small_at(restore->dir_fd, PIDFILE, text, sizeof(text)) < 0 ||
            str_to_u32(text, &pid) < 0 || pid == 0 || pid > INT32_MAX)
        return error_set(err, EIO, "criu ended well and did not tell the pid");
    *ret = (pid_t)pid;
    return 0;
}

static int run_restore(struct restore *restore, const struct checkpoint_options *options,
        struct arena *arena, struct error *err)
{
    const char *place = path_join(arena, restore->dir, PLACE);
    _cleanup_criu_ struct criu_call call = {.root = restore->state.rootfs, .place = place};
    struct strv *words = &call.words;

    if (mkdirat(restore->dir_fd, PLACE, 0700) < 0)
        return error_sys(err, errno, "make %s", place);
    strv_add(arena, words, "restore");
    strv_add(arena, words, "--restore-detached");
    strv_add(arena, words, "--pidfile");
    strv_add(arena, words, path_join(arena, restore->dir, PIDFILE));
    strv_add(arena, words, "--root");
    strv_add(arena, words, place);
    add_common(arena, options, words);
    add_config(arena, &restore->state.annotations, words);
    external_add_restore(arena, &restore->spec, words);
    int r = external_add_inherited(arena, &restore->spec, &restore->streams, &call, err);
    if (r < 0)
        return r;
    if (options->lsm_profile) {
        strv_add(arena, words, "--lsm-profile");
        strv_add(arena, words, options->lsm_profile);
    }
    if (options->lsm_mount_context) {
        strv_add(arena, words, "--lsm-mount-context");
        strv_add(arena, words, options->lsm_mount_context);
    }
    return criu_run(arena, &call, err);
}

/* CRIU makes the control group again, but not the filter of its devices. */
static int confine(struct restore *restore, const struct checkpoint_options *options,
        struct arena *arena, struct error *err)
{
    const struct cgroup_saved *group = &restore->state.cgroup;
    struct cgroup_limits limits;

    if (!group->manager || str_equal(options->cgroups, "ignore"))
        return 0;
    build_limits(arena, &restore->spec.linux.resources, true, &limits);
    return cgroup_update(group, &limits, "/linux/resources", err);
}

static int restore_reserved(struct restore *restore, const struct checkpoint_options *options,
        struct arena *arena, pid_t *ret_pid, struct error *err)
{
    int r = load(restore, options, arena, err);

    if (r == 0)
        r = run_restore(restore, options, arena, err);
    if (r == 0)
        r = read_pid(restore, ret_pid, err);
    if (r < 0)
        return r;
    restore->state.pid = *ret_pid;
    restore->state.making = false;
    sys_process_start_time(*ret_pid, &restore->state.start_time);
    r = confine(restore, options, arena, err);
    if (r == 0)
        r = container_state_save(restore->dir_fd, &restore->state, err);
    if (r < 0)
        kill(*ret_pid, SIGKILL);
    return r;
}

int container_restore(const struct store *store, const char *id, const char *bundle,
        const struct checkpoint_options *options, struct arena *arena, pid_t *ret_pid,
        struct error *err)
{
    struct restore restore = {
            .id = id, .bundle = bundle, .dir = path_join(arena, store->root, id), .dir_fd = -1};
    int r = store_reserve(store, id, &restore.dir_fd, err);

    if (r < 0)
        return r;
    r = restore_reserved(&restore, options, arena, ret_pid, err);
    close(restore.dir_fd);
    if (r < 0) {
        store_remove(store, id, NULL);
        return error_prefix(err, "restore container %s", id);
    }
    store_settle(store, id);
    return 0;
}
