#include "container/console.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "plan/run.h"
#include "sys/mount.h"
#include "sys/process.h"

struct connect_args {
    const char *path;
    int slot;
};

int container_connect(const char *path, int *ret_sock, struct error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    _cleanup_close_ int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (sock < 0)
        return error_sys(err, errno, "make a socket");
    if (strlen(path) >= sizeof(address.sun_path))
        return error_set(err, ENAMETOOLONG, "the socket's path is longer than %zu characters: %s",
                sizeof(address.sun_path) - 1, path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (connect(sock, (struct sockaddr *)&address, sizeof(address)) < 0)
        return error_sys(err, errno, "connect to the socket %s", path);
    *ret_sock = take_fd(&sock);
    return 0;
}

static int connect_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct connect_args *args = step->args;

    return container_connect(args->path, &run->fds[args->slot], err);
}

static void connect_describe(const struct step *step, struct step_text *text)
{
    const struct connect_args *args = step->args;

    step_call(text, "connect(<socket>, {sa_family=AF_UNIX, sun_path=%s})",
            step_quote(text->arena, args->path));
    step_why(text, "Connects to the socket that takes the terminal's master end.");
}

static const struct step_ops connect_ops = {
        .name = "connect",
        .manual = "unix(7)",
        .apply = connect_apply,
        .describe = connect_describe,
};

int container_console_connect_step(struct plan *plan, const char *path, const char *because)
{
    struct connect_args *args = arena_new(plan->arena, struct connect_args);

    *args = (struct connect_args){path, plan_new_slot(plan)};
    plan_add(plan, STEP_HOST, &connect_ops, because, args);
    return args->slot;
}

static const char *multiplexer(const struct container_console *args)
{
    return args->host ? "/dev/ptmx" : "/dev/pts/ptmx";
}

/* The master end from the container's own devpts, which must really be one. */
static int open_master(const struct container_console *args, struct error *err)
{
    const char *path = multiplexer(args);
    _cleanup_close_ int master =
            sys_openat2(AT_FDCWD, path, O_RDWR | O_NOCTTY, 0, args->host ? 0 : RESOLVE_NO_SYMLINKS);
    int number;

    if (master < 0)
        return error_sys(err, -master,
                "open %s (a terminal needs a mount of type devpts on /dev/pts)", path);
    if (ioctl(master, TIOCGPTN, &number) < 0)
        return error_sys(err, errno, "%s is not a terminal multiplexer", path);
    if (unlockpt(master) < 0)
        return error_sys(err, errno, "unlock the terminal");
    return take_fd(&master);
}

static int set_size(int master, const struct container_console *args)
{
    struct winsize size = {.ws_row = args->lines, .ws_col = args->columns};

    if (!args->lines && !args->columns)
        return 0;
    return ioctl(master, TIOCSWINSZ, &size) < 0 ? -errno : 0;
}

static int mount_console(int terminal, struct error *err)
{
    static const char path[] = "/dev/console";
    _cleanup_close_ int target =
            sys_openat2(AT_FDCWD, path, O_CREAT | O_EXCL | O_RDONLY, 0600, RESOLVE_NO_SYMLINKS);

    if (target == -EEXIST)
        target = sys_openat2(AT_FDCWD, path, O_PATH | O_NOFOLLOW, 0, RESOLVE_NO_SYMLINKS);
    if (target < 0)
        return error_sys(err, -target, "open /dev/console");
    struct stat found;
    if (fstat(target, &found) < 0 || !(S_ISREG(found.st_mode) || S_ISCHR(found.st_mode)))
        return error_set(err, EINVAL,
                "/dev/console in the image is neither a file nor a device: nothing is mounted on "
                "it; remove it from the image");
    _cleanup_close_ int tree = sys_open_tree(terminal, "", OPEN_TREE_CLONE | AT_EMPTY_PATH);
    if (tree < 0)
        return error_sys(err, -tree, "make a mount of the terminal");
    int r = sys_move_mount(tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
    return r < 0 ? error_sys(err, -r, "mount the terminal on /dev/console") : 0;
}

static int take_terminal(int terminal, struct error *err)
{
    sys_setsid(); /* EPERM when this process leads a session already */
    if (ioctl(terminal, TIOCSCTTY, 0) < 0)
        return error_sys(err, errno, "make the terminal the controlling one");
    for (int fd = 0; fd < 3; fd++)
        if (dup2(terminal, fd) < 0)
            return error_sys(err, errno, "make the terminal stream %d", fd);
    return 0;
}

static int console_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct container_console *args = step->args;
    _cleanup_close_ int master = open_master(args, err);
    int r;

    if (master < 0)
        return master;
    _cleanup_close_ int terminal = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (terminal < 0)
        return error_sys(err, errno, "open the terminal's other end");
    r = set_size(master, args);
    if (r < 0)
        return error_sys(err, -r, "set the terminal's size");
    if (args->mount)
        r = mount_console(terminal, err);
    if (r < 0)
        return r;
    const char *name = multiplexer(args);
    r = io_send_fds(run->fds[args->socket_slot], name, strlen(name), &master, 1);
    if (r < 0)
        return error_sys(err, -r, "send the terminal's master end through the console socket");
    cleanup_close(&run->fds[args->socket_slot]);
    return take_terminal(terminal, err);
}

static void console_describe(const struct step *step, struct step_text *text)
{
    const struct container_console *args = step->args;

    step_call(text, "openat2(AT_FDCWD, \"%s\", {flags=O_RDWR|O_NOCTTY|O_CLOEXEC, resolve=%s}, 24)",
            multiplexer(args), args->host ? "0" : "RESOLVE_NO_SYMLINKS");
    step_call(text, "ioctl(<master>, TIOCGPTN, <number>)");
    step_call(text, "ioctl(<master>, TIOCSPTLCK, [0])");
    step_call(text, "ioctl(<master>, TIOCGPTPEER, O_RDWR|O_NOCTTY|O_CLOEXEC)");
    if (args->lines || args->columns)
        step_call(text,
                "ioctl(<master>, TIOCSWINSZ, {ws_row=%u, ws_col=%u, ws_xpixel=0, "
                "ws_ypixel=0})",
                args->lines, args->columns);
    if (args->mount) {
        step_call(text, "openat2(AT_FDCWD, \"/dev/console\", {flags=O_RDONLY|O_CREAT|O_EXCL|"
                        "O_CLOEXEC, mode=0600, resolve=RESOLVE_NO_SYMLINKS}, 24)");
        step_call(text, "open_tree(<terminal>, \"\", "
                        "OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC|AT_EMPTY_PATH)");
        step_call(text, "move_mount(<tree>, \"\", <dev/console>, \"\", "
                        "MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)");
    }
    step_call(text, "setsid()");
    step_call(text, "ioctl(<terminal>, TIOCSCTTY, 0)");
    step_why(text,
            "Makes a terminal of the %s own, its controlling one, and sends the other end out.",
            args->host ? "process's" : "container's");
}

static const struct step_ops console_ops = {
        .name = "ioctl",
        .manual = "pty(7)",
        .apply = console_apply,
        .describe = console_describe,
};

void container_console_step(
        struct plan *plan, const struct container_console *args, const char *because)
{
    plan_add(plan, STEP_CHILD, &console_ops, because,
            arena_memdup(plan->arena, args, sizeof(*args)));
}
