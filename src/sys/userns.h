/*
 * User namespaces as the kernel sees them: lists of id ranges, and a namespace that exists only to
 * carry them (an idmapped mount wants one as a descriptor). Plain data that ns/ and rootfs/ share;
 * the rules about which maps may be asked for are in ns/idmap.h.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/record.h"

/* One line of /proc/PID/uid_map: user_namespaces(7). */
struct id_map {
    uint32_t inside;  /* first id in the namespace */
    uint32_t outside; /* the id that it is in the parent namespace */
    uint32_t count;
};

/* The kernel takes at most 340 lines (UID_GID_MAP_MAX_EXTENTS). */
#define ID_MAPS_MAX 340

struct id_maps {
    struct id_map *items;
    size_t count;
};

/* Its members: "containerID", "hostID", "size", as the OCI configuration spells them. */
extern const struct record id_map_record;

/* Appends the text that /proc/PID/uid_map takes, "0 100000 65536\n" for each line. */
void id_maps_text(const struct id_maps *maps, struct buf *text);

/* The outside id for an inside id, or the other way round; false when it is not mapped. */
bool id_maps_outside(const struct id_maps *maps, uint32_t inside, uint32_t *ret_outside);
bool id_maps_inside(const struct id_maps *maps, uint32_t outside, uint32_t *ret_inside);

/*
 * A new user namespace with these maps, as a close-on-exec descriptor: a process is made in it,
 * held until its maps are written, and ended. Needs CAP_SETUID and CAP_SETGID over the ids. Calls:
 * pipe2, clone3, openat and write of uid_map and gid_map, openat of ns/user, waitid.
 */
int sys_userns_new(const struct id_maps *uids, const struct id_maps *gids, struct error *err);

/* Whether this process is in another user namespace than the host's first one, where root is no
 * root of the host: the map of ids says so. False when that cannot be read. */
bool sys_in_user_namespace(void);

/* Our effective user as the parent user namespace knows it; the same as geteuid(2) outside of one.
 */
uid_t sys_uid_outside(void);
