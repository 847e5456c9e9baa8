#include "sys/userns.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "sys/proc.h"
#include "sys/process.h"

static const struct field id_map_fields[] = {
        {"containerID", FIELD_U32, true, offsetof(struct id_map, inside), NULL},
        {"hostID", FIELD_U32, true, offsetof(struct id_map, outside), NULL},
        {"size", FIELD_U32, true, offsetof(struct id_map, count), NULL},
};
const struct record id_map_record = RECORD(struct id_map, id_map_fields);

void id_maps_text(const struct id_maps *maps, struct buf *text)
{
    for (size_t i = 0; i < maps->count; i++)
        buf_printf(text, "%u %u %u\n", maps->items[i].inside, maps->items[i].outside,
                maps->items[i].count);
}

bool id_maps_outside(const struct id_maps *maps, uint32_t inside, uint32_t *ret_outside)
{
    for (size_t i = 0; i < maps->count; i++) {
        const struct id_map *map = &maps->items[i];
        if (inside < map->inside || inside - map->inside >= map->count)
            continue;
        *ret_outside = map->outside + (inside - map->inside);
        return true;
    }
    return false;
}

bool id_maps_inside(const struct id_maps *maps, uint32_t outside, uint32_t *ret_inside)
{
    for (size_t i = 0; i < maps->count; i++) {
        const struct id_map *map = &maps->items[i];
        if (outside < map->outside || outside - map->outside >= map->count)
            continue;
        *ret_inside = map->inside + (outside - map->outside);
        return true;
    }
    return false;
}

/* Holds the namespace until the other end of the pipe is closed, by whatever ends our process. */
static void __attribute__((noreturn)) hold_namespace(const int pipe_fds[2])
{
    char byte;

    close(pipe_fds[1]);
    while (read(pipe_fds[0], &byte, 1) < 0 && errno == EINTR)
        ;
    _exit(0);
}

static int write_maps(
        int proc, pid_t pid, const char *file, const struct id_maps *maps, struct error *err)
{
    _cleanup_buf_ struct buf text = {0};
    char path[64];

    snprintf(path, sizeof(path), "%d/%s", pid, file);
    id_maps_text(maps, &text);
    int r = sys_proc_write(proc, path, buf_text(&text));
    if (r < 0)
        return error_sys(err, -r, "write %s of a user namespace for an idmapped mount", file);
    return 0;
}

static int open_mapped(
        pid_t pid, const struct id_maps *uids, const struct id_maps *gids, struct error *err)
{
    char name[16];
    _cleanup_close_ int proc = sys_proc_open_shared(err);

    if (proc < 0)
        return proc;
    int r = write_maps(proc, pid, "uid_map", uids, err);
    if (r == 0)
        r = write_maps(proc, pid, "gid_map", gids, err);
    if (r < 0)
        return r;
    snprintf(name, sizeof(name), "%d", pid);
    int fd = sys_proc_open_ns(proc, name, "user");
    return fd < 0 ? error_sys(err, -fd, "open the user namespace of process %d", pid) : fd;
}

int sys_userns_new(const struct id_maps *uids, const struct id_maps *gids, struct error *err)
{
    struct clone_args args = {.flags = CLONE_NEWUSER};
    int pipe_fds[2];

    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return error_sys(err, errno, "pipe");
    _cleanup_close_ int held = pipe_fds[0];
    _cleanup_close_ int hold = pipe_fds[1];
    pid_t pid = sys_clone3(&args);
    if (pid == 0)
        hold_namespace(pipe_fds);
    if (pid < 0)
        return error_sys_hint(err, -pid,
                "user namespaces may be limited by /proc/sys/user/max_user_namespaces",
                "make a user namespace for an idmapped mount");
    int fd = open_mapped(pid, uids, gids, err);
    cleanup_close(&hold);
    siginfo_t info;
    sys_waitid(P_PID, (id_t)pid, &info, WEXITED | __WALL);
    return fd;
}

bool sys_in_user_namespace(void)
{
    char text[128];
    unsigned inside;
    unsigned outside;
    unsigned count;

    if (io_read_small_at(AT_FDCWD, "/proc/self/uid_map", text, sizeof(text)) < 0 ||
            sscanf(text, "%u %u %u", &inside, &outside, &count) != 3)
        return false;
    return !(inside == 0 && outside == 0 && count == UINT32_MAX);
}

uid_t sys_uid_outside(void)
{
    char text[4096];
    struct id_map map;
    uid_t own = geteuid();
    int used;

    if (io_read_small_at(AT_FDCWD, "/proc/self/uid_map", text, sizeof(text)) < 0)
        return own;
    for (const char *at = text;
            sscanf(at, "%u %u %u%n", &map.inside, &map.outside, &map.count, &used) == 3; at += used)
        if (own >= map.inside && own - map.inside < map.count)
            return map.outside + (own - map.inside);
    return own;
}
