#include "engine/idrange.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"

#define FOLDER ".ids"
#define FIRST 524288U
#define SLOTS ((1878982656U - FIRST) / IDRANGE_SIZE)

/* FNV-1a: spreads names, so that two sandboxes seldom look at the same range first. */
static uint32_t hash_name(const char *name)
{
    uint32_t hash = 2166136261U;

    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 16777619U;
    return hash;
}

/* A range whose sandbox is gone without having given it back (a monitor was killed). */
static bool is_stale(const struct store *store, const char *path)
{
    char owner[256];
    struct stat found;

    ssize_t length = io_read_small_at(store->fd, path, owner, sizeof(owner));
    return length > 0 && store_check_id(owner, NULL) == 0 &&
           fstatat(store->fd, owner, &found, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT;
}

static int try_slot(const struct store *store, const char *id, uint32_t slot)
{
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    char path[64];

    snprintf(path, sizeof(path), FOLDER "/%u", slot);
    _cleanup_close_ int fd = openat(store->fd, path, flags, 0600);
    if (fd < 0 && errno == ENOENT && (mkdirat(store->fd, FOLDER, 0700) == 0 || errno == EEXIST))
        fd = openat(store->fd, path, flags, 0600);
    if (fd < 0 && errno == EEXIST && is_stale(store, path) && unlinkat(store->fd, path, 0) == 0)
        fd = openat(store->fd, path, flags, 0600);
    return fd < 0 ? -errno : io_write_all(fd, id, strlen(id));
}

int idrange_take(const struct store *store, const char *id, uint32_t *ret_first, struct error *err)
{
    uint32_t start = hash_name(id) % SLOTS;

    for (uint32_t i = 0; i < SLOTS; i++) {
        uint32_t slot = (start + i) % SLOTS;
        int r = try_slot(store, id, slot);
        if (r == 0) {
            *ret_first = FIRST + slot * IDRANGE_SIZE;
            return 0;
        }
        if (r != -EEXIST)
            return error_sys(err, -r, "take a range of user ids in %s/" FOLDER, store->root);
    }
    return error_set(err, ENOSPC,
            "all %u ranges of user ids are in use; remove sandboxes, or run with --userns host",
            SLOTS);
}

uint32_t idrange_guess(const char *id)
{
    return FIRST + hash_name(id) % SLOTS * IDRANGE_SIZE;
}

void idrange_release(const struct store *store, uint32_t first)
{
    char path[64];

    if (first < FIRST)
        return;
    snprintf(path, sizeof(path), FOLDER "/%u", (first - FIRST) / IDRANGE_SIZE);
    unlinkat(store->fd, path, 0);
}
