#include "cgroup/systemd.h"

#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/path.h"
#include "cgroup/procs.h"
#include "cgroup/writes.h"
#include "plan/run.h"

#define HELPER_WAIT_US 60000000
#define UNIT_NAME_MAX 255 /* systemd.unit(5) */

static bool is_unit_name(const char *text)
{
    if (str_empty(text) || strlen(text) > UNIT_NAME_MAX)
        return false;
    for (; *text; text++)
        if (!isalnum((unsigned char)*text) && !strchr(":-_.\\@", *text))
            return false;
    return true;
}

/* "a-b.slice" lies in "/a.slice/a-b.slice"; "-.slice" is the root. */
static int expand_slice(const char *slice, struct arena *arena, const char **ret, struct error *err)
{
    const char *path = "";

    if (!is_unit_name(slice) || !str_ends(slice, ".slice") || strstr(slice, "--"))
        return error_set(err, EINVAL, "\"%s\" is no name of a systemd slice", slice);
    *ret = "";
    if (str_equal(slice, "-.slice"))
        return 0;
    size_t length = strlen(slice) - strlen(".slice");
    if (length == 0 || *slice == '-' || slice[length - 1] == '-')
        return error_set(err, EINVAL, "\"%s\" is no name of a systemd slice", slice);
    for (size_t i = 1; i <= length; i++)
        if (i == length || slice[i] == '-')
            path = arena_printf(arena, "%s/%.*s.slice", path, (int)i, slice);
    *ret = path;
    return 0;
}

int cgroup_systemd_unit(const char *path, bool user, uid_t uid, struct arena *arena,
        struct cgroup_unit *ret, struct error *err)
{
    const char *slice_path;
    char *rest = arena_strdup(arena, path ? path : "");
    const char *slice = strsep(&rest, ":"), *prefix = strsep(&rest, ":"), *name = rest;

    if (!prefix || !name || strchr(name, ':'))
        return error_set(err, EINVAL,
                "cgroup path \"%s\": with the systemd manager it is slice:prefix:name",
                path ? path : "");
    if (!*slice)
        slice = user ? "user.slice" : "system.slice";
    if (!str_ends(name, ".slice"))
        name = arena_printf(arena, "%s%s%s.scope", prefix, *prefix ? "-" : "", name);
    if (!is_unit_name(name))
        return error_set(
                err, EINVAL, "cgroup path \"%s\": \"%s\" is no name of a systemd unit", path, name);
    int r = expand_slice(slice, arena, &slice_path, err);
    if (r < 0)
        return r;
    const char *manager = "";
    if (user)
        manager = arena_printf(arena, "/user.slice/user-%u.slice/user@%u.service", uid, uid);
    ret->slice = slice;
    ret->name = name;
    ret->below = arena_printf(arena, "%s%s/%s", manager, slice_path, name);
    return 0;
}

static void add_property(struct json_object *list, const char *name, const char *signature,
        struct json_object *value)
{
    struct json_object *item = json_object_new_array();

    json_object_array_add(item, json_object_new_string(name));
    json_object_array_add(item, json_object_new_string(signature));
    json_object_array_add(item, value);
    json_object_array_add(list, item);
}

static void add_text(
        struct json_object *list, const char *name, const char *signature, const char *text)
{
    add_property(list, name, signature, json_object_new_string(text));
}

/* Numbers travel as text: UINT64_MAX, systemd's "infinity", is not safe in JSON. */
static void add_number(struct json_object *list, const char *name, int64_t value)
{
    char text[32];

    snprintf(text, sizeof(text), "%" PRIu64, value < 0 ? UINT64_MAX : (uint64_t)value);
    add_text(list, name, "t", text);
}

static void add_optional(struct json_object *list, const char *name, const struct opt_i64 *value)
{
    if (value->set && value->value)
        add_number(list, name, value->value);
}

/* Microseconds of CPU in each second, in steps of ten milliseconds, as systemd rounds. */
static void add_cpu_quota(struct json_object *list, const struct cgroup_cpu *cpu)
{
    uint64_t period = cpu->period.set && cpu->period.value ? cpu->period.value : 100000;

    if (!cpu->quota.set || !cpu->quota.value)
        return;
    if (cpu->quota.value < 0) {
        add_number(list, "CPUQuotaPerSecUSec", -1);
        return;
    }
    uint64_t each_second = (uint64_t)cpu->quota.value * 1000000 / period;
    add_number(list, "CPUQuotaPerSecUSec", (int64_t)((each_second + 9999) / 10000 * 10000));
    if (cpu->period.set && cpu->period.value)
        add_number(list, "CPUQuotaPeriodUSec", (int64_t)period);
}

/* "0-2,4" as systemd's array of bytes, lowest bit first; one string of numbers. */
static void add_cpuset(struct json_object *list, const char *name, const char *text)
{
    unsigned char bytes[128] = {0};
    size_t used = 0;

    if (str_empty(text))
        return;
    while (*text) {
        char *end;
        unsigned long first = strtoul(text, &end, 10), last = first;
        if (end == text)
            return;
        if (*end == '-')
            last = strtoul(end + 1, &end, 10);
        for (unsigned long i = first; i <= last && i < sizeof(bytes) * 8; i++) {
            bytes[i / 8] = (unsigned char)(bytes[i / 8] | 1U << i % 8);
            used = i / 8 + 1 > used ? i / 8 + 1 : used;
        }
        text = end + (*end == ',' || *end == '\n');
        if (*end && *end != ',' && *end != '\n')
            return;
    }
    struct json_object *array = json_object_new_array();
    for (size_t i = 0; i < used; i++)
        json_object_array_add(array, json_object_new_int(bytes[i]));
    add_property(list, name, "ay", array);
}

static void add_unified_limits(struct json_object *list, const struct cgroup_limits *limits)
{
    const struct cgroup_memory *memory = &limits->memory;

    if (limits->cpu.shares.set && limits->cpu.shares.value)
        add_number(list, "CPUWeight", (int64_t)cgroup_weight_of_shares(limits->cpu.shares.value));
    add_optional(list, "MemoryMax", &memory->limit);
    add_optional(list, "MemoryLow", &memory->reservation);
    if (memory->swap.set && memory->swap.value && memory->limit.set && memory->limit.value > 0)
        add_number(list, "MemorySwapMax",
                memory->swap.value < 0 ? -1 : memory->swap.value - memory->limit.value);
    if (limits->blkio.weight.set && limits->blkio.weight.value)
        add_number(list, "IOWeight", (int64_t)cgroup_io_weight(limits->blkio.weight.value));
    add_cpuset(list, "AllowedCPUs", limits->cpu.cpus);
    add_cpuset(list, "AllowedMemoryNodes", limits->cpu.mems);
}

static void add_limits(struct json_object *list, const struct cgroup_limits *limits, bool unified)
{
    if (unified) {
        add_unified_limits(list, limits);
    } else {
        if (limits->cpu.shares.set && limits->cpu.shares.value)
            add_number(list, "CPUShares", (int64_t)limits->cpu.shares.value);
        add_optional(list, "MemoryLimit", &limits->memory.limit);
        if (limits->blkio.weight.set && limits->blkio.weight.value)
            add_number(list, "BlockIOWeight", (int64_t)limits->blkio.weight.value);
    }
    add_cpu_quota(list, &limits->cpu);
    if (limits->pids.set)
        add_number(list, "TasksMax", limits->pids.value == 0 ? 1 : limits->pids.value);
}

static struct json_object *new_order(const char *call, const char *bus, bool user, const char *unit)
{
    struct json_object *order = json_object_new_object();

    json_add_str(order, "call", call);
    json_add_str(order, "bus", bus);
    json_object_object_add(order, "user", json_object_new_boolean(user));
    json_add_str(order, "unit", unit);
    return order;
}

/* "uint64 5000", "'text'", "true" into a signature and a value. */
static int add_annotation(
        struct json_object *list, const struct record_pair *pair, struct error *err)
{
    static const struct {
        const char *prefix, *signature;
    } types[] = {{"uint64 ", "t"}, {"uint32 ", "u"}, {"int64 ", "x"}, {"int32 ", "i"}, {"", "i"}};
    const char *text = pair->value;
    size_t length = strlen(text);
    int64_t number;
    uint64_t wide;

    if (str_equal(text, "true") || str_equal(text, "false")) {
        add_text(list, pair->key, "b", text);
        return 0;
    }
    if (length >= 2 && (*text == '\'' || *text == '"') && text[length - 1] == *text) {
        add_property(list, pair->key, "s", json_object_new_string_len(text + 1, (int)length - 2));
        return 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        const char *rest = str_after(text, types[i].prefix);
        if (!rest || (str_to_i64(rest, &number) < 0 && str_to_u64(rest, 10, &wide) < 0))
            continue;
        add_text(list, pair->key, types[i].signature, rest);
        return 0;
    }
    return error_set(err, EINVAL,
            "systemd property %s: \"%s\" is not understood; write true, 'text', 5 or uint64 5",
            pair->key, text);
}

static struct json_object *strings(const char *text)
{
    struct json_object *array = json_object_new_array();

    json_object_array_add(array, json_object_new_string(text));
    return array;
}

static void add_unit_properties(struct json_object *list, const struct cgroup_request *request,
        const struct cgroup_unit *unit)
{
    const struct cgroup_systemd *systemd = &request->systemd;

    if (systemd->description)
        add_text(list, "Description", "s", systemd->description);
    if (str_ends(unit->name, ".slice")) {
        add_property(list, "Wants", "as", strings(unit->slice));
    } else {
        add_text(list, "Slice", "s", unit->slice);
        add_text(list, "Delegate", "b", "true");
    }
    add_text(list, "DefaultDependencies", "b", "false");
    add_text(list, "CPUAccounting", "b", "true");
    add_text(list, "MemoryAccounting", "b", "true");
    add_text(list, "TasksAccounting", "b", "true");
}

int cgroup_systemd_start_order(const struct cgroup_request *request, const struct cgroup_unit *unit,
        bool unified, struct arena *arena, const char **ret_json, struct error *err)
{
    const struct cgroup_systemd *systemd = &request->systemd;
    _cleanup_json_ struct json_object *order =
            new_order("start", systemd->bus, systemd->user, unit->name);
    struct json_object *list = json_object_new_array();

    json_object_object_add(order, "properties", list);
    add_unit_properties(list, request, unit);
    if (request->limits)
        add_limits(list, request->limits, unified);
    for (size_t i = 0; i < systemd->properties.count; i++) {
        int r = add_annotation(list, &systemd->properties.items[i], err);
        if (r < 0)
            return r;
    }
    *ret_json = arena_strdup(arena, json_text(order));
    return 0;
}

const char *cgroup_systemd_stop_order(
        const char *bus, bool user, const char *unit, struct arena *arena)
{
    _cleanup_json_ struct json_object *order = new_order("stop", bus, user, unit);

    return arena_strdup(arena, json_text(order));
}

const char *cgroup_systemd_set_order(const char *bus, bool user, const char *unit,
        const struct cgroup_limits *limits, bool unified, struct arena *arena)
{
    _cleanup_json_ struct json_object *order = new_order("set", bus, user, unit);
    struct json_object *list = json_object_new_array();

    json_object_object_add(order, "properties", list);
    add_limits(list, limits, unified);
    return json_object_array_length(list) ? arena_strdup(arena, json_text(order)) : NULL;
}

/* The helper under way. */
struct talk {
    pid_t pid;
    int to, from, errors;
};

static int start_helper(const char *helper, struct talk *ret, struct error *err)
{
    int to[2] = {-1, -1}, from[2] = {-1, -1}, errors[2] = {-1, -1};
    posix_spawn_file_actions_t actions;
    char *name = (char[]){"viv-systemd"};
    char *const argv[] = {name, NULL};
    int r = 0;

    if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0 || pipe2(errors, O_CLOEXEC) < 0)
        r = errno;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, to[0], 0);
    posix_spawn_file_actions_adddup2(&actions, from[1], 1);
    posix_spawn_file_actions_adddup2(&actions, errors[1], 2);
    if (r == 0)
        r = posix_spawn(&ret->pid, helper, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    cleanup_close(&to[0]);
    cleanup_close(&from[1]);
    cleanup_close(&errors[1]);
    ret->to = to[1];
    ret->from = from[0];
    ret->errors = errors[0];
    return r ? error_sys(err, r, "start %s, which speaks to systemd", helper) : 0;
}

/* Reads what comes until both ends are closed or the time is over. */
static bool read_answer(const struct talk *talk, struct buf *answer, struct buf *errors)
{
    struct pollfd polled[2] = {{talk->from, POLLIN, 0}, {talk->errors, POLLIN, 0}};
    struct buf *bufs[2] = {answer, errors};
    int64_t deadline = cgroup_now_us() + HELPER_WAIT_US;
    char chunk[1024];

    while (polled[0].fd >= 0 || polled[1].fd >= 0) {
        int64_t left = deadline - cgroup_now_us();
        if (left <= 0 || (poll(polled, 2, (int)(left / 1000) + 1) < 0 && errno != EINTR))
            return false;
        for (size_t i = 0; i < 2; i++) {
            if (polled[i].fd < 0 || !polled[i].revents)
                continue;
            ssize_t got = read(polled[i].fd, chunk, sizeof(chunk));
            if (got > 0)
                buf_add(bufs[i], chunk, (size_t)got);
            else
                polled[i].fd = -1;
        }
    }
    return true;
}

static int end_talk(struct talk *talk, bool finished)
{
    int status = -1;

    cleanup_close(&talk->to);
    cleanup_close(&talk->from);
    cleanup_close(&talk->errors);
    if (talk->pid <= 0)
        return status; /* it was never started */
    if (!finished)
        kill(talk->pid, SIGKILL);
    TEMP_FAILURE_RETRY(waitpid(talk->pid, &status, 0));
    return status;
}

/* The order with the process that is put into the unit; pid: as text. */
static const char *with_pid(const char *order, const char *pid, struct arena *arena)
{
    return arena_printf(arena, "%.*s,\"pids\":[%s]}", (int)strlen(order) - 1, order, pid);
}

int cgroup_systemd_call(const char *helper, const char *order, pid_t pid, struct arena *arena,
        const char **ret_group, struct error *err)
{
    _cleanup_buf_ struct buf answer = {.max = 65536}, errors = {.max = 65536};
    _cleanup_json_ struct json_object *json = NULL;
    struct talk talk = {0, -1, -1, -1};

    if (str_empty(helper))
        return error_set(err, ENOENT, "the systemd manager needs the program viv-systemd");
    int r = start_helper(helper, &talk, err);
    if (r < 0) {
        end_talk(&talk, true);
        return r;
    }
    const char *text = pid ? with_pid(order, arena_printf(arena, "%d", pid), arena) : order;
    io_write_all(talk.to, text, strlen(text)); /* if it fails, the helper says why */
    cleanup_close(&talk.to);
    bool finished = read_answer(&talk, &answer, &errors);
    int status = end_talk(&talk, finished);
    if (!finished)
        return error_set(err, ETIMEDOUT, "%s: systemd did not answer within a minute", helper);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return error_set(err, EREMOTEIO, "systemd: %.*s", (int)strcspn(buf_text(&errors), "\n"),
                buf_text(&errors));
    r = json_parse(buf_text(&answer), answer.length, "viv-systemd", &json, err);
    if (r < 0)
        return r;
    const char *group = json_get_str(json, "controlGroup");
    *ret_group = arena_strdup(arena, group ? group : "");
    return 0;
}

static int scope_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct cgroup_scope_args *args = step->args;
    _cleanup_arena_ struct arena arena = {0};
    const char *group = "";

    int r = cgroup_systemd_call(args->helper, args->order, run->child, &arena, &group, err);
    if (r < 0)
        return error_prefix(err, "start the scope %s", args->unit);
    if (!str_equal(group, args->below))
        return error_set(err, EREMCHG, "systemd put %s at %s, expected was %s", args->unit, group,
                args->below);
    return 0;
}

static int scope_undo(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct cgroup_scope_args *args = step->args;
    _cleanup_arena_ struct arena arena = {0};
    const char *group = "";

    /* the clone's undo would do it after this; systemd would wait for it to end by SIGTERM */
    if (run->child > 0)
        kill(run->child, SIGKILL);
    return cgroup_systemd_call(args->helper, args->stop, 0, &arena, &group, err);
}

static void scope_describe(const struct step *step, struct step_text *text)
{
    const struct cgroup_scope_args *args = step->args;

    step_call(text, "execve(%s, [\"viv-systemd\"], <environ>)",
            step_quote(text->arena, args->helper));
    step_call(text, "write(<viv-systemd>, %s)",
            step_quote(text->arena, with_pid(args->order, "<child>", text->arena)));
    step_why(text,
            "systemd owns this host's control groups; it makes the scope %s and puts the "
            "process into it.",
            args->unit);
}

const struct step_ops cgroup_scope_ops = {"StartTransientUnit", "org.freedesktop.systemd1(5)",
        scope_apply, scope_undo, scope_describe, NULL};
