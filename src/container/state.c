#include "container/state.h"

#include <fcntl.h>
#include <time.h>

#include "base/io.h"

#define NAME "state.json"

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
        FIELD(struct container_state, making, FIELD_BOOL),
        FIELD(struct container_state, pid, FIELD_I32),
        FIELD(struct container_state, start_time, FIELD_U64),
        FIELD(struct container_state, namespaces, FIELD_U64),
        FIELD(struct container_state, own_pids, FIELD_BOOL),
        FIELDS_OF(cgroup, FIELD_RECORD, &cgroup_saved_record),
        FIELDS_OF(resctrl, FIELD_RECORD, &resctrl_saved_record),
        FIELDS_OF(poststart, FIELD_LIST, &spec_hook_record),
        FIELDS_OF(poststop, FIELD_LIST, &spec_hook_record),
};
static const struct record record = RECORD(struct container_state, fields);

int container_state_save(int dir_fd, const struct container_state *state, struct error *err)
{
    _cleanup_json_ struct json_object *json = record_write(&record, state);
    const char *text = json_text(json);
    int r = io_replace_file_at(dir_fd, NAME, text, strlen(text), 0600, false);

    return r < 0 ? error_sys(err, -r, "write " NAME " of %s", state->id) : 0;
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
    struct tm parts;
    char text[64];

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
    return arena_printf(arena, "%s.%09ldZ", text, now.tv_nsec);
}
