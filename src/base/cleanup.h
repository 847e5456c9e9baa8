/*
 * Scope cleanup: a variable declared with one of these attributes gives up what it owns when it
 * goes out of scope. To hand the thing on, take it: `*ret_fd = take_fd(&fd);`.
 *
 * Anybody may use this.
 */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_close(int *fd)
{
    int saved = errno;
    if (*fd >= 0)
        close(*fd); /* never retried: Linux has released the number even on EINTR */
    *fd = -1;
    errno = saved;
}

static inline void cleanup_free(void *pointer)
{
    free(*(void **)pointer);
}

static inline void cleanup_fclose(FILE **file)
{
    if (*file)
        fclose(*file);
}

static inline void cleanup_closedir(DIR **dir)
{
    if (*dir)
        closedir(*dir);
}

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _cleanup_close_ _cleanup_(cleanup_close)
#define _cleanup_free_ _cleanup_(cleanup_free)
#define _cleanup_fclose_ _cleanup_(cleanup_fclose)
#define _cleanup_closedir_ _cleanup_(cleanup_closedir)

/* Returns the descriptor and leaves -1 behind, so that the cleanup does nothing. */
static inline int take_fd(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

/* Returns the pointer and leaves NULL behind, so that the cleanup does nothing. */
#define take_ptr(pointer)                                                                          \
    ({                                                                                             \
        __typeof__(pointer) *taken_from_ = &(pointer);                                             \
        __typeof__(pointer) taken_ = *taken_from_;                                                 \
        *taken_from_ = NULL;                                                                       \
        taken_;                                                                                    \
    })

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
