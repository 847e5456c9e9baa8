#include "spec/state.h"

#include "spec/names.h"

static const char *const status_list[SPEC_STATUSES] = {
        "creating", "created", "running", "paused", "stopped"};
static const struct spec_words statuses = {status_list, SPEC_STATUSES};

/* runtime.md#state */
static const struct field state_fields[] = {
        FIELD_REQUIRED(struct spec_state, ociVersion, FIELD_STR),
        FIELD_REQUIRED(struct spec_state, id, FIELD_STR),
        FIELD_REQUIRED(struct spec_state, status, FIELD_STR),
        FIELD(struct spec_state, pid, FIELD_I32),
        FIELD_REQUIRED(struct spec_state, bundle, FIELD_STR),
        FIELD(struct spec_state, annotations, FIELD_MAP),
};
static const struct record state_record = RECORD(struct spec_state, state_fields);

/* runc's order, and its members beside those of the specification */
static const struct field full_fields[] = {
        FIELD_REQUIRED(struct spec_state, ociVersion, FIELD_STR),
        FIELD_REQUIRED(struct spec_state, id, FIELD_STR),
        FIELD_WRITTEN(struct spec_state, pid, FIELD_I32),
        FIELD_REQUIRED(struct spec_state, status, FIELD_STR),
        FIELD_REQUIRED(struct spec_state, bundle, FIELD_STR),
        FIELD_WRITTEN(struct spec_state, rootfs, FIELD_STR),
        FIELD_WRITTEN(struct spec_state, created, FIELD_STR),
        FIELD(struct spec_state, annotations, FIELD_MAP),
        FIELD_WRITTEN(struct spec_state, owner, FIELD_STR),
};
static const struct record full_record = RECORD(struct spec_state, full_fields);

static const struct field process_state_fields[] = {
        FIELD_REQUIRED(struct spec_process_state, ociVersion, FIELD_STR),
        FIELD_WRITTEN(struct spec_process_state, fds, FIELD_STRV),
        FIELD_WRITTEN(struct spec_process_state, pid, FIELD_I32),
        FIELD(struct spec_process_state, metadata, FIELD_STR),
        FIELD_OF(struct spec_process_state, state, "state", FIELD_RECORD, &state_record),
};
static const struct record process_state_record =
        RECORD(struct spec_process_state, process_state_fields);

const char *spec_status_name(enum spec_status status)
{
    return status_list[status];
}

struct json_object *spec_state_write(const struct spec_state *state)
{
    return record_write(&state_record, state);
}

struct json_object *spec_state_write_full(const struct spec_state *state)
{
    return record_write(&full_record, state);
}

void spec_state_print_full(const struct spec_state *state, struct buf *into)
{
    record_print(&full_record, state, into);
}

struct json_object *spec_process_state_write(const struct spec_process_state *state)
{
    return record_write(&process_state_record, state);
}

void spec_state_read(
        struct json_object *json, struct spec_state *into, struct record_report *report)
{
    const struct record_place *top = RECORD_TOP("");

    record_read(&full_record, json, "", into, report);
    if (into->id && !*into->id)
        record_fault(report, RECORD_MEMBER(top, "id"), "the id is empty");
    if (into->status && !spec_words_have(&statuses, into->status))
        record_fault(
                report, RECORD_MEMBER(top, "status"), "unknown status \"%.64s\"", into->status);
    if (into->pid < 0)
        record_fault(report, RECORD_MEMBER(top, "pid"), "%d is not a process", into->pid);
}
