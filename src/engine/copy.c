#include "engine/copy.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/path.h"
#include "container/build.h"
#include "engine/records.h"
#include "engine/root.h"
#include "engine/rootless.h"
#include "engine/stoppedpath.h"
#include "image/image.h"
#include "rootfs/inroot.h"
#include "sys/process.h"
#include "sys/userns.h"

#define LINKS_MAX 40 /* as the kernel's MAXSYMLINKS */

/* One side: a root, and a path in it. */
struct end {
    const struct engine_copy_end *what;
    struct sandbox sandbox;
    const char *path;  /* absolute, in the root */
    const char *shown; /* the same as the user sees it: a volume is a root of its own */
    int root_fd;
    int userns_fd; /* of the sandbox; -1: the files are seen as we see them */
};

struct copying {
    struct engine *engine;
    const struct engine_copy *copy;
    struct end from, to;
    int node_fd; /* the source, O_PATH; -1: a stream */
    bool is_folder;
    bool content; /* "SRC/.": what is in the folder, without it */
    int dir_fd;   /* where it goes, O_PATH; -1: a stream */
    const char *as;
};

static bool runs(const struct sandbox *sandbox)
{
    return sandbox->status == SPEC_RUNNING || sandbox->status == SPEC_PAUSED;
}

static bool is_machine(const struct end *end)
{
    return str_equal(end->sandbox.meta.isolation, "vm");
}

static void close_end(struct end *end)
{
    cleanup_close(&end->root_fd);
    cleanup_close(&end->userns_fd);
    if (end->what->sandbox)
        sandbox_close(&end->sandbox);
}

static void end_copying(struct copying *copying)
{
    cleanup_close(&copying->node_fd);
    cleanup_close(&copying->dir_fd);
    close_end(&copying->from);
    close_end(&copying->to);
}

/* For errors: "/etc/x in sandbox "s"". */
static const char *name_of(const struct copying *copying, const struct end *end)
{
    return end->what->sandbox ? arena_printf(copying->engine->arena, "%s in sandbox \"%s\"",
                                        end->shown, end->sandbox.meta.name)
                              : end->path;
}

/* ---- the two roots --------------------------------------------------------------------------- */

/* A folder of /proc stays that of one process: with another of the same id, what is in it fails. */
static int open_running(struct end *end, struct error *err)
{
    const struct container *container = &end->sandbox.container;
    char path[64];
    struct stat own;
    struct stat other;

    snprintf(path, sizeof(path), "/proc/%d", container->state.pid);
    _cleanup_close_ int proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    enum spec_status status = container_status(container);
    if (proc < 0 || (status != SPEC_RUNNING && status != SPEC_PAUSED))
        return error_set(
                err, ESRCH, "sandbox \"%s\" has just ended: try again", end->sandbox.meta.name);
    end->root_fd = openat(proc, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (end->root_fd < 0)
        return error_sys(err, errno, "open the root of sandbox \"%s\"", end->sandbox.meta.name);
    _cleanup_close_ int userns = openat(proc, "ns/user", O_RDONLY | O_CLOEXEC);
    if (userns < 0 || fstat(userns, &other) < 0 || stat("/proc/self/ns/user", &own) < 0)
        return error_sys(
                err, errno, "open the user namespace of sandbox \"%s\"", end->sandbox.meta.name);
    if (own.st_ino != other.st_ino || own.st_dev != other.st_dev)
        end->userns_fd = take_fd(&userns);
    return 0;
}

/* An ordinary user is root of such a namespace already. */
static int map_stopped(
        struct engine *engine, struct end *end, const struct spec *spec, struct error *err)
{
    if (engine->host.rootless || !spec->linux.uidMappings.count || !spec->linux.gidMappings.count)
        return 0;
    struct id_maps uids = container_id_maps(engine->arena, &spec->linux.uidMappings);
    struct id_maps gids = container_id_maps(engine->arena, &spec->linux.gidMappings);
    end->userns_fd = sys_userns_new(&uids, &gids, err);
    return end->userns_fd < 0 ? end->userns_fd : 0;
}

/* Two mounts must not write to one upper folder: who starts it waits until its record is closed. */
static int hold_still(struct engine *engine, const struct sandbox *sandbox, struct error *err)
{
    const char *name = sandbox->meta.name;

    if (record_try_lock(sandbox->record_fd) == 0 &&
            faccessat(engine->store.fd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    return error_set(
            err, EBUSY, "sandbox \"%s\" is just being started, or has just ended: try again", name);
}

static int open_root(struct engine *engine, struct end *end, bool write, struct error *err)
{
    int r = write ? hold_still(engine, &end->sandbox, err) : 0;

    if (r < 0)
        return r;
    return write ? engine_root_open_to_write(engine, &end->sandbox, &end->root_fd, err)
                 : engine_root_open_of(engine, &end->sandbox, &end->root_fd, err);
}

/*
 * `follow`: also a link at the end of the path. On the disk ids are as inside, unless its
 * configuration maps them and what is opened is not mapped too; a machine's are those on the disk.
 */
static int open_stopped(
        struct engine *engine, struct end *end, bool write, bool follow, struct error *err)
{
    struct spec spec = {0};
    struct stopped stopped = {engine, &end->sandbox, &spec};
    struct stopped_place place = {.fd = -1, .own_ids = end->sandbox.meta.idmap_root};
    int r = engine_config(engine, &end->sandbox, &spec, err);

    if (r == 0 && stopped_has_mounts(&stopped))
        r = stopped_path(&stopped, end->path, follow, &end->path, err);
    if (r == 0)
        r = stopped_open(&stopped, end->path, write, &place, err);
    if (r > 0) {
        end->root_fd = place.fd;
        end->path = place.path;
    } else if (r == 0) {
        r = open_root(engine, end, write, err);
    }
    if (r < 0)
        return r;
    return is_machine(end) || place.own_ids ? 0 : map_stopped(engine, end, &spec, err);
}

static int open_host(struct engine *engine, struct end *end, struct error *err)
{
    _cleanup_free_ char *here = NULL;

    if (!*end->path)
        return error_set(err, EINVAL, "a path is empty");
    end->root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (end->root_fd < 0)
        return error_sys(err, errno, "open /");
    if (end->path[0] == '/')
        return 0;
    here = getcwd(NULL, 0);
    if (!here)
        return error_sys(err, errno, "find the working directory");
    end->path = path_join(engine->arena, here, end->path);
    return 0;
}

static int open_end(
        struct engine *engine, struct end *end, bool write, bool follow, struct error *err)
{
    end->path = end->what->path;
    if (!end->path)
        return 0;
    if (!end->what->sandbox) {
        int r = open_host(engine, end, err);
        end->shown = end->path;
        return r;
    }
    if (end->path[0] != '/')
        end->path = arena_printf(engine->arena, "/%s", end->path);
    end->shown = end->path;
    if (runs(&end->sandbox) && is_machine(end) && write)
        return error_set(err, EBUSY,
                "sandbox \"%s\" is a running machine, whose kernel would not notice: stop it "
                "first, "
                "or use `viv exec -i %s tar x …`",
                end->sandbox.meta.name, end->sandbox.meta.name);
    if (runs(&end->sandbox) && !is_machine(end))
        return open_running(end, err);
    return open_stopped(engine, end, write, follow, err);
}

/* ---- the source ------------------------------------------------------------------------------ */

static bool ends_in_slash(const char *path)
{
    size_t length = strlen(path);

    return length && path[length - 1] == '/';
}

/* Without slashes at its end; "/" stays. */
static const char *trimmed(struct arena *arena, const char *path)
{
    size_t length = strlen(path);

    while (length > 1 && path[length - 1] == '/')
        length--;
    return arena_printf(arena, "%.*s", (int)length, path);
}

static bool is_no_name(const char *name)
{
    return !*name || str_equal(name, ".") || str_equal(name, "..") || str_equal(name, "/");
}

static int open_source(struct copying *copying, struct error *err)
{
    struct arena *arena = copying->engine->arena;
    struct end *from = &copying->from;
    struct stat st;

    if (!from->path)
        return 0;
    const char *base = path_base(trimmed(arena, from->shown));
    copying->content = is_no_name(base);
    bool follow = copying->copy->follow || copying->content || ends_in_slash(from->shown);
    copying->as = copying->content ? "" : base;
    copying->node_fd = inroot_open(from->root_fd, from->path, INROOT_MUST_EXIST,
            follow ? INROOT_FOLLOW : INROOT_NO_LAST, NULL);
    if (copying->node_fd < 0)
        return error_sys(err, -copying->node_fd, "find %s", name_of(copying, from));
    if (fstat(copying->node_fd, &st) < 0)
        return error_sys(err, errno, "look at %s", name_of(copying, from));
    copying->is_folder = S_ISDIR(st.st_mode);
    if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
        return error_set(
                err, EOPNOTSUPP, "%s is a device, which cannot be copied", name_of(copying, from));
    return 0;
}

/* ---- where it goes --------------------------------------------------------------------------- */

/* A folder that is there. */
static int enter(struct copying *copying, const char *path)
{
    struct stat st;

    _cleanup_close_ int fd =
            inroot_open(copying->to.root_fd, path, INROOT_MUST_EXIST, INROOT_FOLLOW, NULL);
    if (fd < 0)
        return fd;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISDIR(st.st_mode))
        return -ENOTDIR;
    copying->dir_fd = take_fd(&fd);
    return 0;
}

/* What a link by this name leads to: a path from the root again. */
static int follow_link(struct copying *copying, const char *parent, const char *name,
        const char **path, struct error *err)
{
    struct arena *arena = copying->engine->arena;
    char target[4096];

    ssize_t length = readlinkat(copying->dir_fd, name, target, sizeof(target) - 1);
    if (length < 0)
        return error_sys(err, errno, "read the link %s", name_of(copying, &copying->to));
    target[length] = '\0';
    *path = target[0] == '/' ? arena_strdup(arena, target) : path_join(arena, parent, target);
    cleanup_close(&copying->dir_fd);
    return 1;
}

/* In the folder that the path's last part is in, under that name. 1: a link was met. */
static int take_name(struct copying *copying, const char **path, struct error *err)
{
    struct arena *arena = copying->engine->arena;
    const char *clean = trimmed(arena, *path);
    const char *name = path_base(clean);
    const char *parent = arena_printf(arena, "%.*s", (int)(name - clean), clean);
    const char *shown = name_of(copying, &copying->to);
    struct stat st;

    if (is_no_name(name))
        return error_set(err, ENOENT, "%s: there is no such folder", shown);
    int r = enter(copying, *parent ? parent : "/");
    if (r < 0)
        return error_sys(err, -r, "find the folder for %s", shown);
    copying->as = name;
    if (fstatat(copying->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : error_sys(err, errno, "look at %s", shown);
    if (S_ISLNK(st.st_mode) && copying->to.what->sandbox)
        return follow_link(copying, parent, name, path, err);
    if (copying->is_folder && !copying->copy->overwrite)
        return error_set(err, ENOTDIR, "%s is no folder, and a folder cannot replace it", shown);
    return 0;
}

/*
 * On the host a link may be what an earlier copy brought out of the same sandbox: with it the next
 * one would go wherever the sandbox likes. A slash at the end says that it is meant.
 */
static int refuse_link(const struct copying *copying, const char *shown, struct error *err)
{
    const struct end *to = &copying->to;
    struct stat st;

    if (to->what->sandbox || ends_in_slash(to->path))
        return 0;
    _cleanup_close_ int fd =
            inroot_open(to->root_fd, to->path, INROOT_MUST_EXIST, INROOT_NO_LAST, NULL);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISLNK(st.st_mode))
        return 0;
    return error_set(err, ELOOP,
            "%s is a symbolic link, which a sandbox may have made: name what it leads to, or end "
            "it with / if that is a folder",
            shown);
}

static int find_target(struct copying *copying, struct error *err)
{
    const char *path = copying->to.path;
    const char *shown = name_of(copying, &copying->to);
    int refused = refuse_link(copying, shown, err);

    if (refused < 0)
        return refused;
    for (int i = 0; i < LINKS_MAX; i++) {
        int r = enter(copying, path);
        if (r == 0)
            return 0;
        if (copying->node_fd < 0)
            return error_sys(err, -r, "%s has to be a folder, for a tar stream", shown);
        if (r == -ENOENT && ends_in_slash(path) && !copying->is_folder)
            return error_set(err, ENOENT, "%s: there is no such folder", shown);
        if (r == -ENOTDIR && copying->is_folder && !copying->copy->overwrite)
            return error_set(
                    err, ENOTDIR, "%s is no folder, and a folder cannot replace it", shown);
        if (r != -ENOENT && (r != -ENOTDIR || ends_in_slash(path)))
            return error_sys(err, -r, "find %s", shown);
        r = take_name(copying, &path, err);
        if (r <= 0)
            return r;
    }
    return error_set(err, ELOOP, "%s: too many links", shown);
}

/* ---- the two processes ----------------------------------------------------------------------- */

struct answer {
    int result;
    struct image_copied copied;
    struct error error;
};

struct worker {
    pid_t pid;
    int answer_fd;
};

/* Who has rights in that namespace must not look into this process, which knows the host's files.
 */
static int become_inside(int userns_fd, struct error *err)
{
    sys_prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (userns_fd < 0)
        return 0;
    int r = sys_prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (r >= 0)
        r = sys_setns(userns_fd, CLONE_NEWUSER);
    if (r < 0)
        return error_sys(err, -r, "join the sandbox's user namespace");
    sys_setgroups(0, NULL); /* refused where an ordinary user made the namespace */
    r = sys_setresgid(0, 0, 0);
    if (r >= 0)
        r = sys_setresuid(0, 0, 0);
    sys_prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* other ids have cleared it */
    return r < 0 ? error_sys(err, -r, "become root of the sandbox's user namespace") : 0;
}

static void send_tar(const struct copying *copying, int fd, struct answer *answer)
{
    answer->result = become_inside(copying->from.userns_fd, &answer->error);
    if (answer->result == 0)
        answer->result = image_copy_out(copying->node_fd, copying->as, fd, &answer->error);
    if (answer->result < 0)
        error_prefix(&answer->error, "copy %s", name_of(copying, &copying->from));
}

static void receive_tar(const struct copying *copying, int fd, struct answer *answer)
{
    const struct image_copying how = {.owners = copying->copy->owners,
            .overwrite = copying->copy->overwrite,
            .inside = copying->copy->to.sandbox != NULL};

    answer->result = become_inside(copying->to.userns_fd, &answer->error);
    if (answer->result == 0)
        answer->result = image_copy_in(fd, copying->dir_fd, &how, &answer->copied, &answer->error);
    if (answer->result < 0)
        error_prefix(&answer->error, "copy to %s", name_of(copying, &copying->to));
}

/* `other_fd` is the far end of the pipe, which would keep it open. */
static int start(const struct copying *copying,
        void (*work)(const struct copying *copying, int fd, struct answer *answer), int fd,
        int other_fd, struct worker *ret, struct error *err)
{
    struct answer answer = {0};
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_sys(err, errno, "pipe");
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGPIPE, SIG_IGN);
        if (other_fd >= 0)
            close(other_fd);
        close(ends[0]);
        work(copying, fd, &answer);
        _exit(write(ends[1], &answer, sizeof(answer)) != sizeof(answer));
    }
    int why = errno;
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return error_sys(err, why, "fork");
    }
    *ret = (struct worker){pid, ends[0]};
    return 0;
}

static void finish(struct worker *worker, struct answer *ret)
{
    siginfo_t info;

    *ret = (struct answer){0};
    if (worker->pid <= 0)
        return;
    int r = io_read_exact(worker->answer_fd, ret, sizeof(*ret));
    close(worker->answer_fd);
    sys_waitid(P_PID, (id_t)worker->pid, &info, WEXITED);
    if (r < 0)
        ret->result = error_set(&ret->error, ECHILD, "the process that copies was killed");
}

/* Of both, what went wrong first: an end that is gone is only the consequence. */
static int judge(const struct answer *sent, const struct answer *received, struct error *err)
{
    bool follows = sent->result == -EPIPE && received->result < 0;
    const struct answer *worse = sent->result < 0 && !follows ? sent : received;

    if (worse->result < 0 && err)
        *err = worse->error;
    return worse->result;
}

static int carry(const struct copying *copying, struct engine_copied *ret, struct error *err)
{
    struct worker sender = {0};
    struct worker receiver = {0};
    struct answer sent;
    struct answer received;
    int ends[2];
    int r = 0;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_sys(err, errno, "pipe");
    _cleanup_close_ int out = ends[1];
    _cleanup_close_ int in = ends[0];
    if (copying->node_fd >= 0)
        r = start(copying, send_tar, copying->dir_fd < 0 ? STDOUT_FILENO : out, in, &sender, err);
    if (r == 0 && copying->dir_fd >= 0)
        r = start(copying, receive_tar, copying->node_fd < 0 ? STDIN_FILENO : in, out, &receiver,
                err);
    cleanup_close(&out);
    cleanup_close(&in);
    finish(&sender, &sent);
    finish(&receiver, &received);
    if (r == 0)
        r = judge(&sent, &received, err);
    if (r == 0)
        *ret = (struct engine_copied){received.copied.bytes, received.copied.left_out};
    return r;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static int copy_ends(struct copying *copying, struct engine_copied *ret, struct error *err)
{
    int r = open_end(copying->engine, &copying->from, false, copying->copy->follow, err);

    if (r == 0)
        r = open_end(copying->engine, &copying->to, true, true, err);
    if (r == 0)
        r = open_source(copying, err);
    if (r == 0 && copying->to.path)
        r = find_target(copying, err);
    return r < 0 ? r : carry(copying, ret, err);
}

static int copy_as_user(void *data, char *out, struct error *err)
{
    struct engine_copied copied = {0};
    int r = copy_ends(data, &copied, err);

    memcpy(out, &copied, sizeof(copied));
    return r;
}

/* `*ret_stopped` is set when it is one whose root we have to put together ourselves. */
static int find_end(struct engine *engine, struct end *end, bool *ret_stopped, struct error *err)
{
    if (!end->what->sandbox)
        return 0;
    int r = engine_find(engine, end->what->sandbox, &end->sandbox, err);
    if (r < 0 || (!is_machine(end) && runs(&end->sandbox)))
        return r;
    *ret_stopped = true;
    return engine_root_is_here(engine, &end->sandbox, err);
}

int engine_copy(struct engine *engine, const struct engine_copy *copy, struct engine_copied *ret,
        struct error *err)
{
    static const struct end nothing = {.sandbox = {.record_fd = -1, .container = {.dir_fd = -1}},
            .root_fd = -1,
            .userns_fd = -1};
    _cleanup_(end_copying) struct copying copying = {.engine = engine,
            .copy = copy,
            .from = nothing,
            .to = nothing,
            .node_fd = -1,
            .dir_fd = -1};
    char out[ROOTLESS_OUT_MAX] = "";
    bool stopped = false;

    copying.from.what = &copy->from;
    copying.to.what = &copy->to;
    int r = find_end(engine, &copying.from, &stopped, err);
    if (r == 0)
        r = find_end(engine, &copying.to, &stopped, err);
    if (r < 0)
        return r;
    r = stopped ? rootless_call(engine->arena, &engine->host, copy_as_user, &copying, out, err)
                : copy_as_user(&copying, out, err);
    if (r == 0)
        memcpy(ret, out, sizeof(*ret));
    return r;
}
