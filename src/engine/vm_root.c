#include "engine/vm_root.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/checksum.h"
#include "base/cleanup.h"
#include "base/install.h"
#include "base/io.h"
#include "base/path.h"
#include "engine/images.h"
#include "engine/root.h"
#include "engine/rootless.h"
#include "engine/vm_upper.h"
#include "image/cage.h"
#include "sys/mount.h"
#include "sys/process.h"

#define MKFS "mkfs.erofs"
#define SAID_MAX 512
#define SUPERBLOCK 4096 /* bytes in front of the rest of a disk */
#define CHECKSUM_CHUNK ((size_t)256 << 10)

/* What is made, and of what. */
struct disk {
    int file;
    const char *folder;
    int mount; /* what lies on the folder, nowhere attached yet; -1: nothing */
};

/* Nothing can be written to but by a descriptor that is open already, and what is a disk's node for
 * the guest is none for mkfs: who made the tree may have found a way into it. */
#define ATTRIBUTES (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID)

/* In the child: a mount gets a path, since mkfs goes by paths, which nobody else sees. */
static int arrange_mounts(const struct disk *disk)
{
    struct mount_attr attr = {.attr_set = ATTRIBUTES};
    int r = cage_own_mounts(ATTRIBUTES);

    if (disk->mount < 0) /* who has no right to mount opens no devices either */
        return r == -EPERM || r == -EINVAL ? 0 : r;
    if (r == 0)
        r = sys_mount_setattr(disk->mount, "", AT_EMPTY_PATH, &attr);
    if (r < 0)
        return r;
    return sys_move_mount(disk->mount, "", AT_FDCWD, disk->folder, MOVE_MOUNT_F_EMPTY_PATH);
}

static int enter_cage(const struct disk *disk, const char *program, struct error *err)
{
    int r = arrange_mounts(disk);

    if (r < 0)
        return error_sys(err, -r, "arrange the mounts for %s", program);
    _cleanup_close_ int program_fd = open(program, O_PATH | O_CLOEXEC);
    if (program_fd < 0)
        return error_sys(err, errno, "open %s", program);
    _cleanup_close_ int folder_fd = open(disk->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder_fd < 0)
        return error_sys(err, errno, "open %s", disk->folder);
    return cage_enter_maker(program_fd, folder_fd, disk->file, err);
}

/* mkfs writes holes out: a layer of some bytes can have a file of terabytes. */
static rlim_t most_bytes(int file)
{
    struct statvfs fs;

    if (fstatvfs(file, &fs) < 0)
        return RLIM_INFINITY;
    rlim_t room = (rlim_t)fs.f_bavail * fs.f_frsize;
    return room - room / 10;
}

/* In the child. Its messages go to the pipe. */
static void run_mkfs(const struct disk *disk, const char *program, rlim_t most, int said)
{
    char path[64];
    char *argv[] = {(char *)(uintptr_t)MKFS, (char *)(uintptr_t) "--quiet", path,
            (char *)(uintptr_t)disk->folder, NULL};
    char *nothing[] = {NULL};
    struct error err = ERROR_NONE;

    (void)sys_prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    dup2(said, 1);
    dup2(said, 2);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){most, most});
    if (enter_cage(disk, program, &err) < 0) {
        dprintf(2, "%s", err.text);
        _exit(1);
    }
    (void)sys_close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    fcntl(disk->file, F_SETFD, 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", disk->file);
    int r = sys_execve(program, argv, nothing);
    dprintf(2, "%s: %s", program, error_name(-r));
    _exit(127);
}

/* What it said, cut to a line's length. */
static const char *read_said(struct arena *arena, int fd)
{
    char text[SAID_MAX];
    size_t length = 0;
    ssize_t got;

    while (length < sizeof(text) - 1 &&
            (got = read(fd, text + length, sizeof(text) - 1 - length)) > 0)
        length += (size_t)got;
    for (size_t i = 0; i < length; i++)
        if (text[i] < ' ')
            text[i] = ' ';
    return arena_strndup(arena, text, length);
}

static int missing(const char *why, struct error *err)
{
    return error_set(err, ENOENT,
            "a machine's root is made into a disk by " MKFS ", which cannot be started (%s): "
            "install erofs-utils",
            why);
}

static int make_disk(struct arena *arena, const struct disk *disk, struct error *err)
{
    const char *program = install_find_in_path(arena, MKFS);
    rlim_t most = most_bytes(disk->file);
    siginfo_t info = {0};
    struct stat st;
    int said[2];

    if (!program)
        return missing("it is not in PATH", err);
    if (pipe2(said, O_CLOEXEC) < 0)
        return error_sys(err, errno, "make a pipe");
    _cleanup_close_ int read_end = said[0];
    _cleanup_close_ int write_end = said[1];
    struct clone_args args = {.exit_signal = SIGCHLD};
    pid_t pid = sys_clone3(&args);
    if (pid == 0)
        run_mkfs(disk, program, most, write_end);
    cleanup_close(&write_end);
    if (pid < 0)
        return error_sys(err, -pid, "start " MKFS);
    const char *text = read_said(arena, read_end);
    (void)sys_waitid(P_PID, (id_t)pid, &info, WEXITED);
    if (info.si_code == CLD_EXITED && info.si_status == 0)
        return 0;
    if (info.si_code == CLD_EXITED && info.si_status == 127)
        return missing(text, err);
    if (fstat(disk->file, &st) == 0 && (rlim_t)st.st_size >= most)
        return error_set(err, EFBIG,
                "%s as a machine's disk takes more than nine tenths of what is free there: make "
                "room, or look for files with large holes, which it has to hold whole",
                disk->folder);
    return error_set(err, EIO, MKFS " of %s: %s", disk->folder, text);
}

int vm_disk_of_folder(
        struct arena *arena, const char *place, const char *folder, int *ret_fd, struct error *err)
{
    int r = io_make_dirs_at(AT_FDCWD, place, 0700);

    if (r < 0)
        return error_sys(err, -r, "make %s", place);
    _cleanup_close_ int fd = open(place, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_sys(err, errno, "make a file in %s", place);
    r = make_disk(arena, &(struct disk){fd, folder, -1}, err);
    if (r == 0)
        *ret_fd = take_fd(&fd);
    return r;
}

static int checksum_of(int fd, uint64_t *ret)
{
    _cleanup_free_ char *chunk = malloc(CHECKSUM_CHUNK);
    off_t at = SUPERBLOCK;
    uint64_t sum = 0;
    ssize_t got;

    if (!chunk)
        return -ENOMEM;
    while ((got = pread(fd, chunk, CHECKSUM_CHUNK, at)) > 0) {
        sum = checksum64(chunk, (size_t)got, sum);
        at += got;
    }
    if (got < 0)
        return -errno;
    *ret = sum;
    return 0;
}

int vm_root_checksum(const struct vm_config *config, uint64_t *ret, struct error *err)
{
    if (config->root_checksum) {
        *ret = config->root_checksum;
        return 0;
    }
    _cleanup_close_ int fd = config->root_fd >= 0 ? fcntl(config->root_fd, F_DUPFD_CLOEXEC, 3)
                                                  : open(config->root, O_RDONLY | O_CLOEXEC);
    int r = fd < 0 ? -errno : checksum_of(fd, ret);

    return r < 0 ? error_sys(err, -r, "read the root's disk %s", config->root) : 0;
}

/* ---- of an image ----------------------------------------------------------------------------- */

struct disk_of_image {
    struct engine *engine;
    const struct engine_run *run;
};

struct filling {
    const struct disk_of_image *of;
    int file;
};

/* Its layers are mounted over each other where nobody sees it, for as long as mkfs reads. An
 * ordinary user's files have their owners in a user namespace, which may mount too. */
static int fill_disk(void *data, char *out, struct error *err)
{
    const struct filling *filling = data;
    struct engine *engine = filling->of->engine;
    const struct engine_run *run = filling->of->run;
    _cleanup_close_ int mount = -1;
    int r = engine_root_open_image(engine, &run->meta, &mount, err);
    struct disk disk = {filling->file, run->spec->root->path, mount};

    (void)out;
    return r < 0 ? r : make_disk(engine->arena, &disk, err);
}

static int make_disk_of_image(int fd, uint64_t *ret_checksum, void *data, struct error *err)
{
    const struct disk_of_image *of = data;
    struct filling filling = {of, fd};
    char out[ROOTLESS_OUT_MAX];
    int r = rootless_call(of->engine->arena, &of->engine->host, fill_disk, &filling, out, err);

    if (r < 0)
        return r;
    r = checksum_of(fd, ret_checksum);
    return r < 0 ? error_sys(err, -r, "read the root's disk") : 0;
}

static int take_disk_of_image(struct engine *engine, const struct engine_run *run,
        struct vm_config *config, struct error *err)
{
    struct disk_of_image of = {engine, run};
    struct image_disk_maker maker = {make_disk_of_image, &of};
    struct image_store *store;
    struct image_disk disk;
    int r = engine_images(engine, NULL, &store, err);

    if (r == 0)
        r = image_root_disk(store, run->meta.id, &maker, &disk, err);
    if (r < 0)
        return r;
    config->root_fd = disk.fd;
    config->root_checksum = disk.checksum;
    return 0;
}

/* ---- the configuration ----------------------------------------------------------------------- */

static bool is_builtin(struct engine *engine, const struct spec *spec)
{
    const char *builtin;

    return install_find_data(engine->arena, "busybox", &builtin, NULL) == 0 &&
           str_equal(builtin, spec->root->path);
}

/* The built-in image has been made into a disk by the build. */
static int find_root(struct engine *engine, const struct engine_run *run, bool take,
        struct vm_config *config, struct error *err)
{
    const char *path = run->spec->root->path;

    if (is_builtin(engine, run->spec))
        return install_find_data(engine->arena, "busybox.erofs", &config->root, err);
    if (run->meta.image_id) {
        config->root = run->meta.image;
        return take ? take_disk_of_image(engine, run, config, err) : 0;
    }
    if (path[0] != '/' && run->meta.bundle)
        path = path_join(engine->arena, run->meta.bundle, path);
    config->root = path;
    if (!take)
        return 0;
    return vm_disk_of_folder(engine->arena, path_join(engine->arena, engine->data_root, "machines"),
            path, &config->root_fd, err);
}

static int find_upper(struct engine *engine, const struct engine_run *run, bool take,
        struct vm_config *config, struct error *err)
{
    const char *id = run->meta.id ? run->meta.id : "new";
    const char *upper =
            arena_printf(engine->arena, "%s/images/roots/%s/upper", engine->data_root, id);
    int r = take ? vm_upper_prepare(engine->arena, upper, err) : 1;

    if (r > 0 && take)
        r = vm_upper_settle(upper, err) < 0 ? -EIO : 1;
    if (r > 0)
        config->upper = vm_upper_folder(engine->arena, upper);
    return r < 0 ? r : 0;
}

static bool joins_network(const struct sandbox_meta *meta)
{
    for (size_t i = 0; i < meta->joins.count; i++)
        if (str_equal(meta->joins.items[i].kind, "network"))
            return true;
    return false;
}

int vm_configure(struct engine *engine, const struct engine_run *run, bool take,
        struct vm_config *ret, struct error *err)
{
    *ret = (struct vm_config){
            .accel = run->meta.accel,
            .portable = run->meta.portable,
            .kernel = run->meta.kernel,
            .root_fd = -1,
            .templates = path_join(engine->arena, engine->data_root, "templates"),
            .pasta = run->meta.network.pasta,
            .shared_network = joins_network(&run->meta),
            .interactive = run->meta.interactive || run->meta.tty,
            .status_fd = -1,
    };
    int r = vm_upper_is_wanted(engine, &run->meta) ? find_upper(engine, run, take, ret, err) : 0;
    return r < 0 ? r : find_root(engine, run, take, ret, err);
}
