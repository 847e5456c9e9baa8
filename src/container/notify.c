#include "container/notify.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "base/str.h"

#define FOLDER "notify"
#define SOCKET "notify.sock"
#define VARIABLE "NOTIFY_SOCKET="
#define MESSAGE_MAX 4096

void container_notify_into_spec(struct arena *arena, struct spec *spec, const char *folder)
{
    struct strv env = {0};
    char *word;
    struct spec_mount *mounts = arena_new_array(arena, struct spec_mount, spec->mounts.count + 1);
    struct spec_mount *mount = &mounts[spec->mounts.count];

    strv_foreach (word, &spec->process->env) {
        if (!str_after(word, VARIABLE))
            strv_add(arena, &env, word);
    }
    strv_add(arena, &env, VARIABLE CONTAINER_NOTIFY_DIR "/" SOCKET);
    spec->process->env = env;
    if (spec->mounts.count)
        memcpy(mounts, spec->mounts.items, spec->mounts.count * sizeof(*mounts));
    *mount = (struct spec_mount){.destination = CONTAINER_NOTIFY_DIR,
            .type = "bind",
            .source = path_join(arena, folder, FOLDER)};
    static const char *const options[] = {"bind", "ro", "nosuid", "noexec", "nodev"};
    for (size_t i = 0; i < ARRAY_SIZE(options); i++)
        strv_add(arena, &mount->options, options[i]);
    spec->mounts.items = mounts;
    spec->mounts.count++;
}

static int make_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const int *dir_fd = step->args;

    (void)run;
    if (mkdirat(*dir_fd, FOLDER, 0755) < 0)
        return error_sys(err, errno, "make the folder of the notify socket");
    return 0;
}

static int make_undo(const struct step *step, struct plan_run *run, struct error *err)
{
    const int *dir_fd = step->args;

    (void)run, (void)err;
    unlinkat(*dir_fd, FOLDER, AT_REMOVEDIR);
    return 0;
}

static void make_describe(const struct step *step, struct step_text *text)
{
    (void)step;
    step_call(text, "mkdirat(<sandbox>, \"" FOLDER "\", 0755)");
    step_why(text, "Makes the folder through which the workload says that it is ready.");
}

static const struct step_ops make_ops = {
        .name = "mkdir",
        .manual = "mkdir(2)",
        .apply = make_apply,
        .undo = make_undo,
        .describe = make_describe,
};

void container_notify_step(struct plan *plan, int dir_fd)
{
    plan_add(plan, STEP_HOST, &make_ops, "", arena_memdup(plan->arena, &dir_fd, sizeof(dir_fd)));
}

bool container_notify_is_wanted(int dir_fd)
{
    return faccessat(dir_fd, FOLDER, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int container_notify_listen(int dir_fd, int *ret_sock, struct error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    _cleanup_close_ int folder =
            openat(dir_fd, FOLDER, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    _cleanup_close_ int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (folder < 0 || sock < 0)
        return error_sys(err, errno, "make the notify socket");
    /* the sandbox's own path may be longer than an address has room for */
    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/" SOCKET, folder);
    unlinkat(folder, SOCKET, 0);
    /* whoever the workload is on the host */
    if (bind(sock, (struct sockaddr *)&address, sizeof(address)) < 0 ||
            fchmodat(folder, SOCKET, 0777, 0) < 0)
        return error_sys(err, errno, "make the notify socket");
    *ret_sock = take_fd(&sock);
    return 0;
}

static bool is_ready(char *message)
{
    char *rest = NULL;

    for (char *line = strtok_r(message, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        if (str_equal(line, "READY=1"))
            return true;
    return false;
}

/* 1: it is ready; 0: nothing that counts has come. Descriptors that come along are not taken. */
static int read_messages(int sock)
{
    char message[MESSAGE_MAX + 1];
    ssize_t got;

    while ((got = recv(sock, message, MESSAGE_MAX, MSG_DONTWAIT)) >= 0 || errno == EINTR) {
        if (got < 0)
            continue;
        message[got] = '\0';
        if (is_ready(message))
            return 1;
    }
    return errno == EAGAIN ? 0 : -errno;
}

/* 1: ready; 0: the process has ended. */
static int wait_for_ready(int sock, int pidfd)
{
    struct pollfd fds[] = {{.fd = sock, .events = POLLIN}, {.fd = pidfd, .events = POLLIN}};

    for (;;) {
        if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
            return -errno;
        int r = read_messages(sock);
        if (r != 0)
            return r;
        if (fds[1].revents)
            return 0;
    }
}

static int tell(const char *to, pid_t main_pid, struct error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(to);
    char text[64];
    _cleanup_close_ int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (length >= sizeof(address.sun_path) || (*to != '/' && *to != '@'))
        return error_set(err, EINVAL, "NOTIFY_SOCKET=%s: no path of a socket", to);
    memcpy(address.sun_path, to, length);
    if (*to == '@')
        address.sun_path[0] = '\0';
    int size = main_pid ? snprintf(text, sizeof(text), "READY=1\nMAINPID=%d", main_pid)
                        : snprintf(text, sizeof(text), "READY=1");
    if (sock < 0 || sendto(sock, text, (size_t)size, MSG_NOSIGNAL, (struct sockaddr *)&address,
                            (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) < 0)
        return error_sys(err, errno, "tell %s that the container is ready", to);
    return 0;
}

int container_notify_pass_on(int sock, int pidfd, pid_t main_pid, const char *to, struct error *err)
{
    int r = wait_for_ready(sock, pidfd);

    if (r < 0)
        return error_sys(err, -r, "wait until the workload is ready");
    return r > 0 ? tell(to, main_pid, err) : 0;
}
