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

/* A range whose sandbox is gone without having given it back: neither is there a sandbox of that
 * name, nor does the process live that is about to make it. */
static bool is_stale(const struct store *store, const char *number)
{
    char owner[256];
    struct stat found;

    return store_read_mark(store, FOLDER, number, owner, sizeof(owner)) == 0 &&
           store_check_id(owner, NULL) == 0 &&
           fstatat(store->fd, owner, &found, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT;
}

static void drop(const struct store *store, const char *number)
{
    char path[64];

    snprintf(path, sizeof(path), FOLDER "/%.32s", number);
    unlinkat(store->fd, path, 0);
}

static int try_slot(const struct store *store, const char *id, uint32_t slot)
{
    char number[16];

    snprintf(number, sizeof(number), "%u", slot);
    int r = store_mark(store, FOLDER, number, id);
    if (r != -EEXIST || !is_stale(store, number))
        return r;
    drop(store, number);
    return store_mark(store, FOLDER, number, id);
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

void idrange_release(const struct store *store, const char *id, uint32_t first)
{
    char number[16];
    char owner[256];

    if (first < FIRST)
        return;
    snprintf(number, sizeof(number), "%u", (first - FIRST) / IDRANGE_SIZE);
    if (store_read_mark(store, FOLDER, number, owner, sizeof(owner)) >= 0 && str_equal(owner, id))
        drop(store, number);
}

void idrange_rename(const struct store *store, const char *new_id, uint32_t first)
{
    char number[16];
    char fresh[32];
    char from[64];
    char to[64];

    snprintf(number, sizeof(number), "%u", (first - FIRST) / IDRANGE_SIZE);
    snprintf(fresh, sizeof(fresh), ".%s.%d", number, getpid());
    if (store_mark(store, FOLDER, fresh, new_id) < 0)
        return;
    snprintf(from, sizeof(from), FOLDER "/%s", fresh);
    snprintf(to, sizeof(to), FOLDER "/%s", number);
    if (renameat(store->fd, from, store->fd, to) < 0)
        unlinkat(store->fd, from, 0);
}

void idrange_sweep(const struct store *store)
{
    _cleanup_arena_ struct arena arena = {0};
    struct strv numbers = {0};
    const char *number;

    store_list_folder(store, FOLDER, &arena, &numbers);
    strv_foreach (number, &numbers) {
        if (is_stale(store, number))
            drop(store, number);
    }
}
