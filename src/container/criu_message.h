/*
 * What is said to CRIU and what it answers, as bytes: requests and answers of the protocol that
 * libcriu speaks with `criu swrk` (criu.org/RPC, images/rpc.proto). The numbers are those of the
 * protocol. Nothing here does anything; criu.c holds the conversation.
 */
#pragma once

#include <sys/types.h>

#include "base/arena.h"
#include "base/error.h"
#include "container/protobuf.h"

/* criu_req_type. */
enum criu_kind { CRIU_DUMP = 1, CRIU_RESTORE = 2, CRIU_PRE_DUMP = 4, CRIU_NOTIFY = 6 };

/* criu_opts: the fields of a request's options. */
enum criu_option {
    CRIU_IMAGES_FD = 1,
    CRIU_PID = 2,
    CRIU_LEAVE_RUNNING = 3,
    CRIU_EXT_UNIX_SK = 4,
    CRIU_TCP_ESTABLISHED = 5,
    CRIU_SHELL_JOB = 7,
    CRIU_FILE_LOCKS = 8,
    CRIU_LOG_LEVEL = 9,
    CRIU_LOG_FILE = 10,
    CRIU_PAGE_SERVER = 11,
    CRIU_NOTIFY_SCRIPTS = 12,
    CRIU_ROOT = 13,
    CRIU_PARENT_IMAGES = 14,
    CRIU_TRACK_MEMORY = 15,
    CRIU_AUTO_DEDUP = 16,
    CRIU_WORK_FD = 17,
    CRIU_LINK_REMAP = 18,
    CRIU_CGROUP_ROOT = 25,
    CRIU_SIBLING = 26,
    CRIU_INHERIT_FD = 27,
    CRIU_MANAGE_CGROUPS = 34,
    CRIU_EXTERNAL = 37,
    CRIU_EMPTY_NS = 38,
    CRIU_JOIN_NS = 39,
    CRIU_TCP_SKIP_IN_FLIGHT = 46,
    CRIU_LAZY_PAGES = 48,
    CRIU_ORPHAN_TERMINAL = 50,
    CRIU_CONFIG_FILE = 51,
    CRIU_TCP_CLOSE = 52,
    CRIU_LSM_PROFILE = 53,
    CRIU_LSM_MOUNT_CONTEXT = 63,
    CRIU_NETWORK_LOCK = 64,
};

/* Options that are messages themselves. */
void criu_add_page_server(struct buf *options, const char *address, unsigned port);
void criu_add_inherited(struct buf *options, const char *key, int fd);
void criu_add_joined(struct buf *options, const char *kind, const char *path);
/* `controller` NULL: all that are not named. */
void criu_add_cgroup_root(struct buf *options, const char *controller, const char *path);

/* Whole requests; the second answers a notification. */
void criu_add_request(struct buf *into, enum criu_kind kind, const struct buf *options);
void criu_add_notified(struct buf *into, bool success);

/* criu_resp, and the criu_notify in it. */
struct criu_answer {
    unsigned kind;
    bool success;
    int code;            /* an errno; 0: not told */
    const char *message; /* CRIU's first error; "": not told */
    const char *script;  /* of a notification: what is about to happen */
    pid_t pid;           /* of the restored process, also in notifications; 0: not told */
};

/* Texts go to the arena. -EBADMSG for what is no answer. */
int criu_answer_parse(const char *data, size_t length, struct arena *arena, struct criu_answer *ret,
        struct error *err);
