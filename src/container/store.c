#include "container/store.h"

#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "sys/process.h"
#include "sys/userns.h"

#define MARKS ".making"
#define ID_MAX 255

/* An engine of an ordinary user (rootless Podman) calls as root of a user namespace, with the
 * user's environment. Someone who became root there by su or in a container has USER=root, as runc
 * has it. */
bool store_for_a_user(void)
{
    const char *user = getenv("USER");

    if (geteuid() != 0)
        return true;
    return !str_empty(getenv("XDG_RUNTIME_DIR")) && sys_in_user_namespace() &&
           (!user || !str_equal(user, "root"));
}

const char *store_default_root(struct arena *arena, const char *program)
{
    const char *runtime_dir = getenv("XDG_RUNTIME_DIR");

    if (!store_for_a_user())
        return arena_printf(arena, "/run/%s", program);
    if (!str_empty(runtime_dir))
        return arena_printf(arena, "%s/%s", runtime_dir, program);
    return arena_printf(arena, "/tmp/%s-%u", program, geteuid());
}

/* A store in a place where others may write must be our own, or they could feed us a state. */
static int check_owner(const struct store *store, struct error *err)
{
    struct stat found;

    if (fstat(store->fd, &found) < 0)
        return error_sys(err, errno, "look at %s", store->root);
    if (found.st_uid != geteuid() && found.st_uid != 0)
        return error_set(err, EPERM,
                "%s belongs to user %u, not to this one (%u): refused, since its owner could plant "
                "a sandbox in it; choose another folder with --root",
                store->root, found.st_uid, geteuid());
    return 0;
}

int store_open(struct arena *arena, const char *root, struct store *ret, struct error *err)
{
    struct store store = {.fd = -1, .root = arena_strdup(arena, root)};
    int r = io_make_dirs_at(AT_FDCWD, root, 0711);

    if (r < 0)
        return error_sys(err, -r, "make the folder of sandboxes %s", root);
    store.fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store.fd < 0)
        return error_sys(err, errno, "open the folder of sandboxes %s", root);
    r = check_owner(&store, err);
    if (r < 0) {
        store_close(&store);
        return r;
    }
    *ret = store;
    return 0;
}

void store_close(struct store *store)
{
    if (store->root)
        cleanup_close(&store->fd);
}

int store_check_id(const char *id, struct error *err)
{
    size_t length = strlen(id);

    if (length == 0)
        return error_set(err, EINVAL, "invalid container ID: it is empty");
    if (length > ID_MAX)
        return error_set(err, EINVAL, "invalid container ID: longer than %d characters", ID_MAX);
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)id[i]) && !strchr("_+-.", id[i]))
            return error_set(err, EINVAL,
                    "invalid container ID \"%s\": only letters, digits and _ + - . are allowed",
                    id);
    if (id[0] == '.')
        return error_set(
                err, EINVAL, "invalid container ID \"%s\": it may not start with a dot", id);
    return 0;
}

int store_mark(const struct store *store, const char *folder, const char *name, const char *text)
{
    char path[ID_MAX + 16];
    char full[ID_MAX + 64];
    uint64_t start = 0;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    sys_process_start_time(getpid(), &start);
    snprintf(full, sizeof(full), "%d %" PRIu64 " %s", getpid(), start, text);
    if (symlinkat(full, store->fd, path) == 0)
        return 0;
    if (errno == ENOENT && (mkdirat(store->fd, folder, 0700) == 0 || errno == EEXIST) &&
            symlinkat(full, store->fd, path) == 0)
        return 0;
    return -errno;
}

int store_read_mark(
        const struct store *store, const char *folder, const char *name, char *text, size_t size)
{
    char path[ID_MAX + 16];
    char full[ID_MAX + 64];
    pid_t pid = 0;
    uint64_t start = 0;
    uint64_t now = 0;
    int used = 0;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    ssize_t length = readlinkat(store->fd, path, full, sizeof(full) - 1);
    if (length < 0)
        return -errno;
    full[length] = '\0';
    if (sscanf(full, "%d %" SCNu64 " %n", &pid, &start, &used) != 2)
        return -EINVAL;
    snprintf(text, size, "%s", full + used);
    return sys_process_start_time(pid, &now) == 0 && now == start;
}

void store_settle(const struct store *store, const char *id)
{
    char name[ID_MAX + 16];

    snprintf(name, sizeof(name), MARKS "/%s", id);
    unlinkat(store->fd, name, 0);
}

static const char *room_hint(int r)
{
    return r == -ENOSPC || r == -EDQUOT
                   ? "make room there, or keep sandboxes elsewhere with --root DIR"
                   : NULL;
}

int store_maker_text(const struct store *store, const char *id, char *text, size_t size)
{
    int r = store_read_mark(store, MARKS, id, text, size);

    return r < 0 ? r : 0;
}

int store_reserve(const struct store *store, const char *id, int *ret_fd, struct error *err)
{
    return store_reserve_as(store, id, "", ret_fd, err);
}

int store_reserve_as(
        const struct store *store, const char *id, const char *text, int *ret_fd, struct error *err)
{
    int r = store_check_id(id, err);

    if (r < 0)
        return r;
    r = store_mark(store, MARKS, id, text);
    if (r == -EEXIST)
        return error_set(err, EEXIST, "container with given ID already exists: \"%s\"", id);
    if (r < 0)
        return error_sys_hint(err, -r, room_hint(r), "write into %s", store->root);
    if (mkdirat(store->fd, id, 0711) < 0) {
        r = errno == EEXIST
                    ? error_set(err, EEXIST, "container with given ID already exists: \"%s\"", id)
                    : error_sys_hint(err, errno, room_hint(-errno), "make %s/%s", store->root, id);
        store_settle(store, id);
        return r;
    }
    return store_entry(store, id, ret_fd, err);
}

int store_entry(const struct store *store, const char *id, int *ret_fd, struct error *err)
{
    int r = store_check_id(id, err);

    if (r < 0)
        return r;
    int fd = openat(store->fd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return error_set(err, ENOENT, "container \"%s\" does not exist", id);
    if (fd < 0)
        return error_sys(err, errno, "open %s/%s", store->root, id);
    *ret_fd = fd;
    return 0;
}

int store_remove(const struct store *store, const char *id, struct error *err)
{
    int r = store_check_id(id, err);

    if (r < 0)
        return r;
    r = io_remove_tree_at(store->fd, id);
    if (r < 0)
        return error_sys(err, -r, "remove %s/%s", store->root, id);
    store_settle(store, id);
    return 0;
}

static int compare_words(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int store_list_folder(
        const struct store *store, const char *path, struct arena *arena, struct strv *ret)
{
    int fd = openat(store->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct dirent *entry;

    if (fd < 0)
        return -errno;
    _cleanup_closedir_ DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return -ENOMEM;
    }
    while ((entry = readdir(dir)))
        if (store_check_id(entry->d_name, NULL) == 0)
            strv_add(arena, ret, entry->d_name);
    if (ret->count)
        qsort(ret->words, ret->count, sizeof(char *), compare_words);
    return 0;
}

int store_list(const struct store *store, struct arena *arena, struct strv *ret, struct error *err)
{
    int r = store_list_folder(store, ".", arena, ret);

    return r < 0 ? error_sys(err, -r, "list %s", store->root) : 0;
}

/* 1, 0; -ENOENT: the sandbox is finished, or gone. */
static int maker(const struct store *store, const char *id)
{
    char text[1];

    return store_read_mark(store, MARKS, id, text, sizeof(text));
}

bool store_maker_lives(const struct store *store, const char *id)
{
    return maker(store, id) > 0;
}

int store_list_abandoned(const struct store *store, struct arena *arena, struct strv *ret)
{
    struct strv marks = {0};
    const char *id;
    int r = store_list_folder(store, MARKS, arena, &marks);

    if (r < 0)
        return r == -ENOENT ? 0 : r;
    strv_foreach (id, &marks) {
        r = maker(store, id);
        if (r <= 0 && r != -ENOENT) /* settled meanwhile */
            strv_add(arena, ret, id);
    }
    return 0;
}
