#include "base/loop.h"

#include <stdbool.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/hold.h"

#define EVENTS_AT_ONCE 16

enum source_kind { SOURCE_FD, SOURCE_TIMER, SOURCE_SIGNAL };

struct loop_source {
    struct loop *loop;
    struct loop_source *next;
    enum source_kind kind;
    int fd;
    bool dead; /* removed while events may still point here: freed after the round */
    union {
        loop_io_fn io;
        loop_timer_fn timer;
        loop_signal_fn signal;
    } fn;
    void *data;
};

struct loop {
    int epoll_fd;
    struct loop_source *sources;
    bool quit;
    bool has_dead;
    int value;
};

int loop_new(struct loop **ret, struct error *err)
{
    struct loop *loop = calloc(1, sizeof(*loop));

    if (!loop)
        return error_set(err, ENOMEM, "out of memory");
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0) {
        int r = error_sys(err, errno, "epoll_create1");
        free(loop);
        return r;
    }
    *ret = loop;
    return 0;
}

static void source_free(struct loop_source *source)
{
    if (source->kind != SOURCE_FD)
        close(source->fd);
    free(source);
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    while (loop->sources) {
        struct loop_source *next = loop->sources->next;
        source_free(loop->sources);
        loop->sources = next;
    }
    close(loop->epoll_fd);
    free(loop);
}

static int source_add(
        struct loop *loop, enum source_kind kind, int fd, uint32_t events, struct loop_source **ret)
{
    struct loop_source *source = calloc(1, sizeof(*source));

    if (!source)
        return -ENOMEM;
    struct epoll_event event = {.events = events, .data.ptr = source};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        int r = -errno;
        free(source);
        return r;
    }
    source->loop = loop;
    source->kind = kind;
    source->fd = fd;
    source->next = loop->sources;
    loop->sources = source;
    *ret = source;
    return 0;
}

int loop_add_fd(struct loop *loop, int fd, uint32_t events, loop_io_fn fn, void *data,
        struct loop_source **ret)
{
    struct loop_source *source;
    int r = source_add(loop, SOURCE_FD, fd, events, &source);

    if (r < 0)
        return r;
    source->fn.io = fn;
    source->data = data;
    if (ret)
        *ret = source;
    return 0;
}

int loop_change_fd(struct loop_source *source, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = source};

    return epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &event) < 0 ? -errno : 0;
}

int loop_add_timer(struct loop *loop, uint64_t after_us, loop_timer_fn fn, void *data,
        struct loop_source **ret)
{
    struct loop_source *source;
    struct itimerspec when = {
            .it_value = {(time_t)(after_us / 1000000), (long)(after_us % 1000000) * 1000}};
    _cleanup_close_ int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

    if (fd < 0)
        return -errno;
    if (after_us == 0)
        when.it_value.tv_nsec = 1; /* zero would disarm it */
    if (timerfd_settime(fd, 0, &when, NULL) < 0)
        return -errno;
    int r = source_add(loop, SOURCE_TIMER, fd, EPOLLIN, &source);
    if (r < 0)
        return r;
    take_fd(&fd);
    source->fn.timer = fn;
    source->data = data;
    if (ret)
        *ret = source;
    return 0;
}

int loop_add_signals(struct loop *loop, const sigset_t *set, loop_signal_fn fn, void *data,
        struct loop_source **ret)
{
    struct loop_source *source;
    _cleanup_close_ int fd = signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);

    if (fd < 0 || sigprocmask(SIG_BLOCK, set, NULL) < 0)
        return -errno;
    int r = source_add(loop, SOURCE_SIGNAL, fd, EPOLLIN, &source);
    if (r < 0)
        return r;
    take_fd(&fd);
    source->fn.signal = fn;
    source->data = data;
    if (ret)
        *ret = source;
    hold_end();
    return 0;
}

void loop_remove(struct loop_source *source)
{
    if (!source || source->dead)
        return;
    epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
    source->dead = true;
    source->loop->has_dead = true;
}

static void free_dead(struct loop *loop)
{
    struct loop_source **at = &loop->sources;

    while (*at) {
        struct loop_source *source = *at;
        if (source->dead) {
            *at = source->next;
            source_free(source);
        } else {
            at = &source->next;
        }
    }
    loop->has_dead = false;
}

static void dispatch_signals(struct loop_source *source)
{
    struct signalfd_siginfo info;

    while (!source->dead && read(source->fd, &info, sizeof(info)) == sizeof(info))
        source->fn.signal(source->loop, &info, source->data);
}

static void dispatch(struct loop_source *source, uint32_t events)
{
    switch (source->kind) {
    case SOURCE_FD:
        source->fn.io(source->loop, source->fd, events, source->data);
        break;
    case SOURCE_TIMER:
        source->fn.timer(source->loop, source->data);
        loop_remove(source);
        break;
    case SOURCE_SIGNAL:
        dispatch_signals(source);
        break;
    }
}

int loop_run(struct loop *loop)
{
    struct epoll_event events[EVENTS_AT_ONCE];

    loop->quit = false;
    while (!loop->quit) {
        int count = epoll_wait(loop->epoll_fd, events, EVENTS_AT_ONCE, -1);
        if (count < 0 && errno != EINTR)
            return -errno;
        for (int i = 0; i < count && !loop->quit; i++) {
            struct loop_source *source = events[i].data.ptr;
            if (!source->dead)
                dispatch(source, events[i].events);
        }
        if (loop->has_dead)
            free_dead(loop);
    }
    return loop->value;
}

void loop_quit(struct loop *loop, int value)
{
    loop->quit = true;
    loop->value = value;
}
