#include "proto/control.h"

#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/io.h"

static const struct field control_fields[] = {
        FIELD_REQUIRED(struct proto_control, command, FIELD_STR),
        FIELD(struct proto_control, path, FIELD_STR),
        FIELD(struct proto_control, label, FIELD_STR),
        FIELD(struct proto_control, tap, FIELD_STR),
        FIELD(struct proto_control, bytes, FIELD_U64),
        FIELD(struct proto_control, stop, FIELD_BOOL),
};
const struct record proto_control_record = RECORD(struct proto_control, control_fields);

static const struct field unknown_fields[] = {
        FIELD_REQUIRED(struct proto_unknown, name, FIELD_STR),
        FIELD_WRITTEN(struct proto_unknown, count, FIELD_U64),
};
static const struct record unknown_record = RECORD(struct proto_unknown, unknown_fields);

static const struct field cpu_fields[] = {
        FIELD_WRITTEN(struct proto_cpu_stats, exits, FIELD_U64),
        FIELD_WRITTEN(struct proto_cpu_stats, instructions, FIELD_U64),
};
static const struct record cpu_record = RECORD(struct proto_cpu_stats, cpu_fields);

static const struct field disk_stats_fields[] = {
        FIELD_WRITTEN(struct proto_disk_stats, io, FIELD_STR),
        FIELD(struct proto_disk_stats, because, FIELD_STR),
        FIELD_WRITTEN(struct proto_disk_stats, requests, FIELD_U64),
        FIELD_WRITTEN(struct proto_disk_stats, deepest, FIELD_U64),
};
static const struct record disk_stats_record = RECORD(struct proto_disk_stats, disk_stats_fields);

static const struct field stats_fields[] = {
        FIELD_WRITTEN(struct proto_stats, accel, FIELD_STR),
        FIELD(struct proto_stats, because, FIELD_STR),
        FIELD_OF(struct proto_stats, cpus, "cpus", FIELD_LIST, &cpu_record),
        FIELD_OF(struct proto_stats, unknown, "unknown", FIELD_LIST, &unknown_record),
        FIELD_OF(struct proto_stats, disks, "disks", FIELD_LIST, &disk_stats_record),
        FIELD_WRITTEN(struct proto_stats, memory, FIELD_U64),
        FIELD_WRITTEN(struct proto_stats, resident, FIELD_U64),
        FIELD_WRITTEN(struct proto_stats, inflated, FIELD_U64),
        FIELD_WRITTEN(struct proto_stats, reported, FIELD_U64),
};
static const struct record stats_record = RECORD(struct proto_stats, stats_fields);

static const struct field net_device_fields[] = {
        FIELD_REQUIRED(struct proto_net_device, device, FIELD_STR),
        FIELD(struct proto_net_device, tap, FIELD_STR),
};
static const struct record net_device_record = RECORD(struct proto_net_device, net_device_fields);

static const struct field reply_fields[] = {
        FIELD_WRITTEN(struct proto_control_reply, ok, FIELD_BOOL),
        FIELD(struct proto_control_reply, errnum, FIELD_I32),
        FIELD(struct proto_control_reply, error, FIELD_STR),
        FIELD(struct proto_control_reply, state, FIELD_STR),
        FIELD_OF(struct proto_control_reply, stats, "stats", FIELD_POINTER, &stats_record),
        FIELD(struct proto_control_reply, device, FIELD_STR),
        FIELD_OF(struct proto_control_reply, nets, "nets", FIELD_LIST, &net_device_record),
};
const struct record proto_control_reply_record = RECORD(struct proto_control_reply, reply_fields);

/* ---- messages ---- */

static int read_text(const struct record *record, const char *text, size_t length,
        struct arena *arena, void *into, const char *what, struct error *err)
{
    _cleanup_json_ struct json_object *json = NULL;
    struct record_report report = {.arena = arena};
    int r = json_parse(text, length, what, &json, err);

    if (r < 0)
        return r;
    record_read(record, json, "", into, &report);
    return record_error(&report, what, err);
}

static int send_record(int sock, const struct record *record, const void *from, int fd)
{
    _cleanup_json_ struct json_object *json = record_write(record, from);
    const char *text = json_text(json);

    return io_send_fds(sock, text, strlen(text), &fd, fd >= 0 ? 1 : 0);
}

/* One message whole; a longer one is cut by the kernel, so one byte more than allowed is asked for.
 * What comes with it is one descriptor at most. */
static ssize_t receive(int sock, char *text, int *ret_fd)
{
    int fds[4];
    size_t count = 0;
    ssize_t n = io_receive_fds(sock, text, PROTO_CONTROL_MAX + 1, fds, ARRAY_SIZE(fds), &count);

    for (size_t i = ret_fd ? 1 : 0; i < count; i++)
        cleanup_close(&fds[i]);
    if (ret_fd)
        *ret_fd = count ? fds[0] : -1;
    return n;
}

int proto_control_parse(const char *text, size_t length, struct arena *arena,
        struct proto_control *ret, struct error *err)
{
    struct proto_control request = {0};
    int r = read_text(&proto_control_record, text, length, arena, &request, "request", err);

    if (r == 0)
        *ret = request;
    return r;
}

int proto_control_receive(
        int sock, struct arena *arena, struct proto_control *ret, int *ret_fd, struct error *err)
{
    _cleanup_close_ int fd = -1;
    char *text = arena_alloc(arena, PROTO_CONTROL_MAX + 1);
    ssize_t n = receive(sock, text, &fd);

    if (n < 0)
        return error_sys(err, (int)-n, "receive a request");
    if (n == 0)
        return 0;
    if ((size_t)n > PROTO_CONTROL_MAX)
        return error_set(err, EMSGSIZE, "a request of more than %zu bytes", PROTO_CONTROL_MAX);
    int r = proto_control_parse(text, (size_t)n, arena, ret, err);
    if (r < 0)
        return r;
    *ret_fd = take_fd(&fd);
    return 1;
}

int proto_control_answer(int sock, const struct proto_control_reply *reply)
{
    return send_record(sock, &proto_control_reply_record, reply, -1);
}

int proto_control_ask(int sock, const struct proto_control *request, int fd, struct arena *arena,
        struct proto_control_reply *ret, struct error *err)
{
    struct proto_control_reply reply = {0};
    int r = send_record(sock, &proto_control_record, request, fd);

    if (r == -EPIPE)
        r = -ECONNRESET;
    if (r < 0)
        return error_sys(err, -r, "ask the machine to %s (has it ended?)", request->command);
    char *text = arena_alloc(arena, PROTO_CONTROL_MAX + 1);
    ssize_t n = receive(sock, text, NULL);
    if (n <= 0)
        return error_sys(err, n < 0 ? (int)-n : ECONNRESET,
                "the machine gave no answer to %s (has it ended?)", request->command);
    r = read_text(&proto_control_reply_record, text, (size_t)n, arena, &reply, "reply", err);
    if (r < 0)
        return r;
    if (!reply.ok)
        return error_set(err, reply.errnum > 0 ? reply.errnum : EIO, "%s",
                reply.error ? reply.error : "the machine refused without a reason");
    if (ret)
        *ret = reply;
    return 0;
}
