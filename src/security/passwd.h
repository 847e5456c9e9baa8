/*
 * Users and groups by the root file system's own /etc/passwd and /etc/group, which whoever made
 * the image controls: they are opened below the root only (RESOLVE_IN_ROOT), must be regular files,
 * and every length is capped.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/record.h"

#define PASSWD_FILE_MAX ((size_t)4 << 20) /* bytes of either file */
#define PASSWD_GROUPS_MAX 1024            /* supplementary groups of one user */

struct passwd_user {
    uid_t uid;
    gid_t gid;
    RECORD_LIST(uint32_t) additional_gids;
    const char *name; /* NULL: the user has no entry */
    const char *home; /* "/" if the user has no entry */
};

/*
 * Looks up "", "name", "uid", "name:group", "uid:gid" and mixtures, as `--user` takes them. A word
 * of digits is always a number, never a name (an entry called "1000" with uid 0 gives nobody
 * uid 0); a number without an entry is fine and has group 0. Without a group, the user's own
 * group and those that list the user are taken. "" is uid 0.
 *
 * `root_fd` is a directory descriptor of the root. Strings live in the arena.
 * -EINVAL: not a user ("-1", "4294967295", "0x0", ":0", "0:"); -ENOENT: no such entry.
 */
int passwd_lookup(int root_fd, const char *spec, struct arena *arena, struct passwd_user *ret,
        struct error *err);

/* The same where the two files are open already; -1: there is none. */
int passwd_lookup_files(int passwd_fd, int group_fd, const char *spec, struct arena *arena,
        struct passwd_user *ret, struct error *err);

/* The home directory of a uid, "/" if there is none. Never fails: HOME is a convenience. */
const char *passwd_home(int root_fd, uid_t uid, struct arena *arena);

/* The parser alone, for fuzzing: `text` is a whole passwd or group file. */
int passwd_parse(const char *passwd, const char *group, const char *spec, struct arena *arena,
        struct passwd_user *ret, struct error *err);
