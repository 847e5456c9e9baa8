#include "proto/agent.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"

/* Both ends are x86-64: numbers stand as they are in memory. */
struct head {
    uint32_t length; /* of the data behind */
    uint8_t type;
    uint8_t stream;
    uint16_t zero;
};
_Static_assert(sizeof(struct head) == 8, "the head of a frame");

/* ---- frames ---------------------------------------------------------------------------------- */

void agent_put(
        struct buf *out, enum agent_type type, unsigned stream, const void *data, size_t length)
{
    struct head head = {(uint32_t)length, (uint8_t)type, (uint8_t)stream, 0};

    buf_add(out, &head, sizeof(head));
    if (length)
        buf_add(out, data, length);
}

static size_t length_max(unsigned type)
{
    switch (type) {
    case AGENT_DATA:
    case AGENT_ASK:
    case AGENT_ANSWER:
        return AGENT_DATA_MAX;
    case AGENT_SIGNAL:
    case AGENT_SIZE:
    case AGENT_CREDIT:
        return sizeof(uint32_t);
    case AGENT_START:
    case AGENT_STARTED:
    case AGENT_CREATED:
    case AGENT_END:
        return 0;
    default:
        return AGENT_TEXT_MAX;
    }
}

int agent_take(const char *data, size_t length, struct agent_frame *ret, size_t *ret_used)
{
    struct head head;

    if (length < sizeof(head))
        return 0;
    memcpy(&head, data, sizeof(head));
    bool streamed = head.type == AGENT_DATA || head.type == AGENT_END || head.type == AGENT_CREDIT;
    if (head.type == 0 || head.type >= AGENT_TYPES || head.zero ||
            head.stream >= (streamed ? AGENT_STREAMS : 1) || head.length > length_max(head.type))
        return -EPROTO;
    if (length - sizeof(head) < head.length)
        return 0;
    *ret = (struct agent_frame){
            (enum agent_type)head.type, head.stream, data + sizeof(head), head.length};
    *ret_used = sizeof(head) + head.length;
    return 1;
}

int agent_number(const struct agent_frame *frame, uint32_t *ret)
{
    if (frame->length != sizeof(*ret))
        return -EPROTO;
    memcpy(ret, frame->data, sizeof(*ret));
    return 0;
}

int agent_size(const struct agent_frame *frame, uint16_t *ret_columns, uint16_t *ret_lines)
{
    if (frame->length != 2 * sizeof(uint16_t))
        return -EPROTO;
    memcpy(ret_columns, frame->data, sizeof(uint16_t));
    memcpy(ret_lines, frame->data + sizeof(uint16_t), sizeof(uint16_t));
    return 0;
}

/* ---- messages -------------------------------------------------------------------------------- */

static const struct field hello_fields[] = {
        FIELD_REQUIRED(struct agent_hello, version, FIELD_U32),
        FIELD(struct agent_hello, release, FIELD_STR),
        FIELD_AS(struct agent_hello, last_capability, "lastCapability", FIELD_U32),
};
const struct record agent_hello_record = RECORD(struct agent_hello, hello_fields);

static const struct field welcome_fields[] = {
        FIELD_REQUIRED(struct agent_welcome, version, FIELD_U32),
        FIELD(struct agent_welcome, seed, FIELD_STR),
        FIELD(struct agent_welcome, seconds, FIELD_I64),
        FIELD(struct agent_welcome, nanoseconds, FIELD_I64),
};
const struct record agent_welcome_record = RECORD(struct agent_welcome, welcome_fields);

static const struct field filter_fields[] = {
        FIELD_REQUIRED(struct agent_filter, code, FIELD_STR),
        FIELD(struct agent_filter, flags, FIELD_U32),
};
static const struct record filter_record = RECORD(struct agent_filter, filter_fields);

static const struct field share_fields[] = {
        FIELD_REQUIRED(struct agent_share, tag, FIELD_STR),
        FIELD_REQUIRED(struct agent_share, path, FIELD_STR),
        FIELD_AS(struct agent_share, read_only, "readOnly", FIELD_BOOL),
};
static const struct record share_record = RECORD(struct agent_share, share_fields);

static const struct field file_fields[] = {
        FIELD_REQUIRED(struct agent_file, path, FIELD_STR),
        FIELD(struct agent_file, data, FIELD_STR),
        FIELD(struct agent_file, mode, FIELD_U32),
        FIELD(struct agent_file, uid, FIELD_U32),
        FIELD(struct agent_file, gid, FIELD_U32),
};
static const struct record file_record = RECORD(struct agent_file, file_fields);

static const struct field route_fields[] = {
        FIELD_REQUIRED(struct agent_route, to, FIELD_STR),
        FIELD(struct agent_route, gateway, FIELD_STR),
        FIELD(struct agent_route, source, FIELD_STR),
        FIELD(struct agent_route, metric, FIELD_U32),
        FIELD(struct agent_route, onlink, FIELD_BOOL),
};
static const struct record route_record = RECORD(struct agent_route, route_fields);

static const struct field interface_fields[] = {
        FIELD(struct agent_interface, device, FIELD_STR),
        FIELD(struct agent_interface, mac, FIELD_STR),
        FIELD(struct agent_interface, name, FIELD_STR),
        FIELD(struct agent_interface, mtu, FIELD_U32),
        FIELD(struct agent_interface, addresses, FIELD_STRV),
        FIELD_OF(struct agent_interface, routes, "routes", FIELD_LIST, &route_record),
};
static const struct record interface_record = RECORD(struct agent_interface, interface_fields);

static const struct field create_fields[] = {
        FIELD_REQUIRED(struct agent_create, id, FIELD_STR),
        FIELD_REQUIRED(struct agent_create, config, FIELD_STR),
        FIELD(struct agent_create, digest, FIELD_STR),
        FIELD_OF(struct agent_create, filter, "filter", FIELD_POINTER, &filter_record),
        FIELD_AS(struct agent_create, root_size, "rootSize", FIELD_U64),
        FIELD_REQUIRED(struct agent_create, root, FIELD_STR),
        FIELD(struct agent_create, upper, FIELD_STR),
        FIELD_OF(struct agent_create, shares, "shares", FIELD_LIST, &share_record),
        FIELD_OF(struct agent_create, files, "files", FIELD_LIST, &file_record),
        FIELD_OF(struct agent_create, interfaces, "interfaces", FIELD_LIST, &interface_record),
        FIELD(struct agent_create, resolver, FIELD_STR),
        FIELD(struct agent_create, wait, FIELD_BOOL),
        FIELD(struct agent_create, interactive, FIELD_BOOL),
        FIELD(struct agent_create, delegate, FIELD_BOOL),
        FIELD_AS(struct agent_create, unmasked_devices, "unmaskedDevices", FIELD_BOOL),
        FIELD(struct agent_create, before, FIELD_U64),
        FIELD_AS(struct agent_create, fail_at, "failAt", FIELD_U64),
};
const struct record agent_create_record = RECORD(struct agent_create, create_fields);

static const struct field resume_fields[] = {
        FIELD(struct agent_resume, known, FIELD_BOOL),
        FIELD(struct agent_resume, output, FIELD_U64),
        FIELD(struct agent_resume, error, FIELD_U64),
};
const struct record agent_resume_record = RECORD(struct agent_resume, resume_fields);

static const struct field resumed_fields[] = {
        FIELD(struct agent_resumed, output, FIELD_U64),
        FIELD(struct agent_resumed, error, FIELD_U64),
};
const struct record agent_resumed_record = RECORD(struct agent_resumed, resumed_fields);

static const struct field exec_fields[] = {
        FIELD_REQUIRED(struct agent_exec, process, FIELD_STR),
        FIELD(struct agent_exec, user, FIELD_STR),
        FIELD_OF(struct agent_exec, filter, "filter", FIELD_POINTER, &filter_record),
        FIELD(struct agent_exec, interactive, FIELD_BOOL),
};
const struct record agent_exec_record = RECORD(struct agent_exec, exec_fields);

static const struct field call_fields[] = {
        FIELD_REQUIRED(struct agent_call, verb, FIELD_STR),
        FIELD(struct agent_call, signal, FIELD_I32),
        FIELD(struct agent_call, all, FIELD_BOOL),
        FIELD(struct agent_call, resources, FIELD_STR),
        FIELD_OF(struct agent_call, interface, "interface", FIELD_POINTER, &interface_record),
};
const struct record agent_call_record = RECORD(struct agent_call, call_fields);

static const struct field failed_fields[] = {
        FIELD_REQUIRED(struct agent_failed, errnum, FIELD_I32),
        FIELD(struct agent_failed, status, FIELD_I32),
        FIELD_REQUIRED(struct agent_failed, text, FIELD_STR),
};
const struct record agent_failed_record = RECORD(struct agent_failed, failed_fields);

static const struct field exit_fields[] = {
        FIELD_WRITTEN(struct agent_exit, code, FIELD_I32),
        FIELD_AS(struct agent_exit, oom_killed, "oomKilled", FIELD_BOOL),
        FIELD(struct agent_exit, said, FIELD_U32),
};
const struct record agent_exit_record = RECORD(struct agent_exit, exit_fields);

void agent_put_json(struct buf *out, enum agent_type type, struct json_object *json)
{
    const char *text = json_text(json);

    agent_put(out, type, 0, text, strlen(text));
}

void agent_put_record(
        struct buf *out, enum agent_type type, const struct record *record, const void *message)
{
    _cleanup_json_ struct json_object *json = record_write(record, message);

    agent_put_json(out, type, json);
}

void agent_put_error(struct buf *out, const struct error *err)
{
    struct agent_failed failed = {err->errnum, err->exit_status, err->text};

    agent_put_record(out, AGENT_FAILED, &agent_failed_record, &failed);
}

int agent_read(const struct agent_frame *frame, const struct record *record, struct arena *arena,
        void *ret, struct error *err)
{
    _cleanup_json_ struct json_object *json = NULL;
    struct record_report report = {.arena = arena};
    int r = json_parse(frame->data, frame->length, "message", &json, err);

    if (r < 0)
        return r;
    memset(ret, 0, record->size);
    record_read(record, json, "", ret, &report);
    return record_error(&report, "message", err);
}

const char *agent_hex(struct arena *arena, const void *data, size_t length)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *bytes = data;
    char *text = arena_alloc(arena, 2 * length + 1);

    for (size_t i = 0; i < length; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    return text;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int agent_unhex(struct arena *arena, const char *text, void **ret, size_t *ret_length)
{
    size_t length = strlen(text) / 2;
    unsigned char *bytes = arena_alloc(arena, length + 1);

    if (text[2 * length])
        return -EINVAL;
    for (size_t i = 0; i < length; i++) {
        int high = digit(text[2 * i]);
        int low = digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return -EINVAL;
        bytes[i] = (unsigned char)(high << 4 | low);
    }
    *ret = bytes;
    *ret_length = length;
    return 0;
}

int agent_read_error(const struct agent_frame *frame, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    struct agent_failed failed;
    int r = agent_read(frame, &agent_failed_record, &arena, &failed, err);

    if (r < 0)
        return r;
    bool sane = failed.errnum > 0 && failed.errnum < 4096;
    r = error_set(err, sane ? failed.errnum : EIO, "%s", failed.text);
    if (err && failed.status > 0 && failed.status < 256)
        err->exit_status = failed.status;
    return r;
}

/* ---- waiting for a frame --------------------------------------------------------------------- */

void agent_link_free(struct agent_link *link)
{
    buf_free(&link->in);
}

int agent_send(struct agent_link *link, struct buf *out, struct error *err)
{
    const char *at = out->data;
    size_t left = out->length;

    if (out->overflow)
        return error_set(err, EMSGSIZE, "the message to the machine's agent is too large");
    while (left) {
        ssize_t put = send(link->fd, at, left, MSG_NOSIGNAL);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return error_sys(err, errno, "send to the machine's agent");
        at += put;
        left -= (size_t)put;
    }
    buf_clear(out);
    return 0;
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static int wait_for_more(int fd, int64_t deadline, struct error *err)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    int r;

    do {
        int64_t left = deadline < 0 ? -1 : deadline - now_ms();
        r = poll(&ready, 1, deadline < 0 ? -1 : left > 0 ? (int)left : 0);
    } while (r < 0 && errno == EINTR);
    if (r == 0)
        return error_set(err, ETIMEDOUT, "the machine's agent does not answer");
    return r < 0 ? error_sys(err, errno, "wait for the machine's agent") : 0;
}

/* How many bytes the frame at the front still lacks. */
static size_t lacking(const struct agent_link *link)
{
    struct head head;

    if (link->in.length < sizeof(head))
        return sizeof(head) - link->in.length;
    memcpy(&head, link->in.data, sizeof(head));
    return sizeof(head) + head.length - link->in.length;
}

int agent_wait(struct agent_link *link, int timeout_ms, struct agent_frame *ret, struct error *err)
{
    int64_t deadline = timeout_ms < 0 ? -1 : now_ms() + timeout_ms;
    char chunk[4096];
    size_t used;

    buf_clear(&link->in);
    for (;;) {
        int r = link->in.length ? agent_take(link->in.data, link->in.length, ret, &used) : 0;
        if (r > 0)
            return 0;
        if (r < 0)
            return error_set(err, EPROTO, "the machine's agent sent what is no message");
        r = wait_for_more(link->fd, deadline, err);
        if (r < 0)
            return r;
        size_t wanted = lacking(link);
        ssize_t got = recv(link->fd, chunk, wanted < sizeof(chunk) ? wanted : sizeof(chunk), 0);
        if (got < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (got <= 0)
            return error_set(err, ECONNRESET, "the machine's agent is gone");
        buf_add(&link->in, chunk, (size_t)got);
    }
}

int agent_expect(struct agent_link *link, int timeout_ms, enum agent_type type,
        struct agent_frame *ret, struct error *err)
{
    struct agent_frame frame;
    int r = agent_wait(link, timeout_ms, &frame, err);

    if (r < 0)
        return r;
    if (frame.type == AGENT_FAILED)
        return agent_read_error(&frame, err);
    if (frame.type != type)
        return error_set(err, EPROTO, "the machine's agent answered out of turn (%d, not %d)",
                (int)frame.type, (int)type);
    *ret = frame;
    return 0;
}
