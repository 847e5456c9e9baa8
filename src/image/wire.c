#include "image/wire.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"

static const struct field fields[] = {
        FIELD(struct wire_message, kind, FIELD_U32),
        FIELD(struct wire_message, id, FIELD_U32),
        FIELD(struct wire_message, name, FIELD_STR),
        FIELD(struct wire_message, reference, FIELD_STR),
        FIELD(struct wire_message, digest, FIELD_STR),
        FIELD(struct wire_message, type, FIELD_STR),
        FIELD(struct wire_message, text, FIELD_STR),
        FIELD(struct wire_message, size, FIELD_U64),
        FIELD(struct wire_message, errnum, FIELD_U32),
        FIELD(struct wire_message, present, FIELD_BOOL),
        FIELD(struct wire_message, host, FIELD_STR),
        FIELD(struct wire_message, path, FIELD_STR),
        FIELD(struct wire_message, user, FIELD_STR),
        FIELD(struct wire_message, password, FIELD_STR),
        FIELD(struct wire_message, token, FIELD_STR),
        FIELD(struct wire_message, authority, FIELD_STR),
        FIELD(struct wire_message, certificate, FIELD_STR),
        FIELD(struct wire_message, key, FIELD_STR),
        FIELD(struct wire_message, insecure, FIELD_BOOL),
        FIELD(struct wire_message, unverified, FIELD_BOOL),
        FIELD(struct wire_message, mirror, FIELD_BOOL),
        FIELD(struct wire_message, push, FIELD_BOOL),
        FIELD(struct wire_message, pause_ms, FIELD_U32),
};
static const struct record record = RECORD(struct wire_message, fields);

int wire_send(int socket, const struct wire_message *message, int fd, struct error *err)
{
    _cleanup_json_ struct json_object *json = record_write(&record, message);
    const char *text = json_text(json);
    size_t length = strlen(text);

    if (length > WIRE_PACKET_MAX)
        return error_set(err, E2BIG, "a message of %zu bytes is too large for viv-fetch", length);
    int r = io_send_fds(socket, text, length, &fd, fd >= 0);
    return r < 0 ? error_sys(err, -r, "send to viv-fetch") : 0;
}

int wire_receive(
        int socket, struct arena *arena, struct wire_message *ret, int *ret_fd, struct error *err)
{
    _cleanup_free_ char *text = malloc(WIRE_PACKET_MAX);
    _cleanup_json_ struct json_object *json = NULL;
    struct record_report report = {.arena = arena};
    struct wire_message message = {0};
    size_t count = 0;
    int fd = -1;

    if (!text)
        return error_set(err, ENOMEM, "out of memory");
    ssize_t got;
    do
        got = io_receive_fds(socket, text, WIRE_PACKET_MAX, &fd, 1, &count);
    while (got == -EINTR);
    _cleanup_close_ int received = count ? fd : -1;
    if (got == 0 || got == -ECONNRESET)
        return 0;
    if (got < 0)
        return error_sys(err, (int)-got, "receive from the other side of viv-fetch");
    int r = json_parse(text, (size_t)got, "message", &json, err);
    if (r < 0)
        return r;
    record_read(&record, json, "", &message, &report);
    if (report.faults.count)
        return error_set(
                err, EBADMSG, "a message of viv-fetch is wrong: %s", report.faults.words[0]);
    *ret = message;
    *ret_fd = take_fd(&received);
    return 1;
}
