/*
 * Maps of user and group ids between a user namespace and its parent: which may be asked for, where
 * an ordinary user's ranges come from (/etc/subuid), and which range is still free.
 * user_namespaces(7), subuid(5), newuidmap(1).
 */
#pragma once

#include "base/arena.h"
#include "sys/userns.h"

/*
 * Checks one list as the kernel will: 1 to 340 lines, none empty, no id above 4294967294, no
 * overlap on either side. `what` names it in the error: "/linux/uidMappings". -EINVAL.
 */
int idmap_check(const struct id_maps *maps, const char *what, struct error *err);

/* A range of ids of the parent namespace. */
struct id_range {
    uint32_t first;
    uint32_t count;
};
struct id_ranges {
    struct id_range *items;
    size_t count;
    size_t capacity;
};

/*
 * Reads the ranges that a user has in text of the form of subuid(5): lines "name:first:count", the
 * name may also be the number. Malformed lines are passed over, as newuidmap(1) does; at most 64
 * ranges are kept. `user` may be NULL when the uid has no name.
 */
void idmap_read_subids(struct arena *arena, const char *text, const char *user, uid_t uid,
        struct id_ranges *ranges);

/* The same from a file, "/etc/subuid"; a missing file gives no range and is no error. */
int idmap_load_subids(struct arena *arena, const char *path, const char *user, uid_t uid,
        struct id_ranges *ranges, struct error *err);

/*
 * The maps of an ordinary user: id 0 inside is the user's own id, from 1 on come the ranges, one
 * after the other. With no range there is the one id alone.
 */
void idmap_rootless(
        struct arena *arena, uint32_t own_id, const struct id_ranges *ranges, struct id_maps *ret);

/*
 * The lowest free range of `count` ids at or above `base`, aligned to `count` above it, that
 * touches none of `used`. For `--userns auto`. -ENOSPC when there is none below 4294967295.
 */
int idmap_find_free(uint32_t base, uint32_t count, const struct id_ranges *used,
        struct id_range *ret, struct error *err);
