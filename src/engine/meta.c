#include "engine/meta.h"

#include "base/io.h"

static const struct field meta_fields[] = {
        FIELD_REQUIRED(struct sandbox_meta, name, FIELD_STR),
        FIELD(struct sandbox_meta, image, FIELD_STR),
        FIELD(struct sandbox_meta, command, FIELD_STRV),
        FIELD(struct sandbox_meta, labels, FIELD_MAP),
        FIELD(struct sandbox_meta, isolation, FIELD_STR),
        FIELD(struct sandbox_meta, created, FIELD_STR),
        FIELD(struct sandbox_meta, stop_signal, FIELD_STR),
        FIELD(struct sandbox_meta, stop_timeout, FIELD_I32),
        FIELD(struct sandbox_meta, tty, FIELD_BOOL),
        FIELD(struct sandbox_meta, interactive, FIELD_BOOL),
        FIELD(struct sandbox_meta, remove, FIELD_BOOL),
        FIELD(struct sandbox_meta, confined, FIELD_BOOL),
        FIELD(struct sandbox_meta, monitor, FIELD_I32),
        FIELD(struct sandbox_meta, id_first, FIELD_U64),
        FIELD(struct sandbox_meta, log, FIELD_STR),
};
static const struct record meta_record = RECORD(struct sandbox_meta, meta_fields);

static const struct field exit_fields[] = {
        FIELD(struct sandbox_exit, code, FIELD_I32),
        FIELD(struct sandbox_exit, oom_killed, FIELD_BOOL),
        FIELD(struct sandbox_exit, finished, FIELD_STR),
};
static const struct record exit_record = RECORD(struct sandbox_exit, exit_fields);

static int save(int dir_fd, const char *name, const struct record *record, const void *from,
        struct error *err)
{
    _cleanup_json_ struct json_object *json = record_write(record, from);
    const char *text = json_text(json);
    int r = io_replace_file_at(dir_fd, name, text, strlen(text), 0600, false);

    return r < 0 ? error_sys(err, -r, "write %s", name) : 0;
}

static int load(int dir_fd, const char *name, const struct record *record, struct arena *arena,
        void *into, struct error *err)
{
    _cleanup_json_ struct json_object *json = NULL;
    struct record_report report = {.arena = arena};
    int r = json_parse_file_at(dir_fd, name, &json, err);

    if (r < 0)
        return r;
    record_read(record, json, "", into, &report);
    if (report.faults.count)
        return error_set(err, EINVAL, "%s: %s", name, report.faults.words[0]);
    return 0;
}

int sandbox_meta_save(int dir_fd, const struct sandbox_meta *meta, struct error *err)
{
    return save(dir_fd, "meta.json", &meta_record, meta, err);
}

int sandbox_meta_load(int dir_fd, struct arena *arena, struct sandbox_meta *ret, struct error *err)
{
    *ret = (struct sandbox_meta){0};
    return load(dir_fd, "meta.json", &meta_record, arena, ret, err);
}

int sandbox_exit_save(int dir_fd, const struct sandbox_exit *end, struct error *err)
{
    return save(dir_fd, "exit.json", &exit_record, end, err);
}

int sandbox_exit_load(int dir_fd, struct arena *arena, struct sandbox_exit *ret, struct error *err)
{
    *ret = (struct sandbox_exit){0};
    return load(dir_fd, "exit.json", &exit_record, arena, ret, err);
}
