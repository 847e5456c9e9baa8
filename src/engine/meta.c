#include "engine/meta.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/recordfile.h"

#define META "meta.json"
#define LIFE "life.json"

static const struct field join_fields[] = {
        FIELD_REQUIRED(struct sandbox_join, kind, FIELD_STR),
        FIELD_REQUIRED(struct sandbox_join, sandbox, FIELD_STR),
};
static const struct record join_record = RECORD(struct sandbox_join, join_fields);

static const struct field volume_fields[] = {
        FIELD_REQUIRED(struct sandbox_volume, name, FIELD_STR),
        FIELD_REQUIRED(struct sandbox_volume, destination, FIELD_STR),
        FIELD(struct sandbox_volume, options, FIELD_STRV),
        FIELD(struct sandbox_volume, copy, FIELD_BOOL),
        FIELD(struct sandbox_volume, anonymous, FIELD_BOOL),
};
static const struct record volume_record = RECORD(struct sandbox_volume, volume_fields);

static const struct field check_fields[] = {
        FIELD(struct sandbox_check, test, FIELD_STRV),
        FIELD(struct sandbox_check, interval_ns, FIELD_I64),
        FIELD(struct sandbox_check, timeout_ns, FIELD_I64),
        FIELD(struct sandbox_check, start_period_ns, FIELD_I64),
        FIELD(struct sandbox_check, start_interval_ns, FIELD_I64),
        FIELD(struct sandbox_check, retries, FIELD_I32),
        FIELD(struct sandbox_check, on_failure, FIELD_STR),
};
static const struct record check_record = RECORD(struct sandbox_check, check_fields);

static const struct field meta_fields[] = {
        FIELD_REQUIRED(struct sandbox_meta, name, FIELD_STR),
        FIELD_REQUIRED(struct sandbox_meta, id, FIELD_STR),
        FIELD(struct sandbox_meta, image, FIELD_STR),
        FIELD(struct sandbox_meta, image_id, FIELD_STR),
        FIELD(struct sandbox_meta, image_folder, FIELD_STR),
        FIELD(struct sandbox_meta, command, FIELD_STRV),
        FIELD(struct sandbox_meta, entrypoint, FIELD_STRV),
        FIELD(struct sandbox_meta, labels, FIELD_MAP),
        FIELD(struct sandbox_meta, isolation, FIELD_STR),
        FIELD(struct sandbox_meta, created, FIELD_STR),
        FIELD(struct sandbox_meta, stop_signal, FIELD_STR),
        FIELD(struct sandbox_meta, stop_timeout, FIELD_I32),
        FIELD(struct sandbox_meta, tty, FIELD_BOOL),
        FIELD(struct sandbox_meta, interactive, FIELD_BOOL),
        FIELD(struct sandbox_meta, remove, FIELD_BOOL),
        FIELD(struct sandbox_meta, pidfile, FIELD_STR),
        FIELD(struct sandbox_meta, log, FIELD_STR),
        FIELD(struct sandbox_meta, log_options, FIELD_MAP),
        FIELD(struct sandbox_meta, restart, FIELD_STR),
        FIELD(struct sandbox_meta, restart_max, FIELD_I32),
        FIELD_OF(struct sandbox_meta, health, "health", FIELD_RECORD, &check_record),
        FIELD(struct sandbox_meta, bundle, FIELD_STR),
        FIELD(struct sandbox_meta, user, FIELD_STR),
        FIELD(struct sandbox_meta, cgroup_parent, FIELD_STR),
        FIELD(struct sandbox_meta, cgroup_manager, FIELD_STR),
        FIELD(struct sandbox_meta, userns_auto, FIELD_BOOL),
        FIELD(struct sandbox_meta, idmap_root, FIELD_BOOL),
        FIELD(struct sandbox_meta, confined, FIELD_BOOL),
        FIELD(struct sandbox_meta, unconfined_devices, FIELD_BOOL),
        FIELD(struct sandbox_meta, cgroup_delegate, FIELD_BOOL),
        FIELD_OF(struct sandbox_meta, joins, "joins", FIELD_LIST, &join_record),
        FIELD_OF(struct sandbox_meta, volumes, "volumes", FIELD_LIST, &volume_record),
        FIELD_OF(struct sandbox_meta, network, "network", FIELD_RECORD, &net_request_record),
        FIELD(struct sandbox_meta, accel, FIELD_STR),
        FIELD(struct sandbox_meta, portable, FIELD_BOOL),
        FIELD(struct sandbox_meta, kernel, FIELD_STR),
};
static const struct record meta_record = RECORD(struct sandbox_meta, meta_fields);

static const struct field life_fields[] = {
        FIELD(struct sandbox_life, started, FIELD_STR),
        FIELD(struct sandbox_life, finished, FIELD_STR),
        FIELD(struct sandbox_life, ended, FIELD_BOOL),
        FIELD(struct sandbox_life, code, FIELD_I32),
        FIELD(struct sandbox_life, oom_killed, FIELD_BOOL),
        FIELD(struct sandbox_life, restarts, FIELD_I32),
        FIELD(struct sandbox_life, restarting, FIELD_BOOL),
        FIELD(struct sandbox_life, error, FIELD_STR),
        FIELD(struct sandbox_life, monitor, FIELD_I32),
        FIELD(struct sandbox_life, id_first, FIELD_U64),
        FIELD(struct sandbox_life, root_checksum, FIELD_U64),
        FIELD(struct sandbox_life, passed_output, FIELD_U64),
        FIELD(struct sandbox_life, passed_error, FIELD_U64),
};
static const struct record life_record = RECORD(struct sandbox_life, life_fields);

static int save(int dir_fd, const char *name, const struct record *record, const void *from,
        int kind, struct error *err)
{
    int r = recordfile_save(dir_fd, name, record, from, kind);

    return r < 0 ? error_sys_hint(err, -r, error_room(-r), "write %s", name) : 0;
}

int sandbox_meta_save(int dir_fd, const struct sandbox_meta *meta, bool durable, struct error *err)
{
    return save(dir_fd, META, &meta_record, meta, durable ? RECORDFILE_DURABLE : RECORDFILE_PRIVATE,
            err);
}

int sandbox_meta_load(int dir_fd, struct arena *arena, struct sandbox_meta *ret, struct error *err)
{
    return recordfile_load(dir_fd, META, &meta_record, arena, ret, err);
}

int sandbox_life_save(int dir_fd, const struct sandbox_life *life, struct error *err)
{
    return save(dir_fd, LIFE, &life_record, life, RECORDFILE_PRIVATE, err);
}

int sandbox_life_load(int dir_fd, struct arena *arena, struct sandbox_life *ret, struct error *err)
{
    return recordfile_load(dir_fd, LIFE, &life_record, arena, ret, err);
}

int sandbox_life_open(int dir_fd)
{
    int fd = openat(dir_fd, LIFE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

int sandbox_life_leave(int dir_fd, const struct sandbox_life *life)
{
    _cleanup_close_ int fd = openat(dir_fd, LIFE, O_WRONLY | O_TRUNC | O_NOFOLLOW | O_CLOEXEC);
    _cleanup_json_ struct json_object *json = record_write(&life_record, life);
    const char *text = json_text(json);

    return fd < 0 ? -errno : io_write_all(fd, text, strlen(text));
}

int sandbox_life_read(int fd, struct arena *arena, struct sandbox_life *ret, struct error *err)
{
    _cleanup_json_ struct json_object *json = NULL;
    _cleanup_buf_ struct buf text = {.max = 65536};
    struct record_report report = {.arena = arena};

    *ret = (struct sandbox_life){0};
    if (lseek(fd, 0, SEEK_SET) < 0 || io_read_fd(fd, &text) < 0)
        return error_sys(err, errno, "read " LIFE);
    int r = json_parse(buf_text(&text), text.length, LIFE, &json, err);
    if (r < 0)
        return r;
    record_read(&life_record, json, "", ret, &report);
    return record_error(&report, LIFE, err);
}
