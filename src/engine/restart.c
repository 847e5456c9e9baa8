#include "engine/restart.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"

#define FIRST_WAIT_MS 100
#define LONGEST_WAIT_MS 60000
#define GOOD_LIFE_MS 10000

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void restart_pace_born(struct restart_pace *pace)
{
    pace->born_ms = now_ms();
}

uint64_t restart_pace_next(struct restart_pace *pace)
{
    bool afresh = pace->wait_ms == 0 || now_ms() - pace->born_ms >= GOOD_LIFE_MS;

    pace->wait_ms = afresh ? FIRST_WAIT_MS : pace->wait_ms * 2;
    if (pace->wait_ms > LONGEST_WAIT_MS)
        pace->wait_ms = LONGEST_WAIT_MS;
    return pace->wait_ms;
}

static bool has_policy(const struct sandbox_meta *meta)
{
    return meta->restart && !str_equal(meta->restart, "no");
}

bool restart_possible(const struct sandbox_meta *meta)
{
    return has_policy(meta) || str_equal(meta->health.on_failure, "restart");
}

bool restart_wanted(const struct sandbox_meta *meta, const struct sandbox_life *life)
{
    if (!has_policy(meta))
        return false;
    if (!str_equal(meta->restart, "on-failure"))
        return true;
    return life->code != 0 && (meta->restart_max == 0 || life->restarts < meta->restart_max);
}

bool restart_at_boot(const struct sandbox_meta *meta, int record_fd)
{
    return str_equal(meta->restart, "always") ||
           (str_equal(meta->restart, "unless-stopped") && !restart_is_stopped(record_fd));
}

static void note(int record_fd, const char *name)
{
    int fd = openat(record_fd, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    cleanup_close(&fd);
}

static bool is_noted(int record_fd, const char *name)
{
    return faccessat(record_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

void restart_stop(int record_fd)
{
    note(record_fd, RESTART_STOPPED);
}

bool restart_is_stopped(int record_fd)
{
    return is_noted(record_fd, RESTART_STOPPED);
}

void restart_ask(int record_fd)
{
    note(record_fd, RESTART_ASKED);
}

bool restart_is_asked(int record_fd)
{
    return is_noted(record_fd, RESTART_ASKED);
}

void restart_forget_ask(int record_fd)
{
    unlinkat(record_fd, RESTART_ASKED, 0);
}

void restart_forget(int record_fd)
{
    unlinkat(record_fd, RESTART_STOPPED, 0);
    restart_forget_ask(record_fd);
}

bool restart_wait(int record_fd, uint64_t wait_ms)
{
    uint64_t end = now_ms() + wait_ms;
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    while (!restart_is_stopped(record_fd)) {
        uint64_t now = now_ms();
        if (now >= end)
            return true;
        struct timespec rest = {(time_t)((end - now) / 1000), (long)((end - now) % 1000) * 1000000};
        sigtimedwait(&set, NULL, &rest);
    }
    return false;
}
