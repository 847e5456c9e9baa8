#include "image/client.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/path.h"
#include "image/auth.h"
#include "image/blobs.h"
#include "image/certs.h"
#include "image/manifest.h"
#include "sys/process.h"

#define PROGRAM "viv-fetch"
#define NOBODY 65534
#define SOCKET_ROOM (1 << 20)

/* Beside this program; or, installed, in libexec. */
static int open_program(struct image_store *store, struct error *err)
{
    char self[4096];
    struct arena *arena = &store->arena;
    const char *given = store->options.fetch_program;

    if (given) {
        int fd = open(given, O_RDONLY | O_CLOEXEC);
        return fd < 0 ? error_sys(err, errno, "open %s", given) : fd;
    }
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    self[length > 0 ? length : 0] = '\0';
    const char *dir = path_dir(arena, self);
    const char *places[] = {path_join(arena, dir, PROGRAM),
            arena_printf(arena, "%s/../libexec/viv/%s", dir, PROGRAM)};
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        int fd = open(places[i], O_RDONLY | O_CLOEXEC);
        if (fd >= 0)
            return fd;
    }
    return error_set(err, ENOENT, "%s, which talks to registries, is neither %s nor %s", PROGRAM,
            places[0], places[1]);
}

/* Its lock ends with the last process that has it open: so it is seen which folders are left over.
 */
static int make_one(struct image_store *store, const char *path, struct error *err)
{
    io_remove_tree_at(store->root_fd, path); /* of an earlier process with our number */
    if (mkdirat(store->root_fd, path, 0700) < 0)
        return store_advise(
                store, error_sys(err, errno, "make %s/%s", store->options.root, path), err);
    _cleanup_close_ int fd = openat(store->root_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
        return error_sys(err, errno, "open %s/%s", store->options.root, path);
    return take_fd(&fd);
}

static int make_folders(struct client *client, struct error *err)
{
    struct image_store *store = client->store;
    static unsigned counter;

    _cleanup_close_ int lock = store_lock(store, "locks/fetch", true, true, err);
    if (lock < 0)
        return lock;
    client->folder = arena_printf(&store->arena, "fetch/%d.%u", getpid(), counter++);
    client->taken = arena_printf(&store->arena, "%s+", client->folder);
    client->folder_fd = make_one(store, client->folder, err);
    if (client->folder_fd < 0)
        return client->folder_fd;
    client->taken_fd = make_one(store, client->taken, err);
    if (client->taken_fd < 0)
        return client->taken_fd;
    if (geteuid() == 0 && fchown(client->folder_fd, NOBODY, NOBODY) < 0)
        return error_sys(err, errno, "give %s away", client->folder);
    return 0;
}

/* In the child: become nobody, keep two descriptors, execute. Only what is safe after fork(2). */
static void become_program(int program, int socket, int folder_fd, pid_t parent)
{
    char *const argv[] = {(char[]){PROGRAM}, NULL};
    int copies[2] = {fcntl(socket, F_DUPFD_CLOEXEC, 10), fcntl(folder_fd, F_DUPFD_CLOEXEC, 10)};
    int program_copy = fcntl(program, F_DUPFD_CLOEXEC, 10);

    if (dup2(copies[0], STDIN_FILENO) < 0 || dup2(copies[1], WIRE_FOLDER_FD) < 0)
        _exit(126);
    if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
                                  setresuid(NOBODY, NOBODY, NOBODY) < 0))
        _exit(126);
    /* behind the change of ids, which would clear it */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(126);
    sys_execveat(program_copy, "", argv, environ, AT_EMPTY_PATH);
    _exit(127);
}

static int spawn(struct client *client, struct error *err)
{
    int ends[2];
    int room = SOCKET_ROOM;

    _cleanup_close_ int program = open_program(client->store, err);
    if (program < 0)
        return program;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return error_sys(err, errno, "socketpair");
    for (int i = 0; i < 2; i++)
        setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    pid_t parent = getpid();
    client->pid = fork();
    if (client->pid == 0)
        become_program(program, ends[1], client->folder_fd, parent);
    int why = errno;
    close(ends[1]);
    client->socket = ends[0];
    return client->pid < 0 ? error_sys(err, why, "fork") : 0;
}

int client_start(struct image_store *store, const struct image_access *access, struct client *ret,
        struct error *err)
{
    static const struct image_access no_access;
    struct client client = {.store = store,
            .access = access ? access : &no_access,
            .socket = -1,
            .folder_fd = -1,
            .taken_fd = -1,
            .pid = -1,
            .next_id = 1};

    client_sweep(store);
    int r = make_folders(&client, err);
    if (r == 0)
        r = spawn(&client, err);
    if (r < 0)
        client_stop(&client);
    else
        *ret = client;
    return r;
}

static bool is_digest_name(const char *name)
{
    size_t length = strlen(name);

    return (length == 64 || length == 128) && strspn(name, "0123456789abcdef") == length;
}

/* Another pull may have brought the blob meanwhile: then nobody asks for the rest of this one. */
static bool blob_came(struct image_store *store, const char *name)
{
    char digest[DIGEST_SIZE];

    snprintf(digest, sizeof(digest), "%s:%.128s", strlen(name) == 64 ? "sha256" : "sha512", name);
    return blob_present(store, digest, -1);
}

/* Keeps honest-looking leftovers of downloads, and removes the folder. Whether the blob came is
 * asked last, since whoever brings it looks for leftovers behind that (blobs.c). */
static void save_partials(struct image_store *store, int folder_fd, const char *folder, bool keep)
{
    int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    struct stat st;

    while (keep && dir && (entry = readdir(dir))) {
        if (!is_digest_name(entry->d_name) ||
                fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
                st.st_nlink != 1 || st.st_size == 0)
            continue;
        char to[300];
        snprintf(to, sizeof(to), "partial/%s", entry->d_name);
        if (renameat(fd, entry->d_name, store->root_fd, to) == 0 && blob_came(store, entry->d_name))
            unlinkat(store->root_fd, to, 0);
    }
    io_remove_tree_at(store->root_fd, folder);
}

void client_stop(struct client *client)
{
    if (client->pid > 0) {
        kill(client->pid, SIGKILL);
        while (waitpid(client->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    if (client->socket >= 0)
        close(client->socket);
    if (client->folder_fd >= 0) {
        save_partials(client->store, client->folder_fd, client->folder, !client->disk_full);
        close(client->folder_fd);
    }
    if (client->taken_fd >= 0) {
        save_partials(client->store, client->taken_fd, client->taken, !client->disk_full);
        close(client->taken_fd);
    }
    client->pid = -1;
    client->socket = client->folder_fd = client->taken_fd = -1;
}

/* Of blobs that are there: somebody was killed between the two steps that end a download. */
static void sweep_partials(struct image_store *store)
{
    int fd = openat(store->root_fd, "partial", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;

    while (dir && (entry = readdir(dir)))
        if (is_digest_name(entry->d_name) && blob_came(store, entry->d_name))
            unlinkat(fd, entry->d_name, 0);
}

void client_sweep(struct image_store *store)
{
    _cleanup_close_ int lock = store_lock(store, "locks/fetch", true, true, NULL);
    int fd = openat(store->root_fd, "fetch", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;

    while (lock >= 0 && dir && (entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        _cleanup_close_ int one =
                openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (one < 0 || flock(one, LOCK_EX | LOCK_NB) < 0)
            continue; /* its process lives */
        char path[300];
        snprintf(path, sizeof(path), "fetch/%s", entry->d_name);
        save_partials(store, one, path, true);
    }
    sweep_partials(store);
}

static int add_endpoint(struct client *client, const struct registry_endpoint *endpoint, bool push,
        struct arena *arena, struct error *err)
{
    const struct image_options *options = &client->store->options;
    const struct image_access *access = client->access;
    struct auth auth = {access->user, access->password, NULL};
    struct certs certs;
    int r = 0;

    /* a password that was given is for the registry itself, never for its mirrors */
    if (!access->user || endpoint->mirror)
        r = auth_find(options->auth_file, endpoint->host, endpoint->path, arena, &auth, err);
    if (r == 0)
        r = certs_load(options->certs_dir, endpoint->host, arena, &certs, err);
    if (r < 0)
        return r;
    struct wire_message message = {.kind = WIRE_ENDPOINT,
            .host = endpoint->host,
            .path = endpoint->path,
            .user = auth.user,
            .password = auth.password,
            .token = auth.token,
            .authority = certs.authority,
            .certificate = certs.certificate,
            .key = certs.key,
            .insecure = access->tls == IMAGE_TLS_CONFIGURED ? endpoint->insecure
                                                            : access->tls == IMAGE_TLS_UNVERIFIED,
            .mirror = endpoint->mirror,
            .push = push};
    return wire_send(client->socket, &message, -1, err);
}

int client_endpoints(struct client *client, const struct registry_endpoint *endpoints, size_t count,
        bool push, struct arena *arena, struct error *err)
{
    int r = 0;

    for (size_t i = 0; i < count && r == 0; i++)
        r = add_endpoint(client, &endpoints[i], push, arena, err);
    return r;
}

int client_ask(struct client *client, struct wire_message *message, int fd, struct error *err)
{
    message->id = client->next_id++;
    return wire_send(client->socket, message, fd, err);
}

/* It closed the socket: its exit status says why. */
static int gone(struct client *client, struct error *err)
{
    int status = 0;

    while (waitpid(client->pid, &status, 0) < 0 && errno == EINTR)
        ;
    client->pid = -1;
    if (WIFSIGNALED(status))
        return error_set(err, EPIPE, "%s was ended by signal %d", PROGRAM, WTERMSIG(status));
    return error_set(err, EPIPE, "%s could not be started or gave up (status %d)", PROGRAM,
            WEXITSTATUS(status));
}

int client_next(
        struct client *client, struct arena *arena, struct wire_message *ret, struct error *err)
{
    for (;;) {
        int fd = -1;
        int r = wire_receive(client->socket, arena, ret, &fd, err);
        if (fd >= 0)
            close(fd);
        if (r <= 0)
            return r < 0 ? r : gone(client, err);
        if (ret->kind != WIRE_NOTE)
            return 0;
        struct image_event event = {.state = IMAGE_NOTE, .text = ret->text};
        if (client->access->event)
            client->access->event(&event, client->access->data);
    }
}

int client_ask_and_wait(struct client *client, struct wire_message *message, int fd,
        struct arena *arena, struct wire_message *ret, struct error *err)
{
    int r = client_ask(client, message, fd, err);

    while (r == 0) {
        r = client_next(client, arena, ret, err);
        if (r == 0 && ret->kind == WIRE_FAILED)
            return error_set(err, ret->errnum ? (int)ret->errnum : EIO, "%s", ret->text);
        if (r == 0 && ret->kind == WIRE_DONE && ret->id == message->id)
            return 0;
    }
    return r;
}

int client_get_text(struct client *client, enum wire_kind kind, const char *reference,
        struct arena *arena, struct buf *text, struct wire_message *ret, struct error *err)
{
    struct wire_message request = {.kind = kind, .reference = reference, .name = "answer"};
    const char *path;

    int r = client_ask_and_wait(client, &request, -1, arena, ret, err);
    if (r < 0)
        return r;
    _cleanup_close_ int fd = client_take_file(client, request.name, &path, err);
    if (fd < 0)
        return fd;
    text->max = MANIFEST_SIZE_MAX + 1;
    r = io_read_fd(fd, text);
    unlinkat(client->store->root_fd, path, 0);
    return r < 0 ? error_sys(err, -r, "read the registry's answer") : 0;
}

void client_claim_partial(struct client *client, const char *digest)
{
    const char *hex = strchr(digest, ':') + 1;
    char from[BLOB_PATH_SIZE];

    blob_partial_path(digest, from);
    if (renameat(client->store->root_fd, from, client->folder_fd, hex) == 0 && geteuid() == 0 &&
            fchownat(client->folder_fd, hex, NOBODY, NOBODY, AT_SYMLINK_NOFOLLOW) < 0)
        unlinkat(client->folder_fd, hex, 0); /* then it comes again from the start */
}

/* A lease on reading is only given while nobody has the file open for writing (fcntl(2)). */
static bool nobody_writes(int fd)
{
    if (fcntl(fd, F_SETLEASE, F_RDLCK) < 0)
        return false;
    fcntl(fd, F_SETLEASE, F_UNLCK);
    return true;
}

/* Where leases are not to be had, a copy of our own is as good. */
static int copy_file(struct image_store *store, int *fd, const char **path, struct error *err)
{
    _cleanup_free_ char *chunk = malloc(65536);
    const char *copy_path;
    ssize_t got;
    int r = chunk ? 0 : -ENOMEM;

    _cleanup_close_ int copy = store_make_file(store, &copy_path, err);
    if (copy < 0)
        return copy;
    while (r == 0 && (got = read(*fd, chunk, 65536)) != 0)
        r = got < 0 ? -errno : io_write_all(copy, chunk, (size_t)got);
    unlinkat(store->root_fd, r < 0 ? copy_path : *path, 0);
    if (r < 0)
        return store_advise(store, error_sys(err, -r, "copy a download"), err);
    lseek(copy, 0, SEEK_SET);
    close(*fd);
    *fd = take_fd(&copy);
    *path = copy_path;
    return 0;
}

int client_take_file(
        struct client *client, const char *name, const char **ret_path, struct error *err)
{
    struct image_store *store = client->store;
    const char *path = arena_printf(&store->arena, "%s/%s", client->taken, name);
    struct stat st;

    if (renameat(client->folder_fd, name, client->taken_fd, name) < 0)
        return error_sys(err, errno, "take the download %s", name);
    _cleanup_close_ int fd =
            openat(store->root_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    int r = 0;
    if (fd < 0 || fstat(fd, &st) < 0)
        r = error_sys(err, errno, "open the download %s", name);
    else if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
        r = error_set(err, EBADMSG, "%s left something that is not a file of its own", PROGRAM);
    else if (fchown(fd, geteuid(), getegid()) < 0 || fchmod(fd, 0600) < 0)
        r = error_sys(err, errno, "take over the download %s", name);
    if (r == 0 && !nobody_writes(fd))
        r = copy_file(store, &fd, &path, err);
    if (r < 0) {
        unlinkat(store->root_fd, path, 0);
        return r;
    }
    *ret_path = path;
    return take_fd(&fd);
}
