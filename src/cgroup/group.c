#include "cgroup/group.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/path.h"
#include "cgroup/devices.h"
#include "cgroup/flat.h"
#include "cgroup/kthread.h"
#include "cgroup/procs.h"
#include "cgroup/systemd.h"
#include "cgroup/writes.h"
#include "sys/cgroup.h"

static bool has_file(const char *dir, const char *name)
{
    char path[PATH_MAX];

    return dir && snprintf(path, sizeof(path), "%s/%s", dir, name) < PATH_MAX &&
           faccessat(AT_FDCWD, path, F_OK, AT_EACCESS) == 0;
}

static int write_file(const char *dir, const char *name, const char *text)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= PATH_MAX)
        return -ENAMETOOLONG;
    return sys_cgroup_write(path, text);
}

/* Writes in order; what the kernel refuses because of a value that a later write changes (a memory
 * limit above that of memory and swap, a quota below the burst) is tried once more at the end. */
static int apply_writes(const struct cgroup_writes *writes, struct error *err)
{
    size_t *again = arena_new_array(writes->arena, size_t, writes->count + 1);
    size_t count = 0;

    for (size_t i = 0; i < writes->count; i++) {
        int r = cgroup_write_apply(&writes->items[i], err);
        if (r == -EINVAL || r == -EBUSY)
            again[count++] = i;
        else if (r < 0)
            return error_prefix(err, "%s", writes->items[i].because);
    }
    for (size_t i = count; i-- > 0;) {
        int r = cgroup_write_apply(&writes->items[again[i]], err);
        if (r < 0)
            return error_prefix(err, "%s", writes->items[again[i]].because);
    }
    return 0;
}

static int check_memory(
        const struct cgroup_dirs *dirs, const struct cgroup_memory *memory, struct error *err)
{
    const char *v1 = dirs->v1[CGROUP_MEMORY];
    struct opt_u64 usage = {0};

    if (!memory->check_before_update.value || !memory->limit.set || memory->limit.value <= 0)
        return 0;
    if (v1)
        usage = cgroup_flat_number(v1, "memory.usage_in_bytes");
    else if (dirs->unified)
        usage = cgroup_flat_number(dirs->unified, "memory.current");
    if (!usage.set || usage.value <= (uint64_t)memory->limit.value)
        return 0;
    return error_set(err, EBUSY,
            "memory/limit: %" PRId64 " bytes asked for, %" PRIu64
            " in use; free some first, or leave checkBeforeUpdate out",
            memory->limit.value, usage.value);
}

/* v2 keeps quota and period in one file, and swap without memory: what is not given is as it is. */
static void fill_from_present(const struct cgroup_dirs *dirs, struct cgroup_limits *limits)
{
    struct cgroup_cpu *cpu = &limits->cpu;
    struct cgroup_memory *memory = &limits->memory;
    char text[64];
    char path[PATH_MAX];

    if (!dirs->unified)
        return;
    snprintf(path, sizeof(path), "%s/cpu.max", dirs->unified);
    if (!dirs->v1[CGROUP_CPU] && cpu->period.set && !(cpu->quota.set && cpu->quota.value) &&
            io_read_small_at(AT_FDCWD, path, text, sizeof(text)) > 0) {
        text[strcspn(text, " ")] = '\0';
        cpu->quota.value = -1;
        cpu->quota.set = str_to_i64(text, &cpu->quota.value) == 0 || str_equal(text, "max");
    }
    if (!dirs->v1[CGROUP_MEMORY] && memory->swap.set && memory->swap.value > 0 &&
            !(memory->limit.set && memory->limit.value)) {
        struct opt_u64 limit = cgroup_flat_number(dirs->unified, "memory.max");
        if (limit.set)
            memory->limit = (struct opt_i64){true, (int64_t)limit.value};
    }
}

static int update_devices(const struct cgroup_dirs *dirs, const struct cgroup_limits *limits,
        struct arena *arena, struct error *err)
{
    const char *v1 = dirs->v1[CGROUP_DEVICES];
    struct strv lines;
    size_t count;

    int r = cgroup_devices_check(limits, err);
    if (r < 0 || limits->devices.count == 0)
        return r;
    if (v1) {
        r = cgroup_devices_lines(limits, arena, &lines, err);
        return r < 0 ? r : cgroup_devices_rewrite(v1, &lines, arena, err);
    }
    if (!dirs->unified)
        return error_set(err, EOPNOTSUPP, "devices: the group is in no hierarchy that has them");
    struct bpf_insn *program = cgroup_devices_program(limits, arena, &count);
    return cgroup_devices_attach(dirs->unified, program, count, NULL, true, err);
}

/* systemd first: it sets its own idea of the limits back at the next reload otherwise. */
static int update_scope(const struct cgroup_saved *saved, const struct cgroup_limits *limits,
        struct arena *arena, struct error *err)
{
    const char *group;

    if (!saved->scope)
        return 0;
    bool unified = saved->unified && !cgroup_saved_v1(saved, CGROUP_MEMORY);
    const char *order = cgroup_systemd_set_order(
            saved->bus, saved->user_manager, saved->scope, limits, unified, arena);
    return order ? cgroup_systemd_call(saved->helper, order, 0, arena, &group, err) : 0;
}

static int update(const struct cgroup_saved *saved, const struct cgroup_limits *asked,
        struct arena *arena, struct error *err)
{
    struct cgroup_writes writes = {.arena = arena};
    struct cgroup_limits limits = *asked;
    struct cgroup_dirs dirs;

    cgroup_dirs_of_saved(saved, arena, &dirs);
    fill_from_present(&dirs, &limits);
    int r = cgroup_writes_add(&writes, &limits, &dirs, true, err);
    if (r < 0)
        return r;
    if (writes.unmet_count)
        return error_set(err, EOPNOTSUPP, "%s: %s; %s", writes.unmet[0].because,
                writes.unmet[0].why, writes.unmet[0].remedy);
    r = check_memory(&dirs, &limits.memory, err);
    if (r == 0)
        r = update_scope(saved, &limits, arena, err);
    if (r == 0)
        r = apply_writes(&writes, err);
    return r < 0 ? r : update_devices(&dirs, &limits, arena, err);
}

int cgroup_update(const struct cgroup_saved *saved, const struct cgroup_limits *limits,
        const char *pointer, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    int r = update(saved, limits, &arena, err);

    return r < 0 && *pointer ? error_prefix(err, "%s", pointer) : r;
}

/* v2 where it can: its frozen processes can still be killed and traced. */
static const char *v2_freezer(const struct cgroup_saved *saved)
{
    return has_file(saved->unified, "cgroup.freeze") ? saved->unified : NULL;
}

static int no_freezer(struct error *err)
{
    return error_set(err, EOPNOTSUPP,
            "the sandbox has no cgroup that can be frozen: pausing needs cgroup v2, or the freezer "
            "controller of v1, and the permission to use it");
}

/* "FROZEN", "FREEZING" or "THAWED"; as a number: 2, 1, 0. */
static int v1_state(const char *dir)
{
    char path[PATH_MAX], text[16];

    snprintf(path, sizeof(path), "%s/freezer.state", dir);
    ssize_t got = io_read_small_at(AT_FDCWD, path, text, sizeof(text));
    if (got < 0)
        return (int)got;
    return str_equal(text, "FROZEN") ? 2 : str_equal(text, "FREEZING") ? 1 : 0;
}

/* The same for v2; a group without processes counts as frozen at once. */
static int v2_state(const char *dir)
{
    struct opt_u64 asked = cgroup_flat_number(dir, "cgroup.freeze");
    struct opt_u64 frozen = cgroup_flat_value(dir, "cgroup.events", "frozen");

    if (!asked.set)
        return -ENOENT;
    if (!asked.value)
        return frozen.value ? 2 : 0;
    return frozen.value || cgroup_stopped_but_for_kthreads(dir) ? 2 : 1;
}

/* v1 gives up on processes that fork while it freezes: it is asked again, and now and then the
 * group is let run for a moment. */
static int wait_for(const char *v2, const char *v1, int state, unsigned timeout_ms)
{
    int64_t deadline = cgroup_now_us() + timeout_ms * 1000LL;
    unsigned turn = 0;

    for (unsigned round = 1;; round++) {
        int now = v2 ? v2_state(v2) : v1_state(v1);
        if (now == state || now < 0)
            return now < 0 ? now : 0;
        if (cgroup_now_us() >= deadline)
            return -ETIMEDOUT;
        if (!v2 && state == 2 && round % 16 == 0)
            write_file(v1, "freezer.state", "THAWED");
        cgroup_pause(&turn);
        if (!v2)
            write_file(v1, "freezer.state", state ? "FROZEN" : "THAWED");
    }
}

int cgroup_freeze(const struct cgroup_saved *saved, unsigned timeout_ms, struct error *err)
{
    const char *v2 = v2_freezer(saved);
    const char *v1 = cgroup_saved_v1(saved, CGROUP_FREEZER);

    if (!v2 && !v1)
        return no_freezer(err);
    int r = v2 ? write_file(v2, "cgroup.freeze", "1") : write_file(v1, "freezer.state", "FROZEN");
    if (r < 0)
        return error_sys(err, -r, "freeze the cgroup %s", v2 ? v2 : v1);
    r = wait_for(v2, v1, 2, timeout_ms);
    if (r == 0)
        return 0;
    cgroup_thaw(saved, timeout_ms, NULL);
    return error_sys(err, -r,
            "freeze the cgroup %s: a process in it does not stop (in an uninterruptible wait?); it "
            "runs on",
            v2 ? v2 : v1);
}

int cgroup_thaw(const struct cgroup_saved *saved, unsigned timeout_ms, struct error *err)
{
    const char *v2 = v2_freezer(saved);
    const char *v1 = cgroup_saved_v1(saved, CGROUP_FREEZER);

    if (!v2 && !v1)
        return no_freezer(err);
    int r = v2 ? write_file(v2, "cgroup.freeze", "0") : 0;
    if (r == 0 && v1)
        r = write_file(v1, "freezer.state", "THAWED");
    if (r < 0)
        return error_sys(err, -r, "thaw the cgroup %s", v2 ? v2 : v1);
    r = wait_for(v2, v1, 0, timeout_ms);
    if (r == -ETIMEDOUT)
        return error_set(err, EBUSY,
                "thaw the cgroup %s: it stays frozen, because one above it is frozen; thaw that",
                v2 ? v2 : v1);
    return r < 0 ? error_sys(err, -r, "thaw the cgroup %s", v2 ? v2 : v1) : 0;
}

int cgroup_is_frozen(const struct cgroup_saved *saved)
{
    const char *v2 = v2_freezer(saved);
    const char *v1 = cgroup_saved_v1(saved, CGROUP_FREEZER);
    int state = v2 ? v2_state(v2) : 0;

    if (state == 0 && v1)
        state = v1_state(v1);
    return state < 0 ? state : state > 0;
}

struct listing {
    struct arena *arena;
    struct cgroup_pids *pids;
};

static int list_pid(pid_t pid, void *data)
{
    struct listing *listing = data;
    struct cgroup_pids *pids = listing->pids;

    if (pid <= 0)
        return 0;
    pids->items = arena_grow(
            listing->arena, pids->items, pids->count, &pids->capacity, sizeof(*pids->items));
    pids->items[pids->count++] = pid;
    return 0;
}

static int list_dir(const char *dir, void *data)
{
    int r = cgroup_each_pid(dir, list_pid, data);

    return r == -ENOENT ? 0 : r;
}

int cgroup_list(const struct cgroup_saved *saved, struct arena *arena, struct cgroup_pids *ret,
        struct error *err)
{
    struct cgroup_pids pids = {0};
    struct listing listing = {arena, &pids};
    const char *dir = cgroup_saved_any(saved);

    if (!dir)
        return error_set(
                err, EOPNOTSUPP, "the sandbox has no cgroup that would list its processes");
    int r = cgroup_walk(dir, list_dir, &listing);
    if (r < 0)
        return error_sys(err, -r, "list the processes of the cgroup %s", dir);
    *ret = pids;
    return 0;
}

/* Every hierarchy: a process may have been moved in one of them. */
static int kill_all(const struct cgroup_saved *saved)
{
    int result = saved->unified ? cgroup_kill_tree(saved->unified) : 0;

    for (size_t i = 0; i < saved->v1.count; i++) {
        const char *controllers = saved->v1.items[i].controllers;
        uint32_t set = cgroup_controllers_parse(controllers, ',');
        if (saved->unified && !(set & (1U << CGROUP_FREEZER)))
            continue;
        int r = cgroup_kill_tree(saved->v1.items[i].path);
        if (result == 0)
            result = r;
    }
    return result;
}

static int move_to(const char *dir, pid_t pid, struct error *err)
{
    char text[16];

    snprintf(text, sizeof(text), "%d", pid);
    int r = write_file(dir, "cgroup.procs", text);
    return r < 0 ? error_sys(err, -r, "move process %d to the cgroup %s", pid, dir) : 0;
}

int cgroup_move(const struct cgroup_saved *saved, pid_t pid, struct error *err)
{
    int r = saved->unified ? move_to(saved->unified, pid, err) : 0;

    for (size_t i = 0; i < saved->v1.count && r == 0; i++)
        r = move_to(saved->v1.items[i].path, pid, err);
    return r;
}

int cgroup_kill(const struct cgroup_saved *saved, int signal, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    struct cgroup_pids pids;
    int r;

    if (signal == SIGKILL) {
        r = kill_all(saved);
        return r < 0 ? error_sys(err, -r, "kill all processes of the cgroup %s",
                               cgroup_saved_any(saved))
                     : 0;
    }
    r = cgroup_list(saved, &arena, &pids, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < pids.count; i++)
        if (kill(pids.items[i], signal) < 0 && errno != ESRCH)
            r = error_sys(err, errno, "send signal %d to process %d", signal, pids.items[i]);
    return r;
}

static int stop_scope(const struct cgroup_saved *saved, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    const char *group;

    if (!saved->scope)
        return 0;
    const char *order =
            cgroup_systemd_stop_order(saved->bus, saved->user_manager, saved->scope, &arena);
    return cgroup_systemd_call(saved->helper, order, 0, &arena, &group, err);
}

int cgroup_remove(const struct cgroup_saved *saved, unsigned timeout_ms, struct error *err)
{
    int64_t deadline = cgroup_now_us() + timeout_ms * 1000LL;
    struct error one = ERROR_NONE;

    /* killed here and not by systemd, which would wait for those that are frozen */
    if (saved->scope)
        kill_all(saved);
    int result = stop_scope(saved, err);
    if (saved->unified) {
        int r = cgroup_remove_tree(saved->unified, deadline, &one);
        if (r < 0 && result == 0) {
            result = r;
            if (err)
                *err = one;
        }
    }
    for (size_t i = 0; i < saved->v1.count; i++) {
        int r = cgroup_remove_tree(saved->v1.items[i].path, deadline, &one);
        if (r < 0 && result == 0) {
            result = r;
            if (err)
                *err = one;
        }
    }
    for (size_t i = saved->parents.count; i-- > 0;)
        sys_cgroup_rmdir(saved->parents.words[i]); /* stays as long as others are in it */
    return result;
}

int cgroup_oom_kills(const struct cgroup_saved *saved, uint64_t *ret_count)
{
    const char *v1 = cgroup_saved_v1(saved, CGROUP_MEMORY);
    struct opt_u64 count = {0};

    if (v1)
        count = cgroup_flat_value(v1, "memory.oom_control", "oom_kill");
    else if (saved->unified)
        count = cgroup_flat_value(saved->unified, "memory.events", "oom_kill");
    if (!count.set)
        return -ENOENT;
    *ret_count = count.value;
    return 0;
}

/* Of a scope's slice on v2; 0: there is none, or it does not count. */
static uint64_t oom_kills_above(const struct cgroup_saved *saved)
{
    char path[PATH_MAX], name[NAME_MAX + 2];

    if (!saved->scope || !saved->unified || cgroup_saved_v1(saved, CGROUP_MEMORY))
        return 0;
    snprintf(path, sizeof(path), "%s", saved->unified);
    snprintf(name, sizeof(name), "/%s", saved->scope);
    char *scope = strstr(path, name);
    if (!scope)
        return 0;
    *scope = '\0'; /* not by "..", which fails when the scope is gone */
    return cgroup_flat_value(path, "memory.events", "oom_kill").value;
}

void cgroup_oom_mark(const struct cgroup_saved *saved, struct cgroup_oom_mark *ret)
{
    *ret = (struct cgroup_oom_mark){.above = oom_kills_above(saved)};
    cgroup_oom_kills(saved, &ret->own); /* after: one in between counts twice, not never */
}

uint64_t cgroup_oom_kills_since(
        const struct cgroup_saved *saved, const struct cgroup_oom_mark *mark)
{
    uint64_t own = 0, above = 0;

    if (cgroup_oom_kills(saved, &own) == 0)
        return own;
    above = oom_kills_above(saved);
    return mark->own + (above > mark->above ? above - mark->above : 0);
}

static int watch_v1(const char *dir, int *ret_fd)
{
    char path[PATH_MAX], text[64];

    _cleanup_close_ int event = eventfd(0, EFD_CLOEXEC);
    if (event < 0)
        return -errno;
    snprintf(path, sizeof(path), "%s/memory.oom_control", dir);
    _cleanup_close_ int control = sys_cgroup_open(path, O_RDONLY);
    if (control < 0)
        return control;
    snprintf(text, sizeof(text), "%d %d", event, control);
    int r = write_file(dir, "cgroup.event_control", text);
    if (r == 0)
        *ret_fd = take_fd(&event);
    return r;
}

static int watch_v2(const char *dir, int *ret_fd)
{
    char path[PATH_MAX];

    _cleanup_close_ int watch = inotify_init1(IN_CLOEXEC);
    if (watch < 0)
        return -errno;
    snprintf(path, sizeof(path), "%s/memory.events", dir);
    if (inotify_add_watch(watch, path, IN_MODIFY) < 0)
        return -errno;
    *ret_fd = take_fd(&watch);
    return 0;
}

int cgroup_oom_watch(const struct cgroup_saved *saved, int *ret_fd, struct error *err)
{
    const char *v1 = cgroup_saved_v1(saved, CGROUP_MEMORY);
    const char *dir = v1 ? v1 : saved->unified;

    if (!dir)
        return error_set(err, EOPNOTSUPP, "the sandbox has no memory cgroup to watch");
    int r = v1 ? watch_v1(dir, ret_fd) : watch_v2(dir, ret_fd);
    return r < 0 ? error_sys(err, -r, "watch the cgroup %s for want of memory", dir) : 0;
}
