/*
 * Paths inside the root: opened with openat2(2) and RESOLVE_IN_ROOT, so that neither ".." nor a
 * link, however often it is exchanged meanwhile, leads outside; and made where they are missing.
 * What comes back is an O_PATH descriptor, and work goes on with it, never with the path again.
 */
#pragma once

#include <linux/openat2.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "plan/step.h"

enum inroot_make {
    INROOT_MUST_EXIST,
    INROOT_DIRECTORY, /* made, with its parents, when missing */
    INROOT_FILE       /* made empty, with its parents, when missing */
};

enum inroot_follow {
    INROOT_FOLLOW,     /* links are followed, inside the root */
    INROOT_NO_LAST,    /* the last part is not followed: the link itself */
    INROOT_NO_SYMLINKS /* a link anywhere on the way is an error (ELOOP) */
};

/* An O_PATH descriptor, or negative with the error filled. -ENOENT of INROOT_MUST_EXIST fills
 * nothing when err is NULL. */
int inroot_open(int root_fd, const char *path, enum inroot_make make, enum inroot_follow follow,
        struct error *err);

/* The directory that the path's last part lies in, made when missing; `*ret_name` points into
 * path. */
int inroot_open_parent(int root_fd, const char *path, const char **ret_name, struct error *err);

/* As inroot_open, for what the caller has just found missing. */
int inroot_make(int root_fd, const char *path, enum inroot_make make, enum inroot_follow follow,
        struct error *err);

/* The openat2 call of inroot_open on what exists, for a description. */
void inroot_call(struct step_text *text, const char *path, enum inroot_follow follow);

/* The calls of inroot_open when so many parts at the end of the path are missing. */
void inroot_make_calls(struct step_text *text, const char *path, enum inroot_make make,
        enum inroot_follow follow, size_t missing);
