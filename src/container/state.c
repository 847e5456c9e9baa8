#include "container/state.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "base/recordfile.h"
#include "base/utc.h"

#define NAME "state.json"
#define GLANCE "glance" /* a symbolic link whose text is lines */
#define FREEZER "freezer"

enum glance_line { VERSION, PID, START, CREATED, OWNER, BUNDLE, ROOTFS, UNIFIED, V1, MORE, LINES };

#define FIELDS_OF(member_, type_, record_)                                                         \
    FIELD_OF(struct container_state, member_, #member_, type_, record_)

static const struct field fields[] = {
        FIELD(struct container_state, ociVersion, FIELD_STR),
        FIELD_REQUIRED(struct container_state, id, FIELD_STR),
        FIELD(struct container_state, bundle, FIELD_STR),
        FIELD(struct container_state, rootfs, FIELD_STR),
        FIELD(struct container_state, created, FIELD_STR),
        FIELD(struct container_state, owner, FIELD_STR),
        FIELD(struct container_state, annotations, FIELD_MAP),
        FIELD(struct container_state, isolation, FIELD_STR),
        FIELD(struct container_state, making, FIELD_BOOL),
        FIELD(struct container_state, pid, FIELD_I32),
        FIELD(struct container_state, start_time, FIELD_U64),
        FIELD(struct container_state, namespaces, FIELD_U64),
        FIELD(struct container_state, own_pids, FIELD_BOOL),
        FIELD(struct container_state, streams, FIELD_STRV),
        FIELDS_OF(cgroup, FIELD_RECORD, &cgroup_saved_record),
        FIELDS_OF(resctrl, FIELD_RECORD, &resctrl_saved_record),
        FIELDS_OF(poststart, FIELD_LIST, &spec_hook_record),
        FIELDS_OF(poststop, FIELD_LIST, &spec_hook_record),
};
static const struct record record = RECORD(struct container_state, fields);

bool container_state_glance_print(const struct container_state *state, char *text, size_t size)
{
    char pid[16], start[24];
    size_t length = 0;

    snprintf(pid, sizeof(pid), "%d", state->pid);
    snprintf(start, sizeof(start), "%" PRIu64, state->start_time);
    const char *lines[LINES] = {state->ociVersion, pid, start, state->created, state->owner,
            state->bundle, state->rootfs, state->cgroup.unified,
            cgroup_saved_v1(&state->cgroup, CGROUP_FREEZER), state->annotations.count ? "1" : "0"};
    for (int i = 0; i < LINES; i++) {
        const char *line = lines[i] ? lines[i] : "";
        if (strchr(line, '\n'))
            return false;
        int added = snprintf(text + length, size - length, "%s%s", i ? "\n" : "", line);
        if (added < 0 || (size_t)added >= size - length)
            return false;
        length += (size_t)added;
    }
    return true;
}

/* Only a help: without it state.json is read. It goes before what it tells of changes. */
static void save_glance(int dir_fd, const struct container_state *state)
{
    char text[PATH_MAX];

    if (!state->making && container_state_glance_print(state, text, sizeof(text)))
        (void)!symlinkat(text, dir_fd, GLANCE);
}

int container_state_save(int dir_fd, const struct container_state *state, struct error *err)
{
    if (!state->making)
        unlinkat(dir_fd, GLANCE, 0);
    int r = recordfile_save(dir_fd, NAME, &record, state, RECORDFILE_PRIVATE);
    if (r == 0)
        save_glance(dir_fd, state);
    return r < 0 ? error_sys_hint(err, -r, error_room(-r), "write " NAME " of %s", state->id) : 0;
}

int container_state_parse(const char *text, size_t length, struct arena *arena,
        struct container_state *ret, struct error *err)
{
    _cleanup_json_ struct json_object *json = NULL;
    struct record_report report = {.arena = arena};
    struct container_state state = {0};
    int r = json_parse(text, length, NAME, &json, err);

    if (r < 0)
        return r;
    record_read(&record, json, "", &state, &report);
    if (report.faults.count)
        return error_set(err, EINVAL, NAME ": %s", report.faults.words[0]);
    *ret = state;
    return 0;
}

int container_state_load(
        int dir_fd, struct arena *arena, struct container_state *ret, struct error *err)
{
    _cleanup_buf_ struct buf text = {0};
    int r = io_read_file_at(dir_fd, NAME, &text);

    if (r < 0)
        return error_sys(err, -r, "read " NAME);
    return container_state_parse(buf_text(&text), text.length, arena, ret, err);
}

int container_state_glance_parse(
        const char *text, size_t length, struct arena *arena, struct container_state *ret)
{
    char *lines[LINES];
    char *rest = arena_strndup(arena, text, length);

    for (int i = 0; i < LINES; i++) {
        if (!rest)
            return -ENOENT;
        char *line = strsep(&rest, "\n");
        lines[i] = *line ? line : NULL;
    }
    struct container_state state = {
            .ociVersion = lines[VERSION],
            .bundle = lines[BUNDLE],
            .rootfs = lines[ROOTFS],
            .created = lines[CREATED],
            .owner = lines[OWNER],
            .cgroup.unified = lines[UNIFIED],
    };
    if (rest || !lines[PID] || str_to_int(lines[PID], &state.pid) < 0 || !lines[START] ||
            str_to_u64(lines[START], 10, &state.start_time) < 0 || !lines[MORE])
        return -ENOENT;
    if (lines[V1]) {
        state.cgroup.v1.items = arena_new(arena, struct cgroup_saved_path);
        state.cgroup.v1.items[state.cgroup.v1.count++] =
                (struct cgroup_saved_path){FREEZER, lines[V1]};
    }
    *ret = state;
    return str_equal(lines[MORE], "0");
}

int container_state_glance(
        int store_fd, const char *folder, struct arena *arena, struct container_state *ret)
{
    char path[NAME_MAX + 16], text[PATH_MAX];

    snprintf(path, sizeof(path), "%s/" GLANCE, folder);
    ssize_t length = readlinkat(store_fd, path, text, sizeof(text));
    if (length < 0)
        return -errno;
    int r = container_state_glance_parse(text, (size_t)length, arena, ret);
    if (r >= 0)
        ret->id = arena_strdup(arena, folder);
    return r;
}

void container_state_as_spec(
        const struct container_state *state, enum spec_status status, struct spec_state *ret)
{
    *ret = (struct spec_state){
            .ociVersion = state->ociVersion,
            .id = state->id,
            .status = spec_status_name(status),
            .pid = status == SPEC_STOPPED ? 0 : state->pid,
            .bundle = state->bundle,
            .annotations = state->annotations,
            .rootfs = state->rootfs,
            .created = state->created,
            .owner = state->owner,
    };
}

char *container_now_text(struct arena *arena)
{
    struct timespec now;
    char text[UTC_TEXT_SIZE];

    clock_gettime(CLOCK_REALTIME, &now);
    return arena_printf(arena, "%s.%09ldZ", utc_text(now.tv_sec, text), now.tv_nsec);
}
