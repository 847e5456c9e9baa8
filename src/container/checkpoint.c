#include "container/checkpoint.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "container/external.h"
#include "spec/check.h"

#define CONFIG_FILE "/etc/criu/runc.conf"

/* The protocol's numbers for words (criu_cg_mode, criu_network_lock_method). */
struct word {
    const char *word;
    unsigned number;
};

static const struct word cgroup_modes[] = {{"ignore", 0}, {"soft", 3}, {"full", 4}, {"strict", 5}};
static const struct word network_locks[] = {{"iptables", 1}, {"nftables", 2}, {"skip", 3}};

static void add_word(struct buf *into, enum criu_option option, const struct word *words,
        size_t count, const char *given)
{
    for (size_t i = 0; given && i < count; i++)
        if (str_equal(words[i].word, given))
            protobuf_add_number(into, option, words[i].number);
}

static void add_flags(const struct checkpoint_options *options, struct buf *into)
{
    const struct {
        bool wanted;
        enum criu_option option;
    } flags[] = {{options->tcp_established, CRIU_TCP_ESTABLISHED},
            {options->ext_unix_sk, CRIU_EXT_UNIX_SK}, {options->shell_job, CRIU_SHELL_JOB},
            {options->lazy_pages, CRIU_LAZY_PAGES}, {options->file_locks, CRIU_FILE_LOCKS},
            {options->auto_dedup, CRIU_AUTO_DEDUP}, {options->link_remap, CRIU_LINK_REMAP},
            {options->tcp_skip_in_flight, CRIU_TCP_SKIP_IN_FLIGHT},
            {options->leave_running, CRIU_LEAVE_RUNNING}, {options->tcp_close, CRIU_TCP_CLOSE},
            {true, CRIU_ORPHAN_TERMINAL}};

    for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
        if (flags[i].wanted)
            protobuf_add_number(into, flags[i].option, 1);
    add_word(into, CRIU_MANAGE_CGROUPS, cgroup_modes, ARRAY_SIZE(cgroup_modes),
            options->cgroups ? options->cgroups : "soft");
    add_word(into, CRIU_NETWORK_LOCK, network_locks, ARRAY_SIZE(network_locks),
            options->network_lock);
}

/* CRIU can leave out what is in a network alone. */
static int add_empty_namespaces(const struct strv *names, struct buf *into, struct error *err)
{
    const char *name;

    strv_foreach (name, names) {
        if (!str_equal(name, "network"))
            return error_set(err, EINVAL, "namespace \"%s\" is not supported", name);
    }
    if (names->count)
        protobuf_add_number(into, CRIU_EMPTY_NS, CLONE_NEWNET);
    return 0;
}

/* org.criu.config, or the file that runc reads. */
static void add_config(const struct record_map *annotations, struct buf *into)
{
    const char *file = access(CONFIG_FILE, R_OK) == 0 ? CONFIG_FILE : NULL;

    for (size_t i = 0; i < annotations->count; i++)
        if (str_equal(annotations->items[i].key, "org.criu.config"))
            file = annotations->items[i].value;
    if (!str_empty(file))
        protobuf_add_text(into, CRIU_CONFIG_FILE, file);
}

static int open_folder(const char *path, bool make, int *ret_fd, struct error *err)
{
    int r = make ? io_make_dirs_at(AT_FDCWD, path, 0700) : 0;
    int fd = r < 0 ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 && r == 0 && errno == ENOENT)
        return error_set(err, ENOENT,
                "no checkpoint is in %s: no such file or directory; --image-path names its folder",
                path);
    if (fd < 0)
        return error_sys(err, r < 0 ? -r : errno, "open the images %s", path);
    *ret_fd = fd;
    return 0;
}

int checkpoint_begin(const struct checkpoint_options *options, const struct record_map *annotations,
        bool make, struct criu_call *call, struct error *err)
{
    int r = open_folder(options->images, make, &call->images_fd, err);

    /* statistics and the log of a restore, too, go to a folder that need not be there yet */
    if (r == 0 && options->work)
        r = open_folder(options->work, true, &call->work_fd, err);
    if (r == 0)
        r = add_empty_namespaces(&options->empty_ns, &call->options, err);
    if (r < 0)
        return r;
    call->images = options->images;
    call->work = options->work;
    add_flags(options, &call->options);
    add_config(annotations, &call->options);
    return 0;
}

static int copy_out(int from_fd, const char *from, int to_fd, const char *to, struct error *err)
{
    _cleanup_buf_ struct buf text = {.max = JSON_SIZE_MAX};
    int r = io_read_file_at(from_fd, from, &text);

    if (r == 0)
        r = io_replace_file_at(to_fd, to, buf_text(&text), text.length, 0600, false);
    return r < 0 ? error_sys(err, -r, "copy %s to the images as %s", from, to) : 0;
}

static int add_page_server(const char *server, struct criu_call *call, struct error *err)
{
    const char *port = server ? strrchr(server, ':') : NULL;
    uint32_t number;

    if (!server)
        return 0;
    if (!port || str_to_u32(port + 1, &number) < 0 || number > UINT16_MAX)
        return error_set(err, EINVAL, "use --page-server ADDRESS:PORT to specify page server");
    criu_add_page_server(
            &call->options, arena_strndup(call->arena, server, (size_t)(port - server)), number);
    return 0;
}

static int add_dump(const struct container *container, const struct checkpoint_options *options,
        const struct spec *spec, struct criu_call *call, struct error *err)
{
    struct buf *into = &call->options;

    protobuf_add_number(into, CRIU_PID, (unsigned)container->state.pid);
    protobuf_add_text(into, CRIU_ROOT, container->state.rootfs);
    external_add_dump(spec, container->state.pid, call);
    if (options->parent)
        protobuf_add_text(into, CRIU_PARENT_IMAGES, options->parent);
    if (options->parent || options->pre_dump)
        protobuf_add_number(into, CRIU_TRACK_MEMORY, 1);
    return add_page_server(options->page_server, call, err);
}

/* Whoever waits for the pages of a lazy dump is told that they can be had. */
static int dump_notice(void *data, const struct criu_notice *notice, struct error *err)
{
    const struct checkpoint_options *options = data;

    if (!options->status_fd.set || !str_equal(notice->script, "status-ready"))
        return 0;
    int r = io_write_all((int)options->status_fd.value, "", 1);
    return r < 0 ? error_sys(err, -r, "write to the descriptor of --status-fd") : 0;
}

static int remember(const struct container *container, int images, struct error *err)
{
    int r = copy_out(container->dir_fd, "state.json", images, CHECKPOINT_STATE, err);

    if (r == 0)
        r = copy_out(container->dir_fd, "config.json", images, CHECKPOINT_CONFIG, err);
    return r < 0 ? r : external_save_streams(images, &container->state.streams, err);
}

int container_checkpoint(const struct container *container,
        const struct checkpoint_options *options, struct error *err)
{
    enum spec_status status = container_status(container);
    enum criu_kind kind = options->pre_dump ? CRIU_PRE_DUMP : CRIU_DUMP;
    _cleanup_criu_ struct criu_call call = CRIU_CALL(container->arena, kind);
    struct spec spec = {0};

    if (status != SPEC_RUNNING && status != SPEC_PAUSED)
        return error_set(err, ESRCH, "container cannot be checkpointed in %s state",
                spec_status_name(status));
    int r = container_is_here(container, "checkpoint", err);
    if (r == 0)
        r = spec_load_at(container->dir_fd, "config.json", container->arena, &spec, NULL, err);
    if (r == 0)
        r = checkpoint_begin(options, &container->state.annotations, true, &call, err);
    if (r == 0)
        r = remember(container, call.images_fd, err);
    if (r == 0)
        r = add_dump(container, options, &spec, &call, err);
    if (r < 0)
        return r;
    call.on_notice = dump_notice;
    call.data = (void *)(uintptr_t)options;
    r = criu_run(&call, NULL, err);
    return r < 0 ? error_prefix(err, "checkpoint container %s", container->state.id) : 0;
}
