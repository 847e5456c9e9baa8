#include "engine/rootless.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "ns/steps.h"
#include "security/passwd.h"
#include "sys/process.h"

const char *rootless_name(struct arena *arena, uid_t uid)
{
    struct passwd_user user;
    char text[16];
    _cleanup_close_ int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

    snprintf(text, sizeof(text), "%u", uid);
    if (root < 0 || passwd_lookup(root, text, arena, &user, NULL) < 0)
        return NULL;
    return user.name;
}

static void convert(struct arena *arena, const struct id_maps *maps, struct spec_id_mappings *ret)
{
    ret->items = arena_new_array(arena, struct spec_id_mapping, maps->count);
    ret->count = maps->count;
    for (size_t i = 0; i < maps->count; i++)
        ret->items[i] = (struct spec_id_mapping){
                maps->items[i].inside, maps->items[i].outside, maps->items[i].count};
}

/* Root of a user namespace hands its own ids on, one to one. */
static int own_map(struct arena *arena, const char *path, struct spec_id_mappings *ret)
{
    _cleanup_buf_ struct buf text = {0};
    struct strv lines = {0};
    const char *line;

    if (io_read_file_at(AT_FDCWD, path, &text) < 0)
        return -EIO;
    strv_split(arena, &lines, buf_text(&text), '\n');
    ret->items = arena_new_array(arena, struct spec_id_mapping, lines.count);
    strv_foreach (line, &lines) {
        struct spec_id_mapping *item = &ret->items[ret->count];
        if (sscanf(line, "%u %*u %u", &item->containerID, &item->size) == 2) {
            item->hostID = item->containerID;
            ret->count++;
        }
    }
    return ret->count ? 0 : -EIO;
}

static int user_maps(struct arena *arena, const struct container_host *host, const char *file,
        uint32_t own, struct spec_id_mappings *ret, struct error *err)
{
    struct id_ranges ranges = {0};
    struct id_maps maps;

    if (host->id_helpers) {
        int r = idmap_load_subids(
                arena, file, rootless_name(arena, host->uid), host->uid, &ranges, err);
        if (r < 0)
            return r;
    }
    idmap_rootless(arena, own, &ranges, &maps);
    convert(arena, &maps, ret);
    return 0;
}

static bool has_gid(const struct spec_id_mappings *maps, uint32_t gid)
{
    for (size_t i = 0; i < maps->count; i++)
        if (gid >= maps->items[i].containerID &&
                gid - maps->items[i].containerID < maps->items[i].size)
            return true;
    return false;
}

static void fit_mounts(struct arena *arena, struct spec *spec)
{
    for (size_t i = 0; i < spec->mounts.count; i++) {
        struct strv *options = &spec->mounts.items[i].options;
        struct strv kept = {0};
        const char *option;
        strv_foreach (option, options) {
            const char *number = str_after(option, "gid=");
            uint32_t gid;
            if (number && str_to_u32(number, &gid) == 0 && !has_gid(&spec->linux.gidMappings, gid))
                continue;
            strv_add(arena, &kept, option);
        }
        *options = kept;
    }
}

int rootless_maps(struct arena *arena, const struct container_host *host, struct spec *spec,
        struct error *err)
{
    struct spec_linux *linux_part = &spec->linux;
    int r;

    if (host->uid == 0) {
        r = own_map(arena, "/proc/self/uid_map", &linux_part->uidMappings);
        if (r == 0)
            r = own_map(arena, "/proc/self/gid_map", &linux_part->gidMappings);
        if (r < 0)
            return error_sys(err, -r, "read this user namespace's maps");
    } else {
        r = user_maps(arena, host, "/etc/subuid", host->uid, &linux_part->uidMappings, err);
        if (r == 0)
            r = user_maps(arena, host, "/etc/subgid", host->gid, &linux_part->gidMappings, err);
        if (r < 0)
            return r;
    }
    fit_mounts(arena, spec);
    return 0;
}

/* ---- calling as them ---------------------------------------------------------------------------
 */

static int own_maps(struct arena *arena, const struct container_host *host, struct ns_id_maps *ret,
        struct error *err)
{
    struct spec spec = {0};
    int r = rootless_maps(arena, host, &spec, err);

    if (r < 0)
        return r;
    ret->uids = container_id_maps(arena, &spec.linux.uidMappings);
    ret->gids = container_id_maps(arena, &spec.linux.gidMappings);
    bool alone = ret->uids.count == 1 && ret->uids.items[0].count == 1 && ret->gids.count == 1 &&
                 ret->gids.items[0].count == 1;
    ret->deny_setgroups = alone;
    ret->writer = alone ? NS_MAP_DIRECT : NS_MAP_HELPERS;
    return 0;
}

struct call_answer {
    int result;
    char out[ROOTLESS_OUT_MAX];
    struct error error;
};

/* In the child, which starts when its maps are written. */
static void serve_call(int go, int answer_fd, rootless_fn fn, void *data)
{
    struct call_answer answer = {0};
    char byte;

    if (read(go, &byte, 1) != 1 || sys_setresgid(0, 0, 0) < 0 || sys_setresuid(0, 0, 0) < 0)
        _exit(1);
    answer.result = fn(data, answer.out, &answer.error);
    _exit(write(answer_fd, &answer, sizeof(answer)) != sizeof(answer));
}

static int take_answer(int fd, pid_t pid, char *out, struct error *err)
{
    struct call_answer answer;
    siginfo_t info;
    int r = io_read_exact(fd, &answer, sizeof(answer));

    sys_waitid(P_PID, (id_t)pid, &info, WEXITED | __WALL);
    if (r < 0)
        return error_set(err, ECHILD, "the process with the user's ids has ended without a word");
    memcpy(out, answer.out, ROOTLESS_OUT_MAX);
    if (answer.result < 0 && err)
        *err = answer.error;
    return answer.result;
}

int rootless_call(struct arena *arena, const struct container_host *host, rootless_fn fn,
        void *data, char *out, struct error *err)
{
    struct clone_args args = {.flags = CLONE_NEWUSER | CLONE_NEWNS, .exit_signal = SIGCHLD};
    struct ns_id_maps maps = {0};
    int go[2];
    int back[2];

    if (host->uid == 0)
        return fn(data, out, err);
    int r = own_maps(arena, host, &maps, err);
    if (r < 0)
        return r;
    if (pipe2(go, O_CLOEXEC) < 0)
        return error_sys(err, errno, "pipe");
    _cleanup_close_ int go_read = go[0];
    _cleanup_close_ int go_write = go[1];
    if (pipe2(back, O_CLOEXEC) < 0)
        return error_sys(err, errno, "pipe");
    _cleanup_close_ int back_read = back[0];
    _cleanup_close_ int back_write = back[1];
    pid_t pid = sys_clone3(&args);
    if (pid == 0) {
        close(go_write);
        serve_call(go_read, back_write, fn, data);
    }
    cleanup_close(&back_write);
    if (pid < 0)
        return error_sys(err, -pid, "make a user namespace");
    r = ns_write_id_maps(&maps, pid, err);
    if (r == 0 && write(go_write, "", 1) != 1)
        r = error_sys(err, errno, "start the process with the user's ids");
    cleanup_close(&go_write);
    int told = take_answer(back_read, pid, out, r < 0 ? NULL : err);
    return r < 0 ? r : told;
}
